import os

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


def test_large_files_and_devices_are_refused_before_reading(tmp_path):
    with open(tmp_path / "large", "wb") as file:
        file.truncate(2**40)
    with pytest.raises(InputError, match="large: expected at most 100 bytes"):
        read_bytes(tmp_path / "large", 100)
    if os.path.exists("/dev/zero"):
        with pytest.raises(InputError, match="/dev/zero"):
            read_bytes("/dev/zero", 100)


def test_text_is_utf_8_with_or_without_byte_order_mark(tmp_path):
    path = tmp_path / "a.txt"
    for content in ("ä".encode(), b"\xef\xbb\xbf\xc3\xa4"):
        path.write_bytes(content)
        assert read_text(path, 100) == "ä"
    path.write_bytes(b"\xe4")
    with pytest.raises(InputError, match=r"a\.txt: .*UTF-8"):
        read_text(path, 100)
