"""Make a dataset for train.py from meshes: rendered views and voxels of each.

python -m data.builder MESH_OR_FOLDER ... --out DIR
"""

import argparse
import shlex
from collections import Counter
from dataclasses import replace
from pathlib import Path

from data.builder.build import Options, add_build_flags, build
from data.builder.mesh import AXES, rotation
from data.builder.names import category_folder, clean_name
from data.builder.readers import CONVERTIBLE, PREFERENCE, explain_others
from data.builder.sources import Found, distinct, find_sources, read_categories
from data.layout import CATEGORIES, NUM_VIEWS, RESOLUTION, VOXELS
from utils.config import OPTIONS
from utils.errors import InputError, Parser, number, run

DEFAULT_MAX_VIEWS = OPTIONS["data"]["max_views"][0]


def main() -> int:
    """Run the command. Returns status 1 when no mesh can be used."""
    args = _parse_args()
    found = _find_sources(args)
    for front in {args.front or source.front for source in found.sources}:
        rotation(args.up, front)  # raises before the work begins
    options = Options(args.out, args.up, args.front, args.views, args.resolution)
    failed, notes = build(found.sources, options, args.variants, args.processes)

    # Say what was left out, and why.
    if found.others:
        print(f"note: {explain_others(found.others)}")
    if found.copies:
        notes["not built, as the same object is there in another file"] = found.copies
    for note, paths in notes.items():
        print(f"note: {note} ({_list_first(paths, 1)})")
    failed = found.problems | failed
    for path, reason in failed.items():
        print(f"{path}: {reason}")

    num_meshes = len({source.location for source in found.sources}) + len(found.problems)
    num_built = num_meshes - len(failed)
    print(f"{num_built} of {num_meshes} meshes are in {args.out}")
    if num_built:
        _print_summary(options)
    return int(num_built == 0)


def _print_summary(options: Options) -> None:
    """Print how many shapes each category of a dataset has, and how to look at it and train."""
    out = options.out
    shapes = [path for path in (out / VOXELS).glob("*/*") if "+" not in path.name]
    categories = sorted(path.parent.name for path in shapes)
    counts = Counter(CATEGORIES.get(category, category) for category in categories)
    print("shapes by category:", ", ".join(f"{name} {count}" for name, count in counts.items()))
    if small := [name for name, count in counts.items() if count == 1]:
        print(
            f"note: {_list_first(small, 3)}: the only shape of a category is for testing, "
            "none for training; add shapes, or build all as one category: --category NAME"
        )
    weights = min(Path("models/pretrained").glob("3d-*"), default="WEIGHTS")
    flags = f"--database_path={shlex.quote(str(out))} --init_weights={weights}"
    flags += f" --experiment_name={shlex.quote(out.resolve().name)} --num_epochs=20"
    if options.views < DEFAULT_MAX_VIEWS:
        flags += f" --max_views={options.views}"
    if options.resolution != RESOLUTION:
        flags += f" --resolution={options.resolution}"
    print(f"next: python -m data.contact_sheet {shlex.quote(str(out))} --out sheet.png")
    print(f"then: python train.py {flags}")


def _list_first(names: list[str], count: int) -> str:
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more


def _parse_args() -> argparse.Namespace:
    parser = Parser(prog="python -m data.builder", description=__doc__.split("\n", 1)[0])
    add = parser.add_argument
    inputs = "mesh files, ZIP archives or folders; of an object in several formats, the first of "
    inputs += f"{' '.join(PREFERENCE)} is built (from {CONVERTIBLE[0]} on, with assimp installed)"
    add("inputs", nargs="+", type=Path, metavar="MESH_OR_FOLDER", help=inputs)
    category = "category of all meshes (default: by the folders that they are in)"
    add("--category", default="", metavar="NAME", help=category)
    add("--categories", type=Path, metavar="CSV", help="file with lines of path,category")
    add("--only-listed", action="store_true", help="build only the meshes in --categories")
    add("--prefix", default="", metavar="TEXT", help="put TEXT- before the shapes' names")
    add("--up", default="y", choices=AXES, help="axis that points up (default: y)")
    front = "axis that points to the front (default: z for glTF and Sweet Home 3D, else -z)"
    add("--front", choices=AXES, help=front)
    views = "images of each shape (default: %(default)s)"
    add("--views", type=number(1, 255), default=NUM_VIEWS, metavar="N", help=views)
    variants = "copies of each shape, stretched by 0.8 to 1.25 along each axis (default: 0)"
    add("--variants", type=number(0, 1000), default=0, metavar="N", help=variants)
    add_build_flags(parser)
    args = parser.parse_args()
    if args.only_listed and not args.categories:
        raise InputError("--only-listed: expected --categories with it")
    return args


def _find_sources(args: argparse.Namespace) -> Found:
    """Return the meshes with the categories and names that the arguments ask for."""
    listed = read_categories(args.categories) if args.categories else {}
    found = find_sources(args.inputs, listed, args.category and category_folder(args.category))
    if args.only_listed:
        found.sources = [s for s in found.sources if s.location.resolve() in listed]
    if args.prefix:
        prefix, sources = clean_name(args.prefix), distinct(found.sources)
        found.sources = [replace(source, name=f"{prefix}-{source.name}") for source in sources]
    return found


if __name__ == "__main__":
    run(main)
