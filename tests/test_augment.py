"""Changes to pictures before a discriminator sees them, and the share of pictures that they are made to."""

import itertools

import pytest
import torch

from genloom.nn.augment import MOST, TARGET, Adaptive, augment


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
    notes = [adaptive.follow(known)["augmented"].item() for _ in range(200)]
    assert notes[0] == 0  # the mean is still that of few
    assert notes[-1] == pytest.approx(MOST) and max(b - a for a, b in itertools.pairwise(notes)) <= 0.0101
    first = next(i for i, share in enumerate(notes) if share)
    assert 1 - 0.9 ** (first + 1) > TARGET > 1 - 0.9**first
    back = [adaptive.follow(even)["augmented"].item() for _ in range(200)]
    assert back[-1] == 0 and min(back) >= 0


def test_a_share_of_nothing_is_asked_for_by_no_examples():
    adaptive, x = Adaptive(0.0), torch.rand(4, 3, 8, 8)
    assert adaptive.follow(torch.ones(4)) == {} and adaptive(x) is x


def test_gradients_come_through_changes():
    x = torch.rand(8, 3, 8, 8, requires_grad=True)
    augment(x).square().sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0


def test_the_share_is_part_of_a_checkpoint():
    adaptive, other = Adaptive(10.0), Adaptive(10.0)
    for _ in range(40):
        adaptive.follow(torch.ones(4))
    other.load_state_dict(adaptive.state_dict())
    assert other.share == adaptive.share > 0 and other.sign == adaptive.sign > 0
