"""The trainer: who moves, what a batch is, how a run goes on."""

import dataclasses
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
from genloom.core.dataset import take
from genloom.core.model import Move, Phase
from genloom.core.order import Order
from genloom.core.random import mix
from genloom.errors import InputError
from genloom.shapes.pictures import ImageShape
from genloom.shapes.points import PointShape
from genloom.train.ema import EMA
from genloom.train.learner import Learner
from genloom.train.loop import compile_networks, play
from genloom.train.plan import Plan
from genloom.train.ranks import Ranks
from genloom.train.run import Run


def train(folder, model=None, data=None, **plan):
    torch.manual_seed(0)
    model = model or Duel()
    plan = Plan(**{"examples": 640, "batch": 32, "save_every": 1e9, "report_every": 1e9, **plan})
    return model, list(play(model, data or Points(), Run.begin(folder, {"model": "duel"}), plan))


def test_a_move_changes_its_own_player_only(tmp_path):
    model = Duel()
    learners = {p.name: Learner(p, Ranks()) for p in model.players()}
    batches = iter([take(Points(), torch.arange(16))] * 3)
    for move in model.round(batches, Clock()):
        before = {name: weights(getattr(model, name)).clone() for name in learners}
        learners[move.player].descend(move.loss, 1)
        learners[move.player].step(Clock(), watch=False)
        for name in learners:
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
    model.round = lambda batches, clock: iter(wrong(model, next(batches)))
    with pytest.raises(RuntimeError, match=says):
        train(tmp_path / "a", model)


def test_a_yield_inside_no_grad_is_refused(tmp_path):
    model = Duel()

    def leaky(batches, clock):
        loss = model.critic(next(batches)["x"]).mean()
        with torch.no_grad():
            yield Move("critic", loss)

    model.round = leaky
    with pytest.raises(RuntimeError, match="inside no_grad"):
        train(tmp_path / "a", model)
    assert torch.is_grad_enabled()


def test_micro_batches_must_agree_whose_turn_it_is(tmp_path):
    model = Duel()

    def by_data(batches, clock):
        batch = next(batches)
        name = "critic" if batch["x"].sum() > 0 else "generator"
        yield Move(name, model.critic(model.generator(batch["z"])).mean())

    model.round = by_data
    with pytest.raises(RuntimeError, match="disagree whose turn"):
        train(tmp_path / "a", model, micro=4)


def seeded(kind=Duel, **options):
    torch.manual_seed(0)
    return kind(**options)


def in_phases(model, first=192, renewed=("generator",)):
    rounds = model.round
    model.phases = lambda: [Phase("first", rounds, examples=first), Phase("second", rounds, batch=16, fresh=renewed)]
    return model


def seen_by(folder, model, **plan):
    plan = Plan(**{"batch": 32, "report_examples": 1, "save_every": 1e9, "report_every": 0, **plan})
    reports = play(model, Points(), Run.begin(folder, {"model": "duel"}), plan)
    return [(report.phase, report.examples) for report in reports]


def test_phases_last_their_examples_whatever_the_budget(tmp_path):
    seen = seen_by(tmp_path / "a", in_phases(Duel()), examples=640)
    assert [e for p, e in seen if p == "first"][-1] == 192 and seen[-1] == ("second", 640)
    longer = seen_by(tmp_path / "a", in_phases(Duel()), examples=2560)  # a longer budget goes on in the second phase
    assert {p for p, _ in longer} == {"second"} and longer[-1][1] == 2560
    cut = seen_by(tmp_path / "b", in_phases(Duel()), examples=128)
    assert {p for p, _ in cut} == {"first"}


def test_the_clock_tells_the_phase_and_the_place_within_it(tmp_path):
    model, clocks = Duel(), []
    model.after = lambda clock: clocks.append((clock.phase, clock.within, clock.length, clock.examples))
    seen_by(tmp_path / "a", in_phases(model), examples=288)
    assert clocks[:3] == [(0, 64, 192, 64), (0, 128, 192, 128), (0, 192, 192, 192)]
    assert clocks[3] == (1, 32, None, 224) and clocks[-1] == (1, 96, None, 288)


@pytest.mark.parametrize("stop", [128, 192, 256])  # before, at and after the boundary of the phases
def test_resume_around_a_boundary_of_phases_is_exact(tmp_path, stop):
    def adam():
        return in_phases(seeded(optimizer=torch.optim.Adam, ema=500.0), renewed=("generator", "critic"))

    seen_by(tmp_path / "whole", adam(), examples=640)
    seen_by(tmp_path / "parts", adam(), examples=stop)
    seen_by(tmp_path / "parts", adam(), examples=640)
    for file in ("model", "ema", "optimizer"):
        a, b = (load_file(Run.open(tmp_path / n).last_checkpoint() / f"{file}.safetensors") for n in ("whole", "parts"))
        assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a), file


def test_a_phase_renews_the_players_it_names_alone(tmp_path):
    steps = {}
    for name, renewed in (("both", ("generator", "critic")), ("none", ())):
        seen_by(tmp_path / name, in_phases(Duel(optimizer=torch.optim.Adam), renewed=renewed), examples=224)
        saved = load_file(Run.open(tmp_path / name).last_checkpoint() / "optimizer.safetensors")
        steps[name] = {player: float(saved[f"{player}/0/step"]) for player in ("generator", "critic")}
    assert steps == {"both": {"generator": 1, "critic": 2}, "none": {"generator": 4, "critic": 8}}


def test_only_the_last_phase_may_be_open_and_a_last_one_may_end(tmp_path):
    model = Duel()
    rounds = model.round
    model.phases = lambda: [Phase("endless", rounds), Phase("never", rounds)]
    with pytest.raises(RuntimeError, match="'endless' has no end"):
        seen_by(tmp_path / "a", model, examples=64)
    model.phases = lambda: [Phase("only", rounds, examples=192)]
    assert seen_by(tmp_path / "b", model, examples=100_000)[-1] == ("only", 192)


class Growing(Duel):
    """A game whose second layer comes into play in its second phase."""

    def __init__(self, **options):
        super().__init__(optimizer=torch.optim.Adam, **options)
        self.later = nn.Linear(self.shape.width, self.shape.width)

    def players(self):
        generator, critic = super().players()
        return [dataclasses.replace(generator, modules=(self.generator, self.later)), critic]

    def phases(self):
        grown = lambda batches, clock: self.round(batches, clock, grown=True)  # noqa: E731
        return [Phase("small", self.round, examples=192), Phase("grown", grown)]

    def round(self, batches, clock, grown=False):
        for _ in range(2):
            batch = next(batches)
            yield Move("critic", self.critic(batch["x"]).mean() - self.critic(self.generator(batch["z"]).detach()).mean())
        x_fake = self.generator(batch["z"])
        yield Move("generator", -self.critic(self.later(x_fake) if grown else x_fake).mean())


def test_parameters_come_into_play_phase_by_phase(tmp_path):
    begun, small, grown = (seeded(Growing, ema=100.0) for _ in range(3))
    for model, examples in ((small, 192), (grown, 384)):
        seen_by(tmp_path / str(examples), model, examples=examples)
    assert torch.equal(small.later.weight, begun.later.weight) and not torch.equal(grown.later.weight, begun.later.weight)
    seen_by(tmp_path / "192", Growing(ema=100.0), examples=384)  # and a resume finds them where they were
    for file in ("model", "ema", "optimizer"):
        a, b = (load_file(Run.open(tmp_path / n).last_checkpoint() / f"{file}.safetensors") for n in ("192", "384"))
        assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a), file


@pytest.mark.parametrize(
    ("half_life", "begun", "ended", "kept"),
    [(100.0, 10_000, 10_100, 0.5), (100.0, 10_000, 10_200, 0.25), (1e9, 500, 1000, 0.5 ** (math.log(2) / 0.1))],
)
def test_the_ema_has_its_half_life_and_a_short_run_forgets_its_first_weights(half_life, begun, ended, kept):
    model = Duel(ema=half_life)
    player = model.players()[0]
    ema = EMA(model, model.players())
    (value, average) = next(iter(ema.averages.items()))
    before = average.clone()
    with torch.no_grad():
        value.add_(1.0)
    ema.followed[player.name] = begun
    for examples in range(begun + 1, ended + 1):  # early on a tenth of the examples: the integral of 1 / (0.1 t)
        ema.follow(player, Clock(examples=examples))
    assert torch.allclose(average, before + 1 - kept, atol=1e-4)


def test_weights_that_players_share_have_one_average_and_come_back():
    model = Duel(ema=100.0)
    both = [dataclasses.replace(p, modules=(model.generator, model.critic), ema=100.0) for p in model.players()]
    ema = EMA(model, both)
    trained = weights(model).clone()
    with torch.no_grad():
        for average in ema.averages.values():
            average.fill_(7.0)
    with ema.applied() as averaged_model:
        assert (weights(averaged_model) == 7).all() and not averaged_model.training
    assert torch.equal(weights(model), trained) and all((average == 7).all() for average in ema.averages.values())


def test_what_is_compiled_is_what_is_called(monkeypatch):
    compiled = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: compiled.append(self))
    for name in set(MODELS) - {"line", "gain"}:
        kind = find_model(name)
        shape = ImageShape(channels=1, height=8, width_px=8, classes=("a", "b"))
        model = kind(kind.Hyper.tiny().with_values({"levels": 2} if hasattr(kind.Hyper, "levels") else {}), shape)
        compile_networks([Learner(player, Ranks()) for player in model.players()], model)
    assert len(compiled) > 8 and not [m for m in compiled if type(m).forward is nn.Module.forward]


def test_clipping_bounds_the_step(tmp_path):
    model = Duel(rate=1.0, clip=0.01)
    before = weights(model.generator).clone()
    learner = Learner(model.players()[0], Ranks())
    batch = take(Points(), torch.arange(16))
    learner.descend(model.critic(model.generator(batch["z"])).sum() * 1e3, 1)
    learner.step(Clock(), watch=False)
    assert (weights(model.generator) - before).norm() == pytest.approx(0.01, rel=1e-3)


def test_order_is_a_permutation_each_epoch_and_a_pure_function():
    order = Order(10, mix(3))
    first, second = order.take(0, 10), order.take(10, 10)
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(10))
    assert not torch.equal(first, second)
    assert torch.equal(Order(10, mix(3)).take(7, 6), torch.cat([first[7:], second[:3]]))


RESUMED = {
    "colour": ("pixelcnn", {"layers": 1}),
    "row": ("pixelrnn", {"kind": "row", "layers": 1}),
    "pixelrnn": ("pixelrnn", {"layers": 1}),
    "prior": ("vae", {"decay": 1.0}),
}


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
            Run.begin(tmp_path / "r", {"model": "duel"})
    assert Run.begin(tmp_path / "r", {"model": "duel"}).record["model"] == "duel"


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


def test_a_fit_leaves_the_threads_as_they_were(tmp_path):
    torch.set_num_threads(2)
    genloom.fit("gan", "digits", tmp_path / "run", examples=128, preset="tiny", device="cpu")
    assert torch.get_num_threads() == 2


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
