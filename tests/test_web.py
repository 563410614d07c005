import sys


def test_web_without_gradio_is_a_one_line_error(script, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    status, _, errors = script("demo", "--web", "--device=cpu")
    assert status == 2 and "pip install gradio" in errors and errors.count("\n") == 1
