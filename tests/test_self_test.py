"""How `repair` tests itself, chooses, paces and draws: by hand-made fillers whose errors are known."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from genloom.data.tables.layout import Field, Layout
from genloom.errors import InputError
from genloom.measures.fillers import Mean
from genloom.shapes.columns import Column
from genloom.train.request import Request
from genloom.use.tables import network, repair
from genloom.use.tables.files import repair_file
from genloom.use.tables.network import Diverged, Network
from genloom.use.tables.repair import Repairer
from genloom.use.tables.settings import Settings
from holes import complete, holes, write_csv


class Off(Mean):
    """Fills in the truth, off by so much for each cell; it notes what it is shown."""

    def __init__(self, truth, off):
        self.truth, self.off, self.shown = truth, off, []

    def fit(self, x, mask, columns):
        self.shown.append(mask)

    def fill(self, x, mask, wanted=None):
        self.shown.append(mask)
        return np.where(mask, x, (self.truth + self.off)[-len(x) :])


def test_hidden_cells_are_hidden_and_errors_are_not_of_those_that_choose():
    """Errors are of what would be written: 0.4 off a whole number is no error."""
    truth = np.random.default_rng(0).integers(-5, 5, (400, 2)).astype(float)
    columns = [Column("a", "integer", low=-9, high=9, step=1.0), Column("b", low=-9, high=9)]
    frame = pd.DataFrame(truth, columns=["a", "b"])
    repairer = Repairer(Settings())
    repairer.layout = Layout.study(frame)
    repairer.layout = replace(
        repairer.layout,
        fields=tuple(replace(field, column=column) for field, column in zip(repairer.layout.fields, columns, strict=True)),
    )
    mask = np.ones_like(truth, bool)
    hidden = repairer.hide(mask)
    assert hidden.sum(0).tolist() == [40, 40]
    choosing = hidden & (np.arange(400)[:, None] % 2 == 0)
    off = Off(truth[hidden.any(1)], np.where(choosing, [0.4, 1.0], [0.4, 3.0])[hidden.any(1)])
    repairer.fillers["knn"] = off
    repairer.test("knn", truth, mask & ~hidden, hidden, choosing)
    assert not (off.shown[-1] & hidden[hidden.any(1)]).any()
    a, b = repairer.tests["knn"]["a"], repairer.tests["knn"]["b"]
    assert a.error == a.choosing == 0 and b.choosing == pytest.approx(1, abs=0.1) and b.error == pytest.approx(3, abs=0.5)
    assert b.cells == (hidden & ~choosing)[:, 1].sum()


def test_no_method_learns_from_hidden_cells(monkeypatch):
    seen = {}

    def built(self, name):
        seen[name] = Off(np.zeros((len(frame), 3)), 0.0)
        return seen[name]

    monkeypatch.setattr(Repairer, "built", built)
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(300, 3)), columns=list("abc"))
    Repairer(Settings()).fit(frame)
    assert len(seen) == 5
    for filler in seen.values():
        learnt, given = filler.shown
        assert (~learnt).sum() == 90 and not (given & ~learnt[(~learnt).any(1)]).any()


def test_each_column_takes_its_own_best_where_it_can_tell():
    repairer = Repairer(Settings())
    fields = [Field(name, "learnt", column=Column(name)) for name in "abc"]
    repairer.layout = Layout(tuple(fields))
    errors = {"mean": [1.0, 1.0, 1.0], "ridge": [0.5, 0.9, 50.0], "trees": [0.6, 0.2, 1.5]}
    repairer.tests = {
        name: dict(zip("abc", (repair.Tested(choosing=e) for e in each), strict=True)) for name, each in errors.items()
    }
    repairer.fillers = dict.fromkeys(errors, Mean())
    many = np.ones((60, 3), bool)
    repairer.choose(many)
    assert repairer.chosen == {"a": "ridge", "b": "trees", "c": "mean"}
    many[20:, 2] = False  # too few cells: what is best over all, where one absurd error does not count for more than two
    repairer.choose(many)
    assert repairer.chosen["c"] == "trees"
    repairer.tests["mean"]["a"] = repair.Tested(1.0, 1.0, 40, 1.0)
    repairer.tests["ridge"]["a"] = repair.Tested(1.1, 1.0, 40, 0.5)
    assert "nothing about this one" in repairer.idle(Column("a")) and not repairer.idle(Column("b"))


def test_parts_of_a_table_are_drawn_each_for_itself():
    frame = complete(120)[["size", "weight"]]
    repairer = Repairer(Settings(minutes=0.001))
    repairer.fit(frame.mask(holes(frame)))
    part = frame.iloc[:20].mask(np.arange(40).reshape(20, 2) % 3 == 0)
    first, again = ([way["weight"][1] for way in repairer.draws(part, 2)] for _ in range(2))
    later = [way["weight"][1] for way in repairer.draws(part.set_axis(range(5000, 5020)), 2)]
    assert first == again and first[0] != first[1] and later[0] != first[0] and later[1] != first[1]


def test_a_method_may_have_nothing_to_fill():
    frame = complete(120)[["size", "weight"]]
    repairer = Repairer(Settings(minutes=0.001))
    repairer.fit(frame.mask(holes(frame)))
    repairer.chosen = {"size": "gain", "weight": "ridge"}
    (fix,) = repairer.fix(frame.iloc[:9].assign(weight=np.nan))
    assert fix.field.name == "weight" and np.isfinite(fix.values).all() and np.isfinite(fix.low).all()


def test_training_that_goes_astray_is_called_so():
    x = np.random.default_rng(0).normal(size=(300, 3))
    for seconds in (None, 5):
        with pytest.raises(Diverged, match="found no way to learn"):
            Network(hyper={"rate": 1e30}, rounds=60, seconds=seconds).fit(x, np.ones_like(x, bool), numbers(3))


def numbers(d):
    return tuple(Column(str(i), low=-3.0, high=3.0) for i in range(d))


def test_where_gain_learns_nothing_the_others_fill(monkeypatch, tmp_path):
    def fail(self, *rest):
        raise Diverged("GAIN found no way")

    monkeypatch.setattr(Network, "fit", fail)
    frame = complete(100)
    repairer = Repairer(Settings())
    repairer.fit(frame.mask(holes(frame)))
    assert "gain" not in repairer.chosen.values() and np.isnan(repairer.tests["gain"]["size"].error)
    with pytest.raises(InputError, match="leave --draws away"):
        list(repairer.draws(frame, 1))
    with pytest.raises(InputError, match="found no way; --method trees"):
        Repairer(Settings("gain")).fit(frame)
    write_csv(tmp_path / "t.csv", 100)
    outcome = repair_file(str(tmp_path / "t.csv"), str(tmp_path / "o.csv"), Settings())
    assert outcome.left() == {} and not outcome.repairer.covering()
    with pytest.raises(InputError, match="leave --draws away"):
        repair_file(str(tmp_path / "t.csv"), str(tmp_path / "p.csv"), Settings(), draws=1)
    assert not (tmp_path / "p.csv").exists()


def test_time_is_shared_by_rounds(monkeypatch):
    """Five seconds before the first round, paid twice, then slow rounds and others of a tenth of a second."""
    clock = [100.0]

    class Fake:
        def __init__(self, request):
            self.request, self.plan = request, SimpleNamespace(batch=10)

        def play(self):
            clock[0] += 5
            for step in range(self.request.examples // 10 + 1):
                yield SimpleNamespace(fatal=False)
                clock[0] += 1.0 if step < 5 else 0.1

    monkeypatch.setattr(network, "prepare", Fake)
    monkeypatch.setattr(network, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    asked = Request("gain", "x", "y", examples=100_000, hyper={})
    paced = Network(seconds=60).paced(asked, Path("z"), 100.0)
    spent = 5 + 5 + 3.5
    assert paced.examples == pytest.approx(10 * (60 - spent - 5) / 0.1, abs=20)
    assert paced.hyper["anneal"] == paced.examples and paced.minutes * 60 == pytest.approx(60 - spent - 5, abs=0.2)
