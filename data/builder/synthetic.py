"""A dataset of procedural furniture in ShapeNet's layout, for a first run without a download.

python -m data.builder.synthetic --out DIR --models N --seed S
"""

from functools import partial
from pathlib import Path

import numpy as np

from data.builder.furniture import GENERATORS
from data.builder.mesh import concatenate
from data.builder.writer import is_finished, remove_stale_dirs, write_shape
from data.categories import SYNSETS
from data.parallel import parallel_map
from utils.errors import Parser, check_ranges, run

MODELS = 120


def build(
    out: str | Path, models: int = MODELS, seed: int = 0, processes: int | None = None
) -> None:
    """Make the objects that are not there yet, with a progress bar, on all cores unless told.

    The categories take turns. An object depends on (seed, its number) alone, so that a larger set
    contains the smaller one. Returns at once when nothing is missing.
    """
    out = Path(out)
    missing = [number for number in range(models) if not is_finished(out, *_place(seed, number))]
    if missing:
        remove_stale_dirs(out)
        parallel_map(partial(_make, out, seed), missing, "synthetic furniture", processes)


def _place(seed: int, number: int) -> tuple[str, str]:
    """The synset and the name of an object."""
    return SYNSETS[list(GENERATORS)[number % len(GENERATORS)]], f"s{seed}-{number:05d}"


def _make(out: Path, seed: int, number: int) -> None:
    generator = np.random.default_rng([seed, number])
    parts = list(GENERATORS.values())[number % len(GENERATORS)](generator)
    write_shape(out, *_place(seed, number), concatenate(parts), generator)


def main() -> None:
    parser = Parser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", required=True, help="folder of the dataset")
    parser.add_argument("--models", type=int, default=MODELS, help="objects (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, help="default: all cores")
    arguments = parser.parse_args()
    limits = {"models": (1, 10**6), "seed": (0, 2**32 - 1), "processes": (1, 1024)}
    check_ranges(arguments, **limits)
    build(arguments.out, arguments.models, arguments.seed, arguments.processes)


if __name__ == "__main__":
    run(main)
