import re
from pathlib import Path

import pytest

from data.layout import RESOLUTIONS
from models import network
from utils import config as options
from utils.config import Config, read_config, read_ini, write_ini
from utils.errors import InputError, Parser

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


def read(text: str, *flags: str, encoding="utf-8") -> Config:
    Path("my.ini").write_bytes(text.encode(encoding))
    return read_config(Parser(), arguments=["--cfg=my.ini", *flags])[0]


def test_example_lists_all_options_with_their_defaults_and_sets_none():
    text = EXAMPLE.read_text("utf-8")
    assert text == options.example() + "\n"
    assert read_ini(EXAMPLE) == {}
    lines = re.findall(r"^#(\w+ =.+)", text, re.MULTILINE)
    assert len(lines) > 20 and read("\n".join(lines)) == Config()


def test_names_are_those_that_the_networks_take():
    assert tuple(network.NETWORKS) == options.NETWORKS
    assert tuple(network.VARIANTS) == options.VARIANTS
    assert options.RESOLUTIONS == RESOLUTIONS


def test_ini_of_the_pytorch_port_works_unchanged():
    expected = {"database_path": "./ShapeNet", "saved_models_path": "./saved_models"}
    assert read(PORT_INI) == Config(experiment_name="first", num_workers=4, **expected)


def test_flags_win_over_the_file_and_the_file_over_defaults():
    Path("my.ini").write_text("batch_size = 3\nLR = 0.5\n", encoding="utf-8")
    config, given = read_config(Parser(), arguments=["--cfg=my.ini", "--LR=0.25"])
    assert (config.batch_size, config.LR, config.num_epochs) == (3, 0.25, 60)
    assert given == {"batch_size", "LR"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_sections_comments_blanks_quotes_and_encodings_of_windows_are_accepted(encoding):
    text = "[ä]\n\n# comment\n; comment\n  batch_size=4   # why\r\nexperiment_name = a#ä\r\n"
    text += 'database_path = "C:\\a # b"  # comment\nsplit_file = # none\ncompile = True'
    config = read(text, encoding=encoding)
    assert (config.batch_size, config.experiment_name, config.compile) == (4, "a#ä", True)
    assert (config.database_path, config.split_file) == (r"C:\a # b", "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("batch_size = 4\nbatchsize = 4", ["line 2: batchsize", "batch_size"]),
        ("lr = 4", ["line 1: lr", "LR"]),
        ("batch_size = 0", ["line 1: batch_size: expected an integer of at least 1, got '0'"]),
        ("batch_size = 2.5", ["line 1: batch_size", "'2.5'"]),
        ("LR = nan", ["line 1: LR: expected a number", "'nan'"]),
        ("LR = inf", ["line 1: LR: expected a number", "'inf'"]),
        ("threshold = 1.5", ["line 1: threshold", "at most 1"]),
        ("\n\nnetwork = LSTM", ["line 3: network", "3D-LSTM-3"]),
        ("compile = maybe", ["line 1: compile", "true"]),
        ("batch_size", ["line 1", "key = value"]),
        ("batch_size =", ["line 1: batch_size"]),
        ("=1", ["line 1"]),
        ("batch size = 4", ["line 1", "batch_size"]),
        ("seed = 1\nseed = 2", ["line 2: seed"]),
        ("resume_epoch = -1", ["line 1: resume_epoch"]),
        ("b\0a\0", ["UTF-8"]),  # UTF-16 without its mark
    ],
)
def test_bad_line_names_file_line_and_key(text, words):
    with pytest.raises(InputError) as error:
        read(text)
    assert all(word in str(error.value) for word in ("my.ini", *words))


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--batchsize=3", ["--batchsize", "--batch_size"]),
        ("--cgf=my.ini", ["--cgf: no such option", "did you mean --cfg?"]),
        ("--LR", ["--LR"]),
        ("--compile=true", ["--compile", "takes no value, got 'true'"]),
        ("my.ini", ["my.ini", "--cfg=my.ini"]),
        ("batch_size=8", ["batch_size", "--batch_size"]),
    ],
)
def test_bad_flag_names_it_and_the_one_meant(flag, words):
    with pytest.raises(InputError) as error:
        read_config(Parser(), arguments=[flag])
    assert all(word in str(error.value) for word in words)


def test_config_ini_is_read_if_it_exists_and_flags_turn_its_switches_on_and_off():
    Path("config.ini").write_text("compile = true\nbatch_size = 7\n", encoding="utf-8")
    config, _ = read_config(Parser(), arguments=["--no-compile", "--grad_checkpointing"])
    assert config.batch_size == 7 and config.grad_checkpointing and not config.compile


def test_script_refuses_flags_that_it_ignores_but_takes_any_ini_file():
    Path("my.ini").write_text("network = 3D-GRU-3\nseed = 1\n", encoding="utf-8")
    config, _ = read_config(Parser(), ("experiment",), ["--cfg=my.ini", "--device=cpu"])
    assert (config.network, config.device) == ("3D-GRU-3", "cpu")
    for flag in ("--network=3D-GRU-3", "--database_path=a", "--no-compile"):
        with pytest.raises(InputError, match=flag.partition("=")[0]):
            read_config(Parser(), ("experiment",), [flag])


def test_paths_may_start_at_the_home_folder():
    config = read("database_path = ~/ShapeNet", "--saved_models_path=~/models")
    assert config.database_path == str(Path.home() / "ShapeNet")
    assert config.saved_models_path == str(Path.home() / "models")


@pytest.mark.parametrize(
    "name", ["a #b", "; a", "a\xa0", "möbel", "not\udcffutf-8", "a = b", "[a]", r"C:\new\x"]
)
def test_written_options_are_read_back_equal(name):
    flags = ["--LR=3e-05", "--resume_epoch=last", "--compile", f"--database_path={name}"]
    config, _ = read_config(Parser(), arguments=flags)
    write_ini("again.ini", config)
    assert read_config(Parser(), arguments=["--cfg=again.ini"])[0] == config


def test_help_lists_the_options_of_a_script_alone(capsys):
    with pytest.raises(SystemExit):
        read_config(Parser(description="what it does"), ("experiment",), arguments=["--help"])
    text = capsys.readouterr().out
    assert "what it does" in text and "{auto,fp32,tf32,bf16,fp16}" in text and "--cfg FILE" in text
    assert "--LR" not in text
