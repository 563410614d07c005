import os
import sys

import pytest

from utils.errors import InputError
from utils.files import atomic_write, read_bytes, read_text, remove_stale


def test_atomic_write_replaces_the_file_or_leaves_it(tmp_path):
    path = tmp_path / "new" / "a.txt"
    for content in ("first", "second"):
        with atomic_write(path) as temporary:
            temporary.write_text(content)
        assert path.read_text() == content
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as temporary:
        temporary.write_text("third")
        raise KeyboardInterrupt
    assert path.read_text() == "second" and os.listdir(path.parent) == ["a.txt"]


def test_atomic_write_names_the_file_it_cannot_write(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"), atomic_write(tmp_path / "folder") as temporary:
        temporary.write_text("")
    assert os.listdir(tmp_path) == ["folder"]


def test_atomic_write_gives_the_usual_permissions(tmp_path):
    with atomic_write(tmp_path / "a") as temporary:
        temporary.touch()
    (tmp_path / "b").touch()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_stale_entries_that_cannot_be_removed_stay(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    os.utime(outside, (0, 0))
    (tmp_path / ".making-a").symlink_to(outside)
    (tmp_path / ".making-b").symlink_to(tmp_path / "gone")
    remove_stale(tmp_path, ".making-*")
    assert outside.is_dir()


def test_fifo_and_device_are_refused_before_the_open(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", "/dev/zero", tmp_path):
        with pytest.raises(InputError, match=f"{path}: expected a regular file"):
            read_bytes(path)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_error_while_reading_names_the_file(tmp_path):
    (tmp_path / "a.png").symlink_to("/proc/self/mem")  # whose first byte gives EIO
    with pytest.raises(OSError, match=r"Input/output error: .*a\.png"):
        read_bytes(tmp_path / "a.png")


def test_text_is_utf_8_with_or_without_byte_order_mark(tmp_path):
    path = tmp_path / "a.txt"
    for content in ("ä".encode(), b"\xef\xbb\xbf\xc3\xa4"):
        path.write_bytes(content)
        assert read_text(path) == "ä"
    path.write_bytes(b"\xe4")
    with pytest.raises(InputError, match=r"a\.txt: .*UTF-8"):
        read_text(path)
