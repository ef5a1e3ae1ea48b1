"""What the judge says in words, what it keeps, and how it tells of its progress."""

import json
from pathlib import Path

import pytest
import torch

import genloom
from genloom.cli.app import run as command
from genloom.core.random import on_threads
from genloom.measures.copies import Sketch, nearest_training
from genloom.measures.figure import Figure
from genloom.measures.kept import kept_tensors
from genloom.measures.mixture import principal_directions
from genloom.measures.pyramid import line_distances
from genloom.use.judging import picture_verdicts
from genloom.use.judging.compare import compare, ranking
from genloom.use.judging.effort import slope_of, training_verdict
from genloom.use.judging.picture_jury import REAL, SIMPLE
from genloom.use.judging.progress import Progress

EVIDENCE = Path(__file__).resolve().parents[1] / "docs" / "evidence"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name, model in (("a", "dcgan"), ("b", "gan")):
        genloom.fit(model, "digits", folder / name, preset="tiny", examples=640, device="cpu")
    return folder


# -- what is quicker and the same ------------------------------------------------------------------


def test_distances_on_a_grid_are_those_of_sorted_points():
    drawing = torch.Generator().manual_seed(0)
    a, b = (torch.randn(4, 20_000, generator=drawing) for _ in range(2))
    a[:, :5000] = 0.3  # many equal ones, as the background of digits gives
    exact = (a.sort(1).values - (1.1 * b + 0.05).sort(1).values).abs().mean(1)
    assert torch.allclose(line_distances(a, 1.1 * b + 0.05), exact, rtol=1e-3)
    assert torch.equal(line_distances(a, a), torch.zeros(4))


def test_a_sketch_finds_the_nearest_and_knows_where_it_may_not():
    drawing = torch.Generator().manual_seed(0)
    x = torch.randn(900, 6, generator=drawing) @ torch.randn(6, 40, generator=drawing)
    x += 0.05 * torch.randn(900, 40, generator=drawing)
    sketch = Sketch.of(x.split(100), *principal_directions(x, 6))
    own = torch.arange(50)
    for probes, itself in ((x[:50] + 0.1, None), (x[:50], [own])):
        found, sure = sketch.nearest(probes, lambda places: x[places], itself)
        exact = nearest_training(probes, x.split(100), itself)
        assert sure.float().mean() > 0.9 and torch.equal(found.index[sure], exact.index[sure])
        assert torch.allclose(found.distance[sure], exact.distance[sure], atol=1e-3)
    # What lies off the axes has no bound worth the name: it is not called sure, unless it is right.
    noise = 9 * torch.randn(50, 40, generator=drawing)
    found, sure = sketch.nearest(noise, lambda places: x[places])
    exact = (noise[:, None] - x).double().norm(dim=2).topk(5, largest=False).values.float()
    assert sure.any() and torch.allclose(found.distance[sure], exact[sure], rtol=1e-5)
    far = torch.cat([torch.zeros(1, 40), torch.eye(40)]) * 100  # all of one length: a sketch of few axes cannot tell
    blind = Sketch.of([far.repeat(30, 1)], torch.zeros(40), torch.eye(40)[:, :2])
    assert not blind.nearest(far[3:4] + 1, lambda places: far.repeat(30, 1)[places])[1].any()


def test_what_is_kept_is_made_anew_where_it_is_damaged(tmp_path, monkeypatch):
    monkeypatch.setenv("GENLOOM_CACHE", str(tmp_path))
    made = []

    def make():
        made.append(1)
        return {"x": torch.arange(3.0)}

    def get():
        return kept_tensors("things", ["key", 1], make, lambda found: found.keys() == {"x"})["x"]

    assert torch.equal(get(), get()) and len(made) == 1
    (file,) = (tmp_path / "things").iterdir()
    file.write_bytes(file.read_bytes()[:20])
    assert torch.equal(get(), torch.arange(3.0)) and len(made) == 2 and len(get()) == 3 and len(made) == 2


def test_threads_are_put_back(trained, tmp_path, capsys):
    before = torch.get_num_threads()
    with on_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    with pytest.raises(ZeroDivisionError), on_threads(before + 1):
        raise ZeroDivisionError
    assert torch.get_num_threads() == before
    assert command(["judge", str(trained / "a"), "--quick", "--threads", "0"]) == 2
    assert "--threads takes a number from 1 on" in capsys.readouterr().err


# -- the quick judge -------------------------------------------------------------------------------


def test_a_quick_judgement_needs_no_classifier_and_says_what_it_does(trained, tmp_path, capsys):
    out = tmp_path / "judge.json"
    assert command(["judge", str(trained / "a"), "--quick", "-n", "200", "-o", str(out), "--threads", "1"]) == 0
    judged, printed = json.loads(out.read_text()), capsys.readouterr()
    kinds = {name.split("[")[0] for name in judged["measures"]}
    assert kinds == {"FID", "KID", "precision", "recall", "density", "coverage", "Parzen", "near-copies", "nearest distance"}
    assert all("classifier" not in name for name in judged["measures"])
    stages = [line for line in printed.err.splitlines() if line.strip()]
    assert any("draw samples" in line and "left" in line for line in stages)
    assert not any("feature network" in line for line in stages)
    first = printed.out.splitlines()[0]
    assert f"{trained / 'a'}: trained for 0.45 epochs (640 examples" in first and "go on with: genloom fit -o" in first
    page = out.with_suffix(".html").read_text()
    assert page.index("trained for 0.45 epochs") < page.index("samples against")


def test_progress_scales_what_is_left_by_what_was_done(monkeypatch):
    now, said = [0.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    progress = Progress(said.append, {"a": 10.0, "b": 100.0, "c": 100.0})
    progress("a")
    now[0] = 70.0  # seven times what is usual, which the doubt of the first stages brings down to three
    progress("c")  # b was in the cache
    progress("something else")
    assert said[0] == "a; about 4 minutes left" and said[1].startswith("c; about 5 minutes") and said[2] == "something else"


# -- verdicts --------------------------------------------------------------------------------------


def test_a_slope_is_told_from_noise():
    drawing = torch.Generator().manual_seed(0)
    examples = [float(i) for i in range(40)]
    calls = {"falls": 0, "flat": 0}
    for _ in range(200):
        noise = 0.05 * torch.randn(40, generator=drawing)
        flat = slope_of(examples, (1 + noise).tolist())
        falling = slope_of(examples, (2 - 0.03 * torch.arange(40) + noise).tolist())
        calls["flat"] += flat.falls
        calls["falls"] += falling.falls
    assert calls["falls"] > 195 and calls["flat"] < 15  # one side of 95 %
    assert falling.change == pytest.approx(-0.03 * 19, abs=0.1)
    assert falling.early - falling.late == pytest.approx(0.03 * 10, abs=0.1)
    assert slope_of(examples[:5], [1.0] * 5) is None


class Told:
    """A run of which only its record and history are asked."""

    folder = "runs/x"

    def __init__(self, scores, record=None):
        self.record = {"model": "gan", "data": {"examples": 1000}, **(record or {})}
        self.scores = scores

    def history(self):
        return [{"examples": 100 * i, "score": ["KID[random]", score]} for i, score in enumerate(self.scores)]


def test_the_training_is_told_with_what_would_help():
    state = {"examples": 140, "cpu_seconds": 30.0, "seconds": 60.0}
    little = training_verdict(Told([]), state)
    assert little.startswith("trained for 0.14 epochs (140 examples, 0.5 CPU minutes), which is very little")
    assert little.endswith("go on with: genloom fit -o runs/x --minutes 30")
    state = {"examples": 5000, "cpu_seconds": 600.0, "seconds": 3000.0}
    better = training_verdict(Told([2 - 0.05 * i for i in range(30)]), state)
    assert "still gets better: KID[random] fell from 1.07 to 0.7 over its last 15 looks" in better and better.endswith(
        "--minutes 100"
    )
    even = training_verdict(Told([1.0, 1.1] * 15), state)
    assert "falls no more, beyond its noise" in even and "go on" not in even
    assert training_verdict(Told([]), state, enough=True) == "trained for 5 epochs (5,000 examples, 10 CPU minutes)"
    start = {"start": {"examples": 5000, "cpu_seconds": 600.0}}
    assert training_verdict(Told([], start), state, enough=True).startswith("trained for 10 epochs (10,000 examples, 20 CPU")


def figures(precision, recall, density, coverage):
    values = {"precision": precision, "recall": recall, "density": density, "coverage": coverage}
    return {f"{name}[random:1]": Figure(v, v - 0.01, v + 0.01, 1000, "", "higher") for name, v in values.items()}


def test_a_precision_above_real_pictures_is_explained_and_no_praise():
    real = figures(0.89, 0.88, 1.0, 0.95)
    (blobs,) = picture_verdicts.too_good(figures(0.94, 0.2, 1.3, 0.3), real)
    assert "no good news" in blobs and "precision 0.94 (real pictures 0.89)" in blobs and "coverage 0.30" in blobs
    assert "lie where real pictures are dense but cover few of them" in blobs
    (lattice,) = picture_verdicts.too_good(figures(1.0, 0.0, 2.86, 0.05), real)
    assert "density 2.86" in lattice
    assert not picture_verdicts.too_good(figures(0.89, 0.2, 0.9, 0.3), real)  # narrow, but not above
    assert not picture_verdicts.too_good(figures(0.95, 0.87, 1.1, 0.95), real)  # above, and wide


def test_few_training_pictures_are_said(trained, tmp_path):
    genloom.fit("gan", "digits[:300]", tmp_path / "few", preset="tiny", examples=640, device="cpu")
    said = genloom.judge(tmp_path / "few", quick=True, n=100).verdicts
    assert any(text.startswith("300 training pictures are few") for text in said)


def test_compare_says_first_which_is_best(trained, tmp_path, capsys):
    out = tmp_path / "both.html"
    assert command(["compare", str(trained / "a"), str(trained / "b"), "--quick", "-n", "200", "-o", str(out)]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert "FID[random" in first and ("is the best by" in first or "does not tell" in first)
    assert "is the best by" in out.read_text().split("samples against")[0] or "does not tell" in out.read_text()
    both = compare([trained / "a", trained / "b"], n=200, quick=True)
    name = next(iter(both[0].measures))
    both[0].measures[name], both[1].measures[name] = (Figure(v, v - 1, v + 1, 200, "") for v in (5.0, 9.0))
    assert ranking(both).startswith(f"{trained / 'a'} is the best by {name}")
    both[1].measures[name] = Figure(6.0, 5.0, 7.0, 200, "")
    assert "does not tell" in ranking(both)


@pytest.mark.parametrize(("name", "says"), [("judged-collapse", "much of the data is never drawn"), ("judged-gan", "")])
def test_verdicts_on_record_stay_as_they_were(name, says):
    found = json.loads((EVIDENCE / f"{name}.json").read_text())
    own = {key: Figure(*value, 100, "") for key, value in found["figures"].items() if isinstance(value, list)}
    rows = {row: {} for row in (REAL, SIMPLE)}
    for key, value in found["figures"].items():
        measure, _, row = key.rpartition(", ")
        if row in rows:
            rows[row][measure] = Figure(value, value, value, 100, "")
    said = picture_verdicts.beaten(own, rows[SIMPLE]) + picture_verdicts.never_drawn(own, rows[REAL])
    assert says in " ".join(said) if says else said == []
    assert all(text in found["notes"] for text in said)


def test_what_learns_all_at_once_is_told_so():
    state = {"examples": 0, "cpu_seconds": 0.1, "seconds": 0.1}
    assert training_verdict(Told([], {"model": "counts"}), state) == "learnt all at once: there is no more to train"
