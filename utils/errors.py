"""User errors: one line on stderr and exit status 2."""

import argparse
import difflib
import math
import os
import re
import sys
import traceback

OUT_OF_MEMORY = re.compile("out of memory|allocate memory|ALLOC_FAILED", re.IGNORECASE)


class InputError(ValueError):
    """A mistake in the user's input; the message is one line that names file, line or option.

    "where: problem; remedy" or "where: expected X, got Y", without a full stop.
    """


class Interrupted(KeyboardInterrupt):
    """A clean stop on request; the process ends with `status`."""

    def __init__(self, status: int):
        super().__init__(status)
        self.status = status


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises InputError and refuses abbreviated flags."""

    def __init__(self, **settings):
        super().__init__(**settings, allow_abbrev=False)

    def parse_args(self, args=None):
        """Parse flags and positional arguments in any order; suggest what a wrong flag means."""
        self.parse_known_args(args)  # names all that are missing, intermixed parsing flags alone
        parsed, unknown = self.parse_known_intermixed_args(args)
        for word in unknown:
            known = {name.lower(): name for name in self._option_string_actions}
            if word.endswith(".ini") and word[0] != "-" and "--cfg" in known:
                raise InputError(f"{word}: to read an INI file use --cfg={word}")
            flag = word.partition("=")[0]
            nearest = difflib.get_close_matches(flag.lower(), known, n=1, cutoff=0.7)
            hint = f"; did you mean {known[nearest[0]]}?" if nearest else "; see --help"
            raise InputError(f"{flag}: no such option{hint}")
        return parsed

    def error(self, message: str):
        message = message.removeprefix("argument ")
        raise InputError(message.replace("ignored explicit argument", "takes no value, got"))


def number(low: float, high: float = sys.float_info.max):
    """Return an argparse type: numbers from `low` to `high`, integers if `low` is one."""
    expected = f"{'an integer' if isinstance(low, int) else 'a number'} of at least {low:g}"
    if high < sys.float_info.max:
        expected += f" and at most {high}"

    def parse(text: str):
        try:
            value = type(low)(text)
        except ValueError:
            value = math.nan
        if low <= value <= high:
            return value
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text[:60]!r}")

    return parse


def escape_controls(text: str) -> str:
    """Escape control characters, which could drive the terminal: file names may contain them."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda match: ascii(match[0])[1:-1], text)


def explain(error: InputError | OSError) -> str:
    """Return the one line for an error."""
    if isinstance(error, OSError):
        line = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    else:  # the error of a DataLoader worker is the last line of a traceback
        line = str(error).rsplit("InputError: ", 1)[-1].strip()
    return escape_controls(line)


def run(main, out_of_memory: str = "close other programs") -> None:
    """Run a script's `main()` and exit with its status.

    InputError, OSError and lack of memory are printed as one line and end in status 2, Ctrl-C in
    130, a training that was asked to stop in 130 or 143. `out_of_memory` says what to do then.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed, as by `2>&-`, or absent, as in pythonw
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        getattr(sys, name).reconfigure(errors="backslashreplace")  # file names need not be text
    try:
        status = main()
    except (Exception, KeyboardInterrupt) as error:
        status = report_error(error, out_of_memory)
        traceback.clear_frames(error.__traceback__)  # a DataLoader in them ends its workers
    sys.exit(status)


def report_error(error: BaseException, out_of_memory: str) -> int:
    """Print an expected error as one line and return the exit status; re-raise anything else."""
    if isinstance(error, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return getattr(error, "status", 130)
    if isinstance(error, InputError | OSError):
        line = explain(error)
    elif isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and OUT_OF_MEMORY.search(str(error))
    ):
        reason = str(error).partition("\n")[0] or "refused by the system"
        line = f"not enough memory: {escape_controls(reason)}; {out_of_memory}"
    else:
        raise error
    print(f"error: {line}", file=sys.stderr)
    return 2
