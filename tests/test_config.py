from pathlib import Path

import pytest

from utils.config import KEYS, read_config, read_ini, write_ini
from utils.errors import InputError

EXAMPLE = Path(__file__).parents[1] / "config.ini.example"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def read(text: str, *flags: str, script: str = "train"):
    Path("my.ini").write_text(text, encoding="utf-8")
    return read_config(script, "", ["--cfg=my.ini", *flags])


def test_the_example_holds_every_key_with_its_default():
    values = read_ini(EXAMPLE)
    defaults = {key.name: key.default for key in KEYS}
    machine = defaults.pop("num_workers")
    assert machine >= 1 and "num_workers" not in values
    assert "num_workers" in EXAMPLE.read_text(encoding="utf-8")
    assert values == defaults


def test_a_flag_wins_over_the_file_and_the_file_over_the_default():
    config = read("batch_size = 3\nLR = 0.5\n", "--LR=0.25")
    assert (config.batch_size, config.LR, config.num_epochs) == (3, 0.25, 60)


def test_config_ini_is_read_where_it_is_there():
    Path("config.ini").write_text("batch_size = 7\n", encoding="utf-8")
    assert read_config("train", "", []).batch_size == 7
    assert read("batch_size = 5").batch_size == 5


def test_sections_comments_blanks_and_a_byte_order_mark_are_tolerated():
    text = (
        "\ufeff[train]\n\n# a comment\n; another\n  batch_size=4   # why\nexperiment_name = a#b\n"
    )
    config = read(text)
    assert (config.batch_size, config.experiment_name) == (4, "a#b")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("batch_size = 4\nbatchsize = 4", 2, ["batchsize", "batch_size"]),
        ("lr = 4", 1, ["'lr'", "LR"]),
        ("batch_size = 0", 1, ["batch_size", "at least 1", "'0'"]),
        ("batch_size = 2.5", 1, ["batch_size", "whole number"]),
        ("LR = nan", 1, ["LR", "number"]),
        ("LR = inf", 1, ["LR", "number"]),
        ("LR = -1", 1, ["LR", "above 0"]),
        ("\n\nnetwork = LSTM", 3, ["network", "3D-LSTM-3"]),
        ("batch_size", 1, ["key = value"]),
        ("batch_size =", 1, ["batch_size"]),
        ("seed = 1\nseed = 2", 2, ["seed", "line 1"]),
        ("experiment_name = ../x", 1, ["experiment_name"]),
        ("resume_epoch = -1", 1, ["resume_epoch"]),
        ("device = tpu", 1, ["device"]),
    ],
)
def test_a_bad_line_is_named_with_its_number_and_key(text, line, words):
    with pytest.raises(InputError) as error:
        read(text)
    for word in ("my.ini", f"line {line}", *words):
        assert word in str(error.value)


@pytest.mark.parametrize("flags", [["--batchsize=3"], ["--LR"], ["--LR=x"], ["stray"]])
def test_a_bad_flag_is_an_error_of_one_line(flags):
    with pytest.raises(InputError) as error:
        read_config("train", "", flags)
    assert "\n" not in str(error.value)


def test_views_that_contradict_each_other_are_refused():
    with pytest.raises(InputError, match="min_views"):
        read("min_views = 6")


def test_a_path_may_start_at_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    config = read("database_path = ~/ShapeNet", "--saved_models_path=~/models")
    assert config.database_path == "/home/me/ShapeNet"
    assert config.saved_models_path == "/home/me/models"


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(FileNotFoundError, match=r"absent\.ini"):
        read_config("train", "", ["--cfg=absent.ini"])


def test_what_was_resolved_is_read_back_the_same():
    config = read("LR = 3e-05\nresume_epoch = last\nval_fraction = 0.1")
    write_ini("again.ini", config)
    assert read_config("train", "", ["--cfg=again.ini"]) == config


def test_yes_and_no_may_follow_a_flag_as_a_word_of_its_own():
    assert read("", "--varied", "yes").varied == "yes"
    assert read("varied = yes", "--varied", "no").varied == "no"
    assert read("", "--varied").varied == "yes"


def test_a_flag_of_another_script_is_refused_by_that_ones_name():
    with pytest.raises(InputError, match=r"--weights=a\.pth: .*train\.py.*test\.py and demo\.py"):
        read("", "--weights=a.pth")


def test_a_word_that_is_no_flag_is_named_with_the_way_to_give_a_file():
    for word in ("my.ini", "batch_size=8"):
        with pytest.raises(InputError, match=rf"^{word}: .*--cfg="):
            read_config("train", "", [word])


def test_only_demo_takes_pictures_and_only_test_takes_a_part():
    assert read("", "a.png", "b.png", script="demo").images == ["a.png", "b.png"]
    assert read("", "--part=val", script="test").part == "val"
    with pytest.raises(InputError):
        read("", "--part=val", script="train")
