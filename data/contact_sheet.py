"""Draw two views of each shape of a dataset, and its voxels with the front to the lower right.

python -m data.contact_sheet DATASET --out sheet.png
"""

from os.path import expanduser

import numpy as np
from PIL import Image

from data.datasets import index_any
from data.layout import RENDERING_SIZE
from data.shapenet import ShapeNetIndex
from utils.draw import draw_voxels, image_format, image_grid, save_image
from utils.errors import Parser, number, run

COLUMNS = 4
MAX_TITLE = 44  # characters over a tile


def contact_sheet(index: ShapeNetIndex, limit: int) -> Image.Image:
    """Draw two views of up to `limit` random shapes, and their voxels.

    The voxels are seen from the same side everywhere, with the front (+x) towards the lower right,
    so that a shape that was built backwards stands out.
    """
    order = np.random.default_rng(0).permutation(len(index.names))[:limit]
    chosen = sorted(order.tolist())
    tiles = [(_draw_shape(index, i), index.label(i)[:MAX_TITLE]) for i in chosen]
    return image_grid([tiles[i : i + COLUMNS] for i in range(0, len(tiles), COLUMNS)], 28, 16)


def _draw_shape(index: ShapeNetIndex, i: int) -> Image.Image:
    tile = Image.new("RGB", (3 * RENDERING_SIZE, RENDERING_SIZE), "white")
    for position, view in enumerate(list(index.views[i])[:2]):
        image = index.load_image(i, view)
        tile.paste(image, (position * RENDERING_SIZE, 0), mask=image)
    voxels = draw_voxels(index.load_voxels(i).astype(bool), RENDERING_SIZE)
    tile.paste(voxels, (2 * RENDERING_SIZE, 0))
    return tile


def main() -> None:
    parser = Parser(prog="python -m data.contact_sheet", description=__doc__.split("\n", 1)[0])
    parser.add_argument("dataset", help="folder of the dataset")
    parser.add_argument("--out", required=True, type=expanduser, help="image to write")
    limit = "draw so many shapes, if there are more (default: 40)"
    parser.add_argument("--limit", type=number(1), default=40, metavar="N", help=limit)
    args = parser.parse_args()
    image_format(args.out)  # raises before the work begins
    save_image(args.out, contact_sheet(index_any(args.dataset)[0], args.limit))
    print(f"{args.out}: two views of each shape, and its voxels with the front to the lower right")


if __name__ == "__main__":
    run(main)
