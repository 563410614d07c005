"""Open every file of a dataset and list what is missing, damaged or empty.

The exit status is 1 if a shape has a problem.

python -m data.check DATASET
"""

from pathlib import Path

from data.datasets import index_any
from data.layout import EXCLUDED, RESOLUTIONS
from data.shapenet import NO_VIEWS, NO_VOXELS, NOT_VIEWS, ShapeNetIndex, read_excluded
from utils.errors import InputError, Parser, explain, number, run
from utils.files import atomic_write, read_text
from utils.parallel import parallel_map


def check(root: str | Path, processes: int | None = None) -> tuple[dict[str, list[str]], list[str]]:
    """Open every file of the shapes under `root`.

    Returns:
        tuple: A dict of "category/shape" to its problems, and the files that are not views.

    Raises:
        InputError: If there is no shape with both views and voxels.
    """
    index, _ = index_any(root)
    found = parallel_map(check_shape, index.split_up(), "check", processes)
    problems = {name: lines for name, lines in zip(index.names, found, strict=True) if lines}
    for reason in (NO_VIEWS, NO_VOXELS):
        problems |= {name: [reason] for name in index.left_out.get(reason, [])}
    return problems, index.left_out.get(NOT_VIEWS, [])


def check_shape(shape: ShapeNetIndex) -> list[str]:
    """Open the files of an index of one shape; return its problems."""
    problems = []
    for view, name in shape.views[0].items():
        try:
            low, high = shape.load_image(0, view).getchannel("A").getextrema()
        except (InputError, OSError) as error:
            problems.append(explain(error))
            continue
        if high == 0:
            problems.append(f"{name}: empty")
        elif low == 255 and name.endswith(".png"):
            problems.append(f"{name}: no transparent background")
    try:
        voxels = shape.load_voxels(0)
    except (InputError, OSError) as error:
        return [*problems, explain(error)]
    if len(voxels) not in RESOLUTIONS:
        path = shape.voxels_path(0)
        problems.append(f"{path}: expected 32³ or 64³ voxels, got {len(voxels)}³")
    if voxels.min() == voxels.max():
        problems.append(f"all voxels are {'occupied' if voxels.all() else 'empty'}")
    return problems


def write_exclude(root: Path, problems: dict[str, list[str]]) -> None:
    """Add the shapes with problems to exclude.txt, which keeps them out of every split."""
    path = root / EXCLUDED
    added = problems.keys() - read_excluded(root)
    if not added:
        print(f"{path}: nothing to add")
        return
    text = read_text(path).rstrip("\n") if path.exists() else "# One category/shape per line."
    for name in sorted(added):
        text += "".join(f"\n# {problem}" for problem in problems[name]) + f"\n{name}"
    with atomic_write(path) as temporary:
        temporary.write_text(f"{text}\n", "utf-8")
    print(f"{path}: shapes added: {len(added)}")


def main() -> int:
    """Print the problems of a dataset; return 1 if it has any."""
    parser = Parser(prog="python -m data.check", description=__doc__.rpartition("\n\n")[0])
    parser.add_argument("dataset", type=Path, help="folder of the dataset")
    effect = f"list these shapes in DATASET/{EXCLUDED}, so that train.py and test.py skip them"
    parser.add_argument("--write-exclude", action="store_true", help=effect)
    parser.add_argument("--processes", type=number(1), metavar="N", help="default: one per core")
    args = parser.parse_args()
    problems, others = check(args.dataset, args.processes)
    for name, found in problems.items():
        for problem in found:
            print(f"{name}: {problem}")
    for file in others:
        print(f"{file}: not a view, ignored")
    print(f"shapes with a problem: {len(problems)}")
    if args.write_exclude:
        write_exclude(args.dataset, problems)
    return int(bool(problems))


if __name__ == "__main__":
    run(main)
