"""Procedural furniture from Infinigen (https://infinigen.org), as colored meshes.

python -m data.builder.infinigen --out DIR --designs N --seed S

Writes DIR/CATEGORY/NAME.ply with z up and the front towards x. Needs a separate virtual
environment: Python 3.11 and `pip install infinigen==1.15.5`.
"""

import importlib.util
import logging
import multiprocessing
import os
import random
import signal
import sys
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import trimesh
from tqdm import tqdm

from data.builder.blender import object_to_mesh
from utils.errors import InputError, Parser, check_ranges, run
from utils.files import atomic_write

MAX_DESIGNS = 10**6  # of one seed
MAX_SECONDS = 40  # for one design
START_SECONDS = 120  # for a process to import Infinigen
DESIGNS_PER_PROCESS = 1000  # the memory of a process grows by about 0.4 MB per design
MIN_LENGTH, MAX_LENGTH = 0.05, 10  # of the longest side, in meters
MAX_TRIANGLES = 500_000


class Factory(NamedTuple):
    """A class of infinigen.assets.objects, and the percentage of the designs that it makes."""

    category: str
    module: str
    class_name: str
    weight: int


FACTORIES = [
    Factory("chair", "seating.chairs.chair", "ChairFactory", 18),
    Factory("chair", "seating.chairs.bar_chair", "BarChairFactory", 7),
    Factory("chair", "seating.chairs.office_chair", "OfficeChairFactory", 10),
    Factory("sofa", "seating.sofa", "SofaFactory", 8),
    Factory("sofa", "seating.sofa", "ArmChairFactory", 6),
    Factory("bed", "seating.bedframe", "BedFrameFactory", 3),
    Factory("table", "tables.dining_table", "TableDiningFactory", 6),
    Factory("table", "tables.dining_table", "SideTableFactory", 3),
    Factory("table", "tables.dining_table", "CoffeeTableFactory", 4),
    Factory("table", "tables.cocktail_table", "TableCocktailFactory", 3),
    Factory("table", "shelves.simple_desk", "SimpleDeskFactory", 4),
    Factory("table", "shelves.simple_desk", "SidetableDeskFactory", 2),
    Factory("cabinet", "shelves.cell_shelf", "CellShelfFactory", 2),
    Factory("cabinet", "shelves.cell_shelf", "TVStandFactory", 2),
    Factory("cabinet", "shelves.triangle_shelf", "TriangleShelfFactory", 2),
    Factory("cabinet", "shelves.large_shelf", "LargeShelfFactory", 2),
    Factory("cabinet", "shelves.cabinet", "CabinetFactory", 1),
    Factory("cabinet", "shelves.single_cabinet", "SingleCabinetFactory", 1),
    Factory("cabinet", "shelves.kitchen_cabinet", "KitchenCabinetFactory", 2),
    Factory("cabinet", "shelves.simple_bookcase", "SimpleBookcaseFactory", 2),
    Factory("lamp", "lamp.lamp", "DeskLampFactory", 5),
    Factory("lamp", "lamp.lamp", "FloorLampFactory", 4),
    Factory("display", "appliances.tv", "TVFactory", 2),
    Factory("display", "appliances.tv", "MonitorFactory", 1),
]
FACTORY_CATEGORIES = list(dict.fromkeys(factory.category for factory in FACTORIES))


class Design(NamedTuple):
    """One object: its factory and the seed that Infinigen gets."""

    factory: Factory
    seed: int

    def __str__(self) -> str:
        name = self.factory.class_name.removesuffix("Factory").lower()
        return f"{self.factory.category}/{name}{self.seed:05d}.ply"


def choose_designs(num_designs: int, seed: int, categories: list[str]) -> list[Design]:
    """Return the first designs of some categories. A design depends on (seed, index) alone."""
    weights = [factory.weight for factory in FACTORIES]

    def choose(index: int) -> Design:
        factory = random.Random(f"{seed} {index}").choices(FACTORIES, weights)[0]
        return Design(factory, seed * MAX_DESIGNS + index)

    designs = (design for design in map(choose, count()) if design.factory.category in categories)
    return list(islice(designs, num_designs))


def generate(out: Path, designs: list[Design], processes: int | None = None) -> int:
    """Write the designs that have no file yet, and print and count those that fail.

    Uses all cores unless `processes` is given.
    """
    missing = [design for design in designs if not (out / str(design)).exists()]
    if not missing:
        return 0
    num_failed = 0
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, _start_process, maxtasksperchild=DESIGNS_PER_PROCESS) as pool:
        results = [pool.apply_async(_write_design, (out, design)) for design in missing]
        progress = tqdm(zip(missing, results, strict=True), "Infinigen", len(missing))
        for design, result in progress:
            try:
                problem = result.get(MAX_SECONDS + START_SECONDS)
            except multiprocessing.TimeoutError:  # the pool has replaced the process
                problem = f"took more than {MAX_SECONDS} s, or Blender crashed"
            if problem:
                num_failed += 1
                progress.write(f"{design}: {problem}", sys.stdout)
    return num_failed


def _start_process() -> None:
    """Load Blender, off the network and with one thread, and leave Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable(logging.WARNING)
    if hasattr(os, "sched_setaffinity"):
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(cores)})  # Blender starts one thread per core that it may use
        importlib.import_module("bpy")
        os.sched_setaffinity(0, cores)
    # Infinigen downloads add-ons that its furniture does not need.
    init = importlib.import_module("infinigen.core.init")
    init.require_blender_addon = lambda *args, **options: False
    for factory in FACTORIES:
        _find_class(factory)


def _find_class(factory: Factory) -> type:
    module = importlib.import_module(f"infinigen.assets.objects.{factory.module}")
    return getattr(module, factory.class_name)


def _write_design(out: Path, design: Design) -> str | None:
    """Write a design. Return why there is no file, if there is none."""
    signal.alarm(MAX_SECONDS)  # ends the process, even in C code
    try:
        ply = make_design(design).export(file_type="ply")
    except Exception as error:  # the factories raise anything
        return f"{type(error).__name__}: {error}".splitlines()[0]
    finally:
        signal.alarm(0)
    with atomic_write(out / str(design)) as path:
        path.write_bytes(ply)
    return None


def make_design(design: Design) -> trimesh.Trimesh:
    """Make a design in an emptied scene.

    Returns:
        trimesh.Trimesh: In meters, z up and the front towards x, with sRGB vertex colors.

    Raises:
        ValueError: If its length or its number of triangles is out of bounds.
    """
    import bpy  # not by the parent process

    bpy.data.batch_remove(bpy.data.objects)
    bpy.data.orphans_purge()
    random.seed(design.seed)
    np.random.seed(design.seed)
    factory = _find_class(design.factory)(design.seed)
    # spawn_asset deletes its placeholder; finalize_assets, not called, adds scratches to materials.
    if design.factory.category == "sofa":  # before a subdivision that quadruples the triangles
        mesh = object_to_mesh(factory.create_placeholder())
    else:
        mesh = object_to_mesh(factory.spawn_asset(design.seed))
    if not MIN_LENGTH <= max(mesh.extents) <= MAX_LENGTH:
        raise ValueError(f"{max(mesh.extents):.3g} m long, not {MIN_LENGTH} to {MAX_LENGTH} m")
    if len(mesh.faces) > MAX_TRIANGLES:
        raise ValueError(f"{len(mesh.faces)} triangles, more than {MAX_TRIANGLES}")
    return mesh


def main() -> None:
    parser = Parser(prog="python -m data.builder.infinigen", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", required=True, type=Path, help="folder of the meshes")
    parser.add_argument("--designs", type=int, default=1000, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, help="default: all cores")
    known = ",".join(FACTORY_CATEGORIES)
    parser.add_argument("--categories", default=known, help="default: %(default)s")
    arguments = parser.parse_args()
    limits = {"designs": (1, MAX_DESIGNS), "seed": (0, 4000), "processes": (1, 1024)}
    check_ranges(arguments, **limits)
    categories = arguments.categories.split(",")
    if not set(categories) <= set(FACTORY_CATEGORIES):
        raise InputError(f"--categories: expected {known}, got {arguments.categories}")
    if not hasattr(signal, "alarm"):
        raise InputError("infinigen: expected Linux or macOS, got Windows")
    if importlib.util.find_spec("infinigen") is None:
        raise InputError(
            "infinigen: not installed; run `pip install infinigen==1.15.5` in Python 3.11"
        )
    designs = choose_designs(arguments.designs, arguments.seed, categories)
    num_failed = generate(arguments.out, designs, arguments.processes)
    print(f"{arguments.out}: {len(designs) - num_failed} designs, {num_failed} failed")


if __name__ == "__main__":
    run(main)
