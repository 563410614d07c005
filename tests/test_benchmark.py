from tests import benchmark, throughput


def test_loader_is_timed(tmp_path):
    times = benchmark.loader_times(tmp_path / "a", repeats=1)
    assert min(times.values()) > 0


def test_every_stage_of_a_training_is_timed(tmp_path, monkeypatch):
    monkeypatch.setattr(throughput, "WARM_UP", 0)
    flags = "--device=cpu --width=0.0625 --batch_size=1 --views=1 --workers=0 --steps=1 --shapes=1"
    trace = tmp_path / "trace.json"
    args = throughput.parse_args([*flags.split(), f"--profile={trace}"])
    results = throughput.measure(args, tmp_path / "data")
    assert min(results.values()) > 0 and {"forward (ms)", "backward (ms)"} <= results.keys()
    assert "convolution" in trace.read_text("utf-8")
