"""Changes to pictures before a discriminator sees them, and the share of pictures that they are made to."""

import itertools

import pytest
import torch

import genloom
from genloom.catalogue import find_model
from genloom.core.clock import Clock
from genloom.nn.augment import MOST, PASSES, TARGET, Adaptive, augment
from genloom.shapes.pictures import ImageShape

PROJECTED = ((64, 16), (64, 8), (128, 4))  # channels and sides of the maps that its discriminators get at 32 pixels


def changed(share: float, n: int = 4000) -> float:
    """Return the share of pictures that come out otherwise."""
    adaptive = Adaptive(1000.0)
    adaptive.share.fill_(share)
    torch.manual_seed(0)
    x = torch.rand(n, 1, 8, 8) + 1  # no zeros, which a hole would leave alone
    return (adaptive(x) != x).flatten(1).any(1).float().mean().item()


def test_each_change_is_made_to_a_share_of_its_own():
    assert changed(0.0) == 0
    # A picture is changed unless none of three is made; one of 9 shifts, one of 3 each way, leaves it where it is.
    assert changed(0.3) == pytest.approx(1 - 0.7**2 * (1 - 0.3 * 8 / 9), abs=0.03)


def test_the_share_grows_where_real_pictures_are_all_known_and_shrinks_where_they_are_not():
    adaptive, known, even = Adaptive(1000.0), torch.ones(10), torch.tensor([1.0, -1.0] * 5)
    notes = [adaptive.follow(known, Clock(10 * i))["augmented"].item() for i in range(200)]
    assert notes[0] == notes[1] == 0  # the mean is still that of few
    assert notes[-1] == pytest.approx(MOST) and max(b - a for a, b in itertools.pairwise(notes)) <= 0.0101
    first = next(i for i, share in enumerate(notes) if share)
    assert 1 - 0.9 ** (first + 1) > TARGET > 1 - 0.9**first
    back = [adaptive.follow(even, Clock(2000 + 10 * i))["augmented"].item() for i in range(200)]
    assert back[-1] == 0 and min(back) >= 0


def test_nothing_grows_in_the_first_passes_over_the_pictures_nor_faster_than_in_as_many():
    adaptive = Adaptive(1000.0)
    adaptive.pictures = 200
    notes = [adaptive.follow(torch.ones(10), Clock(10 * i))["augmented"].item() for i in range(400)]
    first = next(i for i, share in enumerate(notes) if share)
    assert 10 * first == PASSES * adaptive.pictures
    assert notes[first + 100] - notes[first] == pytest.approx(1000 / (PASSES * adaptive.pictures))


def test_a_training_tells_how_many_pictures_there_are(tmp_path):
    often = {"adaptive_augment": 1000.0}
    run = genloom.fit(
        "dcgan", "digits[:400]", tmp_path / "run", preset="tiny", hyper=often, examples=6000, report_examples=500
    )
    shares = [(line["examples"], line["notes"].get("augmented", 0.0)) for line in run.history()]
    assert all(share == 0 for examples, share in shares if examples < PASSES * 400)
    assert any(share > 0 for _, share in shares)


def test_examples_of_all_processes_count_and_micro_batches_do_not_count_twice():
    alone, shared = Adaptive(1000.0), Adaptive(1000.0)
    for i in range(60):
        alone.follow(torch.ones(8), Clock(8 * i))
        for half in torch.ones(8).split(4):  # of 16 over two processes, in two parts
            shared.follow(half, Clock(16 * i))
    # The share moves from the round on in which the mean has passed the target, which halves need fewer rounds for.
    assert alone.share.item() == pytest.approx(8 * (60 - 13) / 1000, abs=0.01)
    assert shared.share.item() == pytest.approx(16 * (60 - 7) / 1000, abs=0.02)


def test_another_training_from_these_weights_goes_on_with_the_share():
    adaptive = Adaptive(1000.0)
    for i in range(60):
        adaptive.follow(torch.ones(8), Clock(8 * i))
    before = adaptive.share.item()
    adaptive.follow(torch.ones(8), Clock(0))  # its clock starts anew
    adaptive.follow(torch.ones(8), Clock(8))
    assert adaptive.share.item() == pytest.approx(before + 0.008)


@pytest.mark.parametrize("name", ["dcgan", "icgan", "projected"])
def test_a_round_changes_both_kinds_of_pictures_and_follows_the_real_ones(name, monkeypatch):
    kind = find_model(name)
    values = {"adaptive_augment": 100.0} | ({"condition": "none"} if name == "icgan" else {})
    torch.manual_seed(0)
    model = kind(kind.Hyper.tiny().with_values(values), ImageShape((), 3, 32, 32))
    if name == "projected":
        monkeypatch.setattr(model, "views", lambda x: [x.new_zeros(len(x), c, s, s) for c, s in PROJECTED])
    seen, x = [], torch.rand(8, 3, 32, 32)
    monkeypatch.setattr(Adaptive, "forward", lambda self, x: seen.append(x) or x)
    monkeypatch.setattr(Adaptive, "follow", lambda self, real, clock: seen.append(real) or {"augmented": 0.5})
    moves = [move for move in model.round(iter([{"x": x}]), Clock())]
    pictures, logits = [each for each in seen if each.dim() == 4], [each for each in seen if each.dim() == 1]
    assert len(pictures) == 2 and sum(torch.equal(each, x * 2 - 1) for each in pictures) == 1
    assert len(logits) == 1 and moves[0].notes["augmented"] == 0.5 and "augmented" in model.notes


def test_a_share_of_nothing_is_asked_for_by_no_examples():
    adaptive, x = Adaptive(0.0), torch.rand(4, 3, 8, 8)
    assert adaptive.follow(torch.ones(4), Clock()) == {} and not list(adaptive.buffers()) and adaptive(x) is x


def test_gradients_come_through_changes():
    x = torch.rand(8, 3, 8, 8, requires_grad=True)
    augment(x).square().sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0
    adaptive, x = Adaptive(10.0), torch.rand(64, 3, 8, 8, requires_grad=True)
    adaptive.share.fill_(0.5)
    adaptive(x).sum().backward()
    assert x.grad is not None and (x.grad.flatten(1).abs().sum(1) > 0).all() and (x.grad != 1).any()


def test_the_share_is_part_of_a_checkpoint():
    adaptive, other = Adaptive(10.0), Adaptive(10.0)
    for i in range(40):
        adaptive.follow(torch.ones(4), Clock(4 * i))
    other.load_state_dict(adaptive.state_dict())
    assert other.share == adaptive.share > 0 and other.sign == adaptive.sign > 0
