"""Build a dataset from meshes: one shape from each, and stretched variants of it."""

import csv
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np

from data.builder.mesh import Mesh, transform
from data.builder.render import require_embreex
from data.builder.source import Source
from data.builder.sources import distinct
from data.builder.writer import UNFINISHED, find_missing, write_shape
from data.layout import NUM_VIEWS, RESOLUTION
from data.parallel import CRASHED, parallel_map
from utils.errors import InputError, explain
from utils.files import atomic_write, remove_stale

MAX_STRETCH = 1.25  # a variant is 1 / 1.25 to 1.25 times as long along each axis
MIN_THICKNESS = 1e-4  # the shortest side of a usable mesh, in longest sides
FAILED = "failed.csv"


@dataclass(frozen=True)
class Options:
    """How a mesh becomes a shape."""

    out: Path
    up: str = "y"
    front: str | None = None  # default: by the source
    views: int = NUM_VIEWS
    resolution: int = RESOLUTION
    seed: int = 0


def build(
    sources: list[Source], options: Options, variants: int = 0, processes: int | None = None
) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Build the shapes that are missing.

    A shape depends on its mesh, its name and the options alone.

    Returns:
        The meshes that cannot be used by their path, with the reason; and notes on files that
        meshes refer to and that are missing, each with the meshes' paths.
    """
    require_embreex()
    remove_stale(options.out, f"{UNFINISHED}*")
    jobs = [replace(s, variant=i) for s in distinct(sources) for i in range(variants + 1)]
    by_shape = {job.shape: job for job in jobs}
    jobs = [by_shape[name] for name in find_missing(options.out, by_shape, options.resolution)]
    build_shape = partial(_build_shape, options)
    results = parallel_map(build_shape, jobs, "shapes", processes, (CRASHED, []))
    failed: dict[str, str] = {}
    notes: dict[str, list[str]] = {}
    for job, (problem, lines) in zip(jobs, results, strict=True):
        path = str(job.location)
        if problem is not None:
            failed[path] = problem
        for line in lines:
            paths = notes.setdefault(line, [])
            if path not in paths:
                paths.append(path)
    return failed, notes


def write_failed(out: Path, failed: dict[str, str]) -> None:
    """Write failed.csv, the meshes that cannot be used with the reason, or remove an old one."""
    (out / FAILED).unlink(missing_ok=True)
    if failed:
        with (
            atomic_write(out / FAILED) as temporary,
            open(temporary, "w", newline="", encoding="utf-8", errors="surrogateescape") as file,
        ):
            csv.writer(file).writerows([("mesh", "reason"), *failed.items()])


def _build_shape(options: Options, source: Source) -> tuple[str | None, list[str]]:
    """Build one shape. Returns why the mesh cannot be used, or None, and notes on its files."""
    rng = np.random.default_rng([options.seed, *sha256(source.shape.encode()).digest()])
    notes: list[str] = []
    try:
        mesh, notes = source.load(options.up, options.front)
        if source.variant:
            mesh = stretch(mesh, rng)
        extent = np.ptp(mesh.bounds, axis=0)
        if extent.min() < MIN_THICKNESS * extent.max():
            raise InputError("expected a solid, found a flat mesh")
        write_shape(options.out, source.shape, mesh, rng, options.views, options.resolution)
    except (InputError, OSError) as error:
        return explain(error), notes
    except MemoryError:
        return "not enough memory", notes
    except Exception as error:  # one mesh must not end the run
        return f"cannot be built: {type(error).__name__}: {error}".split("\n")[0], notes
    return None, notes


def stretch(mesh: Mesh, rng: np.random.Generator) -> Mesh:
    """Scale each axis by 0.8 to 1.25, uniform in the logarithm."""
    return transform(mesh, np.diag(MAX_STRETCH ** rng.uniform(-1, 1, 3)))
