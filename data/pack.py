"""Write DATASET/packed, which loads nearly three times as fast as the images.

train.py and test.py read it in place of the images, with the same results. It takes 26 GB for
ShapeNet. A shape whose files have changed since is read from them, until another run packs it.

python -m data.pack DATASET
"""

from pathlib import Path

from data.datasets import index_any
from data.packed import PACKED, is_packed, pack_shape
from utils.errors import Parser, check_ranges, run
from utils.parallel import parallel_map


def pack(root: str | Path, processes: int | None = None) -> None:
    """Pack the shapes under `root` that are not in exclude.txt and not packed yet.

    Raises:
        InputError: If a file cannot be read; what is packed by then stays.
    """
    index, _ = index_any(root)
    shapes = [
        shape
        for i, shape in enumerate(index.split_up())
        if index.names[i] not in index.excluded and not is_packed(index, i)
    ]
    parallel_map(pack_shape, shapes, "pack", processes)


def main() -> None:
    parser = Parser(prog="python -m data.pack", description=__doc__.rpartition("\n\n")[0])
    parser.add_argument("dataset", type=Path, help="folder of the dataset")
    parser.add_argument("--processes", type=int, metavar="N", help="default: one per core")
    args = parser.parse_args()
    check_ranges(args, processes=(1, 1024))
    pack(args.dataset, args.processes)
    print(f"written: {args.dataset / PACKED}")


if __name__ == "__main__":
    run(main)
