"""How mistakes of the user reach the user: as one line, with exit status 2."""

import sys


class UserError(Exception):
    """Something the user can mend.

    The message is one line that names the file, line or key, what was expected and what was found.
    """


def explain(error: UserError | OSError) -> str:
    """The one line that stands for `error`."""
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    # A data-loading worker sends its error with the traceback in front: the line itself comes last.
    return str(error).rsplit("UserError: ", 1)[-1].strip()


def check_ranges(arguments, **ranges: tuple[int, int]) -> None:
    """Raise UserError for a flag outside its (least, most); one that was not given is None."""
    for name, (least, most) in ranges.items():
        found = getattr(arguments, name)
        if found is not None and not least <= found <= most:
            raise UserError(f"--{name}: expected {least} to {most}, found {found}")


def run(main) -> None:
    """Run a script's `main()` and leave the process with its status.

    A UserError or an OSError is printed as one line and ends in status 2, Ctrl-C in 130.
    """
    try:
        sys.exit(main())
    except (UserError, OSError) as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
