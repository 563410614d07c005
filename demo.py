"""Reconstruct an object from images: python demo.py chair1.png chair2.png chair3.png"""

import sys
from pathlib import Path

from tqdm import tqdm

from data.photographs import find_images, is_image_name
from models import load_network
from models.checkpoint import find_weights
from models.predictor import Predictor
from models.web import serve
from utils.config import Config, read_config
from utils.distributed import choose_device
from utils.draw import draw_prediction, save_image
from utils.errors import InputError, Parser, explain, run
from utils.report import write_prediction_page
from utils.voxels import SUFFIXES, axes_of, check_output, save_prediction

HERE = Path(__file__).parent
DEMO_IMAGES = [HERE / "data" / "demo" / f"{i}.png" for i in range(3)]
PRETRAINED = HERE / "models" / "pretrained" / "3d-lstm-3.pth"


def main() -> None:
    config = read_options()
    images, notes = find_images(config.images)
    objects = find_objects(config) if config.each else {}

    # The network is loaded once, for all objects.
    folder = Path(config.saved_models_path) / config.experiment_name
    weights = find_weights(folder, config.weights, config.resume_epoch, otherwise=PRETRAINED)
    network = load_network(weights)
    if config.threshold is None:
        config.threshold = network.threshold
    predictor = Predictor(network, choose_device(config.device), config.precision, config.crop)
    print(f"using {weights.name} ({network.name})")

    if config.web:
        serve(predictor, config.threshold, config.smooth)
    elif config.each:
        reconstruct_each(predictor, objects, config)
    else:
        images = images or DEMO_IMAGES
        lines, warnings = reconstruct(predictor, images, Path(config.output), config)
        for line in (*(f"note: {note}" for note in notes), *lines):
            print(line)
        for warning in warnings:
            print(f"warning: {warning}", file=sys.stderr)


def read_options() -> Config:
    parser = Parser(description=__doc__, usage="%(prog)s [options] [IMAGE ...]")
    add = parser.add_argument_group("demo").add_argument
    add("images", metavar="IMAGE", nargs="*", help="images of one object, or folders of them")
    mask = "image that is white where the object is; one for each IMAGE, in their order"
    add("--mask", metavar="FILE", action="append", default=[], help=mask)
    each = "reconstruct many objects: each subfolder of DIR is one, and each image in DIR"
    add("--each", metavar="DIR", help=each)
    add("--weights", metavar="FILE", default="", help="weights to use in place of --resume_epoch")
    output = "result (default: prediction.obj); with --each, folder of results (predictions)"
    add("--output", metavar="PATH", help=output)
    add("--format", choices=SUFFIXES, default=".obj", help="of the results with --each")
    add("--no-crop", dest="crop", action="store_false", help="do not look for the object")
    add("--smooth", action="store_true", help="smooth surface (marching cubes)")
    add("--html", action="store_true", help="write a page with voxels to rotate as well")
    add("--web", action="store_true", help="serve a local page to drop images on (needs Gradio)")
    config, _ = read_config(parser, ("experiment", "evaluation"))
    if (config.each or config.web) and (config.images or config.mask):
        raise InputError("--each and --web: leave out IMAGE and --mask")
    config.output = config.output or ("predictions" if config.each else "prediction.obj")
    check_output(f"x{config.format}" if config.each else config.output, mesh=config.smooth)
    return config


def find_objects(config: Config) -> dict[Path, list[Path]]:
    """Return the images of each object in the folder `config.each`, by the file of its result."""
    objects, output = {}, Path(config.output)
    if output.resolve() == Path(config.each).resolve():
        raise InputError(f"output: {output} has the images of --each; choose another folder")
    for path in sorted(Path(config.each).iterdir()):
        if path.name.startswith(".") or path.resolve() == output.resolve():
            continue
        if path.is_dir() or is_image_name(path):
            name = path.name if path.is_dir() else path.stem
            if output / f"{name}{config.format}" in objects:  # chair.jpg beside chair.png
                name = path.name.replace(".", "-")
            objects[output / f"{name}{config.format}"] = path
        else:
            print(f"note: {path}: not used")
    if not objects:
        raise InputError(f"--each: no images and no subfolders in {config.each}")
    return objects


def reconstruct_each(predictor: Predictor, objects: dict[Path, Path], config: Config) -> None:
    """Reconstruct many objects with a progress bar; go on after errors, and count them."""
    failed = 0
    for output, path in tqdm(objects.items(), unit="object", file=sys.stdout):
        try:
            images, notes = find_images([path])
            warnings = notes + reconstruct(predictor, images, output, config)[1]
        except (InputError, OSError) as error:
            failed += 1
            warnings = [explain(error)]
        for warning in warnings:
            tqdm.write(f"warning: {warning}", sys.stderr)
    print(f"{config.output}: {len(objects) - failed} of {len(objects)} objects reconstructed")
    if failed:
        raise InputError(f"{failed} objects of {config.each} could not be reconstructed, see above")


def reconstruct(
    predictor: Predictor, images: list[Path], output: Path, config: Config
) -> tuple[list[str], list[str]]:
    """Reconstruct one object; return what was done, and what may be wrong with it."""
    image_path, page_path = output.with_suffix(".png"), output.with_suffix(".html")
    if image_path.resolve() in [path.resolve() for path in images]:
        raise InputError(f"output: {image_path}, beside {output}, is an input image")

    # Find the object in each image.
    cutouts = predictor.cut_out(images, config.mask)
    lines, warnings = [], []
    for path, cutout in zip(images, cutouts, strict=True):
        name = path.relative_to(HERE) if path in DEMO_IMAGES else path
        use = "object cut out" if cutout.caption == "cut out" else "used as it is"
        lines.append(f"{name}: {use} ({cutout.source})")
        remedy = "pass --mask to choose the object"
        warnings += [f"{path}: {warning}; {remedy}" for warning in cutout.warnings]

    # Predict after each view, and keep the last prediction.
    views = predictor.preprocess(cutouts)
    probs = predictor.predict(views, all_views=True)  # (V, D, D, D)
    occupied = probs >= config.threshold
    if not occupied[-1].any():
        highest = f"the highest probability is {probs[-1].max():.2f}"
        warnings.append(
            f"{output}: empty, no voxel reaches --threshold={config.threshold}; {highest}"
        )

    # Write the result, a figure and a page.
    save_prediction(output, probs[-1], config.threshold, config.smooth)
    num_views = f"{len(images)} view{'s' * (len(images) > 1)}"
    num_voxels = f"{occupied[-1].sum()} occupied voxels from {num_views}"
    lines.append(f"{output}: {num_voxels} ({axes_of(output)})")
    captioned = [(c.image, "" if c.source == "rendering" else c.caption) for c in cutouts]
    save_image(image_path, draw_prediction(captioned, probs, config.threshold, config.smooth))
    lines.append(f"{image_path}: input views, result after each view, result from three sides")
    if config.html:
        title = f"3D-R2N2: {predictor.network.name}"
        write_prediction_page(page_path, title, captioned, occupied, predictor.gates(views))
        lines.append(f"{page_path}: the result to rotate, and the gates at each view")
    elif page_path.exists():
        lines.append(f"note: {page_path} was not written by this run (--html)")
    return lines, warnings


if __name__ == "__main__":
    run(main)
