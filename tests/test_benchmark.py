import pytest

from tests import benchmark


def test_the_generated_tree_is_indexed_whole(tmp_path):
    figures = benchmark.index_times(tmp_path, models=30, repeats=1)
    assert figures["models"] == 30 and 0 < figures["bytes_per_model"] <= 300


def test_loader_and_metrics_are_timed_beside_plain_ones(tmp_path):
    for figures in (benchmark.loader_times(tmp_path, repeats=1), benchmark.metric_times(repeats=1)):
        assert {"plain", "ours"} <= figures.keys() and min(figures.values()) > 0


def test_the_table_names_every_figure():
    times = {"plain": 2.0, "ours": 1.0, "recompute": 1.3, "ratio": 2.0, "share_of_peak": 0.5}
    names = ("forward, batch 1, 3 views", "training step, batch 8, 3 views")
    figures = {
        "peak_gmac_per_second": 90.0,
        "network": dict.fromkeys(names, times),
        "step_memory": {"plain": 3 * 2**20, "ours": 2**21, "recompute": 2**20},
        "loader": {"decode": 0.001, "plain": 0.003, "ours": 0.0015},
        "metrics": {"plain": 0.02, "ours": 0.01},
        "index": [{"models": 10, "seconds": 1.0, "bytes_per_model": 99.0}],
        "processes": {2: 0.5},
        "growth": {"batch 1, 5 views": {"seconds": 0.1, "memory": 2**20}},
    }
    text = benchmark.table(figures)
    for name in (*names, "batch 1, 5 views", "1.50 times decoding", "10 models", "2 processes"):
        assert name in text


@pytest.mark.slow
def test_processes_share_a_training_step():
    assert benchmark.process_times(2, repeats=1) > 0
