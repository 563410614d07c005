from tests import benchmark


def test_loader_and_index_are_timed(tmp_path):
    times = benchmark.loader_times(tmp_path / "a", repeats=1)
    assert (
        times.keys() == {"decoding", "textbook", "ours", "ours, packed"} and min(times.values()) > 0
    )
    assert benchmark.index_times(tmp_path / "b", num_shapes=30, repeats=1)["ours"] > 0


def test_peak_memory_grows(tmp_path):
    before = benchmark.peak_memory()
    content = bytearray(2**28)
    content[::4096] = b"x" * (2**28 // 4096)
    assert benchmark.peak_memory() >= before
    assert before == 0 or benchmark.peak_memory() > 2**28
