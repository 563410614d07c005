"""Work in parallel processes, each of which imports this file: so it imports little."""

import os
import signal

import pytest

from utils.errors import InputError
from utils.parallel import parallel_map


def die_at_b(item: str) -> str:
    if item == "b":
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def test_item_whose_process_dies_is_named_and_the_others_are_done():
    items = ["a", "b", "c", "d"]
    assert parallel_map(die_at_b, items, "", 2, "died") == ["a", "died", "c", "d"]
    with pytest.raises(InputError, match="b: the process died"):
        parallel_map(die_at_b, items, "", 2)
