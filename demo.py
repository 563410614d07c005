"""Reconstruct an object from images: python demo.py chair1.png chair2.png chair3.png"""

import sys
from os.path import expanduser
from pathlib import Path

from tqdm import tqdm

from data.photographs import find_images, is_image_name
from models.checkpoint import find_weights
from models.mirror import MIRROR_HELP
from models.predictor import Predictor
from models.web import serve
from utils.config import Config, read_config
from utils.draw import draw_prediction, save_image
from utils.errors import InputError, Parser, explain, run
from utils.report import write_prediction_page
from utils.voxels import SUFFIXES, axes_of, check_output, save_prediction

HERE = Path() if Path(__file__).parent == Path.cwd() else Path(__file__).parent
DEMO_IMAGES = [HERE / "data" / "demo" / f"{i}.png" for i in range(3)]
PRETRAINED = HERE / "models" / "pretrained" / "3d-lstm-3.safetensors"


def main() -> None:
    config = read_options()
    objects = find_objects(config)

    # The network is loaded once, for all objects.
    precision = config.precision or "fp32"
    predictor = Predictor(config.weights, config.device, precision, config.crop, config.mirror)
    config.threshold = config.threshold or predictor.network.threshold
    print(f"using {config.weights} ({predictor.network.name})")
    if config.web:
        serve(predictor, config.threshold, config.smooth)
        return

    # The objects; with --each, one that fails does not stop the others.
    failed = 0
    for output, paths in tqdm(objects.items(), file=sys.stdout, disable=not config.each):
        try:
            reconstruct(predictor, paths, output, config)
        except (InputError, OSError) as error:
            if not config.each:
                raise
            failed += 1
            tqdm.write(f"warning: {explain(error)}", sys.stderr)
    if failed:
        raise InputError(f"{failed} of {len(objects)} objects failed, see the warnings above")


def read_options() -> Config:
    parser = Parser(description=__doc__, usage="%(prog)s [options] [IMAGE ...]")
    add = parser.add_argument_group("demo").add_argument
    add("images", metavar="IMAGE", nargs="*", help="images of one object, or folders of them")
    mask = "image that is white where the object is; one for each IMAGE, in their order"
    add("--mask", metavar="FILE", type=expanduser, action="append", default=[], help=mask)
    each = "reconstruct many objects: each subfolder of DIR is one, and each image in DIR"
    add("--each", metavar="DIR", type=expanduser, help=each)
    weights = "weights, or a folder of checkpoints (default: the bundled weights, or the newest "
    weights += "checkpoint of --experiment_name)"
    add("--weights", metavar="FILE", type=expanduser, default="", help=weights)
    output = (
        f"result, {', '.join(SUFFIXES)} (default: prediction.obj); with --each, {{}} stands for "
    )
    output += "the object's name (default: predictions/{}.obj)"
    add("--output", metavar="FILE", type=expanduser, help=output)
    add("--no-crop", dest="crop", action="store_false", help="do not look for the object")
    add("--mirror", action="store_true", help=MIRROR_HELP)
    add("--smooth", action="store_true", help="smooth surface (marching cubes)")
    add("--html", action="store_true", help="write a page with voxels to rotate as well")
    add("--web", action="store_true", help="serve a local page to drop images on (needs Gradio)")
    config, given = read_config(parser, ("experiment", "evaluation"))
    if (config.each or config.web) and (config.images or config.mask):
        raise InputError("--each and --web: leave out IMAGE and --mask")
    config.output = config.output or ("predictions/{}.obj" if config.each else "prediction.obj")
    check_output(config.output, mesh=config.smooth)
    if config.weights or given & {"experiment_name", "saved_models_path", "resume_epoch"}:
        folder = Path(config.saved_models_path) / config.experiment_name
        config.weights = find_weights(folder, config.weights, config.resume_epoch)
    else:
        config.weights = PRETRAINED
    return config


def find_objects(config: Config) -> dict[Path, list]:
    """Return the images of each object, or folders of them, by the file of its result."""
    if not config.each:
        output, paths = Path(config.output), config.images or DEMO_IMAGES
        figure, inputs = output.with_suffix(".png"), [*find_images(paths)[0], *config.mask]
        if figure.resolve() in [Path(path).resolve() for path in inputs]:
            raise InputError(f"output: {figure}, beside {output}, is an input image")
        return {output: paths}
    objects, folder = {}, Path(config.output).parent.resolve()
    if folder == Path(config.each).resolve() or "{}" not in Path(config.output).name:
        raise InputError(f"output: expected OTHER_FOLDER/{{}}.obj with --each, got {config.output}")
    for path in sorted(Path(config.each).iterdir()):
        if path.name.startswith(".") or path.resolve() == folder:
            continue
        if not path.is_dir() and not is_image_name(path):
            print(f"note: {path}: not used")
            continue
        name = path.name if path.is_dir() else path.stem
        if Path(config.output.replace("{}", name)) in objects:  # chair.jpg beside chair.png
            name = path.name.replace(".", "-")
        objects[Path(config.output.replace("{}", name))] = [path]
    if not objects:
        raise InputError(f"--each: no images and no subfolders in {config.each}")
    return objects


def reconstruct(predictor: Predictor, paths: list, output: Path, config: Config) -> None:
    """Reconstruct the object in some images, write the result, and print what was done."""
    images, notes = find_images(paths)
    for note in notes:
        tqdm.write(f"note: {note}")
    image_path, page_path = output.with_suffix(".png"), output.with_suffix(".html")

    # Find the object in each image.
    cutouts = predictor.cut_out(images, config.mask)
    for path, cutout in zip(images, cutouts, strict=True):
        tqdm.write(f"{path}: object from {cutout.source}")
        for warning in cutout.warnings:
            tqdm.write(f"warning: {path}: {warning}; --mask chooses the object", sys.stderr)

    # Predict after each view, and keep the last prediction.
    views = predictor.preprocess(cutouts)
    probs = predictor.predict(views, all_views=True)  # (V, D, D, D)
    occupied = probs >= config.threshold
    if not occupied[-1].any():
        reason = (
            f"no voxel reaches --threshold={config.threshold}, but at most {probs[-1].max():.2f}"
        )
        tqdm.write(f"warning: {output}: empty, {reason}", sys.stderr)

    # Write the result, a figure and a page.
    save_prediction(output, probs[-1], config.threshold, config.smooth)
    num_views = f"{len(images)} view{'s' * (len(images) > 1)}"
    voxels = f"{occupied[-1].sum()} occupied voxels from {num_views}"
    tqdm.write(f"{output}: {voxels} ({axes_of(output)})")
    captioned = [(c.image, "" if c.source == "rendering" else c.caption) for c in cutouts]
    save_image(image_path, draw_prediction(captioned, probs, config.threshold, config.smooth))
    tqdm.write(f"{image_path}: input views, result after each view, result from three sides")
    if config.html:
        title = f"3D-R2N2: {predictor.network.name}"
        write_prediction_page(page_path, title, captioned, occupied)
        tqdm.write(f"{page_path}: the result after each view, to rotate in a browser")


if __name__ == "__main__":
    run(main)
