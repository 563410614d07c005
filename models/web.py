"""A local web page that reconstructs an object from photographs: python demo.py --web"""

import os
import tempfile
import time
from functools import partial
from pathlib import Path

from models.predictor import Predictor
from utils.draw import draw_view
from utils.errors import InputError
from utils.signals import stop_at_once
from utils.voxels import save_prediction

DOWNLOADS = ("object.glb", "object.obj")  # the first one is shown, too


def serve(predictor: Predictor, threshold: float, smooth: bool = False) -> None:
    """Serve the page until a stop signal. Photographs and results are removed at the end."""
    with stop_at_once(), tempfile.TemporaryDirectory() as folder:
        # Gradio reads these when it is imported.
        os.environ.update(GRADIO_ANALYTICS_ENABLED="False", GRADIO_TEMP_DIR=folder)
        page = make_page(predictor, threshold, smooth, Path(folder))
        _, address, _ = page.launch(quiet=True, prevent_thread_lock=True)
        print(f"{address}: open it in a browser; Ctrl-C ends it")
        while True:  # page.block_thread() would end five seconds after the signal
            time.sleep(1)


def make_page(predictor: Predictor, threshold: float, smooth: bool, folder: Path):
    """Return the page as Gradio's Blocks; results go to subfolders of `folder`."""
    try:
        import gradio
    except ImportError:
        raise InputError("--web: needs Gradio; pip install gradio") from None

    with gradio.Blocks(title="3D-R2N2") as page:
        gradio.Markdown("# 3D-R2N2\nDrop photographs of one object, from different sides.")
        with gradio.Row():
            with gradio.Column():
                photographs = gradio.File(label="Photographs", file_count="multiple")
                views = gradio.Gallery(label="Found objects", columns=3, height="auto")
                notes = gradio.Markdown()
            with gradio.Column():
                shown = gradio.Model3D(label="Result", height=420, camera_position=(60, 70, 2))
                slider = gradio.Slider(0.01, 0.99, threshold, step=0.01, label="Threshold")
                text = gradio.Markdown()
                downloads = [gradio.DownloadButton(f"Download {name}") for name in DOWNLOADS]
        probs = gradio.State()
        outputs = [text, shown, *downloads]
        write = partial(write_files, folder, smooth)
        find = partial(reconstruct, predictor)
        event = photographs.change(find, photographs, [views, notes, probs])
        event.then(write, [probs, slider], outputs)
        slider.change(write, [probs, slider], outputs, trigger_mode="always_last")
    return page


def reconstruct(predictor: Predictor, paths: list[str] | None):
    """Return the object of each photograph, what is doubtful about it, and probabilities."""
    if not paths:
        return [], "", None
    try:
        cutouts = predictor.cut_out(paths)
    except InputError as error:
        message = str(error)
        for path in paths:
            message = message.replace(path, Path(path).name)
        return [], f"**Error:** {message}", None
    views, notes = [], []
    for path, cutout in zip(paths, cutouts, strict=True):
        caption = "" if cutout.source == "rendering" else cutout.caption
        views.append((draw_view(cutout.image, caption), f"{Path(path).name}: {cutout.caption}"))
        notes += [f"- **{Path(path).name}**: {warning}" for warning in cutout.warnings]
    return views, "\n".join(notes), predictor.predict(predictor.preprocess(cutouts))


def write_files(folder: Path, smooth: bool, probs, threshold: float):
    """Return the number of voxels, the mesh to show, and the files to download."""
    if probs is None:
        return "", None, *(None for _ in DOWNLOADS)
    target = Path(tempfile.mkdtemp(dir=folder))
    for name in DOWNLOADS:
        save_prediction(target / name, probs, threshold, smooth)
    text = f"{(probs >= threshold).sum()} occupied voxels"
    if probs.max() < threshold:
        text += f": the highest probability is {probs.max():.2f}; lower the threshold"
    return text, *(str(target / name) for name in (DOWNLOADS[0], *DOWNLOADS))
