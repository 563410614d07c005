"""What `errors.run` prints, and the status that a script ends with."""

import sys

import pytest

from utils import errors
from utils.errors import InputError, Interrupted


def end_of(main, capsys) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        errors.run(main)
    captured = capsys.readouterr()
    return end.value.code or 0, captured.out, captured.err


@pytest.mark.parametrize(
    ("error", "status", "named"),
    [
        (InputError("a.png: expected an image"), 2, "a.png"),
        (FileNotFoundError(2, "No such file", "a.png"), 2, "a.png: No such file"),
        (MemoryError(), 2, "memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory\nmore"), 2, "allocate memory"),
        (
            RuntimeError("CUDA out of memory. Tried 2 GiB. GPU 0"),
            2,
            "GiB; try a smaller --batch",
        ),
        (RuntimeError("InvalidCxxCompiler: No working C++ compiler found in x"), 2, "compile:"),
        (RuntimeError("gloo/pair.cc:5: Connection closed by peer [::1]"), 2, "--resume_epoch"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal"), 2, "--num_workers"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (Interrupted(143), 143, "interrupted"),
    ],
)
def test_expected_errors_are_one_line_and_a_status(capsys, error, status, named):
    def main():
        raise error

    found, _, text = end_of(main, capsys)
    assert found == status and named in text and text.count("\n") == 1


def test_bugs_keep_their_traceback():
    def main():
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        errors.run(main)


def test_error_of_a_worker_is_its_last_line(capsys):
    def main():
        raise InputError('Caught InputError.\nTraceback:\n  File "x"\nutils.InputError: a: b\n')

    assert end_of(main, capsys)[2] == "error: a: b\n"


def test_control_characters_are_escaped_in_every_message(capsys):
    def main():
        print("a\x1b[31m.png\tb\x9bc\n", end="")
        raise InputError("x\x1b]0;title\x07\ny")

    _, output, text = end_of(main, capsys)
    assert output == "a\\x1b[31m.png\tb\\x9bc\n"
    assert text == "error: x\\x1b]0;title\\x07\\ny\n"
    assert not isinstance(sys.stdout, errors.EscapedStream)
