import os
from pathlib import Path

import pytest

from utils.config import Config, DemoConfig, EvalConfig, read_config, read_ini, write_ini
from utils.errors import InputError

EXAMPLE = Path(__file__).parents[1] / "config.ini.example"
PORT_INI = """\
database_path = ./ShapeNet
saved_models_path = ./saved_models
experiment_name = first
num_workers = 4
resume_epoch = 0
batch_size = 24
min_views = 1
max_views = 5
LR = 0.0001
weight_decay = 0.00005
num_epochs = 60
"""


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def read(text: str, *flags: str, config_class=Config):
    Path("my.ini").write_text(text, encoding="utf-8")
    return read_config(config_class, "", ["--cfg=my.ini", *flags])


def test_example_documents_every_key_with_its_default():
    values, defaults = read_ini(EXAMPLE), Config().to_dict()
    assert defaults.pop("num_workers") == (os.cpu_count() or 1)
    assert "# num_workers = " in EXAMPLE.read_text(encoding="utf-8")
    assert values == defaults
    assert all(type(values[name]) is type(defaults[name]) for name in values)


def test_ini_of_the_pytorch_port_works_unchanged():
    config = read(PORT_INI)
    expected = Config(database_path="./ShapeNet", experiment_name="first", num_workers=4)
    assert config.to_dict() == expected.to_dict() | {"saved_models_path": "./saved_models"}


def test_flags_win_over_the_file_and_the_file_over_defaults():
    config = read("batch_size = 3\nLR = 0.5\n", "--LR=0.25")
    assert (config.batch_size, config.LR, config.num_epochs) == (3, 0.25, 60)
    assert config.given == {"batch_size", "LR"}


def test_config_ini_is_read_if_it_exists():
    Path("config.ini").write_text("batch_size = 7\n", encoding="utf-8")
    assert read_config(Config, "", []).batch_size == 7
    assert read("batch_size = 5").batch_size == 5


def test_sections_comments_blanks_bom_and_crlf_are_accepted():
    text = "\ufeff[a]\n\n# comment\n; comment\n  batch_size=4   # why\r\nexperiment_name = a#b\r\n"
    config = read(text + 'database_path = "a # b"  # comment\nsplit_file = # none')
    assert (config.batch_size, config.experiment_name) == (4, "a#b")
    assert (config.database_path, config.split_file) == ("a # b", "")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("batch_size = 4\nbatchsize = 4", 2, ["batchsize", "batch_size"]),
        ("lr = 4", 1, ["lr", "LR"]),
        ("batch_size = 0", 1, ["batch_size", "'0'"]),
        ("batch_size = 2.5", 1, ["batch_size", "'2.5'"]),
        ("LR = nan", 1, ["LR", "number"]),
        ("LR = inf", 1, ["LR", "number"]),
        ("LR = 0", 1, ["LR", "'0'"]),
        ("\n\nnetwork = LSTM", 3, ["network", "3D-LSTM-3"]),
        ("compile = maybe", 1, ["compile", "true"]),
        ("batch_size", 1, ["key = value"]),
        ("batch_size =", 1, ["batch_size"]),
        ("seed = 1\nseed = 2", 2, ["seed", "line 1"]),
        ("experiment_name = ../x", 1, ["experiment_name"]),
        ("experiment_name = ..", 1, ["experiment_name"]),
        ("experiment_name = a\x1bb", 1, ["experiment_name"]),
        ("resume_epoch = -1", 1, ["resume_epoch"]),
        ("device = tpu", 1, ["device"]),
        ("val_portion = 0.1", 1, ["val_portion", "val_fraction"]),
        ("image_size = 127", 1, ["image_size", "variant"]),
        ("part = val", 1, ["part", "--split"]),
    ],
)
def test_bad_line_names_file_line_and_key(text, line, words):
    with pytest.raises(InputError) as error:
        read(text)
    for word in ("my.ini", f"line {line}", *words):
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--batchsize=3", ["--batchsize", "--batch_size"]),
        ("--cgf=my.ini", ["--cgf", "--cfg"]),
        ("--no-compil", ["--no-compile"]),
        ("--schedule=cosine", ["--schedule", "lr_schedule"]),
        ("--no-varied", ["--no-varied", "augmentation"]),
        ("--weights=a.pth", ["--weights", "init_weights"]),
        ("--LR", ["--LR"]),
        ("--compile=true", ["--compile/--no-compile: takes no value, got 'true'"]),
        ("--LR=x", ["--LR", "'x'"]),
        ("my.ini", ["my.ini", "--cfg=my.ini"]),
        ("batch_size=8", ["batch_size=8", "--key=value"]),
        ("--min_views=6", ["min_views", "max_views"]),
    ],
)
def test_bad_flag_names_it_and_the_one_meant(flag, words):
    with pytest.raises(InputError) as error:
        read_config(Config, "", [flag])
    assert all(word in str(error.value) for word in words)
    assert "\n" not in str(error.value)


def test_demo_refuses_flags_that_it_ignores_and_takes_any_ini_file():
    assert read("network = 3D-GRU-3\nseed = 1", config_class=DemoConfig).network == "3D-GRU-3"
    for flag in ("--network=3D-GRU-3", "--database_path=a", "--no-compile"):
        with pytest.raises(InputError, match=f"{flag.partition('=')[0]}: .* without effect in"):
            read("", flag, config_class=DemoConfig)
    assert read("", "--network=3D-GRU-3", config_class=EvalConfig).network == "3D-GRU-3"
    for config_class, flag, words in (
        (Config, "--no-LR", "did you mean --LR"),
        (EvalConfig, "--no-LR", "no such option"),
        (DemoConfig, "--images=a.png", "without a flag: demo.py a.png"),
    ):
        with pytest.raises(InputError, match=f"{flag.partition('=')[0]}: .*{words}"):
            read("", flag, config_class=config_class)


def test_paths_may_start_at_the_home_folder():
    config = read("database_path = ~/ShapeNet", "--saved_models_path=~/models")
    assert config.database_path == str(Path.home() / "ShapeNet")
    assert config.saved_models_path == str(Path.home() / "models")


def test_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"absent\.ini"):
        read_config(Config, "", ["--cfg=absent.ini"])


@pytest.mark.parametrize(
    "name", ["a #b", "; a", "a\xa0", "möbel", "not\udcffutf-8", "a = b", "[a]", r"C:\new\x"]
)
def test_written_options_are_read_back_equal(name):
    flags = ["--LR=3e-05", "--resume_epoch=last", "--compile", f"--database_path={name}"]
    config = read_config(Config, "", flags)
    write_ini("again.ini", config)
    assert read_config(Config, "", ["--cfg=again.ini"]) == config


@pytest.mark.parametrize("name", ["a\nLR = 1", "a\rb", 'a"b', "a\0b"])
def test_names_that_an_ini_file_cannot_hold_are_refused(name):
    with pytest.raises(InputError, match="experiment_name"):
        read_config(Config, "", [f"--experiment_name={name}"])


def test_booleans_are_switches_on_the_command_line_and_words_in_the_file():
    assert read("", "--compile").compile is True
    assert read("compile = yes", "--no-compile").compile is False
    assert read("compile = True").compile is True


def test_scripts_have_flags_of_their_own():
    demo = read("", "a.png", "--smooth", "b.png", "--no-crop", config_class=DemoConfig)
    assert (list(demo.images), demo.smooth, demo.crop) == (["a.png", "b.png"], True, False)
    evaluation = read("", "--split=val", "--thresholds=0.3", "--html", config_class=EvalConfig)
    assert (evaluation.split, evaluation.thresholds, evaluation.html) == ("val", (0.3,), True)
    with pytest.raises(InputError, match=r"photo\.ini"):
        read("", "photo.ini", config_class=DemoConfig)


@pytest.mark.parametrize("config_class", [Config, EvalConfig, DemoConfig])
def test_help_lists_groups_choices_and_kinds_of_values(capsys, config_class):
    with pytest.raises(SystemExit):
        read_config(config_class, "what it does", ["--help"])
    text = capsys.readouterr().out
    assert "what it does" in text and "{fp32,tf32,bf16,fp16}" in text and "--cfg FILE" in text
    assert ("training:" in text and "--LR" in text) == (config_class is Config)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.3,0.2", (0.2, 0.3)),
        ("0.5, 0.1:0.5:0.2", (0.1, 0.3, 0.5)),
        *[(bad, None) for bad in ("0", "1.1", "a", "0.1:0.5", "0.5:0.1:0.1", "0.1:0.9:1e-320")],
    ],
)
def test_thresholds_are_sorted_numbers_and_ranges(text, expected):
    if expected:
        assert read_config(EvalConfig, "", [f"--thresholds={text}"]).thresholds == expected
    else:
        with pytest.raises(InputError, match="thresholds"):
            read_config(EvalConfig, "", [f"--thresholds={text}"])
