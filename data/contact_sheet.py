"""Draw a contact sheet: two views and the voxels of each shape of a dataset.

python -m data.contact_sheet DATASET --out sheet.png
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from data.cameras import read_views
from data.datasets import index_any
from data.layout import RENDERING_SIZE
from data.shapenet import ShapeNetIndex
from utils.draw import AZIMUTH, ELEVATION, OUTPUT_FORMATS, draw_voxels, image_grid, save_image
from utils.errors import InputError, Parser, check_ranges, run

MAX_TITLE = 44  # characters over a tile


def contact_sheet(index: ShapeNetIndex, columns: int, limit: int, seed: int) -> Image.Image:
    """Draw two views of up to `limit` random shapes, and their voxels as seen in the second one."""
    order = np.random.default_rng(seed).permutation(len(index.names))[:limit]
    chosen = tqdm(sorted(order.tolist()), file=sys.stdout)
    tiles = []
    for i in chosen:
        title = f"{index.category(i)}: {index.names[i].partition('/')[2]}"
        tiles.append((_draw_shape(index, i), title[:MAX_TITLE]))
    blank = Image.new("RGB", tiles[0][0].size, "white"), ""
    tiles += [blank] * (-len(tiles) % min(columns, len(tiles)))
    return image_grid([tiles[i : i + columns] for i in range(0, len(tiles), columns)], 28, 16)


def _draw_shape(index: ShapeNetIndex, i: int) -> Image.Image:
    num_views, direction = min(2, int(index.num_views[i])), (AZIMUTH, ELEVATION)
    metadata_path = Path(index.image_path(i, 0)).with_name("rendering_metadata.txt")
    if metadata_path.exists():  # Occupancy Networks' dataset has none
        cameras = read_views(metadata_path)
        if len(cameras) < num_views:
            expected = f"{num_views} lines or more"
            raise InputError(f"{metadata_path}: expected {expected}, got {len(cameras)}")
        direction = cameras[num_views - 1][:2]
    tile = Image.new("RGB", (3 * RENDERING_SIZE, RENDERING_SIZE), "white")
    for view in range(num_views):
        image = index.load_image(i, view)
        tile.paste(image, (view * RENDERING_SIZE, 0), mask=image)
    voxels = draw_voxels(index.load_voxels(i), RENDERING_SIZE, *direction)
    tile.paste(voxels, (2 * RENDERING_SIZE, 0))
    return tile


def main() -> None:
    parser = Parser(
        prog="python -m data.contact_sheet",
        description="Draw a contact sheet: two views and the voxels of each shape.",
    )
    parser.add_argument("dataset", help="dataset folder")
    formats = ", ".join(OUTPUT_FORMATS)
    parser.add_argument("--out", required=True, help=f"image to write: {formats}")
    parser.add_argument("--columns", type=int, default=4, help="shapes in a row (%(default)s)")
    parser.add_argument("--limit", type=int, default=40, help="maximum shapes (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="which shapes, if there are more")
    args = parser.parse_args()
    check_ranges(args, columns=(1, 100), limit=(1, 10_000), seed=(0, 2**32 - 1))
    if Path(args.out).suffix.lower() not in OUTPUT_FORMATS:
        raise InputError(f"--out: expected a file ending in {formats}, got {args.out}")
    sheet = contact_sheet(index_any(args.dataset)[0], args.columns, args.limit, args.seed)
    save_image(args.out, sheet)
    print(f"written: {args.out}")


if __name__ == "__main__":
    run(main)
