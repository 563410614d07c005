import sys

import numpy as np

from models.predictor import Predictor
from models.web import reconstruct, write_files
from tests.helpers import DEMO_IMAGES, PRETRAINED


def test_web_without_gradio_is_a_one_line_error(error_of, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert "pip install gradio" in error_of("demo", "--web", "--device=cpu")


def test_page_reconstructs_what_is_dropped_on_it(tmp_path):
    predictor = Predictor(PRETRAINED)
    paths = [str(path) for path in DEMO_IMAGES]
    views, notes, probs = reconstruct(predictor, paths)
    assert len(views) == 3 and not notes and np.array_equal(probs, predictor(paths))
    text, shown, *files = write_files(tmp_path, False, probs, 0.4)
    assert f"{(probs >= 0.4).sum()} " in text and shown == files[0]
    assert [path.rpartition(".")[2] for path in files] == ["glb", "obj"]


def test_page_shows_errors_by_the_name_of_the_photograph(tmp_path):
    (tmp_path / "a.png").write_text("no image")
    predictor = Predictor(PRETRAINED)
    views, notes, probs = reconstruct(predictor, [str(tmp_path / "a.png")])
    assert not views and "a.png" in notes and str(tmp_path) not in notes
    assert write_files(tmp_path, False, probs, 0.4) == ("", None, None, None)
