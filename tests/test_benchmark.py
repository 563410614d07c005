import pytest

from tests import benchmark
from tests.helpers import make_dataset


@pytest.mark.parametrize("row", ["textbook", "bf16"])
def test_speed_and_memory_are_measured(row, tmp_path):
    make_dataset(tmp_path, {"chair": 1})
    flags = "--device=cpu --width=0.0625 --batch_size=1 --views=1 --workers=0 --steps=1"
    results = benchmark.measure(row, tmp_path, benchmark.parse_args(flags.split()))
    assert "training step (ms)" in results
    assert min(results.values()) >= 0
