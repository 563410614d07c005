"""Build a dataset of procedural furniture, for a first run without a download.

python -m data.builder.synthetic --out DIR
"""

from functools import partial
from pathlib import Path

import numpy as np

from data.builder.build import UNFINISHED, Options, add_build_flags, is_finished, write_shape
from data.builder.furniture import GENERATORS
from data.builder.mesh import concatenate
from data.builder.render import require_embreex
from data.layout import RESOLUTION, SYNSETS
from utils.errors import Parser, number, run
from utils.files import remove_stale
from utils.parallel import parallel_map

NUM_SHAPES = 120


def build_synthetic(
    out: str | Path,
    num_shapes: int = NUM_SHAPES,
    processes: int | None = None,
    resolution: int = RESOLUTION,
) -> None:
    """Build the shapes that are missing under `out`.

    Categories alternate. A shape depends on its number alone: a larger set contains the smaller.
    """
    out = Path(out)
    missing = [i for i in range(num_shapes) if not is_finished(out, _name(i))]
    if missing:
        require_embreex()
        remove_stale(out, f"{UNFINISHED}*")
        build_shape = partial(_build_shape, out, resolution)
        parallel_map(build_shape, missing, "synthetic furniture", processes)


def _name(i: int) -> str:
    return f"{SYNSETS[list(GENERATORS)[i % len(GENERATORS)]]}/s0-{i:05d}"


def _build_shape(out: Path, resolution: int, i: int) -> None:
    rng = np.random.default_rng([0, i])
    sample = list(GENERATORS.values())[i % len(GENERATORS)]
    write_shape(Options(out, resolution=resolution), _name(i), concatenate(sample(rng)), rng)


def main() -> None:
    parser = Parser(prog="python -m data.builder.synthetic", description=__doc__.split("\n", 1)[0])
    models = "number of shapes (default: %(default)s)"
    parser.add_argument("--models", type=number(1), default=NUM_SHAPES, metavar="N", help=models)
    add_build_flags(parser)
    args = parser.parse_args()
    build_synthetic(args.out, args.models, args.processes, args.resolution)
    print(f"{args.out}: {args.models} shapes; next: python train.py --database_path={args.out}")


if __name__ == "__main__":
    run(main)
