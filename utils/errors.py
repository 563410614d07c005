"""How mistakes of the user reach the user: as one line, with exit status 2."""

import argparse
import re
import sys

OUT_OF_MEMORY = re.compile("out of memory|allocate memory", re.IGNORECASE)  # torch's words


class InputError(Exception):
    """Something the user can mend.

    The message is one line that names the file, line or key, what was expected and what was found.
    """


class Interrupted(Exception):
    """A run that was asked to stop, and did so cleanly. Its process ends with `status`."""

    def __init__(self, status: int):
        super().__init__(status)
        self.status = status


class Parser(argparse.ArgumentParser):
    """Flags whose mistakes are a InputError, with abbreviations refused."""

    def __init__(self, **options):
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str):
        raise InputError(message)


def explain(error: InputError | OSError) -> str:
    """The one line that stands for `error`."""
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    # A data-loading worker sends its error with the traceback in front: the line itself comes last.
    return str(error).rsplit("InputError: ", 1)[-1].strip()


def check_ranges(arguments, **ranges: tuple[int, int]) -> None:
    """Raise InputError for a flag outside its (least, most); one that was not given is None."""
    for name, (least, most) in ranges.items():
        found = getattr(arguments, name)
        if found is not None and not least <= found <= most:
            raise InputError(f"--{name}: expected {least} to {most}, found {found}")


def run(main) -> None:
    """Run a script's `main()` and leave the process with its status.

    A InputError, an OSError or a lack of memory is printed as one line and ends in status 2, Ctrl-C
    in 130, a run that stopped cleanly when it was asked to in 130 or 143.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # names of files may be no text
    try:
        sys.exit(main())
    except (InputError, OSError) as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        sys.exit(2)
    except (MemoryError, RuntimeError) as error:  # torch's lack of memory is a RuntimeError
        if isinstance(error, RuntimeError) and not OUT_OF_MEMORY.search(str(error)):
            raise
        reason = str(error).split("\n")[0] or "more was asked for than there is"
        print(f"error: not enough memory: {reason}", file=sys.stderr)
        sys.exit(2)
    except (KeyboardInterrupt, Interrupted) as interrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(getattr(interrupt, "status", 130))
