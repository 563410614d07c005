"""What `errors.run` prints, and the status that a script ends with."""

import subprocess
import sys

import pytest

from tests.helpers import ROOT
from utils import errors
from utils.errors import InputError, Interrupted, Parser


@pytest.mark.parametrize(
    ("error", "status", "printed"),
    [
        (InputError("a.png: expected an image"), 2, "error: a.png: expected an image"),
        (FileNotFoundError(2, "No such file", "a.png"), 2, "error: a.png: No such file"),
        (InputError("Traceback:\n  utils.InputError: a: b\n"), 2, "error: a: b"),  # of a worker
        (InputError("x\x1b]0;title\x07\ny"), 2, r"error: x\x1b]0;title\x07\ny"),
        (MemoryError(), 2, "error: not enough memory: refused by the system; remedy"),
        (RuntimeError("can't allocate memory\n"), 2, "error: not enough memory: can't allocate"),
        (RuntimeError("CUDA out of memory. GPU 0"), 2, "error: not enough memory: CUDA"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (Interrupted(143), 143, "interrupted"),
    ],
)
def test_expected_errors_are_one_line_and_a_status(capsys, error, status, printed):
    def main():
        raise error

    with pytest.raises(SystemExit) as end:
        errors.run(main, "remedy")
    text = capsys.readouterr().err
    assert end.value.code == status and text.startswith(printed) and text.count("\n") == 1


def test_bugs_keep_their_traceback():
    def main():
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        errors.run(main)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_change_nothing_but_what_is_printed(tmp_path, closed):
    main = f"open({str(tmp_path / 'a')!r}, 'w').write('x'); [print(i) for i in tqdm.tqdm([1])]"
    for body, status in ((main, 0), (f"{main}; raise errors.InputError", 2)):
        script = f"def main():\n    {body}\n"
        script += "import tqdm; from utils import errors; errors.run(main)"
        command = f'{sys.executable} -c "$1" {closed}'
        done = subprocess.run(["sh", "-c", command, "sh", script], cwd=ROOT)
        assert done.returncode == status and (tmp_path / "a").read_text() == "x"


def test_parser_names_the_flag_that_is_meant_and_all_that_are_missing():
    parser = Parser()
    parser.add_argument("meshes", nargs="+")
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int)
    with pytest.raises(InputError, match="--sede: no such option; did you mean --seed"):
        parser.parse_args(["a", "--out=b", "--sede=1"])
    with pytest.raises(InputError, match="meshes, --out"):
        parser.parse_args([])
    assert parser.parse_args(["a", "--out=b", "c"]).meshes == ["a", "c"]
