"""Build a dataset in ShapeNet's layout, views and voxels, from meshes.

python -m data.builder MESH_OR_FOLDER ... --out DIR
"""

import argparse
from dataclasses import replace
from pathlib import Path

from data.builder.build import Options, build
from data.builder.mesh import AXES, rotation
from data.builder.sources import (
    Source,
    category_folder,
    clean_name,
    distinct,
    find_sources,
    with_categories,
)
from data.layout import GRID, VIEWS
from utils.errors import InputError, Parser, check_ranges, run


def main() -> int:
    """Run the command. Returns status 1 when no mesh can be used."""
    args = _parse_args()
    sources = _find_sources(args)
    for front in {args.front or source.front for source in sources}:
        rotation(args.up, front)  # raises before the work begins
    options = Options(args.out, args.up, args.front, args.views, args.grid, args.seed)
    failed = build(sources, options, args.variants, args.processes)
    for path, reason in failed.items():
        print(f"{path}: {reason}")
    print(f"{len(sources) - len(failed)} of {len(sources)} meshes are in {args.out}")
    return int(len(failed) == len(sources))


def _parse_args() -> argparse.Namespace:
    parser = Parser(description=__doc__.split("\n", 1)[0])
    add = parser.add_argument
    formats = "OBJ, OFF, PLY, STL, GLB or glTF; ZIP or .sh3f; folders of them"
    add("inputs", nargs="+", type=Path, metavar="MESH_OR_FOLDER", help=formats)
    add("--out", required=True, type=Path, help="folder of the dataset")
    add("--category", help="of all meshes: one of the 13 official ones, or any name")
    add("--categories", type=Path, help="CSV of path,category")
    add("--only-listed", action="store_true", help="leave out what --categories doesn't list")
    add("--prefix", default="", help="prefix of the shapes' names")
    add("--up", default="y", choices=AXES, help="axis that points up (%(default)s)")
    front = "axis that points to the front (-z; z for Sweet Home 3D)"
    add("--front", choices=AXES, help=front)
    add("--views", type=int, default=VIEWS, help="images a shape (%(default)s)")
    add("--grid", type=int, default=GRID, help="voxels a side (%(default)s)")
    variants = "stretched copies of each, 0.8 to 1.25 along each axis (%(default)s)"
    add("--variants", type=int, default=0, help=variants)
    add("--seed", type=int, default=0)
    add("--processes", type=int, help="default: all cores")
    args = parser.parse_args()
    limits = {"views": (1, 255), "grid": (8, 256), "variants": (0, 1000)}
    check_ranges(args, **limits, seed=(0, 2**32 - 1), processes=(1, 1024))
    if args.only_listed and not args.categories:
        raise InputError("--only-listed: expected --categories with it")
    return args


def _find_sources(args: argparse.Namespace) -> list[Source]:
    """Return the meshes with the categories and names that the arguments ask for."""
    sources = find_sources(args.inputs)
    if not sources:
        raise InputError(f"{args.inputs[0]}: expected meshes, found none")
    if args.category:
        category = category_folder(args.category)
        sources = [replace(source, category=category) for source in sources]
    if args.prefix:
        prefix = clean_name(args.prefix)
        sources = [
            replace(source, model=f"{prefix}-{source.model}") for source in distinct(sources)
        ]
    if args.categories:
        sources = with_categories(sources, args.categories, only_listed=args.only_listed)
    return sources


if __name__ == "__main__":
    run(main)
