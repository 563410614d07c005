"""A dataset of procedural furniture in ShapeNet's layout, for a first run without a download.

python -m data.synthetic --out DIR --models N --seed S
"""

from functools import partial
from pathlib import Path

import numpy as np

from data.categories import SYNSETS
from data.furniture import MAKERS
from data.meshes import join
from data.objects import is_finished, sweep, write_object
from data.parallel import in_parallel
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
        sweep(out)
        in_parallel(partial(_make, out, seed), missing, "synthetic furniture", processes)


def _place(seed: int, number: int) -> tuple[str, str]:
    """The synset and the name of an object."""
    return SYNSETS[list(MAKERS)[number % len(MAKERS)]], f"s{seed}-{number:05d}"


def _make(out: Path, seed: int, number: int) -> None:
    generator = np.random.default_rng([seed, number])
    parts = list(MAKERS.values())[number % len(MAKERS)](generator)
    write_object(out, *_place(seed, number), join(parts), generator)


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
