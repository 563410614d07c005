"""The keys of the INI file, which are the flags of the command line as well.

Defaults, then the file's lines, then the flags: the last one wins. All are described in
`config.ini.example`.
"""

import argparse
import difflib
import math
import os
import re
import sys
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from models import NETWORKS
from models.layers import UNPOOLINGS
from utils.errors import InputError, Parser
from utils.export import FORMS
from utils.files import atomic_write, read_text
from utils.precision import NAMES as PRECISIONS

LARGEST_INI = 2**20  # bytes


class Key(NamedTuple):
    """A key, how its text is read (ValueError says what was expected), and who has it as a flag."""

    name: str
    default: object
    read: Callable[[str], object]
    help: str
    scripts: tuple[str, ...] = ("train", "test", "demo")

    def value(self, text: str):
        """What `text` says. ValueError tells what was expected and found."""
        try:
            return self.read(text)
        except ValueError as expected:
            raise ValueError(f"expected {expected}, found {text[:60]!r}") from None


def whole(least: int, most: float = math.inf) -> Callable[[str], int]:
    def read(text: str) -> int:
        if re.fullmatch(r"[+-]?\d{1,18}", text) and least <= int(text) <= most:
            return int(text)
        limits = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
        raise ValueError(f"a whole number {limits}")

    return read


def number(least: float, most: float = math.inf, *, above: bool = False) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if least <= value <= most and math.isfinite(value) and not (above and value == least):
            return value
        lower = f"above {least:g}" if above else f"of at least {least:g}"
        raise ValueError(
            f"a number {lower}" + (f" and at most {most:g}" if most < math.inf else "")
        )

    return read


def choice(*names: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text in names:
            return text
        raise ValueError("one of " + ", ".join(names))

    return read


def folder_path(text: str) -> str:
    if text and "\0" not in text:
        return os.path.expanduser(text)
    raise ValueError("a folder's path")


def path_value(text: str) -> str:
    """A path, or nothing."""
    if "\0" not in text:
        return os.path.expanduser(text)
    raise ValueError("a path")


def folder_name(text: str) -> str:
    if text and text not in (".", "..") and not set(text) & set("/\\\0"):
        return text
    raise ValueError("a name without slashes")


def epoch(text: str) -> int | str:
    if text == "last":
        return text
    try:
        return whole(0)(text)
    except ValueError:
        raise ValueError("a whole number of at least 0, or 'last'") from None


def thresholds(text: str) -> tuple[float, ...]:
    """Numbers and ranges `first:last:step`, with commas between: sorted, without repetition."""
    limited, values = number(0, 1, above=True), set()
    try:
        for part in filter(None, text.split(",")):
            if ":" not in part:
                values.add(limited(part))
                continue
            first, last, step = map(limited, part.split(":"))
            steps = math.floor((last - first) / step + 1e-6) + 1
            if not 1 <= steps <= 1000:
                raise ValueError
            values |= {round(first + step * count, 6) for count in range(steps)}
    except ValueError:
        raise ValueError("numbers above 0 and at most 1, as 0.2,0.3 or 0.1:0.9:0.05") from None
    return tuple(sorted(values))


def start(text: str) -> str:
    if text and "\0" not in text:
        return os.path.expanduser(text)
    raise ValueError(f"{' or '.join(NEW_WEIGHTS)}, or a file of weights")


def device(text: str) -> str:
    if re.fullmatch(r"auto|cpu|cuda(:\d+)?", text):
        return text
    raise ValueError("auto, cpu, cuda or cuda:N")


OPTIONS = ("image_size", "pool_padding", "unpooling", "leaky_slope", "width")  # of a network
YES_OR_NO = ("yes", "no")
NEW_WEIGHTS = ("paper", "fitted")
KEYS = (
    Key("database_path", "synthetic", folder_path, "dataset folder, or 'synthetic'"),
    Key("split_file", "", path_value, "split in Pix2Vox's JSON form, in place of 80/20"),
    Key("val_fraction", 0.05, number(0, 0.9), "validation's share of the training part"),
    Key("saved_models_path", "saved_models", folder_path, "folder of all experiments"),
    Key("experiment_name", "3d-r2n2", folder_name, "folder of this experiment"),
    Key("network", "3D-LSTM-3", choice(*NETWORKS), "network, by its name in the paper"),
    Key("image_size", 128, whole(64, 137), "pixels of the square the network sees"),
    Key("pool_padding", 0, whole(0, 1), "padding of the encoder's poolings"),
    Key("unpooling", "nearest", choice(*UNPOOLINGS), "unpooling of the decoder"),
    Key("leaky_slope", 0.01, number(0, 1), "slope of LeakyReLU below zero"),
    Key("width", 1.0, number(0, 4, above=True), "factor on every number of channels"),
    Key("batch_size", 24, whole(1), "objects in a batch"),
    Key("min_views", 1, whole(1), "fewest views of a training batch"),
    Key("max_views", 5, whole(1), "most views of a training batch; views of an evaluation"),
    Key("start", "paper", start, "paper or fitted: new weights; else a file of weights"),
    Key("varied", "no", choice(*YES_OR_NO), "yes: training pictures vary as photographs do"),
    Key("LR", 0.0001, number(0, above=True), "learning rate at its highest"),
    Key("schedule", "halving", choice("halving", "cosine"), "how the learning rate falls"),
    Key("warmup", 0, whole(0), "steps over which the learning rate rises"),
    Key("coarse_epochs", 0, whole(0), "first epochs, in which the decoder ends at 16 cells a side"),
    Key("weight_decay", 0.00005, number(0), "L2 penalty on weights, not on biases"),
    Key("num_epochs", 60, whole(1), "number of the last epoch"),
    Key("resume_epoch", 0, epoch, "epoch to go on from or to use; 'last'; 0: none"),
    Key("seed", 0, whole(0, 2**32 - 1), "seed of weights, order, views and crops"),
    Key("device", "auto", device, "auto, cpu, cuda or cuda:N"),
    Key("precision", "fp32", choice(*PRECISIONS), "fp32, tf32, bf16 or fp16"),
    Key("compile", "no", choice(*YES_OR_NO), "yes: compile the network with torch.compile"),
    Key("recompute", "no", choice(*YES_OR_NO), "yes: less memory for a longer step"),
    Key("num_workers", os.cpu_count() or 1, whole(0, 1024), "processes that load data"),
    Key("threshold", 0.4, number(0, 1, above=True), "probability from which a voxel is occupied"),
    Key("part", "test", choice("test", "val", "train", "all"), "objects to measure", ("test",)),
    Key("thresholds", (), thresholds, "thresholds to choose among on validation", ("test",)),
    Key("report", "no", choice(*YES_OR_NO), "yes: write report.html as well", ("test",)),
    Key("weights", "", path_value, "file of weights to test or show", ("test", "demo")),
    Key("crop", "yes", choice(*YES_OR_NO), "no: take pictures as they are, whole", ("demo",)),
    Key("output", "prediction.obj", path_value, "file to write: " + " ".join(FORMS), ("demo",)),
    Key("smooth", "no", choice(*YES_OR_NO), "yes: a smooth surface, not cubes", ("demo",)),
    Key("html", "no", choice(*YES_OR_NO), "yes: write a page to look at as well", ("demo",)),
)
BY_NAME = {key.name: key for key in KEYS}
# --smooth is short for --smooth=yes, and --no-crop for --crop=no.
SHORT = {f"--{key.name}": f"--{key.name}=yes" for key in KEYS if key.default in YES_OR_NO}
SHORT |= {f"--no-{key.name}": f"--{key.name}=no" for key in KEYS if key.default in YES_OR_NO}


def read_config(script: str, description: str, arguments: list[str] | None = None):
    """The resolved configuration of "train", "test" or "demo": a namespace with every key.

    `arguments` are those of the command line by default. "demo" takes picture files as well, as
    `images`. Raises InputError for what is wrong, with file and line where there are any.
    """
    parser = Parser(prog=f"python {script}.py", description=description)
    parser.add_argument("--cfg", metavar="FILE", help="INI file (default: config.ini if there)")
    for key in KEYS:
        if script in key.scripts:
            default = f" (default: {key.default})" if key.default not in ("", ()) else ""
            parser.add_argument(
                f"--{key.name}",
                metavar="VALUE",
                type=_flag(key),
                default=argparse.SUPPRESS,
                help=key.help + default,
            )
    if script == "demo":
        parser.add_argument("images", metavar="IMAGE", nargs="*", help="pictures of one object")
    typed = sys.argv[1:] if arguments is None else arguments
    full = [
        one if following in YES_OR_NO else SHORT.get(one, one)
        for one, following in zip_longest(typed, typed[1:])
    ]
    flags, unknown = parser.parse_known_intermixed_args(full)
    if unknown:
        name = unknown[0].split("=")[0].strip("-")
        if not unknown[0].startswith("-"):
            raise InputError(f"{unknown[0]}: expected --key=value (an INI file: --cfg=FILE)")
        if name in BY_NAME:
            owners = " and ".join(f"{owner}.py" for owner in BY_NAME[name].scripts)
            raise InputError(f"{unknown[0]}: expected a flag of {script}.py, found one of {owners}")
        raise InputError(f"{unknown[0]}: no such flag{_nearest(name)}")

    cfg = flags.cfg or ("config.ini" if Path("config.ini").exists() else None)
    values = {key.name: key.default for key in KEYS}
    values |= read_ini(cfg) if cfg else {}
    values |= {name: value for name, value in vars(flags).items() if name != "cfg"}
    if values["min_views"] > values["max_views"]:
        raise InputError(
            f"min_views: expected at most max_views = {values['max_views']}, "
            f"found {values['min_views']}"
        )
    return argparse.Namespace(**values)


def network_options(config) -> dict:
    """The options of `models.build_network` among a configuration's values."""
    return {name: getattr(config, name) for name in OPTIONS}


def check_options(options: dict) -> dict:
    """The options of a network, from a file. Raises ValueError for what no configuration may be."""
    if options.keys() != set(OPTIONS):
        raise ValueError(f"expected the options {', '.join(OPTIONS)}, found {', '.join(options)}")
    return {name: BY_NAME[name].value(str(options[name])) for name in OPTIONS}


def read_ini(path: str | Path) -> dict:
    """The values of a file of `key = value` lines, comments after # or ;, [sections] ignored."""
    lines = read_text(path, LARGEST_INI).splitlines()
    values, places = {}, {}
    for count, line in enumerate(lines, start=1):
        line = re.split(r"(?:^|\s)[#;]", line, maxsplit=1)[0].strip()
        if not line or re.fullmatch(r"\[.*\]", line):
            continue
        name, equals, text = (part.strip() for part in line.partition("="))
        where = f"{path}, line {count}"
        if not equals:
            raise InputError(f"{where}: expected 'key = value', found {line[:60]!r}")
        if name not in BY_NAME:
            raise InputError(f"{where}: no such key: {name[:60]!r}{_nearest(name)}")
        if name in places:
            raise InputError(f"{where}: {name} is set in line {places[name]} already")
        try:
            values[name], places[name] = BY_NAME[name].value(text), count
        except ValueError as error:
            raise InputError(f"{where}: {name}: {error}") from None
    return values


def write_ini(path: str | Path, config) -> None:
    """Write the resolved values of a configuration as an INI file."""
    lines = [f"{key.name} = {_text(getattr(config, key.name))}\n" for key in KEYS]
    with atomic_write(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8", errors="surrogateescape")


def _text(value) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _flag(key: Key):
    def read(text: str):
        try:
            return key.value(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def _nearest(name: str) -> str:
    nearest = {known.lower(): known for known in BY_NAME}
    found = difflib.get_close_matches(name.lower(), nearest, n=1, cutoff=0.5)
    return f"; the nearest is {nearest[found[0]]}" if found else ""
