"""Reconstruct an object from images: python demo.py chair1.png chair2.png chair3.png"""

import sys
from pathlib import Path

from data.photographs import find_images
from models import load_network
from models.checkpoint import find_weights
from models.predictor import Predictor
from models.web import serve
from utils.config import read_config
from utils.distributed import choose_device
from utils.draw import draw_prediction, save_image
from utils.errors import InputError, Parser, run
from utils.report import write_prediction_page
from utils.voxels import axes_of, check_output, save_prediction

HERE = Path(__file__).parent
DEMO_IMAGES = [HERE / "data" / "demo" / f"{i}.png" for i in range(3)]
PRETRAINED = HERE / "models" / "pretrained" / "3d-lstm-3.pth"


def main() -> None:
    parser = Parser(description=__doc__, usage="%(prog)s [options] [IMAGE ...]")
    add = parser.add_argument_group("demo").add_argument
    add("images", metavar="IMAGE", nargs="*", help="images of one object, or folders of them")
    add(
        "--mask",
        action="append",
        default=[],
        help="image, white where the object is; once per IMAGE, in their order",
    )
    add("--weights", default="", help="weights to use, in place of --resume_epoch")
    add(
        "--output",
        default="prediction.obj",
        help="result: .obj .ply .glb .stl .binvox .npy (default: %(default)s)",
    )
    add("--no-crop", dest="crop", action="store_false", help="use whole images")
    add("--smooth", action="store_true", help="smooth surface (marching cubes)")
    add("--html", action="store_true", help="write a page with cubes to rotate as well")
    add(
        "--web",
        action="store_true",
        help="serve a local page to drop images on (needs Gradio)",
    )
    config, _ = read_config(parser, ("experiment", "evaluation"), ("data", "network", "training"))
    check_output(config.output, mesh=config.smooth)
    image_path, page_path = (Path(config.output).with_suffix(s) for s in (".png", ".html"))
    images, notes = find_images(config.images)
    for note in notes:
        print(f"note: {note}")
    images = images or DEMO_IMAGES
    if image_path.resolve() in [path.resolve() for path in images]:
        raise InputError(f"output: {image_path}, beside {config.output}, is an input image")

    folder = Path(config.saved_models_path) / config.experiment_name
    weights = find_weights(folder, config.weights, config.resume_epoch, otherwise=PRETRAINED)
    network = load_network(weights)
    threshold = network.threshold if config.threshold is None else config.threshold
    predictor = Predictor(network, choose_device(config.device), config.precision, config.crop)
    if config.web:
        if config.images:
            raise InputError(f"--web: drop the images on the page; got {config.images[0]}")
        serve(predictor, threshold, config.smooth)
        return
    cutouts = predictor.cut_out(images, config.mask)
    for path, cutout in zip(images, cutouts, strict=True):
        use = "object cut out" if cutout.caption == "cut out" else "used as it is"
        print(f"{path}: {use} ({cutout.source})")
        for warning in cutout.warnings:
            print(f"warning: {path}: {warning}; pass --mask to choose the object", file=sys.stderr)
    print(f"using {weights.name} ({network.name}) on {len(images)} view{'s' * (len(images) > 1)}")

    views = predictor.preprocess(cutouts)
    probs = predictor.predict(views, all_views=True)  # (V, 32, 32, 32)
    occupied = probs >= threshold
    save_prediction(config.output, probs[-1], threshold, config.smooth)
    print(f"{config.output}: {occupied[-1].sum()} occupied voxels ({axes_of(config.output)})")
    captioned = [(c.image, "" if c.source == "rendering" else c.caption) for c in cutouts]
    save_image(image_path, draw_prediction(captioned, probs, threshold, config.smooth))
    print(f"{image_path}: input views, result after each view, result from three sides")
    if config.html:
        title, gates = f"3D-R2N2: {network.name}", predictor.gates(views)
        write_prediction_page(page_path, title, captioned, occupied, gates)
        print(f"{page_path}: the result, to rotate in a browser, and the gates at each view")
    elif page_path.exists():
        print(f"note: {page_path} was not written by this run (--html)")
    if not occupied[-1].any():
        print(
            f"warning: the result is empty: no voxel reaches --threshold={threshold}, the highest "
            f"probability is {probs[-1].max():.2f}",
            file=sys.stderr,
        )


if __name__ == "__main__":
    run(main)
