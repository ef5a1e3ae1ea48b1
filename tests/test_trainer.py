"""The trainer: who moves, what a batch is, how a run goes on."""

import json
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import genloom
from games import Duel, Points, weights
from genloom.catalogue import MODELS, find_model
from genloom.core.clock import Clock
from genloom.core.model import Move, Phase
from genloom.core.random import mix
from genloom.errors import InputError
from genloom.shapes.pictures import ImageShape
from genloom.train.feed import Order
from genloom.train.learner import Seat
from genloom.train.loop import Plan, compile_networks, play
from genloom.train.run import Run


def train(folder, model=None, data=None, **plan):
    torch.manual_seed(0)
    model = model or Duel()
    plan = Plan(**{"examples": 640, "batch": 32, "save_every": 1e9, "report_every": 1e9, **plan})
    return model, list(play(model, data or Points(), Run.begin(folder, {"model": "duel"}), plan))


def test_a_move_changes_its_own_player_only(tmp_path):
    model = Duel()
    seats = {p.name: Seat(p, model, 1) for p in model.players()}
    deal = iter([Points().batch(torch.arange(16))] * 3)
    for move in model.round(deal, Clock()):
        before = {name: weights(getattr(model, name)).clone() for name in seats}
        seats[move.player].descend(move.loss, 1)
        seats[move.player].step(Clock(), watch=False)
        for name in seats:
            changed = not torch.equal(before[name], weights(getattr(model, name)))
            assert changed == (name == move.player)


def test_accumulation_equals_the_whole_batch(tmp_path):
    whole, _ = train(tmp_path / "a")
    parts, _ = train(tmp_path / "b", micro=8)
    assert torch.allclose(weights(whole), weights(parts), atol=1e-6)
    other, _ = train(tmp_path / "c", seed=1)
    assert not torch.allclose(weights(whole), weights(other), atol=1e-3)  # the test can fail


def test_examples_count_every_batch_of_a_round(tmp_path):
    _, reports = train(tmp_path / "a", examples=640)
    assert reports[-1].examples == 640
    assert reports[-1].rounds == 10  # two batches of 32 a round


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda m, b: [Move("generator", m.critic(b["x"]).mean())], "reaches none of its weights"),
        (lambda m, b: [Move("generator", torch.tensor(1.0))], "depends on no weight"),
        (lambda m, b: [Move("judge", m.critic(b["x"]).mean())], "names 'judge'"),
    ],
)
def test_wrong_wiring_is_refused(tmp_path, wrong, says):
    model = Duel()
    model.round = lambda deal, clock: iter(wrong(model, next(deal)))
    with pytest.raises(RuntimeError, match=says):
        train(tmp_path / "a", model)


def test_a_yield_inside_no_grad_is_refused(tmp_path):
    model = Duel()

    def leaky(deal, clock):
        loss = model.critic(next(deal)["x"]).mean()
        with torch.no_grad():
            yield Move("critic", loss)

    model.round = leaky
    with pytest.raises(RuntimeError, match="inside no_grad"):
        train(tmp_path / "a", model)
    assert torch.is_grad_enabled()


def test_hands_must_agree_whose_turn_it_is(tmp_path):
    model = Duel()

    def by_data(deal, clock):
        batch = next(deal)
        name = "critic" if batch["x"].sum() > 0 else "generator"
        yield Move(name, model.critic(model.generator(batch["z"])).mean())

    model.round = by_data
    with pytest.raises(RuntimeError, match="disagree whose turn"):
        train(tmp_path / "a", model, micro=4)


def test_phases_follow_their_shares_and_renew_optimizers(tmp_path):
    model, seen = Duel(optimizer=torch.optim.Adam), []
    phases = [Phase("first", model.round, share=1), Phase("second", model.round, share=3, batch=16, fresh=True)]
    model.phases = lambda: phases
    torch.manual_seed(0)
    run = Run.begin(tmp_path / "a", {"model": "duel"})
    for report in play(
        model, Points(), run, Plan(examples=640, batch=32, report_examples=1, save_every=1e9, report_every=0)
    ):
        seen.append((report.phase, report.examples))
    assert [e for p, e in seen if p == "first"][-1] == 192  # the round that begins below a quarter of 640 ends it
    assert seen[-1] == ("second", 640)


@pytest.mark.parametrize(
    ("half_life", "begun", "ended", "kept"),
    [(100.0, 10_000, 10_100, 0.5), (100.0, 10_000, 10_200, 0.25), (1e9, 500, 1000, 0.5 ** (math.log(2) / 0.1))],
)
def test_the_shadow_has_its_half_life_and_a_short_run_forgets_its_first_weights(half_life, begun, ended, kept):
    model = Duel(shadow=half_life)
    seat = Seat(model.players()[0], model, 1)
    (value, shadow) = next(iter(seat.shadow.items()))
    before = shadow.clone()
    with torch.no_grad():
        value.add_(1.0)
    seat.last_examples = begun
    for examples in range(begun + 1, ended + 1):  # early on a tenth of the examples: the integral of 1 / (0.1 t)
        seat.follow(Clock(examples=examples))
    assert torch.allclose(shadow, before + 1 - kept, atol=1e-4)


def test_what_is_compiled_is_what_is_called(monkeypatch):
    compiled = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: compiled.append(self))
    for name in set(MODELS) - {"line", "gain"}:
        kind = find_model(name)
        shape = ImageShape(channels=1, height=8, width_px=8, classes=("a", "b"))
        model = kind(kind.Hyper.tiny().with_values({"levels": 2} if hasattr(kind.Hyper, "levels") else {}), shape)
        compile_networks([Seat(player, model, 1) for player in model.players()], model)
    assert len(compiled) > 8 and not [m for m in compiled if type(m).forward is nn.Module.forward]


def test_clipping_bounds_the_step(tmp_path):
    model = Duel(rate=1.0, clip=0.01)
    before = weights(model.generator).clone()
    seat = Seat(model.players()[0], model, 1)
    batch = Points().batch(torch.arange(16))
    seat.descend(model.critic(model.generator(batch["z"])).sum() * 1e3, 1)
    seat.step(Clock(), watch=False)
    assert (weights(model.generator) - before).norm() == pytest.approx(0.01, rel=1e-3)


def test_order_is_a_permutation_each_epoch_and_a_pure_function():
    order = Order(10, mix(3))
    first, second = order.take(0, 10), order.take(10, 10)
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(10))
    assert not torch.equal(first, second)
    assert torch.equal(Order(10, mix(3)).take(7, 6), torch.cat([first[7:], second[:3]]))


RESUMED = {"colour": ("pixelcnn", {"layers": 1}), "row": ("pixelrnn", {"kind": "row", "layers": 1}),
           "pixelrnn": ("pixelrnn", {"layers": 1}), "prior": ("vae", {"decay": 1.0})}  # fmt: skip


@pytest.mark.parametrize("name", [*sorted(set(MODELS) - {"line", "gain"}), "colour", "row", "prior"])
def test_a_resumed_run_ends_in_the_same_weights(tmp_path, name):
    source, (name, hyper) = "digits", RESUMED.get(name, (name, {}))
    if hyper == RESUMED["colour"][1]:
        source = tmp_path / "colour.npy"
        np.save(source, np.random.default_rng(0).integers(0, 2, (128, 4, 4, 3), dtype=np.uint8) * np.uint8(255))
    options = dict(preset="tiny", report_every=1e9, save_every=1e9, seed=5, device="cpu", hyper=hyper)
    whole = genloom.fit(name, source, tmp_path / "whole", examples=512, **options)
    genloom.fit(name, source, tmp_path / "parts", examples=192, **options)
    parts = genloom.fit(name, source, tmp_path / "parts", examples=512, **options)
    for file in ("model", "shadow", "optimizer"):
        a, b = (load_file(run.last_checkpoint() / f"{file}.safetensors") for run in (whole, parts))
        assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a), file


def test_sampling_and_reporting_leave_training_untouched(tmp_path):
    options = dict(preset="tiny", examples=640, save_every=1e9, device="cpu")
    quiet = genloom.fit("dcgan", "digits", tmp_path / "quiet", report_every=1e9, **options)
    busy = genloom.fit("dcgan", "digits", tmp_path / "busy", report_examples=64, save_examples=128, **{**options})
    a, b = (load_file(run.last_checkpoint() / "model.safetensors") for run in (quiet, busy))
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_a_killed_run_goes_on_from_a_whole_checkpoint(tmp_path):
    code = (
        "import sys, genloom; genloom.fit('dcgan', 'digits', sys.argv[1], preset='tiny', examples=1600, "
        "save_examples=64, report_every=1e9, device='cpu', threads=1)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "killed")]
    for wait in (0.0, 0.4):
        process = subprocess.Popen(command)
        deadline = time.monotonic() + 60
        while not list((tmp_path / "killed").glob("checkpoints/0*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, check=True)
    subprocess.run([*command[:-1], str(tmp_path / "whole")], check=True)
    a, b = (load_file(Run.open(tmp_path / name).last_checkpoint() / "model.safetensors") for name in ("killed", "whole"))
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_two_ranks_equal_one_with_the_whole_batch(tmp_path):
    script = tmp_path / "ranks.py"
    script.write_text(
        "import sys, torch, torch.distributed as dist\n"
        f"sys.path.insert(0, {os.path.dirname(__file__)!r})\n"
        "from pathlib import Path\n"
        "from genloom.train.processes import leave_processes, start_processes\n"
        "from test_trainer import train\n"
        "from games import weights\n"
        "torch.set_num_threads(1)\n"
        "start_processes('cpu')\n"
        "model, _ = train(Path(sys.argv[1]) / f'rank{dist.get_rank()}')\n"
        "torch.save(weights(model), Path(sys.argv[1]) / f'{dist.get_rank()}.pt')\n"
        "leave_processes()\n"
        "threads = [path.read_text() for path in Path('/proc/self/task').glob('*/comm')]\n"
        "assert not any('gloo' in name for name in threads), threads  # they would outlive Python and abort it\n"
    )
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        str(script),
        str(tmp_path),
    ]
    done = subprocess.run(launch, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    one, _ = train(tmp_path / "one")
    for rank in "01":
        assert torch.allclose(torch.load(tmp_path / f"{rank}.pt", weights_only=True), weights(one), atol=1e-5)


def test_python_hears_of_a_full_disk_too(tmp_path, monkeypatch):
    written = genloom.checkpoint.write_synced

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
            Run.begin(tmp_path / "r", {"model": "duel"})
    assert Run.begin(tmp_path / "r", {"model": "duel"}).record == {"model": "duel"}


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
    run = Run.begin(tmp_path / "a", {"model": "duel"})
    plan = Plan(examples=512, batch=32, save_examples=64, report_every=1e9)
    for _ in play(Duel(), Points(), run, plan, score=lambda model: ("toy", next(scores))):
        pass
    assert [int(p.name) for p in run.checkpoints()] == [128, 384, 448, 512]
    assert run.best() == {"checkpoint": f"{128:012d}", "measure": "toy", "value": 1.0}


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        ({"batch": 1024}, "larger than the data"),
        ({"batch": 32, "micro": 20, "examples": 64}, None),
        ({"batch": 30, "micro": 4}, "does not divide"),
    ],
)
def test_batches_that_do_not_fit(tmp_path, plan, says):
    if says is None:
        assert train(tmp_path / "a", **plan)[1][-1].examples == 64
        return
    with pytest.raises(InputError, match=says):
        train(tmp_path / "a", **plan)


def test_a_run_in_use_is_refused(tmp_path):
    run = Run.begin(tmp_path / "a", {"model": "duel"})
    run.take()
    with pytest.raises(InputError, match="being trained by another process"):
        Run.open(tmp_path / "a").take()
    run.release()
    other = Run.open(tmp_path / "a")
    other.take()
    other.release()


def test_stats_are_lines_of_json(tmp_path):
    run = genloom.fit("gan", "digits", tmp_path / "a", preset="tiny", examples=600, report_examples=200, device="cpu")
    lines = (tmp_path / "a" / "stats.jsonl").read_text().splitlines()
    assert [json.loads(line)["examples"] for line in lines] == [line["examples"] for line in run.history()]
    assert {"generator", "discriminator", "d_real", "diversity"} <= run.history()[-1]["notes"].keys()


def test_cut_lines_and_files_do_not_spoil_a_run(tmp_path):
    options = dict(preset="tiny", report_examples=64, save_examples=128, device="cpu")
    run = genloom.fit("dcgan", "digits", tmp_path / "a", examples=256, **options)
    stats = tmp_path / "a" / "stats.jsonl"
    stats.write_text(stats.read_text()[:-20])
    (tmp_path / "a" / "best.json").write_text('{"checkp')
    run = genloom.fit("dcgan", "digits", tmp_path / "a", examples=512, **options)
    assert [line["examples"] for line in run.history()][-1] == 512
    assert all(line.endswith("}\n") for line in run.stats_lines()) and run.best() is not None


def test_a_shadow_that_rested_goes_on_where_it_was(tmp_path):
    def rest():
        torch.manual_seed(0)
        model = Duel(shadow=500.0)
        rounds = model.round
        model.round = lambda deal, clock: (m for m in rounds(deal, clock) if m.player == "critic" or clock.rounds % 3 == 0)
        return model

    train(tmp_path / "a", rest(), examples=640)
    train(tmp_path / "b", rest(), examples=320)
    train(tmp_path / "b", rest(), examples=640)
    a, b = (load_file(Run.open(tmp_path / n).last_checkpoint() / "shadow.safetensors") for n in "ab")
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


def test_a_fit_leaves_the_threads_as_they_were(tmp_path):
    torch.set_num_threads(2)
    genloom.fit("gan", "digits", tmp_path / "run", examples=128, preset="tiny", device="cpu")
    assert torch.get_num_threads() == 2


def test_other_python_data_of_the_same_shape_is_refused_on_resume(tmp_path):
    def data(seed):
        points = Points(64)
        points.x = torch.rand(64, 1, generator=torch.Generator().manual_seed(seed))
        points.shape = genloom.shapes.points.PointShape(columns=1)
        points.batch = lambda index, generator=None: {"x": points.x[index]}
        return points

    genloom.fit("line", data(0), tmp_path / "run", examples=512, batch=64)
    genloom.fit("line", data(0), tmp_path / "run", examples=1024, batch=64)
    with pytest.raises(InputError, match="begun on other data"):
        genloom.fit("line", data(1), tmp_path / "run", examples=1024, batch=64)
