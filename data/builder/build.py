"""Build a dataset from meshes: one shape from each, and stretched variants of it."""

import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
from PIL import Image

from data.builder.mesh import Mesh, normalize, transform
from data.builder.render import render, require_embreex
from data.builder.sources import Source, distinct
from data.builder.voxelize import voxelize
from data.cameras import sample_views, write_views
from data.layout import (
    METADATA,
    NUM_VIEWS,
    RENDERINGS,
    RESOLUTION,
    RESOLUTIONS,
    VOXELS,
    VOXELS_FILE,
)
from utils.errors import InputError, Parser, explain, number
from utils.files import remove_stale
from utils.parallel import CRASHED, parallel_map
from utils.voxels import write_binvox

MAX_STRETCH = 1.25  # a variant is 1 / 1.25 to 1.25 times as long along each axis
MIN_THICKNESS = 1e-4  # the shortest side of a usable mesh, in longest sides
RECORD = "source.txt"  # beside the voxels: a shape's options, and the checksum of its mesh
UNFINISHED = ".making-"  # prefix of the folders of shapes in progress


def add_build_flags(parser: Parser) -> None:
    """Add the flags that both builders have."""
    add = parser.add_argument
    out = {"required": True, "metavar": "DIR", "help": "folder of the dataset"}
    add("--out", type=lambda text: Path(text).expanduser(), **out)  # bash leaves --out=~/a
    side = "voxels per side (default: %(default)s)"
    add("--resolution", type=int, default=RESOLUTION, choices=RESOLUTIONS, help=side)
    add("--processes", type=number(1), metavar="N", help="default: one per core")


@dataclass(frozen=True)
class Options:
    """How a mesh becomes a shape."""

    out: Path
    up: str = "y"
    front: str | None = None  # default: by the source
    views: int = NUM_VIEWS
    resolution: int = RESOLUTION

    def record(self, source: Source) -> str:
        """Return the options that a shape is made with, and a line with its mesh's checksum."""
        flags = f"--up={self.up} --front={self.front or source.front} --views={self.views} "
        flags += f"--resolution={self.resolution}"
        return f"{flags}\n{source.checksum}\n"


def is_finished(root: Path, name: str, record: str = "") -> bool:
    """Return whether the shape "category/shape" has both views and voxels, by its record if any."""
    if not all((root / tree / name).is_dir() for tree in (RENDERINGS, VOXELS)):
        return False
    path = root / VOXELS / name / RECORD
    return not path.exists() or path.read_text("ascii") == record


def write_shape(
    options: Options, name: str, mesh: Mesh, rng: np.random.Generator, record: str = ""
) -> None:
    """Render and voxelize a mesh as the shape "category/shape", which appears whole or not at all.

    The mesh has y up and its front towards +x, at any size and position; `rng` samples the cameras.
    Raises InputError if it cannot be seen.
    """
    mesh = normalize(mesh)
    views = sample_views(options.views, rng)
    images = render(mesh, views)
    if not images[..., 3].any(axis=(1, 2)).all():
        raise InputError("expected a visible object, got an empty view; is it transparent?")
    voxels = voxelize(mesh, options.resolution)
    lower, upper = mesh.bounds
    corner = tuple(float(f"{value:.6g}") for value in lower)  # six digits, as in official files
    side = float(f"{max(upper - lower):.6g}")

    root = options.out
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=root) as folder:
        rendering_dir = Path(folder, "views", "rendering")
        rendering_dir.mkdir(parents=True)
        file_names = [f"{i:02d}.png" for i in range(options.views)]
        for file_name, image in zip(file_names, images, strict=True):
            Image.fromarray(image).save(rendering_dir / file_name, compress_level=3)
        write_views(rendering_dir / METADATA, views)
        listing = "".join(f"{file_name}\n" for file_name in file_names)
        (rendering_dir / "renderings.txt").write_text(listing, "ascii", newline="\n")
        write_binvox(Path(folder, "voxels", VOXELS_FILE), voxels, corner, side)
        if record:
            Path(folder, "voxels", RECORD).write_text(record, "ascii", newline="\n")
        if not is_finished(root, name, record):  # another run may have finished it
            _replace(rendering_dir.parent, root / RENDERINGS / name)
            _replace(Path(folder, "voxels"), root / VOXELS / name)


def _replace(source: Path, target: Path) -> None:
    """Move a folder over what an interrupted run or other options may have left."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(source, target)


def build(
    sources: list[Source], options: Options, variants: int = 0, processes: int | None = None
) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Build the shapes that are missing, or there with other options.

    A shape depends on its mesh, its name and the options alone. A mesh that is there under another
    name, as it had before others came beside it, keeps that name.

    Returns:
        The meshes that cannot be used by their path, with the reason; and notes on files that
        meshes refer to and that are missing, each with the meshes' paths.

    Raises:
        InputError: If the name of a shape is taken by another mesh.
    """
    require_embreex()
    remove_stale(options.out, f"{UNFINISHED}*")
    sources = _keep_names(distinct(sources), options.out)
    shapes = []
    for source in sources:
        record = options.record(source)  # reads the mesh once for all variants
        shapes += [(replace(source, variant=i), record) for i in range(variants + 1)]
    jobs = [(s, record) for s, record in shapes if not is_finished(options.out, s.shape, record)]
    if len(jobs) < len(shapes):
        print(f"{options.out}: keeping {len(shapes) - len(jobs)} shapes that are there already")
    for source, _ in jobs:
        if not source.variant:  # its variants are of the same options
            for path in options.out.glob(f"*/{source.category}/{source.name}+*"):
                shutil.rmtree(path)
    build_shape = partial(_build_shape, options)
    results = parallel_map(build_shape, jobs, "shapes", processes, (CRASHED, []))
    failed: dict[str, str] = {}
    notes: dict[str, list[str]] = {}
    for (source, _), (problem, lines) in zip(jobs, results, strict=True):
        path = str(source.location)
        if problem is not None:
            failed[path] = problem
        for line in [] if source.variant else lines:
            notes.setdefault(line, []).append(path)
    return failed, notes


def _keep_names(sources: list[Source], out: Path) -> list[Source]:
    """Give meshes that are in a dataset the names that they have there, within their category."""
    mesh_of = {}  # checksums by category and name
    for path in (out / VOXELS).glob(f"*/*/{RECORD}"):
        shape = path.parts[-3], path.parts[-2].partition("+")[0]
        mesh_of[shape] = path.read_text("ascii").split()[-1]
    taken = {(source.category, source.name) for source in sources}
    name_of = {
        (category, mesh): name
        for (category, name), mesh in mesh_of.items()
        if (category, name) not in taken
    }
    kept = []
    for source in sources:
        category, name, mesh = source.category, source.name, source.checksum if mesh_of else ""
        if mesh_of.get((category, name)) != mesh:
            name = name_of.pop((category, mesh), name)
        if mesh_of.get((category, name), mesh) != mesh:
            raise InputError(
                f"{source.location}: {out} has {category}/{name} of another mesh, or of this one "
                "before a change; use --prefix, or remove that shape to build it again"
            )
        kept.append(replace(source, name=name))
    return kept


def _build_shape(options: Options, job: tuple[Source, str]) -> tuple[str | None, list[str]]:
    """Build one shape. Returns why the mesh cannot be used, or None, and notes on its files."""
    source, record = job
    rng = np.random.default_rng([0, *sha256(source.shape.encode()).digest()])
    notes: list[str] = []
    try:
        mesh, notes = source.load(options.up, options.front)
        if source.variant:
            mesh = transform(mesh, np.diag(MAX_STRETCH ** rng.uniform(-1, 1, 3)))
        extent = np.ptp(mesh.bounds, axis=0)
        if extent.min() < MIN_THICKNESS * extent.max():
            raise InputError("expected a solid, found a flat mesh")
        write_shape(options, source.shape, mesh, rng, record)
    except (InputError, OSError) as error:
        return explain(error), notes
    except Exception as error:  # one mesh must not end the run
        return f"cannot be built: {type(error).__name__}: {error}".split("\n")[0], notes
    return None, notes
