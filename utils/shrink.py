"""Make a small file of a network's weights, to ship: a tenth of a checkpoint.

python -m utils.shrink CHECKPOINT OUT.pth
"""

from pathlib import Path

from utils.checkpoint import load_network
from utils.errors import Parser, run
from utils.weights import compress, write_torch


def main() -> None:
    parser = Parser(prog="python -m utils.shrink", description=__doc__.split("\n", 1)[0])
    parser.add_argument("source", metavar="CHECKPOINT", help="any file that --weights takes")
    parser.add_argument("out", metavar="OUT.pth", help="the file to write")
    arguments = parser.parse_args()
    network = load_network(arguments.source)
    write_torch(arguments.out, compress(network))
    size = Path(arguments.out).stat().st_size
    print(f"{arguments.out}: {network.name}, {size / 2**20:.1f} MB")


if __name__ == "__main__":
    run(main)
