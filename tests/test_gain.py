"""GAIN: the paper's sizes and hints, the linear guess against closed forms, calibrated draws, and cells on their way."""

import numpy as np
import pytest
import torch

from genloom.core.clock import Clock
from genloom.core.dataset import take
from genloom.core.random import Noise
from genloom.data.tables.dataset import TableData
from genloom.errors import InputError
from genloom.measures.holes import column_errors, covered
from genloom.measures.mechanisms import known_mask
from genloom.models.tables.gain import GAIN, GAINHyper, energy, hinted
from genloom.models.tables.gaussian import Gaussian
from genloom.nn.cells import Bounded, Calendar, Cells
from genloom.shapes.base import Shape
from genloom.shapes.columns import Column
from genloom.shapes.table import TableShape
from genloom.use.tables.network import Network, ninety

MIXED = (
    Column("a", mean=3.0, scale=2.0, low=-4.0, high=9.0),
    Column("c", "categorical", categories=("x", "y", "z")),
    Column("b", "boolean", categories=(False, True)),
    Column("d", "date", mean=1.6e9, scale=1e7, low=1.5e9, high=1.7e9),
)


def numbers(d):
    return tuple(Column(f"column {i}", low=-3.0, high=3.0) for i in range(d))


def build(hyper=None, columns=MIXED):
    torch.manual_seed(0)
    return GAIN(hyper or GAINHyper.tiny(), TableShape(columns=columns))


def mixed_rows(n, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.stack(
        [
            torch.randn(n, generator=g),
            torch.randint(3, (n,), generator=g).float(),
            torch.randint(2, (n,), generator=g).float(),
            torch.randn(n, generator=g),
        ],
        1,
    )


@pytest.mark.parametrize("d", [16, 57])
def test_golden_sizes_of_the_paper(d):
    model = build(GAINHyper(), numbers(d))
    one = (2 * d + 1) * d + 2 * (d + 1) * d
    assert sum(p.numel() for p in model.nets.generator.parameters()) == one
    assert sum(p.numel() for p in model.nets.critics.parameters()) == one


def test_the_paper_hides_one_cell_of_each_row_and_asks_for_it():
    torch.manual_seed(0)
    m = (torch.rand(500, 6) < 0.7).float()
    hint, where = hinted(m, "paper", 0.9)
    assert (where.sum(1) == 1).all() and (hint[where == 1] == 0.5).all() and torch.equal(hint[where == 0], m[where == 0])
    assert where.mean(0).sub(1 / 6).abs().max() < 0.06  # any cell, each as often


def test_the_code_tells_known_cells_only_and_asks_for_all():
    torch.manual_seed(0)
    m = (torch.rand(2000, 6) < 0.7).float()
    hint, where = hinted(m, "code", 0.9)
    assert (where == 1).all() and (hint[m == 0] == 0).all() and hint[m == 1].mean().item() == pytest.approx(0.9, abs=0.01)


def test_the_papers_losses_by_hand():
    model = build(GAINHyper(hint="code", told=1.0, alpha=10.0, noise=0.0), numbers(3)).train()
    x, mask = torch.tensor([[0.5, -1.0, 2.0], [1.0, 0.0, -2.0]]), torch.tensor([[1, 1, 0], [0, 1, 1]]).bool()
    deal = iter([{"x": x * mask, "mask": mask}])
    moves = list(model.round(deal, Clock()))
    assert [move.player for move in moves] == ["discriminator", "generator"]
    m, unit = mask.float(), (x + 3) / 6 * mask
    g = torch.sigmoid(model.nets.generator(torch.cat([unit, m], 1)))
    p = torch.sigmoid(model.nets.critics(torch.cat([m * unit + (1 - m) * g, m], 1)))
    first = -(m * p.log() + (1 - m) * (1 - p).log()).mean()
    second = -((1 - m) * p.log()).mean() + 10 * (m * (unit - g)).square().mean() / m.mean()
    assert moves[0].loss.item() == pytest.approx(first.item(), rel=1e-4)
    assert moves[1].loss.item() == pytest.approx(second.item(), rel=1e-4)


def test_the_papers_own_hint_asks_at_one_cell_and_sums_over_rows():
    model = build(GAINHyper(alpha=10.0, noise=0.0), numbers(3)).train()
    x, mask = torch.tensor([[0.5, -1.0, 2.0], [1.0, 0.0, -2.0]]), torch.tensor([[1, 1, 0], [0, 1, 1]]).bool()
    torch.manual_seed(5)
    moves = list(model.round(iter([{"x": x * mask, "mask": mask}]), Clock()))
    torch.manual_seed(5)
    torch.rand(2, 3)  # the noise
    hint, where = hinted(mask.float(), "paper", 0.9)
    m, unit = mask.float(), (x + 3) / 6 * mask
    g = torch.sigmoid(model.nets.generator(torch.cat([unit, m], 1)))
    p = torch.sigmoid(model.nets.critics(torch.cat([m * unit + (1 - m) * g, hint], 1)))
    first = -((m * p.log() + (1 - m) * (1 - p).log()) * where).sum() / 2
    second = -((1 - m) * p.log() * where).sum() / 2 + 10 * (m * (unit - g)).square().sum(1).mean()
    assert moves[0].loss.item() == pytest.approx(first.item(), rel=1e-4)
    assert moves[1].loss.item() == pytest.approx(second.item(), rel=1e-4)


def test_the_papers_noise_stands_in_missing_cells():
    quiet, noisy = build(GAINHyper(noise=0.0), numbers(3)), build(GAINHyper(noise=0.5), numbers(3))
    x, known, none = torch.randn(4, 3), torch.ones(4, 3), torch.zeros(4, 3)
    assert torch.equal(quiet.nets.guess(x, known), noisy.nets.guess(x, known))
    assert not torch.equal(quiet.nets.guess(x, none), noisy.nets.guess(x, none))


class Told(torch.nn.Module):
    """Says what it was told to, and keeps what it was shown."""

    def __init__(self, says):
        super().__init__()
        self.says = says

    def forward(self, x):
        self.shown = x
        return self.says


def test_the_modern_critics_by_hand():
    nets = build(columns=numbers(3)).nets
    real, fake = torch.arange(6.0).view(2, 3), -torch.ones(2, 3)
    m, k = torch.tensor([[1.0, 1, 0], [1, 1, 1]]), torch.tensor([[1.0, 0, 0], [0, 1, 1]])
    hint = torch.tensor([[1.0, 0, 0], [0, 0, 1]]), torch.ones(2, 3)
    logits, rows = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]]), torch.tensor([[0.5], [2.0], [-3.0], [0.2]])
    nets.critics = torch.nn.ModuleDict({"cells": Told(logits), "rows": Told(rows)})
    loss = nets.accuse(real, fake, m, k, hint)
    drawn = torch.tensor([[0.0, -1, -1], [-1, 4, 5]])
    assert torch.equal(nets.critics["cells"].shown, torch.cat([drawn, hint[0]], 1))
    assert torch.equal(nets.critics["rows"].shown, torch.cat([torch.tensor([[0.0, 1, -1], [3, 4, 5]]), drawn]))
    p = logits.sigmoid()
    cells = -(k * p.log() + (1 - k) * (1 - p).log()).mean()
    assert loss.item() == pytest.approx((cells + (0.5 + 0) / 2 + (0 + 1.2) / 2).item(), rel=1e-5)  # hinges at 1 and -1
    nets.critics["rows"].says = rows[:2]
    fooled = nets.fool(drawn, k, hint)
    by_hand = -((1 - k) * p.log()).sum() / 3 - 1.25
    assert torch.equal(nets.critics["cells"].shown, torch.cat([drawn, hint[0]], 1))
    assert fooled.item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_the_modern_losses_add_up_and_critics_move_the_second_head_alone():
    model = build(GAINHyper.tiny().with_values({"adversary": 0.3}))
    batch = {"x": mixed_rows(32), "mask": torch.rand(32, 4) < 0.8}
    accusing, moving = model.round(iter([batch]), Clock())
    notes = moving.notes
    assert accusing.player == "discriminator" and moving.player == "generator"
    assert moving.loss.item() == pytest.approx((notes["error"] + 0.3 * notes["fooled"] + notes["energy"]).item(), rel=1e-5)
    nets = model.nets
    features, point = nets.generated(batch["x"], batch["mask"].float())
    nets.generator.drawn(features, point, nets.noise(point)).sum().backward()
    moved = {name.split(".")[0] for name, p in nets.generator.named_parameters() if p.grad is not None}
    assert moved == {"spread", "mixer"}


def test_the_energy_score_by_hand():
    cells = Cells(numbers(1))
    pair, x = [torch.tensor([[1.0], [0.0]]), torch.tensor([[4.0], [9.0]])], torch.tensor([[2.0], [5.0]])
    weight = torch.tensor([[1.0], [0.0]])
    assert energy(cells, pair, x, weight).item() == pytest.approx((1 + 2 - 3) / 2)
    assert energy(cells, pair, x, torch.ones(2, 1)).item() == pytest.approx(((1 + 2 - 3) / 2 + (5 + 4 - 9) / 2) / 2)
    assert energy(cells, [pair[0], pair[0]], x, weight).item() == pytest.approx(1.0)


def test_hidden_cells_are_not_shown():
    """What a cell holds must not reach the guess for it: its gradient is zero outside of the mask."""
    model = build().double().eval()
    x = mixed_rows(4).double().requires_grad_()
    mask = torch.rand(4, 4, generator=torch.Generator().manual_seed(1)) < 0.5
    _, point = model.nets.generated(x, mask.double())
    (gradient,) = torch.autograd.grad(point.square().sum(), x)
    assert (gradient[~mask] == 0).all() and gradient[:, 0][mask[:, 0]].abs().min() > 0


def test_cells_come_back_as_they_went_in():
    cells, x = Cells(MIXED), mixed_rows(50)
    assert cells.width == 1 + 3 + 2 + 1 and torch.equal(cells.read(cells.spread(x)), x)
    mask = torch.zeros(50, 4)
    mask[:, 1] = 1
    shown = cells.spread(x, mask)
    assert (shown[:, :2] == 0).all() and (shown[:, 2:5].sum(1) == 1).all() and (shown[:, 5:] == 0).all()


def test_losses_of_cells_by_hand():
    cells, x = Cells(MIXED), mixed_rows(20)
    w, weight = torch.randn(20, cells.width), (torch.rand(20, 4) < 0.5).float()
    logs = (
        torch.log_softmax(w[:, 2:5], 1)[torch.arange(20), x[:, 1].long()],
        torch.log_softmax(w[:, 5:7], 1)[torch.arange(20), x[:, 2].long()],
    )
    parts = torch.stack([(w[:, 0] - x[:, 0]) ** 2, -logs[0], -logs[1], (w[:, 1] - x[:, 3]) ** 2], 1)
    assert cells.loss(w, x, weight).item() == pytest.approx(((parts * weight).sum() / weight.sum()).item(), rel=1e-5)


def test_drawn_categories_follow_their_probabilities():
    cells = Cells(MIXED[1:2])
    logits = torch.tensor([[0.7, 0.2, 0.1]]).log().expand(20_000, 3)
    drawn = cells.pick(logits, torch.rand(20_000, 3, generator=torch.Generator().manual_seed(0)))
    assert torch.allclose(drawn.mean(0), torch.tensor([0.7, 0.2, 0.1]), atol=0.015) and set(
        drawn.unique().round(decimals=4).tolist()
    ) == {0.0, 1.0}


def test_the_calendar_knows_the_day_of_the_week():
    day = Column("d", "date", mean=0.0, scale=86400.0)
    x = torch.arange(15.0)[:, None]
    points = Calendar((day,))(x, torch.ones_like(x))
    assert torch.allclose(points[0, :2], points[7, :2], atol=1e-4) and torch.allclose(
        points[1, :2], points[8, :2], atol=1e-4
    )
    assert (points[0, :2] - points[3, :2]).norm() > 1
    year = Calendar((day,))(torch.tensor([[0.0], [365.2425], [365.2425 / 2]]), torch.ones(3, 1))[:, 2:]
    assert torch.allclose(year[0], year[1], atol=1e-4) and torch.allclose(year[0], -year[2], atol=1e-4)


def test_a_bounded_layer_stretches_nothing_once_it_has_settled():
    torch.manual_seed(0)
    layer = Bounded(20, 30).train()
    for _ in range(100):
        layer(torch.randn(2, 20))
    weight = layer.weight / torch.linalg.matrix_norm(layer.weight, 2)
    x = torch.randn(50, 20)
    assert torch.allclose(layer(x), torch.nn.functional.linear(x, weight, layer.bias), atol=1e-4)


# -- the linear guess ------------------------------------------------------------------------------


def test_the_linear_guess_is_the_conditional_mean():
    g = torch.Generator().manual_seed(0)
    root = torch.randn(4, 4, generator=g, dtype=torch.double)
    law = Gaussian(4).double()
    law.mean, law.covariance = torch.arange(4.0).double(), root @ root.T
    w, m = torch.randn(1, 4, generator=g, dtype=torch.double), torch.tensor([[1.0, 0, 1, 0]]).double()
    known, other = [0, 2], [1, 3]
    c = law.covariance
    by_hand = law.mean[other] + c[other][:, known] @ torch.linalg.inv(c[known][:, known]) @ (w[0, known] - law.mean[known])
    filled = law(w, m)
    assert torch.allclose(filled[0, other], by_hand) and torch.equal(filled[0, known], w[0, known])
    assert torch.allclose(law(w, torch.zeros(1, 4).double())[0], law.mean)


def test_the_law_is_learnt_from_rows_with_holes():
    """Holes that hang on what is seen would bias mean and covariance of the known cells; likelihood is not misled."""
    g = torch.Generator().manual_seed(0)
    a = torch.randn(6000, generator=g)
    w = torch.stack([a, 0.9 * a + 0.3 * torch.randn(6000, generator=g)], 1)
    m = torch.ones_like(w)
    m[a > 0, 1] = 0  # the second is known only where the first is small
    law = Gaussian(2)
    law.fit(w * m, m)
    assert w[m[:, 1] > 0, 1].mean() < -0.6  # what a column mean would say
    assert law.covariance[1, 1].item() == pytest.approx(0.9, abs=0.15)  # with what the missing ones would scatter
    assert law.mean[1].abs() < 0.15 and law.covariance[0, 1].item() == pytest.approx(0.9, abs=0.13)  # shrunk a little


# -- filling in ------------------------------------------------------------------------------------


def test_known_cells_stay_and_a_row_does_not_depend_on_its_neighbours():
    for hyper in (GAINHyper(), GAINHyper.tiny()):
        model = build(hyper).double().eval()
        x, mask = mixed_rows(40).double(), torch.rand(40, 4) < 0.6
        filled = model.impute(x, mask)
        assert torch.equal(filled[mask], x[mask]) and filled.isfinite().all()
        assert torch.allclose(model.impute(x[7:8], mask[7:8]), filled[7:8], atol=1e-12)
        spoilt = torch.where(mask, x, torch.full_like(x, float("nan")))
        assert torch.equal(model.impute(spoilt, mask), filled)  # what stands in a hole is not looked at
        draws = model.draw(x, mask, 3, Noise.of(0, 40))
        assert draws.shape == (3, 40, 4) and torch.equal(draws[1][mask], x[mask])
        assert torch.equal(draws, model.draw(x, mask, 3, Noise.of(0, 40)))
        assert set(torch.cat([filled[None], draws])[:, :, 1].unique().tolist()) <= {0, 1, 2}


def test_rows_of_another_table_are_refused():
    with pytest.raises(InputError, match="rows of 4 columns are wanted, these have 3"):
        build().impute(torch.zeros(2, 3), torch.ones(2, 3).bool())


def test_a_shape_travels_as_json():
    import json

    shape = TableShape(columns=MIXED)
    assert Shape.from_json(json.loads(json.dumps(shape.to_json()))) == shape
    assert shape.describe() == "rows of 4 columns (1 numeric, 1 categorical, 1 boolean, 1 date)"


def test_held_out_cells_are_never_dealt():
    x = np.random.default_rng(0).normal(size=(300, 4))
    data = TableData.of(x, np.ones((300, 4), bool), numbers(4), "here")
    batch = take(data, torch.arange(300))
    assert 20 < data.held.sum() < 120 and not (batch["mask"] & data.held).any() and (batch["x"][data.held] == 0).all()
    known = known_mask(x, 0.2, seed=0)  # holes by the same seed as the data's do not swallow the held-out cells
    assert (known & TableData.of(x, known, numbers(4), "here").held.numpy()).sum() > 20
    assert TableData.of(x[:10], np.ones((10, 4), bool), numbers(4), "here").held.sum() == 0  # too few to spare


@pytest.fixture(scope="module")
def banana():
    """Columns that hang together crookedly, one by a sign that no linear guess can find, one with noise of its own."""
    g = np.random.default_rng(0)
    a = g.normal(size=1500)
    x = np.stack([a, a**2 + 0.1 * g.normal(size=1500), np.abs(a) * g.normal(size=1500), (a > 0).astype(float)], 1)
    mask = g.random(x.shape) > 0.25
    columns = [Column.of_numbers(str(d), x[mask[:, d], d]) for d in range(3)] + [Column("s", "boolean", categories=(0, 1))]
    codes = np.stack([column.code(x[:, d]) for d, column in enumerate(columns)], 1)
    network = Network(hyper={"width": 64, "blocks": 1, "rate": 3e-3, "ema": 4e3}, rounds=400, seed=0)
    network.fit(np.where(mask, codes, 0), mask, columns)
    return network, codes, mask, columns


@pytest.mark.slow
def test_it_learns_what_is_crooked(banana):
    network, codes, mask, columns = banana
    filled = network.fill(np.where(mask, codes, 0), mask)
    errors = column_errors(filled, codes, ~mask, columns)
    law = Gaussian(3).double()
    law.fit(torch.tensor(codes[:, :3] * mask[:, :3]), torch.tensor(mask[:, :3]).double())
    linear = law.double()(torch.tensor(codes[:, :3]), torch.tensor(mask[:, :3]).double()).numpy()
    plain = column_errors(np.c_[linear, codes[:, 3]], codes, ~mask, columns)
    assert errors[1] < 0.75 * plain[1] and errors[3] < 0.25  # the square from its root; the sign, unless the root is missing


@pytest.mark.slow
def test_draws_are_calibrated_where_spread_differs(banana):
    network, codes, mask, _ = banana
    _, low, high, _ = network.interval(np.where(mask, codes, 0), mask)
    holes = ~mask
    holes[:, 3] = False
    assert 0.85 <= covered(low, high, codes, holes) <= 0.95
    wide, known = high[:, 2] - low[:, 2], ~mask[:, 2] & mask[:, 0]
    near, far = np.abs(codes[:, 0]) < 0.3, np.abs(codes[:, 0]) > 1.5
    assert wide[known & far].mean() > 2 * wide[known & near].mean()  # the third column scatters as the first is large


def test_the_same_seed_gives_the_same_weights():
    g = np.random.default_rng(0)
    x, mask = g.normal(size=(80, 3)), g.random((80, 3)) > 0.2
    a, b, c = (Network(rounds=30, seed=seed) for seed in (1, 1, 2))
    before = torch.random.get_rng_state()
    for network in (a, b, c):
        network.fit(np.where(mask, x, 0), mask, numbers(3))
    assert torch.equal(before, torch.random.get_rng_state())  # nobody else's randomness is touched
    assert not torch.equal(a.model.nets.linear.covariance, torch.eye(3).double())  # the table was studied
    first, second, third = (network.fill(np.where(mask, x, 0), mask) for network in (a, b, c))
    assert np.array_equal(first, second) and not np.array_equal(first, third)


def test_the_stretch_covers_nine_in_ten_of_the_next():
    g = np.random.default_rng(0)
    hits = [(abs(g.normal()) <= ninety(np.abs(g.normal(size=100)))) for _ in range(4000)]
    assert np.mean(hits) == pytest.approx(0.9, abs=0.02) and ninety(np.zeros(0)) == 1.0


# -- how cells go missing --------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["mcar", "mar", "mnar"])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_mechanisms(mechanism, share):
    g = np.random.default_rng(3)
    x = g.normal(size=(20_000, 6)) * [1, 5, 0.1, 1, 1, 1] + 7
    mask = known_mask(x, share, mechanism, seed=1)
    assert (~mask).mean() == pytest.approx(share, abs=0.01)
    assert np.array_equal(mask, known_mask(x, share, mechanism, seed=1))
    assert not np.array_equal(mask, known_mask(x, share, mechanism, seed=2))
    linked = np.abs(np.nan_to_num(np.corrcoef(x.T, (~mask).T.astype(float) + 1e-9 * g.normal(size=mask.T.shape))[:6, 6:]))
    own, seen = np.diag(linked), mask.all(0)
    if mechanism == "mcar":
        assert linked.max() < 0.03
    elif mechanism == "mnar":
        assert own.min() > 0.25 and (linked - np.diag(own)).max() < 0.03 and not seen.any()
    else:
        assert seen.sum() == 2 and linked[~seen].max() < 0.03 and linked[seen][:, ~seen].max(0).min() > 0.2


def test_shares_that_cannot_be():
    x = np.zeros((5, 2))
    for share, mechanism, says in (
        (0, "mcar", "between 0 and 1"),
        (0.9, "mar", "ask for fewer"),
        (0.5, "any", "mcar, mar or mnar"),
    ):
        with pytest.raises(InputError, match=says):
            known_mask(x, share, mechanism)
