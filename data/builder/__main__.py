"""Anybody's meshes become a dataset in ShapeNet's layout: pictures and voxels.

python -m data.builder MESH_OR_FOLDER ... --out DIR
"""

import argparse
import csv
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data.builder.mesh import AXES, Mesh, rotation, transformed
from data.builder.sources import (
    Source,
    category_folder,
    clean_name,
    distinct,
    find_sources,
    with_categories,
)
from data.builder.writer import is_finished, remove_stale_dirs, write_shape
from data.layout import GRID, VIEWS
from data.parallel import parallel_map
from utils.errors import InputError, Parser, check_ranges, run
from utils.files import atomic_write

STRETCH = 1.25  # a variant is 1 / 1.25 to 1.25 times as long along each axis
FLATTEST = 1e-4  # the shortest side of a mesh that can be used, in longest sides
FAILED = "failed.csv"


class Job(NamedTuple):
    """A mesh, and the variant of it to make: 0 is the mesh itself."""

    source: Source
    variant: int

    def __str__(self) -> str:
        return str(self.source.place)


@dataclass(frozen=True)
class Plan:
    """How every mesh becomes an object."""

    out: Path
    up: str = "y"
    front: str | None = None
    views: int = VIEWS
    grid: int = GRID
    seed: int = 0


def build(
    sources: list[Source], plan: Plan, variants: int = 0, processes: int | None = None
) -> dict[str, str]:
    """Make the objects that are not there yet, on all cores unless told.

    Returns the paths of the meshes that could not be used, with the reason; they are also in
    `failed.csv` in the dataset's folder. An object depends on its mesh, its name and the plan.
    """
    remove_stale_dirs(plan.out)
    jobs = [
        Job(source, variant)
        for source in distinct(sources)
        for variant in range(variants + 1)
        if not is_finished(plan.out, source.category, object_name(source, variant))
    ]
    reasons = parallel_map(partial(_make, plan), jobs, "objects", processes)
    failed = {
        str(job): reason for job, reason in zip(jobs, reasons, strict=True) if reason is not None
    }
    (plan.out / FAILED).unlink(missing_ok=True)
    if failed:
        with (
            atomic_write(plan.out / FAILED) as temporary,
            open(temporary, "w", newline="", errors="surrogateescape") as file,
        ):
            csv.writer(file).writerows([("mesh", "reason"), *failed.items()])
    return failed


def object_name(source: Source, variant: int) -> str:
    """A variant's name sorts directly behind its original's, whatever else there is."""
    return f"{source.model}+{variant}" if variant else source.model


def _make(plan: Plan, job: Job) -> str | None:
    """Build one object. Returns why it could not be, if so."""
    source, variant = job
    model = object_name(source, variant)
    digest = sha256(f"{source.category}/{model}".encode()).digest()
    generator = np.random.default_rng([plan.seed, *digest])
    try:
        surface = source.load(plan.up, plan.front)
        if variant:
            surface = stretched(surface, generator)
        extent = np.ptp(surface.bounds, axis=0)
        if extent.min() < FLATTEST * extent.max():
            raise InputError("expected a solid, found a flat mesh")
        write_shape(plan.out, source.category, model, surface, generator, plan.views, plan.grid)
    except InputError as error:
        return str(error)
    except MemoryError:
        return "needs more memory than there is"
    return None


def stretched(surface: Mesh, generator: np.random.Generator) -> Mesh:
    """A copy that is 0.8 to 1.25 times as long along each axis, uniform in the logarithm."""
    return transformed(surface, np.diag(STRETCH ** generator.uniform(-1, 1, 3)))


def _arguments() -> argparse.Namespace:
    parser = Parser(description=__doc__.split("\n", 1)[0])
    formats = "OBJ, OFF, PLY, STL, GLB or glTF; ZIP or .sh3f; folders of them"
    parser.add_argument("inputs", nargs="+", type=Path, metavar="MESH_OR_FOLDER", help=formats)
    parser.add_argument("--out", required=True, type=Path, help="folder of the dataset")
    parser.add_argument("--category", help="of all meshes: one of the 13 official, or any name")
    parser.add_argument("--categories", type=Path, help="CSV of path,category")
    listed = "build no other meshes than those that --categories lists"
    parser.add_argument("--only-listed", action="store_true", help=listed)
    parser.add_argument("--prefix", default="", help="begins the names of all objects")
    parser.add_argument("--up", default="y", choices=AXES, help="axis that points up (y)")
    front = "axis that points to the front (-z; z for Sweet Home 3D)"
    parser.add_argument("--front", choices=AXES, help=front)
    parser.add_argument("--views", type=int, default=VIEWS, help="pictures of each (%(default)s)")
    parser.add_argument("--grid", type=int, default=GRID, help="cells a side (%(default)s)")
    variants = "stretched copies of each, 0.8 to 1.25 along each axis (%(default)s)"
    parser.add_argument("--variants", type=int, default=0, help=variants)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, help="default: all cores")
    return parser.parse_args()


def main() -> int:
    """The command. Its status is 1 when no mesh could be used."""
    arguments = _arguments()
    limits = {"views": (1, 255), "grid": (8, 256), "variants": (0, 1000)}
    check_ranges(arguments, **limits, seed=(0, 2**32 - 1), processes=(1, 1024))
    sources = find_sources(arguments.inputs)
    if not sources:
        raise InputError(f"{arguments.inputs[0]}: expected meshes, found none")
    if arguments.category:
        category = category_folder(arguments.category)
        sources = [replace(source, category=category) for source in sources]
    if arguments.prefix:
        prefix = clean_name(arguments.prefix)
        sources = [
            replace(source, model=f"{prefix}-{source.model}") for source in distinct(sources)
        ]
    if arguments.categories:
        sources = with_categories(sources, arguments.categories, only_listed=arguments.only_listed)
    elif arguments.only_listed:
        raise InputError("--only-listed: expected --categories with it")
    plan = Plan(
        arguments.out,
        arguments.up,
        arguments.front,
        arguments.views,
        arguments.grid,
        arguments.seed,
    )
    for front in {arguments.front or source.front for source in sources}:
        rotation(arguments.up, front)  # raises before the work begins
    failed = build(sources, plan, arguments.variants, arguments.processes)
    for place, reason in failed.items():
        print(f"{place}: {reason}")
    print(f"{len(sources) - len(failed)} of {len(sources)} meshes are in {plan.out}")
    return int(len(failed) == len(sources))


if __name__ == "__main__":
    run(main)
