"""A run that was stopped, killed or hindered goes on where it was."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import genloom
from games import Duel, Points, record, train, write_music, write_pairs, write_tagged
from genloom.catalogue import MODELS
from genloom.errors import InputError
from genloom.shapes.points import PointShape
from genloom.train.loop import play
from genloom.train.plan import Plan
from genloom.train.run import Run

RESUMED = {
    "colour": ("pixelcnn", {"layers": 1}),
    "row": ("pixelrnn", {"kind": "row", "layers": 1}),
    "pixelrnn": ("pixelrnn", {"layers": 1}),
    "prior": ("vae", {"decay": 1.0}),
    "adaptive": ("dcgan", {"adaptive_augment": 200.0}),
    "recurrent": ("rtsgan", {"kind": "paper", "pretrain": 128, "hidden": 6, "layers": 2, "z": 8}),
    "timegan": ("timegan", {"embedding": 96, "supervised": 96, "ema": 1000.0}),  # through all of its phases
}


@pytest.mark.parametrize(
    "name", [*sorted(set(MODELS) - {"line", "gain", "counts"}), "colour", "row", "prior", "adaptive", "recurrent"]
)
def test_a_resumed_run_ends_in_the_same_weights(tmp_path, name):
    source, (name, hyper) = "digits", RESUMED.get(name, (name, {}))
    if name in ("pix2pix", "cyclegan"):
        source = write_pairs(tmp_path / "pairs")
    if name == "srgan":  # through both of its phases
        source, hyper = write_pairs(tmp_path / "pairs", size=32) / "A", {"pretrain": 128}
    if name == "tagger":
        source = genloom.load_data(tmp_path / "pictures", **write_tagged(tmp_path))
    if name in ("timegan", "rtsgan"):
        source = "plant"
    if name in ("music", "crnngan", "music_cyclegan"):
        source = write_music(tmp_path / "music", 10)
    if hyper == RESUMED["colour"][1]:
        source = tmp_path / "colour.npy"
        np.save(source, np.random.default_rng(0).integers(0, 2, (128, 4, 4, 3), dtype=np.uint8) * np.uint8(255))
    options = dict(preset="tiny", report_every=1e9, save_every=1e9, seed=5, device="cpu", hyper=hyper)
    whole = genloom.fit(name, source, tmp_path / "whole", examples=512, **options)
    genloom.fit(name, source, tmp_path / "parts", examples=192, **options)
    parts = genloom.fit(name, source, tmp_path / "parts", examples=512, **options)
    for file in ("model", "ema", "optimizer"):
        a, b = (load_file(run.last_checkpoint() / f"{file}.safetensors") for run in (whole, parts))
        assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a), file


def test_sampling_and_reporting_leave_training_untouched(tmp_path):
    options = dict(preset="tiny", examples=640, save_every=1e9, device="cpu")
    quiet = genloom.fit("dcgan", "digits", tmp_path / "quiet", report_every=1e9, **options)
    busy = genloom.fit("dcgan", "digits", tmp_path / "busy", report_examples=64, save_examples=128, **{**options})
    a, b = (load_file(run.last_checkpoint() / "model.safetensors") for run in (quiet, busy))
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_killed_run_goes_on_from_a_whole_checkpoint(tmp_path):
    options = dict(preset="tiny", save_examples=64, report_every=1e9, device="cpu", threads=1)
    code = f"import sys, genloom; genloom.fit('gan', 'digits', sys.argv[1], examples=10**6, **{options})"
    for wait in (0.0, 0.3):
        process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "killed")])
        deadline = time.monotonic() + 60
        while not list((tmp_path / "killed").glob("checkpoints/0*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
    reached = int(Run.open(tmp_path / "killed").last_checkpoint().name)
    killed, whole = (
        genloom.fit("gan", "digits", tmp_path / name, examples=reached + 256, **options) for name in ("killed", "whole")
    )
    a, b = (load_file(run.last_checkpoint() / "model.safetensors") for run in (killed, whole))
    assert reached > 0 and all(torch.equal(a[key], b[key]) for key in a)


def test_python_hears_of_a_full_disk_too(tmp_path, monkeypatch):
    written = genloom.train.checkpoint.write_synced

    def full(path, content):
        if path.suffix == ".safetensors":
            raise OSError(28, "No space left on device")
        written(path, content)

    monkeypatch.setattr("genloom.train.checkpoint.write_synced", full)
    with pytest.raises(InputError, match="disk"):
        genloom.fit("gan", "digits", tmp_path / "r", preset="tiny", examples=128, device="cpu")


def test_a_first_write_that_failed_may_be_tried_again(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", lambda number: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(InputError, match="disk"):
            Run.begin(tmp_path / "r", record())
    assert Run.begin(tmp_path / "r", record()).record["model"] == "duel"


def test_a_full_disk_keeps_the_last_checkpoint_and_says_so(tmp_path, monkeypatch):
    import genloom.train.checkpoint as checkpoint

    options = dict(preset="tiny", report_every=1e9, save_every=1e9, device="cpu")
    run = genloom.fit("dcgan", "digits", tmp_path / "run", examples=256, **options)
    kept = run.last_checkpoint()
    before = (kept / "model.safetensors").read_bytes()

    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_synced", full)
    session = genloom.prepare(genloom.Request("dcgan", "digits", tmp_path / "run", examples=512, **options))
    *_, last = session.play()
    assert "is full" in last.trouble and "256 examples" in last.trouble
    assert (kept / "model.safetensors").read_bytes() == before
    assert [p.name for p in (tmp_path / "run" / "checkpoints").iterdir()] == [kept.name]


def test_only_the_newest_and_the_best_checkpoints_stay(tmp_path):
    scores = iter([3.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0])
    torch.manual_seed(0)
    run = Run.begin(tmp_path / "a", record())
    plan = Plan(examples=512, batch=32, save_examples=64, report_every=1e9)
    for _ in play(Duel(), Points(), run, plan, score=lambda model: ("toy", next(scores))):
        pass
    assert [int(p.name) for p in run.checkpoints()] == [128, 384, 448, 512]
    assert run.best() == {"checkpoint": f"{128:012d}", "measure": "toy", "value": 1.0}


def test_a_run_in_use_is_refused(tmp_path):
    run = Run.begin(tmp_path / "a", record())
    run.take()
    with pytest.raises(InputError, match="being trained by another process"):
        Run.open(tmp_path / "a").take()
    run.release()
    other = Run.open(tmp_path / "a")
    other.take()
    other.release()


def test_cut_lines_and_files_do_not_spoil_a_run(tmp_path):
    options = dict(preset="tiny", report_examples=64, save_examples=128, device="cpu")
    run = genloom.fit("dcgan", "digits", tmp_path / "a", examples=256, **options)
    stats = tmp_path / "a" / "stats.jsonl"
    stats.write_text(stats.read_text()[:-20] + "\n{}\n")
    (tmp_path / "a" / "best.json").write_text('{"checkp')
    run = genloom.fit("dcgan", "digits", tmp_path / "a", examples=512, **options)
    assert [line["examples"] for line in run.history()][-1] == 512
    assert all(line.endswith("}\n") for line in run.stats_lines()) and run.best() is not None


def test_an_ema_that_rested_goes_on_where_it_was(tmp_path):
    def rest():
        torch.manual_seed(0)
        model = Duel(ema=500.0)
        rounds = model.round
        model.round = lambda batches, clock: (
            m for m in rounds(batches, clock) if m.player == "critic" or clock.rounds % 3 == 0
        )
        return model

    train(tmp_path / "a", rest(), examples=640)
    train(tmp_path / "b", rest(), examples=320)
    train(tmp_path / "b", rest(), examples=640)
    a, b = (load_file(Run.open(tmp_path / n).last_checkpoint() / "ema.safetensors") for n in "ab")
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_picture_that_cannot_be_written_costs_no_checkpoint(tmp_path, monkeypatch):
    def refuse(self, model, examples):
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(Run, "write_grid", refuse)
    run = genloom.fit("dcgan", "digits", tmp_path / "run", examples=256, preset="tiny", device="cpu")
    assert int(run.last_checkpoint().name) == 256


def test_checkpoints_by_examples_fall_on_the_same_instants_after_a_stop(tmp_path):
    plan = {"batch": 32, "save_examples": 128, "report_every": 1e9}
    names = lambda folder: {p.name for p in Run(tmp_path / folder).checkpoints()}  # noqa: E731
    train(tmp_path / "a", examples=320, **plan)
    train(tmp_path / "b", examples=192, **plan)
    train(tmp_path / "b", examples=320, **plan)
    assert names("a") - names("b") == {f"{128:012d}"} and f"{256:012d}" in names("b")  # 128 made room for 192


class Handed:
    """Data as a program hands it over: a shape, a length and batches."""

    def __init__(self, x):
        self.x, self.shape = x, PointShape(columns=x.shape[1])

    def __len__(self):
        return len(self.x)

    def batch(self, index, generator=None):
        return {"x": self.x[index]}


def test_other_python_data_of_the_same_shape_is_refused_on_resume(tmp_path):
    def data(seed):
        return Handed(torch.rand(64, 1, generator=torch.Generator().manual_seed(seed)))

    genloom.fit("line", data(0), tmp_path / "run", examples=512, batch=64)
    genloom.fit("line", data(0), tmp_path / "run", examples=1024, batch=64)
    with pytest.raises(InputError, match="begun on other data"):
        genloom.fit("line", data(1), tmp_path / "run", examples=1024, batch=64)


def test_a_state_that_lacks_a_field_is_no_whole_checkpoint(tmp_path):
    train(tmp_path / "a", examples=64)
    path = Run(tmp_path / "a").last_checkpoint() / "state.json"
    state = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in state.items() if name != "ema"}))
    with pytest.raises(InputError, match="state.json is damaged: ema is missing; remove"):
        train(tmp_path / "a", examples=128)
