from tests import throughput


def test_every_stage_of_a_training_is_timed(tmp_path, monkeypatch):
    monkeypatch.setattr(throughput, "WARM_UP", 0)
    flags = "--device=cpu --width=0.0625 --batch_size=1 --views=1 --workers=0 --steps=1 --shapes=1"
    results = throughput.measure(throughput.parse_args(flags.split()), tmp_path)
    assert min(results.values()) > 0 and {"forward (ms)", "backward (ms)"} <= results.keys()
