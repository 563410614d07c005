"""Reconstruct an object from pictures: python demo.py chair1.png chair2.png chair3.png"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from data.transforms import evaluation_view, open_picture
from utils.checkpoint import find_weights, load_network
from utils.config import read_config
from utils.engine import choose_device
from utils.errors import run
from utils.export import check_form, save_prediction
from utils.files import replacing
from utils.metrics import evidence
from utils.pictures import draw_voxels, side_by_side

HERE = Path(__file__).parent
BUNDLED_PICTURES = [HERE / "data" / "demo" / f"{number}.png" for number in range(3)]
BUNDLED_WEIGHTS = HERE / "models" / "pretrained" / "3d-lstm-3.pth"
SIDES = (30, 120, 300)  # azimuths of the three drawings, in degrees


def main() -> None:
    config = read_config("demo", __doc__)
    check_form(config.output)
    folder = Path(config.saved_models_path) / config.experiment_name
    bundled = BUNDLED_WEIGHTS if BUNDLED_WEIGHTS.is_file() else None
    weights = find_weights(folder, config.weights, config.resume_epoch, otherwise=bundled)
    device = choose_device(config.device)
    network = load_network(weights).to(device)

    pictures = [open_picture(path) for path in config.images or BUNDLED_PICTURES]
    views = np.stack([evaluation_view(picture, network.image_size) for picture in pictures])
    images = torch.from_numpy(views).to(device).permute(0, 3, 1, 2)[None] / 255
    with torch.no_grad():
        probability = torch.sigmoid(evidence(network(images)))[0].cpu().numpy()

    written = save_prediction(config.output, probability, config.threshold)
    occupied = probability >= config.threshold
    sides = [draw_voxels(occupied, azimuth=azimuth) for azimuth in SIDES]
    picture_path = Path(config.output).with_suffix(".png")
    with replacing(picture_path) as temporary:
        side_by_side([*map(Image.fromarray, views), *sides]).save(temporary)
    print(f"{weights}: {network.name}, {len(pictures)} views")
    print(f"{config.output}: {written}; {picture_path}: the views and three sides of the result")
    if not occupied.any():
        print(
            f"no voxel reaches the threshold of {config.threshold} (the highest probability is "
            f"{probability.max():.2f}): train longer, or lower --threshold"
        )


if __name__ == "__main__":
    run(main)
