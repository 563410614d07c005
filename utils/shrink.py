"""Make a small file of a network's weights, to ship: a tenth of a checkpoint.

python -m utils.shrink CHECKPOINT ... --out OUT.pth

Of several checkpoints of one training it takes the mean of their weights, often better than the
last of them (Izmailov et al., "Averaging weights leads to wider optima", UAI 2018).
"""

from pathlib import Path

from models import R2N2
from models.weights import check_network, compress, write_torch
from utils.checkpoint import load_network
from utils.errors import Parser, run


def mean_network(paths: list[str]) -> R2N2:
    """A network with the mean of the weights in files. InputError for one of another network."""
    network = load_network(paths[0])
    total = network.state_dict()
    for path in paths[1:]:
        other = load_network(path)
        check_network(other, path, network.name, network.options)
        for key, value in other.state_dict().items():
            total[key] += value
    for value in total.values():
        value /= len(paths)
    return network


def main() -> None:
    parser = Parser(prog="python -m utils.shrink", description=__doc__.split("\n", 1)[0])
    sources = "any file that --weights takes; of several, the mean of their weights is written"
    parser.add_argument("sources", nargs="+", metavar="CHECKPOINT", help=sources)
    parser.add_argument("--out", required=True, metavar="OUT.pth", help="the file to write")
    arguments = parser.parse_args()
    network = mean_network(arguments.sources)
    write_torch(arguments.out, compress(network))
    size = Path(arguments.out).stat().st_size
    print(f"{arguments.out}: {network.name}, {size / 2**20:.1f} MB")


if __name__ == "__main__":
    run(main)
