"""Options of train.py, test.py and demo.py, the same on the command line and in an INI file.

Defaults, then the lines of the file, then the flags: the last one wins. `config.ini.example`
documents every key.
"""

import argparse
import re
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path

from models import NETWORKS, VARIANTS
from models.decoder import RESOLUTIONS
from utils.errors import InputError, Parser
from utils.files import atomic_write, read_bytes
from utils.options import (
    BOOL,
    CATEGORY_LIST,
    DEVICE,
    DIR,
    EPOCH,
    FILE,
    IMAGES,
    MASKS,
    NAME,
    PROBABILITY,
    THRESHOLDS,
    Kind,
    choice,
    integer,
    number,
    unknown_option,
)
from utils.parallel import num_cores

MAX_INI_BYTES = 2**20


def option(group: str, default, kind: Kind, help: str):
    return field(default=default, metadata={"group": group, "kind": kind, "help": help})


_data, _experiment, _network, _training, _evaluation, _testing, _demo = (
    partial(option, group)
    for group in ("data", "experiment", "network", "training", "evaluation", "testing", "demo")
)


@dataclass
class Config:
    """Options of train.py: the keys of an INI file, each of which is a flag as well."""

    groups = ("data", "experiment", "network", "training", "evaluation")  # in --help
    hidden_groups = ()

    database_path: str = _data("synthetic", DIR, "dataset folder, or 'synthetic'")
    split_file: str = _data("", FILE, "JSON split, in place of 80/20")
    val_fraction: float = _data(0.05, number(0, 0.9), "fraction of training kept for validation")
    categories: str = _data("", CATEGORY_LIST, "categories to use; default: all")
    num_workers: int = _data(num_cores(), integer(0, 1024), "processes that load data")
    batch_size: int = _data(24, integer(1), "samples per batch and process")
    min_views: int = _data(1, integer(1), "minimum views per training batch")
    max_views: int = _data(5, integer(1), "maximum views; views of an evaluation")

    saved_models_path: str = _experiment("saved_models", DIR, "folder of all experiments")
    experiment_name: str = _experiment("3d-r2n2", NAME, "folder of this experiment")
    resume_epoch: int | str = _experiment(0, EPOCH, "checkpoint to resume or load; 0: none")
    device: str = _experiment("auto", DEVICE, "auto, cpu, cuda or cuda:N")
    precision: str = _experiment("fp32", choice("fp32", "tf32", "bf16", "fp16"), "number format")

    network: str = _network("3D-LSTM-3", choice(*NETWORKS), "network, as named in the paper")
    variant: str = _network("pytorch", choice(*VARIANTS), "implementation whose layout to use")
    width: float = _network(1.0, number(0, 4, positive=True), "factor on all channel counts")
    resolution: int = _network(32, choice(*RESOLUTIONS), "voxels per side")
    init: str = _network("paper", choice("paper", "data"), "initialization of the weights")
    init_weights: str = _network("", FILE, "fine-tune from the weights in FILE")

    seed: int = _training(0, integer(0, 2**32 - 1), "seed of everything random")
    augmentation: str = _training("paper", choice("paper", "strong"), "changes to training images")
    LR: float = _training(0.0001, number(0, positive=True), "peak learning rate")
    lr_schedule: str = _training("step", choice("step", "cosine", "constant"), "schedule of the LR")
    decay_epochs: int = _training(10, integer(0), "length of the final decay of 'constant'")
    warmup_steps: int = _training(0, integer(0), "steps of linear warmup")
    weight_decay: float = _training(0.00005, number(0), "L2 penalty on weights, not on biases")
    num_epochs: int = _training(60, integer(1), "train up to this epoch")
    iou_weight: float = _training(0.0, number(0), "weight of a soft IoU in the loss")
    grad_checkpointing: bool = _training(False, BOOL, "less memory, slower steps")
    compile: bool = _training(False, BOOL, "compile the network with torch.compile")

    threshold: float = _evaluation(0.4, PROBABILITY, "probability from which a voxel is occupied")
    given: frozenset = field(default=frozenset(), compare=False, repr=False)  # set by file or flag

    def __post_init__(self):
        if self.min_views > self.max_views:
            raise InputError(
                f"min_views: expected at most max_views = {self.max_views}, got {self.min_views}"
            )

    def to_dict(self) -> dict:
        return {name: getattr(self, name) for name in kinds(type(self))}


@dataclass
class EvalConfig(Config):
    """Options of test.py. Those that `Config` lacks are flags only."""

    groups = ("testing", "data", "experiment", "evaluation")
    hidden_groups = ("network", "training")  # taken too: the flags of train.py fit test.py

    split: str = _testing("test", choice("test", "val", "train", "all"), "samples to evaluate")
    weights: str = _testing("", FILE, "weights to evaluate, in place of --resume_epoch")
    thresholds: tuple = _testing((), THRESHOLDS, "choose a threshold on validation")
    permutations: int = _testing(0, integer(0, 1000), "random orders of the views to compare")
    surface: bool = _testing(False, BOOL, "F-scores and Chamfer distance of the surface too")
    html: bool = _testing(False, BOOL, "write report.html as well")


@dataclass
class DemoConfig(Config):
    """Options of demo.py. Those that `Config` lacks are flags only."""

    groups = ("demo", "experiment", "evaluation")

    images: tuple = _demo((), IMAGES, "images of one object, or folders of them")
    mask: tuple = _demo((), MASKS, "white where the object is; once per image, in their order")
    weights: str = _demo("", FILE, "weights to use, in place of --resume_epoch")
    output: str = _demo(
        "prediction.obj", FILE, "result: .obj .ply .glb .stl .binvox .npy; y up, front +x"
    )
    crop: bool = _demo(True, BOOL, "frame the object like the training views")
    smooth: bool = _demo(False, BOOL, "smooth surface (marching cubes)")
    html: bool = _demo(False, BOOL, "write a page with cubes to rotate as well")


def kinds(config_class: type[Config]) -> dict[str, Kind]:
    return {f.name: f.metadata["kind"] for f in fields(config_class) if f.metadata}


def read_config(
    config_class: type[Config], description: str, arguments: list[str] | None = None
) -> Config:
    """Resolve the options of a script from defaults, INI file and command line (or `arguments`).

    An InputError names the file and line, or the flag.
    """
    known = kinds(config_class)
    parser = make_parser(config_class, description)
    flags, unknown = parser.parse_known_intermixed_args(arguments)
    flags = vars(flags)
    for word in (*unknown, *flags.get("images", ())):
        if word.endswith(".ini") and not word.startswith("-"):
            raise InputError(f"{word}: to read an INI file use --cfg={word}")
    if unknown:
        flag = unknown[0].partition("=")[0]
        if not flag.startswith("-"):
            raise InputError(f"{unknown[0]}: expected --key=value")
        if flag.removeprefix("--").removeprefix("no-") in ignored_options(config_class):
            raise InputError(f"{flag}: a flag of train.py, without effect in {parser.prog}")
        negative = [f"no-{name}" for name, kind in known.items() if kind is BOOL]
        raise InputError(unknown_option(flag, ["cfg", *known, *negative]))

    cfg = flags.pop("cfg") or ("config.ini" if Path("config.ini").exists() else None)
    values = read_ini(cfg) if cfg else {}
    for name, value in flags.items():  # text, but for switches, images and masks
        is_text = isinstance(value, str)
        values[name] = known[name].parse(value, f"--{name}") if is_text else value
    return config_class(**values, given=frozenset(values))


def ignored_options(config_class: type[Config]) -> set[str]:
    """Return the keys of an INI file that a script takes but does not use."""
    used = {*config_class.groups, *config_class.hidden_groups}
    return {f.name for f in fields(Config) if f.metadata and f.metadata["group"] not in used}


def make_parser(config_class: type[Config], description: str) -> Parser:
    takes_images = "images" in kinds(config_class)
    usage = "%(prog)s [--cfg FILE] [options]" + " [IMAGE ...]" * takes_images
    parser = Parser(usage=usage, description=description)
    parser.add_argument("--cfg", metavar="FILE", help="INI file (default: config.ini if it exists)")
    groups = {name: parser.add_argument_group(name) for name in config_class.groups}
    for option in fields(config_class):
        name, default = option.name, option.default
        group, kind, help = (option.metadata.get(key) for key in ("group", "kind", "help"))
        if kind is BOOL:
            default = "on" if default else "off"
        if group in config_class.hidden_groups:
            help = argparse.SUPPRESS
        elif group not in groups:
            continue
        elif default not in ("", ()):
            help += f" (default: {default})"
        add = partial(groups.get(group, parser).add_argument, help=help)
        if kind is IMAGES:
            add(name, metavar=kind.metavar, nargs="*")
        elif kind is MASKS:
            add(f"--{name}", metavar=kind.metavar, action="append", default=argparse.SUPPRESS)
        elif kind is BOOL:
            add(f"--{name}", action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS)
        else:
            add(f"--{name}", metavar=kind.metavar, default=argparse.SUPPRESS)
    return parser


def read_ini(path: str | Path) -> dict:
    """Read the options in a file of `key = value` lines.

    [Sections] are ignored, and comments: from # or ; at a line's start or after a space. A value in
    double quotes may contain both.
    """
    content = read_bytes(path, MAX_INI_BYTES).removeprefix(b"\xef\xbb\xbf")
    text = content.decode("utf-8", "surrogateescape")  # file names need not be UTF-8
    known, values, lines = kinds(Config), {}, {}
    for i, line in enumerate(text.split("\n"), start=1):
        where = f"{path}, line {i}"
        if re.fullmatch(r"\s*(\[.*\]\s*)?([#;].*)?", line):
            continue
        match = re.fullmatch(r'\s*([^=]+?)\s*=\s*(?:"([^"]*)"|((?![#;]).*?))(\s+[#;].*|\s*)', line)
        if not match:
            raise InputError(f"{where}: expected 'key = value', got {line[:60]!r}")
        name, quoted, plain, _ = match.groups()
        if name not in known:
            raise InputError(f"{where}: {unknown_option(name[:60], list(known))}")
        if name in lines:
            raise InputError(f"{where}: {name} is already set in line {lines[name]}")
        value = plain if quoted is None else quoted
        values[name] = known[name].parse(value, f"{where}: {name}")
        lines[name] = i
    return values


def write_ini(path: str | Path, config: Config) -> None:
    """Write the options of a run as an INI file."""
    lines = []
    for name in kinds(Config):
        text = str(getattr(config, name))
        if text != text.strip() or re.search(r"(^|\s)[#;]", text):
            text = f'"{text}"'
        lines.append(f"{name} = {text}\n")
    with atomic_write(path) as temporary:
        temporary.write_bytes("".join(lines).encode("utf-8", "surrogateescape"))


def resumed_config(config: Config, saved: dict, path: Path) -> Config:
    """Take the options that are not given from the checkpoint at `path`; print those that change.

    device, num_workers, resume_epoch and the experiment's folder are never taken.
    """
    kept = {"device", "num_workers", "resume_epoch", "saved_models_path", "experiment_name"}
    taken, known = {}, kinds(Config)
    for name in (known.keys() - kept) & saved.keys():
        before = known[name].parse(str(saved[name]), f"{path}: {name}")
        value = getattr(config, name)
        if name not in config.given:
            taken[name] = before
        elif value != before:
            print(f"{name}: {before} -> {value}")
    return replace(config, **taken)
