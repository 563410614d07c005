"""Kinds of values that options take, each with its parser, and messages for unknown options."""

import difflib
import math
import os
import re
import sys
from collections.abc import Callable
from typing import NamedTuple

from utils.errors import InputError


class Kind(NamedTuple):
    """A kind of value: its name in `--help`, and how it is read from text."""

    metavar: str
    expected: str
    convert: Callable
    is_valid: Callable = lambda _: True

    def parse(self, text: str, where: str):
        try:
            if self.is_valid(value := self.convert(text)):
                return value
        except (KeyError, ValueError):
            pass
        raise InputError(f"{where}: expected {self.expected}, got {text[:60]!r}")


def integer(minimum: int, maximum: int = 10**9) -> Kind:
    expected = f"an integer from {minimum} to {maximum}"
    return Kind("N", expected, int, lambda n: minimum <= n <= maximum)


def number(minimum: float, maximum: float = sys.float_info.max, *, positive=False) -> Kind:
    expected = f"a number from {minimum:g} to {maximum:g}" + " but not 0" * positive
    is_valid = lambda x: minimum <= x <= maximum and (x or not positive)  # noqa: E731
    return Kind("X", expected, float, is_valid)


def choice(*values) -> Kind:
    *names, last = map(str, values)
    metavar, expected = "{" + ",".join([*names, last]) + "}", f"{', '.join(names)} or {last}"
    return Kind(metavar, expected, type(values[0]), values.__contains__)


def text(metavar: str, pattern: str, expected: str) -> Kind:
    """Text without control characters and quotes, which an INI file could not hold."""
    pattern = re.compile(rf'(?!.*[\x00-\x1f\x7f-\x9f"]){pattern}', re.DOTALL)
    return Kind(metavar, expected, os.path.expanduser, pattern.fullmatch)


def parse_epoch(text: str) -> int | str:
    return text if text == "last" else int(text)


def parse_thresholds(text: str) -> tuple[float, ...]:
    """Parse numbers and ranges `first:last:step`, separated by commas; sort them."""
    values = set()
    for item in filter(None, text.split(",")):
        first, *last_step = (PROBABILITY.parse(word, "thresholds") for word in item.split(":"))
        last, step = last_step or (first, 1)
        if not 0 <= (last - first) / step <= 1000:
            raise ValueError
        steps = math.floor((last - first) / step + 1e-6) + 1
        values |= {round(first + i * step, 6) for i in range(steps)}
    return tuple(sorted(values))


BOOLS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
BOOL = Kind("BOOL", "true or false", lambda text: BOOLS[text.lower()])
DIR = text("DIR", ".+", "a folder")
FILE = text("FILE", ".*", "a file")
CATEGORY_LIST = text("LIST", ".*", "categories, as chair,table")
NAME = text("NAME", r"(?!\.\.?$)[^/\\]+", "a name without slashes")
DEVICE = text("DEVICE", r"(auto|cpu|cuda(:\d+)?)", "auto, cpu, cuda or cuda:N")
EPOCH = Kind("N|last", "an epoch or 'last'", parse_epoch, lambda n: n == "last" or n >= 0)
PROBABILITY = number(0, 1, positive=True)
THRESHOLDS = Kind("LIST", "thresholds in (0, 1], as 0.2,0.3 or 0.1:0.9:0.05", parse_thresholds)
IMAGES = Kind("IMAGE", "an image", str)  # positional arguments
MASKS = Kind("FILE", "an image", str)  # a flag that may be repeated


REPLACED = {
    "val_portion": "renamed to val_fraction",
    **dict.fromkeys(("image_size", "pool_padding", "unpooling"), "replaced by variant"),
    "leaky_slope": "removed; it is 0.01 in both variants",
    "start": "replaced by init and init_weights",
    "varied": "replaced by augmentation = strong",
    "schedule": "renamed to lr_schedule",
    "warmup": "renamed to warmup_steps",
    "recompute": "renamed to grad_checkpointing",
    "coarse_epochs": "removed",
    "part": "replaced by the flag --split of test.py",
    "report": "replaced by the flag --html of test.py",
    **dict.fromkeys(("image", "images"), "name images without a flag: demo.py a.png b.png"),
}


def unknown_option(name: str, known: list[str]) -> str:
    """Return the message for a key or a flag that is none of `known`."""
    dashes, bare = "--" * name.startswith("-"), name.lstrip("-").removeprefix("no-")
    if bare in REPLACED:
        return f"{name}: {REPLACED[bare]}"
    lower = {other.lower(): other for other in known}
    nearest = difflib.get_close_matches(name.lstrip("-").lower(), lower, n=1, cutoff=0.5)
    hint = f"; did you mean {dashes}{lower[nearest[0]]}?" if nearest else ""
    return f"{name}: no such option{hint}"
