"""Build a dataset in ShapeNet's layout, views and voxels, from meshes.

python -m data.builder MESH_OR_FOLDER ... --out DIR
"""

import argparse
from dataclasses import replace
from pathlib import Path

from data.builder.build import Options, build, write_failed
from data.builder.mesh import AXES, rotation
from data.builder.sources import (
    Source,
    category_folder,
    clean_name,
    count_other_formats,
    distinct,
    find_sources,
    with_categories,
)
from data.layout import NUM_VIEWS, RESOLUTION, RESOLUTIONS
from utils.errors import InputError, Parser, check_ranges, run


def main() -> int:
    """Run the command. Returns status 1 when no mesh can be used."""
    args = _parse_args()
    sources, skipped = _find_sources(args)
    for front in {args.front or source.front for source in sources}:
        rotation(args.up, front)  # raises before the work begins
    options = Options(args.out, args.up, args.front, args.views, args.resolution, args.seed)
    if others := count_other_formats(args.inputs):
        formats = ", ".join(f"{count} {suffix}" for suffix, count in others.items())
        print(f"note: files of formats that cannot be read: {formats}")
    failed, notes = build(sources, options, args.variants, args.processes)
    for note, paths in notes.items():
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        print(f"note: {note} ({paths[0]}{more})")
    for path, reason in (skipped | failed).items():
        print(f"{path}: {reason}")
    write_failed(args.out, skipped | failed)
    num_meshes = len({source.location for source in sources})
    num_built = num_meshes - len(failed)
    print(f"{num_built} of {num_meshes + len(skipped)} meshes are in {args.out}")
    return int(num_built == 0)


def _parse_args() -> argparse.Namespace:
    parser = Parser(prog="python -m data.builder", description=__doc__.split("\n", 1)[0])
    add = parser.add_argument
    formats = "OBJ, OFF, PLY, STL, GLB or glTF; ZIP or .sh3f; folders of them"
    add("inputs", nargs="+", type=Path, metavar="MESH_OR_FOLDER", help=formats)
    add("--out", required=True, type=Path, help="folder of the dataset")
    add("--category", help="of all meshes: one of the 13 official ones, or any name")
    add("--categories", type=Path, help="CSV of path,category")
    add("--only-listed", action="store_true", help="leave out what --categories doesn't list")
    add("--prefix", default="", help="prefix of the shapes' names")
    add("--up", default="y", choices=AXES, help="axis that points up (%(default)s)")
    front = "axis that points to the front (z for glTF and Sweet Home 3D, else -z)"
    add("--front", choices=AXES, help=front)
    add("--views", type=int, default=NUM_VIEWS, help="images a shape (%(default)s)")
    resolutions = {"default": RESOLUTION, "choices": RESOLUTIONS}
    add("--resolution", type=int, **resolutions, help="voxels a side (%(default)s)")
    variants = "stretched copies of each, 0.8 to 1.25 along each axis (%(default)s)"
    add("--variants", type=int, default=0, help=variants)
    add("--seed", type=int, default=0)
    add("--processes", type=int, help="default: all cores")
    args = parser.parse_args()
    limits = {"views": (1, 255), "variants": (0, 1000)}
    check_ranges(args, **limits, seed=(0, 2**32 - 1), processes=(1, 1024))
    if args.only_listed and not args.categories:
        raise InputError("--only-listed: expected --categories with it")
    return args


def _find_sources(args: argparse.Namespace) -> tuple[list[Source], dict[str, str]]:
    """Return the meshes with the categories and names that the arguments ask for.

    Also returns the archives that cannot be read, with the reason.
    """
    sources, skipped = find_sources(args.inputs)
    if not sources and not skipped:
        raise InputError(f"{args.inputs[0]}: expected meshes, found none")
    if args.category:
        category = category_folder(args.category)
        sources = [replace(source, category=category) for source in sources]
    if args.prefix:
        prefix = clean_name(args.prefix)
        sources = [replace(source, name=f"{prefix}-{source.name}") for source in distinct(sources)]
    if args.categories:
        sources = with_categories(sources, args.categories, only_listed=args.only_listed)
    return sources, skipped


if __name__ == "__main__":
    run(main)
