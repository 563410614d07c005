"""Reconstruct an object from pictures: python demo.py chair1.png chair2.png chair3.png"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from data.photographs import load_photograph
from data.transforms import as_bytes, eval_transform, load_image
from utils import page
from utils.checkpoint import find_weights, load_network
from utils.config import DemoConfig, read_config
from utils.engine import choose_device
from utils.errors import InputError, run
from utils.export import check_form, save_prediction
from utils.files import atomic_write
from utils.metrics import occupancy_logits
from utils.precision import Precision
from utils.visualize import draw_voxels, image_grid

HERE = Path(__file__).parent
DEMO_IMAGES = [HERE / "data" / "demo" / f"{number}.png" for number in range(3)]
PRETRAINED = HERE / "models" / "pretrained" / "3d-lstm-3.pth"
SIDES = (30, 120, 300)  # azimuths of the drawings of the result, in degrees


def main() -> None:
    config = read_config(DemoConfig, __doc__)
    smoothed = config.smooth
    check_form(config.output, smoothed)
    picture_path = Path(config.output).with_suffix(".png")
    if picture_path.resolve() in [Path(path).resolve() for path in config.images]:
        raise InputError(f"output: {config.output} would take {picture_path}, an input, with it")
    folder = Path(config.saved_models_path) / config.experiment_name
    weights = find_weights(folder, config.weights, config.resume_epoch, otherwise=PRETRAINED)
    device = choose_device(config.device)
    network = load_network(weights).to(device)

    read = load_photograph if config.crop else load_image
    pictures = [read(path) for path in config.images or DEMO_IMAGES]
    views = as_bytes([eval_transform(picture, network.image_size) for picture in pictures])
    images = torch.tensor(views).to(device).permute(0, 3, 1, 2)[None] / 255
    with torch.no_grad(), Precision(config.precision, device).autocast():
        odds = torch.cat(
            [occupancy_logits(logits).float() for logits in network.forward_all_views(images)]
        )
    probabilities = torch.sigmoid(odds).cpu().numpy()  # (V, 32, 32, 32), after each further view

    written = save_prediction(config.output, probabilities[-1], config.threshold, smoothed)
    grown = probabilities >= config.threshold
    with atomic_write(picture_path) as temporary:
        draw(views, grown).save(temporary, "PNG")
    print(f"{weights}: {network.name}, {len(pictures)} views")
    print(f"{config.output}: {written}")
    print(f"{picture_path}: the views, what is made of the first ones, and sides of the result")
    if config.html:
        path = Path(config.output).with_suffix(".html")
        write_html(path, f"{network.name}, {weights.name}", views, grown)
        print(f"{path}: the result, to turn in a browser")
    if not grown[-1].any():
        print(
            f"no voxel reaches the threshold of {config.threshold} (the highest probability is "
            f"{probabilities[-1].max():.2f}): train longer, or lower --threshold"
        )


def draw(views: np.ndarray, grown: np.ndarray) -> Image.Image:
    """What the network saw, below each view what it made of all so far; then the result's sides."""
    seen = [Image.fromarray(view) for view in views]
    growth = [draw_voxels(occupied, azimuth=SIDES[0]) for occupied in grown]
    sides = [draw_voxels(grown[-1], azimuth=azimuth) for azimuth in SIDES]
    return image_grid([seen, growth, sides])


def write_html(path: Path, title: str, views: np.ndarray, grown: np.ndarray) -> None:
    """A page with the views and, to turn, what the network makes of the first one, two, ... all."""
    body = ["<p>Drag the voxels to turn them.</p>"]
    seen = [page.picture(Image.fromarray(view), f"view {n}") for n, view in enumerate(views, 1)]
    turning = [page.voxels(cells, f"from {n} of the views") for n, cells in enumerate(grown, 1)]
    body += [page.together("Reconstruction", [*seen, "<div></div>", *turning])]
    page.write_page(path, f"3D-R2N2: {title}", body)


if __name__ == "__main__":
    run(main)
