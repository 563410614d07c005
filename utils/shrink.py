"""Make a small file of a network's weights, to ship: a tenth of a checkpoint.

python -m utils.shrink CHECKPOINT ... OUT.pth

Of several checkpoints of one training it takes the mean of their weights, often better than the
last of them (Izmailov et al., "Averaging weights leads to wider optima", UAI 2018).
"""

from pathlib import Path

from models import R2N2
from utils.checkpoint import NAME, load_network
from utils.errors import Parser, UserError, run
from utils.weights import compress, write_torch


def mean_network(paths: list[str]) -> R2N2:
    """A network whose weights are the mean of those in files of networks with the same options."""
    network = load_network(paths[0])
    total = network.state_dict()
    for path in paths[1:]:
        other = load_network(path)
        if (other.name, other.options) != (network.name, network.options):
            raise UserError(
                f"{path}: expected {network.name} with the options of {paths[0]}, "
                f"found {other.name} with {other.options}"
            )
        for key, value in other.state_dict().items():
            total[key] += value
    for value in total.values():
        value /= len(paths)
    return network


def main() -> None:
    parser = Parser(prog="python -m utils.shrink", description=__doc__.split("\n", 1)[0])
    sources = "any file that --weights takes; of several, the mean of their weights is written"
    parser.add_argument("sources", nargs="+", metavar="CHECKPOINT", help=sources)
    parser.add_argument("out", metavar="OUT.pth", help="the file to write")
    arguments = parser.parse_args()
    if NAME.match(Path(arguments.out).name):
        raise UserError(f"{arguments.out}: expected a file to write, found a checkpoint's name")
    network = mean_network(arguments.sources)
    write_torch(arguments.out, compress(network))
    size = Path(arguments.out).stat().st_size
    print(f"{arguments.out}: {network.name}, {size / 2**20:.1f} MB")


if __name__ == "__main__":
    run(main)
