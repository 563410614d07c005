"""Build a dataset from meshes: one shape from each, and stretched variants of it."""

import csv
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np

from data.builder.mesh import Mesh, transform
from data.builder.sources import Source, distinct
from data.builder.writer import is_finished, remove_stale_dirs, write_shape
from data.layout import GRID, VIEWS
from data.parallel import parallel_map
from utils.errors import InputError, explain
from utils.files import atomic_write

MAX_STRETCH = 1.25  # a variant is 1 / 1.25 to 1.25 times as long along each axis
MIN_THICKNESS = 1e-4  # the shortest side of a usable mesh, in longest sides
FAILED = "failed.csv"


@dataclass(frozen=True)
class Options:
    """How a mesh becomes a shape."""

    out: Path
    up: str = "y"
    front: str | None = None  # default: by the source
    views: int = VIEWS
    grid: int = GRID
    seed: int = 0


@dataclass(frozen=True)
class Job:
    """A mesh, and the variant of it to build: 0 is the mesh itself."""

    source: Source
    variant: int

    @property
    def name(self) -> str:
        """The shape's "category/name"; "+" sorts a variant directly behind its original."""
        suffix = f"+{self.variant}" if self.variant else ""
        return f"{self.source.category}/{self.source.model}{suffix}"


def build(
    sources: list[Source], options: Options, variants: int = 0, processes: int | None = None
) -> dict[str, str]:
    """Build the shapes that are missing.

    A shape depends on its mesh, its name and the options alone. Returns the paths of the meshes
    that cannot be used, with the reason; failed.csv in the dataset's folder lists them too.
    """
    remove_stale_dirs(options.out)
    jobs = [Job(source, i) for source in distinct(sources) for i in range(variants + 1)]
    jobs = [job for job in jobs if not is_finished(options.out, job.name)]
    problems = parallel_map(partial(_build_shape, options), jobs, "shapes", processes, _crashed)
    failed = {
        str(job.source.place): problem
        for job, problem in zip(jobs, problems, strict=True)
        if problem is not None
    }
    (options.out / FAILED).unlink(missing_ok=True)
    if failed:
        with (
            atomic_write(options.out / FAILED) as temporary,
            open(temporary, "w", newline="", encoding="utf-8", errors="surrogateescape") as file,
        ):
            csv.writer(file).writerows([("mesh", "reason"), *failed.items()])
    return failed


def _build_shape(options: Options, job: Job) -> str | None:
    """Build one shape. Returns why the mesh cannot be used, or None."""
    digest = sha256(job.name.encode()).digest()
    rng = np.random.default_rng([options.seed, *digest])
    try:
        mesh = job.source.load(options.up, options.front)
        if job.variant:
            mesh = stretch(mesh, rng)
        extent = np.ptp(mesh.bounds, axis=0)
        if extent.min() < MIN_THICKNESS * extent.max():
            raise InputError("expected a solid, found a flat mesh")
        write_shape(options.out, job.name, mesh, rng, options.views, options.grid)
    except (InputError, OSError) as error:
        return explain(error)
    except MemoryError:
        return "not enough memory"
    return None


def _crashed(job: Job) -> str:
    return "the process died, perhaps out of memory"


def stretch(mesh: Mesh, rng: np.random.Generator) -> Mesh:
    """Scale each axis by 0.8 to 1.25, uniform in the logarithm."""
    return transform(mesh, np.diag(MAX_STRETCH ** rng.uniform(-1, 1, 3)))
