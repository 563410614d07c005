"""A contact sheet: many objects of a dataset on one page, views and voxels side by side.

python -m data.contact DIR --out sheet.png
"""

from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from data.binvox import read_binvox
from data.builder.mesh import Mesh, make_mesh, normalize
from data.builder.render import render
from data.cameras import View, read_views
from data.layout import RENDERINGS, SIZE, VOXELS, real_trees
from data.parallel import parallel_map
from data.transforms import load_image
from utils.errors import InputError, Parser, check_ranges, run
from utils.files import atomic_write
from utils.surface import exposed_faces

VIEWS = 2  # pictures of an object
FORMS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
CLAY = (206, 150, 92, 255)


def sheet(
    root: str | Path, columns: int = 5, limit: int = 100, seed: int = 0, processes=None
) -> Image.Image:
    """Up to `limit` objects, chosen at random and sorted, each two views and its voxels.

    Raises InputError when there is no object with both.
    """
    root = Path(root)
    folders = sorted(folder.relative_to(root / VOXELS) for folder in (root / VOXELS).glob("*/*"))
    folders = [folder for folder in folders if (root / RENDERINGS / folder / "rendering").is_dir()]
    if not folders:
        raise InputError(f"{root}: expected objects in {RENDERINGS} and {VOXELS}, found none")
    chosen = np.random.default_rng(seed).permutation(len(folders))[:limit]
    folders = [folders[number] for number in sorted(chosen)]
    tiles = parallel_map(partial(_tile, root), folders, "contact sheet", processes)
    width, height = tiles[0].size
    rows = -(-len(tiles) // columns)
    page = Image.new("RGB", (min(columns, len(tiles)) * width, rows * height), "white")
    for number, tile in enumerate(tiles):
        page.paste(tile, (number % columns * width, number // columns * height))
    return page


def _tile(root: Path, folder: Path) -> Image.Image:
    """Two views of an object and its voxels, seen as in the second view."""
    rendering = root / RENDERINGS / folder / "rendering"
    renderings, voxels = real_trees(root)
    views = read_views(rendering / "rendering_metadata.txt", renderings)
    shown = [min(number, len(views) - 1) for number in range(VIEWS)]
    pictures = [load_image(rendering / f"{number:02d}.png", renderings) for number in shown]
    view = views[shown[-1]]
    occupied = read_binvox(root / VOXELS / folder / "model.binvox", voxels)
    if occupied.any():
        pictures.append(draw_voxels(occupied, view))
    tile = Image.new("RGB", (SIZE * (VIEWS + 1), SIZE), "white")
    for number, picture in enumerate(pictures):
        tile.paste(picture.convert("RGB"), (number * SIZE, 0), picture.getchannel("A"))
    return tile


def draw_voxels(occupied: np.ndarray, view: View) -> Image.Image:
    """A picture of the cells (X, Y, Z) of a grid, cubes seen from a view."""
    return Image.fromarray(render(normalize(_cubes(occupied)), [view])[0])


def _cubes(occupied: np.ndarray) -> Mesh:
    """The faces between an occupied cell and an empty one."""
    squares, _ = exposed_faces(occupied)
    triangles = squares[:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3, 3)
    return make_mesh(triangles, CLAY)


def main() -> None:
    parser = Parser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("dataset", help="folder of the dataset")
    parser.add_argument("--out", required=True, help="picture to write")
    parser.add_argument("--columns", type=int, default=5, help="objects in a row")
    parser.add_argument("--limit", type=int, default=100, help="objects in all")
    parser.add_argument("--seed", type=int, default=0, help="which, where there are more")
    arguments = parser.parse_args()
    check_ranges(arguments, columns=(1, 100), limit=(1, 10_000), seed=(0, 2**32 - 1))
    form = FORMS.get(Path(arguments.out).suffix.lower())
    if form is None:
        raise InputError(f"--out: expected a .png, .jpg or .webp file, found {arguments.out}")
    page = sheet(arguments.dataset, arguments.columns, arguments.limit, arguments.seed)
    with atomic_write(arguments.out) as temporary:
        try:
            page.save(temporary, form)
        except ValueError as error:
            raise InputError(f"--out: expected fewer objects for this format: {error}") from error
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    run(main)
