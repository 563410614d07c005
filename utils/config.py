"""Options of train.py, test.py and demo.py: defaults, then an INI file, then flags.

`python -m utils.config > config.ini.example` writes the file that lists them.
"""

import argparse
import codecs
import re
import textwrap
from os.path import expanduser
from pathlib import Path

from utils.errors import InputError, Parser, number, run
from utils.files import atomic_write, read_bytes
from utils.parallel import num_cores

NETWORKS = ("3D-LSTM-1", "3D-GRU-1", "3D-LSTM-3", "3D-GRU-3", "Res3D-GRU-3")
VARIANTS = ("pytorch", "theano")
RESOLUTIONS = (32, 64)
PRECISIONS = ("auto", "fp32", "tf32", "bf16", "fp16")
SCHEDULES = ("step", "cosine", "constant")
EXAMPLE_TITLE = """\
# Copy this file to config.ini, which is read if it exists, or to another file, as for
# python train.py --cfg=my.ini, and uncomment the lines that you change. Each key is a flag as well,
# which wins: --batch_size=8."""


def epoch(text: str) -> int | str:
    if text == "last" or text.isdecimal():
        return text if text == "last" else int(text)
    raise argparse.ArgumentTypeError(f"expected an epoch or 'last', got {text[:60]!r}")


# The default of each option, its argparse type or its choices, and its help. A default of None
# depends on the script, the machine or the weights.
OPTIONS = {
    "data": {
        "database_path": ("synthetic", expanduser, "dataset; synthetic: furniture, made if absent"),
        "split_file": ("", expanduser, "JSON of a split; default: the dataset's, else 80/20"),
        "val_fraction": (0.05, number(0.0, 0.9), "part of the training split to validate on"),
        "categories": ("", str, "names or folders, as chair,table; default: all"),
        "num_workers": (None, number(0), "processes that load data; default: one per core"),
        "batch_size": (24, number(1), "samples per batch and process"),
        "max_views": (5, number(1), "maximum views; an evaluation uses 1, 2, ... of them"),
    },
    "experiment": {
        "saved_models_path": ("saved_models", expanduser, "folder of all experiments"),
        "experiment_name": ("3d-r2n2", str, "subfolder: checkpoints, logs and results"),
        "resume_epoch": (
            0,
            epoch,
            "checkpoint to resume from or to use, an epoch or 'last'; 0: train.py starts from "
            "scratch, test.py takes the newest one, demo.py too if experiment_name is given, else "
            "the bundled weights",
        ),
        "device": ("auto", str, "auto (a GPU if there is one), cpu, cuda or cuda:N"),
        "precision": (
            None,
            PRECISIONS,
            "auto: bf16 if this machine is faster in it, else fp32; default: auto for train.py, "
            "fp32 for test.py and demo.py",
        ),
    },
    "network": {
        "network": ("3D-LSTM-3", NETWORKS, "network in table 1 of the paper"),
        "variant": ("pytorch", VARIANTS, "theano: image size, padding and unpooling of that code"),
        "width": (1.0, number(0.0), "factor on channel counts; 0.25 suits a laptop"),
        "resolution": (32, RESOLUTIONS, "voxels per side of the dataset and the result"),
        "init_weights": ("", expanduser, "weights to fine-tune, with their network"),
    },
    "training": {
        "seed": (0, number(0, 2**32 - 1), "seed of weights, order, views and crops"),
        "min_views": (1, number(1), "minimum views; their number is drawn per batch"),
        "augmentation": ("paper", ("paper", "strong"), "strong: vary scale, light, colors"),
        "LR": (0.0001, number(0.0), "peak learning rate of Adam"),
        "lr_schedule": (
            "step",
            SCHEDULES,
            "step: halved after epochs 3, 10, 20, 50 and 100; cosine: to zero at num_epochs; "
            "constant: until a linear decay to zero over the last decay_epochs epochs",
        ),
        "decay_epochs": (10, number(0), "length of the decay of lr_schedule = constant"),
        "warmup_steps": (0, number(0), "steps of a linear rise at the start"),
        "weight_decay": (0.00005, number(0.0), "L2 penalty on weights, not on biases"),
        "num_epochs": (60, number(1), "train up to this epoch"),
        "iou_weight": (0.0, number(0.0), "add iou_weight * (1 - soft IoU) to the loss"),
        "grad_checkpointing": (False, bool, "less memory, slower steps"),
        "compile": (
            False,
            bool,
            "use torch.compile, which needs a C++ compiler; a CPU does not get faster by it",
        ),
    },
    "evaluation": {
        "threshold": (
            None,
            number(0.001, 1.0),
            "probability from which a voxel is occupied; default: the one stored in the weights, "
            "else 0.4. train.py shows the IoU at it and stores it, 0.4 even with init_weights",
        ),
    },
}
DEFAULTS = {name: option[0] for options in OPTIONS.values() for name, option in options.items()}


class Config(argparse.Namespace):
    """The options of a script; those that are not given have their defaults."""

    def __init__(self, **given):
        super().__init__(**DEFAULTS | {"num_workers": num_cores()} | given)


def add_options(parser: Parser, groups=tuple(OPTIONS)) -> None:
    """Add the flags of some groups, without defaults."""
    metavars = {expanduser: "PATH", str: "NAME"}
    for group in groups:
        add = parser.add_argument_group(group).add_argument
        for name, (default, kind, help) in OPTIONS[group].items():
            if default not in (None, ""):
                help += f" (default: {default})"
            settings = {"type": kind, "metavar": metavars.get(kind, "N")}
            if isinstance(kind, tuple):
                settings = {"type": type(kind[0]), "choices": kind}
            elif kind is bool:
                settings = {"action": argparse.BooleanOptionalAction}
            add(f"--{name}", default=argparse.SUPPRESS, help=help, **settings)


def read_config(
    parser: Parser, groups=tuple(OPTIONS), arguments: list[str] | None = None
) -> tuple[Config, set[str]]:
    """Read the options of a script from an INI file and from the command line, or `arguments`.

    `parser` has the flags of the script alone. `groups` are those of OPTIONS that it uses: others
    are allowed in a file, but not as flags. Also returns the names of the options that were given.
    """
    parser.usage = parser.usage or "%(prog)s [options]"
    parser.add_argument(
        "--cfg", metavar="FILE", type=expanduser, help="INI file (default: config.ini if it exists)"
    )
    add_options(parser, groups)
    flags = vars(parser.parse_args(arguments))
    path = flags.pop("cfg")
    if not path and Path("config.ini").exists():
        path = "config.ini"
        print(f"using {path}")
    given = (read_ini(path) if path else {}) | flags
    return Config(**given), given.keys() & DEFAULTS.keys()


def read_ini(path: str | Path) -> dict:
    """Read the options in a file of `key = value` lines.

    [Sections] are ignored, and comments: from # or ; at a line's start or after a space. A value in
    double quotes may contain both.
    """
    parser, given = Parser(add_help=False), {}
    add_options(parser)
    content = read_bytes(path)
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # as PowerShell's > writes
        text = content.decode("utf-16", "replace")
    elif b"\0" in content:
        raise InputError(f"{path}: expected a text file in UTF-8")
    else:
        text = content.decode("utf-8-sig", "surrogateescape")
    for i, line in enumerate(text.split("\n"), start=1):
        line = line.strip()
        if not line or line[0] in "#;[":
            continue
        name, equals, value = map(str.strip, line.partition("="))
        try:
            if not equals:
                raise InputError(f"expected 'key = value', got {line[:60]!r}")
            if name in given:
                raise InputError(f"{name}: already set above")
            given |= vars(parser.parse_args([to_flag(name, value)]))
        except InputError as error:
            raise InputError(f"{path}, line {i}: {str(error).removeprefix('--')}") from None
    return given


def to_flag(name: str, value: str) -> str:
    """Turn the key and the value of a line of an INI file into a flag."""
    quoted = re.fullmatch(r'"([^"]*)"(\s*[#;].*)?', value)
    value = quoted[1] if quoted else re.split(r"(?:^|\s+)[#;]", value)[0]
    if not isinstance(DEFAULTS.get(name), bool):
        return f"--{name}={value}"
    if value.lower() not in ("true", "false"):
        raise InputError(f"{name}: expected true or false, got {value[:60]!r}")
    return f"--{name}" if value.lower() == "true" else f"--no-{name}"


def to_line(name: str, value) -> str:
    """Turn an option into a line of an INI file."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if text != text.strip() or re.search(r"(^|\s)[#;]", text):
        text = f'"{text}"'
    return f"{name} = {text}".strip()


def write_ini(path: str | Path, config: Config) -> None:
    """Write the options of a run as an INI file."""
    values = {name: getattr(config, name) for name in DEFAULTS}
    lines = [to_line(name, value) + "\n" for name, value in values.items() if value is not None]
    with atomic_write(path) as temporary:
        temporary.write_bytes("".join(lines).encode("utf-8", "surrogateescape"))


def example() -> str:
    """Return an INI file of all options with their defaults, commented out, below their help."""
    lines = [EXAMPLE_TITLE]
    for group, options in OPTIONS.items():
        lines += ["", f"[{group}]"]
        for name, (default, kind, help) in options.items():
            choices = f" ({', '.join(map(str, kind))})" if isinstance(kind, tuple) else ""
            lines += [f"# {line}" for line in textwrap.wrap(help + choices, 98)]
            lines.append("#" + to_line(name, "" if default is None else default))
    return "\n".join(lines)


if __name__ == "__main__":
    run(lambda: print(example()))
