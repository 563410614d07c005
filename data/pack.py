"""Pack a dataset into files that load faster than its images.

train.py and test.py read DIR/packed in place of the images, with the same results. It takes 26 GB
for ShapeNet. A shape is read from its images again if they have changed since; another run packs
just those.

python -m data.pack DIR
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
    parser.add_argument("--processes", type=int, help="default: all cores")
    args = parser.parse_args()
    check_ranges(args, processes=(1, 1024))
    pack(args.dataset, args.processes)
    print(f"written: {args.dataset / PACKED}")


if __name__ == "__main__":
    run(main)
