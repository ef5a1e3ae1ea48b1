"""How `repair` tests itself, weighs methods, promises, paces and draws: by guesses whose errors are known."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from genloom.errors import InputError
from genloom.measures.fillers import Guesses
from genloom.shapes.columns import Column
from genloom.train.request import Request
from genloom.use.tables import network, repair
from genloom.use.tables.blend import Blend, Ends, Trial, find_ends, find_powers, find_weights, least, promise, raised
from genloom.use.tables.ensemble import affordable
from genloom.use.tables.files import Sample, repair_file
from genloom.use.tables.network import Diverged, Network
from genloom.use.tables.repair import Repairer
from genloom.use.tables.settings import Settings
from genloom.use.tables.trials import SelfTest
from holes import complete, holes, write_csv

# -- hidden cells ----------------------------------------------------------------------------------


def test_each_round_hides_other_cells_and_no_method_sees_them():
    x = np.arange(800.0).reshape(400, 2)
    mask = np.random.default_rng(0).random(x.shape) < 0.9
    test = SelfTest(x, mask, (Column("a"), Column("b")), 0)
    rounds = [test.hidden(fold) for fold in range(test.folds())]
    assert len(rounds) == 3 and not (rounds[0] & rounds[1]).any() and not (rounds[0] & ~mask).any()
    assert np.abs(rounds[0].sum(0) - 0.1 * mask.sum(0)).max() <= 1

    def guess(given, shown, wanted):
        assert not (shown & wanted).any() and not given[wanted].any() and np.isin(given[shown], x[mask]).all()
        asked.append(shown.mean())
        truth = np.where(wanted, given[:, ::-1] + [[-1.0, 1.0]], given)  # of a row whose other cell is known
        return {"one": Guesses.begin(truth, test.columns)}

    asked = []
    test.ask(guess, rounds[0])
    (a, b) = test.trials(["one"])
    assert len(a.truth) == rounds[0][:, 0].sum() and (np.abs(a.best[0] - a.truth) < 1).mean() > 0.8
    assert np.sort(b.truth).tolist() == np.sort(x[rounds[0][:, 1], 1]).tolist()


def test_no_method_learns_from_hidden_cells_and_in_the_end_all_cells_are_learnt_from(monkeypatch):
    learnt = []

    class Fake(repair.Ensemble):
        def fit(self, x, mask, columns, say):
            learnt.append(mask)
            super().fit(x, mask, columns, say)

        def guesses(self, names, x, mask, wanted):
            seen.append((learnt[-1], wanted))
            return super().guesses(names, x, mask, wanted)

    seen = []
    monkeypatch.setattr(repair, "Ensemble", Fake)
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(300, 3)), columns=list("abc"))
    Repairer(Settings("ridge")).fit(frame)
    assert [int((~mask).sum()) for mask in learnt] == [90, 90, 90, 0]
    assert sum(int(wanted.sum()) for _, wanted in seen) == 270


# -- weights ---------------------------------------------------------------------------------------


def test_the_best_weights_are_those_of_a_fine_grid():
    generator = np.random.default_rng(0)
    grid = np.array([(i, j, 40 - i - j) for i in range(41) for j in range(41 - i)]) / 40
    for _ in range(20):
        errors = generator.normal(size=(3, 30)) * generator.uniform(0.5, 2, (3, 1)) + generator.normal(size=30)
        products = errors @ errors.T
        found = least(products)
        values = np.einsum("gi,ij,gj->g", grid, products, grid)
        assert found.min() >= 0 and found.sum() == pytest.approx(1)
        assert found @ products @ found <= values.min() * (1 + 1e-9) and np.abs(found - grid[values.argmin()]).max() < 0.06


def numbers(d):
    return tuple(Column(str(i), low=-3.0, high=3.0) for i in range(d))


def trial(errors):
    """A trial of the truth 0, by methods that are off by so much."""
    errors = np.asarray(errors, float)
    return Trial(np.zeros(errors.shape[1]), errors, *np.full((2, *errors.shape), np.nan))


def test_a_column_takes_its_own_best_as_far_as_its_cells_go():
    g = np.random.default_rng(0)

    def column(n, *sizes):
        return trial(np.array(sizes)[:, None] * g.normal(size=(len(sizes), n)))

    many, few, none = column(4000, 1.0, 0.1, 5.0), column(3, 1.0, 1.0, 0.7), column(0, 1, 1, 1)
    weights = find_weights([many, column(4000, 1.0, 1.0, 0.1), many, many, few, none], 0)
    assert weights[1, 0] > 0.9 and weights[2, 1] > 0.9
    assert (
        weights[:, 4].argmax() == weights[:, 5].argmax() == 1
    )  # three cells do not outweigh all others, and none says nothing
    assert find_weights([none, none], 0).tolist() == [[1, 1], [0, 0], [0, 0]]


def test_two_methods_that_err_apart_are_averaged():
    g = np.random.default_rng(0)
    errors = np.stack([3 * g.normal(size=2000), g.normal(size=2000), g.normal(size=2000)])
    weights = find_weights([trial(errors)], 0)[:, 0]
    assert weights[1] == pytest.approx(0.5, abs=0.1) and weights[2] == pytest.approx(0.5, abs=0.1)


def test_categories_are_weighed_by_their_probabilities():
    truth = np.tile([0.0, 1.0, 2.0], 100)
    right = np.eye(3)[truth.astype(int)] * 0.7 + 0.1
    chances = np.stack([np.full((300, 3), 1 / 3), right, 1 - right])
    chances /= chances.sum(2, keepdims=True)
    none = np.full((3, 300), np.nan)
    weights = find_weights([Trial(truth, chances.argmax(2).astype(float), none, none, chances)], 0)[:, 0]
    assert weights.tolist() == [0, 1, 0]
    blends = [Blend(truth, truth, truth, right)]
    assert find_powers(blends, [truth]) == [3.0] and raised(right, 3.0).sum(1) == pytest.approx(1)  # they were too timid
    half = np.random.default_rng(0).random(300) < 0.45
    assert find_powers(blends, [np.where(half, (truth + 1) % 3, truth)])[0] < 1


# -- intervals and promises ------------------------------------------------------------------------


def test_intervals_follow_the_row_and_hold_a_twentieth_beyond_either_end():
    g = np.random.default_rng(0)

    def skewed(n):
        spread = g.uniform(0.2, 3, n)
        return Blend(np.zeros(n), spread, spread), spread * (g.exponential(size=n) - 1)

    (blend, truth), (later, real) = skewed(2000), skewed(20_000)
    few, little = skewed(30)
    ends = find_ends([blend, few, skewed(0)[0]], [truth, little, np.zeros(0)])
    for found in ends:  # the second and third column borrow from the first
        low, high = found.around(later)
        assert (real < low).mean() == pytest.approx(0.05, abs=0.02) and (real > high).mean() == pytest.approx(0.05, abs=0.02)
    low, high = ends[0].around(later)
    wide = later.above > 2
    assert (high - low)[wide].mean() > 2 * (high - low)[later.above < 1].mean() and (real > high)[wide].mean() < 0.09


def test_where_rows_say_nothing_intervals_are_those_of_the_column():
    g = np.random.default_rng(0)
    n = 4000
    low, high = find_ends([Blend(np.zeros(n), np.zeros(n), np.zeros(n))], [g.normal(size=n)])[0].around(
        Blend(np.zeros(1), np.zeros(1), np.zeros(1))
    )
    assert low[0] == pytest.approx(-1.645, abs=0.1) and high[0] == pytest.approx(1.645, abs=0.1)
    assert Ends().around(Blend(np.ones(1), np.zeros(1), np.zeros(1)))[1][0] == pytest.approx(2.645)


@pytest.mark.parametrize("draw", ["normal", "laplace", "wrong"])
def test_a_promised_error_holds_nine_times_in_ten(draw):
    g, held = np.random.default_rng(0), []
    for _ in range(300):
        if draw == "wrong":
            tested, filled = (g.random(n) < 0.2 for n in (150, 60))
            error, low, high = promise(tested.astype(float), 60, 3)
            held.append(low <= filled.mean() <= high)
        else:
            tested, filled = (getattr(g, draw)(size=n) ** 2 for n in (150, 60))
            error, low, high = promise(tested, 60, 0)
            held.append(low <= filled.mean() ** 0.5 <= high)
        assert low <= error <= high
    assert np.mean(held) >= 0.9


def test_certainty_ranks_the_cells():
    g = np.random.default_rng(0)
    spread, a = np.repeat([0.05, 2.0], 300), g.normal(size=(600, 4))
    frame = pd.DataFrame(a, columns=list("acde")).assign(b=a.sum(1) / 2 + spread * g.normal(size=600), noisy=spread > 1)
    out = g.random(600) < 0.3
    holed = frame.assign(b=frame["b"].mask(out))
    repairer = Repairer(Settings())
    repairer.fit(holed)
    (fix,) = repairer.fix(holed)
    off, noisy = np.abs(fix.values - frame["b"].to_numpy()[out]), frame["noisy"].to_numpy()[out]
    assert fix.certain[~noisy].mean() > fix.certain[noisy].mean() + 0.2
    order = np.argsort(fix.certain)
    assert off[order[: len(off) // 3]].mean() > 3 * off[order[-len(off) // 3 :]].mean()
    assert np.mean([bool(doubt) for doubt in np.array(fix.doubts)[noisy]]) > np.mean(
        [bool(doubt) for doubt in np.array(fix.doubts)[~noisy]]
    )


def test_a_sample_of_values_is_fair():
    sample = Sample()
    for start in range(0, 50_000, 1000):
        sample.add(np.arange(start, start + 1000.0))
    assert len(sample.values) == 2000 and sample.values.mean() == pytest.approx(25_000, abs=1500)


# -- time ------------------------------------------------------------------------------------------


def test_trees_are_grown_as_time_allows():
    x = np.random.default_rng(0).normal(size=(2000, 5))
    columns = numbers(5)
    mask = np.ones_like(x, bool)
    assert affordable(x, mask, columns, float("inf")) == 1 and affordable(x, mask, columns, 1e6) == 1
    assert affordable(x, mask, columns, 1e-6) == 0 and affordable(x, mask, columns, -1.0) == 0


@pytest.mark.usefixtures("brief_gain")
def test_gain_is_tried_where_it_is_asked_for_or_time_is_left():
    frame = complete(120)[["size", "weight"]]
    frame = frame.mask(holes(frame))
    for settings, tried in (
        (Settings(), False),
        (Settings("gain"), True),
        (Settings(minutes=5), True),
        (Settings(minutes=0.01), False),
    ):
        repairer = Repairer(settings)
        repairer.fit(frame)
        assert ("gain" in repairer.tests) == tried
        assert not any(fix.doubts is None or np.isnan(fix.values).any() for fix in repairer.fix(frame))
    assert "trees" not in repairer.tests and not Settings(minutes=0.01, began=-9.0).left() > 0


@pytest.mark.usefixtures("brief_gain")
def test_parts_of_a_table_are_drawn_each_for_itself():
    frame = complete(120)[["size", "weight"]]
    repairer = Repairer(Settings("ridge"))
    repairer.fit(frame.mask(holes(frame)))
    part = frame.iloc[:20].mask(np.arange(40).reshape(20, 2) % 3 == 0)
    first, again = ([way["weight"][1] for way in repairer.draws(part, 2)] for _ in range(2))
    later = [way["weight"][1] for way in repairer.draws(part.set_axis(range(5000, 5020)), 2)]
    assert first == again and first[0] != first[1] and later[0] != first[0] and later[1] != first[1]


def test_a_method_may_have_nothing_to_fill():
    frame = complete(120)[["size", "weight"]]
    repairer = Repairer(Settings())
    repairer.fit(frame.mask(holes(frame)))
    repairer.weights = np.zeros_like(repairer.weights)
    repairer.weights[[repairer.names.index("knn"), repairer.names.index("ridge")], [0, 1]] = 1
    repairer.learn(repairer.mask, "again")
    (fix,) = repairer.fix(frame.iloc[:9].assign(weight=np.nan))
    assert fix.field.name == "weight" and np.isfinite(fix.values).all() and np.isfinite(fix.low).all()
    assert fix.method == "ridge"


def test_training_that_goes_astray_is_called_so():
    x = np.random.default_rng(0).normal(size=(300, 3))
    for seconds in (None, 5):
        with pytest.raises(Diverged, match="found no way to learn"):
            Network(hyper={"rate": 1e30}, rounds=60, seconds=seconds).fit(x, np.ones_like(x, bool), numbers(3))


def test_where_gain_learns_nothing_the_others_fill(monkeypatch, tmp_path):
    def fail(self, *rest):
        raise Diverged("GAIN found no way")

    monkeypatch.setattr(Network, "fit", fail)
    frame = complete(100)
    repairer = Repairer(Settings(minutes=5))
    repairer.fit(frame.mask(holes(frame)))
    assert "gain" not in repairer.tests and repairer.methods("size")
    with pytest.raises(InputError, match="leave --draws away"):
        list(repairer.draws(frame, 1))
    with pytest.raises(InputError, match="found no way; --method trees"):
        Repairer(Settings("gain")).fit(frame)
    write_csv(tmp_path / "t.csv", 100)
    outcome = repair_file(str(tmp_path / "t.csv"), str(tmp_path / "o.csv"), Settings())
    assert outcome.left() == {} and "of the hidden numbers" in outcome.repairer.covering()
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
