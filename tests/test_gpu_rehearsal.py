"""The one call on a lent GPU is rehearsed here at tiny sizes, so that it works the first time."""

import json

from benchmarks import gpu


def failures(figures, where=""):
    """Yield the steps whose figures are an error's words."""
    for name, value in figures.items():
        if isinstance(value, dict):
            yield from failures(value, f"{where}{name} ")
        elif isinstance(value, str) and "Error" in value:
            yield f"{where}{name}: {value}"


def test_the_call_on_a_gpu(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("genloom.measures.light.EXAMPLES", 100)
    gpu.main(["--device", "cpu", "--tiny", "--out", str(tmp_path)])
    figures = json.loads((tmp_path / "gpu-rehearsal.json").read_text())["figures"]
    assert figures.keys() >= gpu.STEPS.keys() and not list(failures(figures))
    assert set(figures["contract"].values()) == {"ok"}
    assert all(found == {"twice": 0.0, "resumed": 0.0} for found in figures["resume"].values())
    assert all(found["nats"][1] < found["nats"][0] < found["nats"][2] for found in figures["likelihoods"].values())


def test_a_step_that_fails_says_so_and_the_next_one_goes_on(tmp_path, monkeypatch, capsys):
    def fail(call):
        raise RuntimeError("CUDA is out of memory")

    steps = {"environment": (fail, 0.0), "equality": (lambda call: {"gan": 0.0}, 0.0)}
    monkeypatch.setattr(gpu, "STEPS", steps)
    gpu.main(["--device", "cpu", "--tiny", "--out", str(tmp_path)])
    figures = json.loads((tmp_path / "gpu-rehearsal.json").read_text())["figures"]
    assert "out of memory" in str(figures["environment"]) and figures["equality"] == {"gan": 0.0}
