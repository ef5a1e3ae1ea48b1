"""The table of counts: exact on cases small enough to write out, and a model like any other."""

import itertools
import math
from collections import Counter

import pytest
import torch

import genloom
from games import write_music
from genloom.data.music.dataset import ScoreData
from genloom.errors import InputError
from genloom.models.music.counts import Counts, CountsHyper, chosen_doubts, without_own
from genloom.nn.voices import STRICT, Counterpoint
from genloom.scores.score import Score, as_notes
from genloom.scores.voices import on_grid
from genloom.shapes.score import FIRST, HELD, REST, ScoreShape
from genloom.use.music.compose import Wish, compose


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return genloom.load_data(write_music(tmp_path_factory.mktemp("music"), 10))


def small(chords, repeats, voices=2):
    """Return pieces of three pitches, and their table."""
    shape = ScoreShape(
        voices=tuple("abc"[:voices]), low=60, high=62, grid=1, window=4, chords=chords, repeats=repeats, beats=2
    )
    random = torch.Generator().manual_seed(0)
    scores = []
    for i in range(4):
        steps = torch.randint(3 if repeats else 2, (6,), generator=random)
        pitches = 60 + (steps if repeats else (steps + 1).cumsum(0) % 3)  # none the same as the one before
        rows = [(float(t), 1.0, int(pitch), 80, 0) for t, pitch in enumerate(pitches)]
        scores.append(Score(as_notes(rows), ("a",), name=str(i)))
    laid = [on_grid(score, 1, voices) for score in scores]
    return ScoreData.of(scores, laid, shape, [0] * 4, 0, "small")


@pytest.mark.parametrize(("chords", "repeats"), [(False, True), (False, False), (True, True)])
def test_probabilities_of_all_pieces_add_up_to_one(chords, repeats):
    data = small(chords, repeats)
    table = Counts.of(data)
    assert len(table.context)
    steps = list(itertools.product(range(data.shape.codes), repeat=2))
    total = 0.0
    for piece_of_two in itertools.product(steps, repeat=2):
        x = torch.tensor([piece_of_two])
        if possible(x[0], data.shape):
            total += math.exp(-float(table.step_nats({"x": x, "beat": torch.tensor([[0, 1]])}).double().sum()))
    assert total == pytest.approx(1.0, abs=1e-5)


def possible(x, shape):
    """Whether codes `[T, 2]` are ones that may be."""
    if shape.chords:
        return bool(((x != HELD).all()) & ((x[:, 1] == REST) | ((x[:, 0] >= FIRST) & (x[:, 1] < x[:, 0]))).all())
    sounds = torch.zeros(2, dtype=torch.long)
    for step in x:
        if ((step == HELD) & (sounds == 0)).any() or (not shape.repeats and ((step >= FIRST) & (step == sounds)).any()):
            return False
        sounds = torch.where(step == HELD, sounds, step)
    return True


def test_one_voice_is_counted_as_by_hand():
    """A tune of one voice and one pitch beside rests, where the mixture can be written down."""
    data = small(False, True, voices=1)
    table = Counts.of(data)
    table.doubt.fill_(1.0)
    begun = Counter()  # what a voice does with no regard to anything but whether it sounded
    for i in range(4):
        codes = data.piece(i)["x"][0, :, 0].tolist()
        sounded = 0
        for code in codes:
            begun[sounded, min(code, FIRST)] += 1
            sounded = int(code != REST)
    last = begun[0, FIRST], sum(n for (before, _), n in begun.items() if before == 0)
    # Silence before the first note is all that comes before a first step, so that all five orders have the same counts.
    share, kinds = 0.5, 1  # rest or begin, for nothing can be held
    for _ in range(5):
        share = (last[0] + (kinds + 1) * share) / (last[1] + kinds + 1)
    first = table.shares(next(table.made(data.piece(0)))[0])[0]
    assert first[FIRST].item() == pytest.approx(share) and first[HELD] == 0


def test_counts_of_all_other_pieces_are_those_of_a_table_without_the_piece():
    random = torch.Generator().manual_seed(3)
    place, outcome, piece_of = (torch.randint(n, (300,), generator=random) for n in (5, 4, 3))
    entries, where, count = (place * 4 + outcome).unique(return_inverse=True, return_counts=True)
    offset = torch.searchsorted(entries, torch.arange(6) * 4)
    told = without_own(place, where, piece_of, offset, count)
    for i in range(0, 300, 7):
        others = (piece_of != piece_of[i]) & (place == place[i])
        said = int((others & (outcome == outcome[i])).sum()), int(others.sum()), len(outcome[others].unique())
        assert tuple(told[i].tolist()) == said


def test_doubts_are_small_where_contexts_are_to_be_trusted():
    sure = torch.tensor([[90, 100, 2]]).repeat(50, 1)[:, None]
    never = torch.tensor([[0, 100, 2]]).repeat(50, 1)[:, None]
    ways = torch.full((50,), 4)
    assert chosen_doubts(sure, ways)[0] < 0.1 and chosen_doubts(never, ways)[0] == 20.0


def test_a_single_piece_teaches_no_doubt(tmp_path):
    data = genloom.load_data(write_music(tmp_path, 1))
    table = Counts.of(data)
    assert set(table.doubt.flatten().tolist()) == {3.0} and table.step_nats(data.piece(0)).isfinite().all()


def test_the_table_learns_and_says_the_same_in_every_key(data):
    table, fresh = Counts.of(data), Counts(CountsHyper(), data.shape)
    held = data.piece(9)
    assert float(table.step_nats(held).mean()) < 0.5 * float(fresh.step_nats(held).mean())
    moved = {**held, "x": torch.where(held["x"] >= FIRST, held["x"] + 2, held["x"])}
    assert torch.allclose(table.step_nats(moved)[0, 1:], table.step_nats(held)[0, 1:], atol=0.1)
    assert table.hyper.contexts == len(table.context) and table.hyper.entries == len(table.count) == table.offset[-1]


def test_a_run_of_counts_is_one_like_any_other(data, tmp_path):
    run = genloom.fit("counts", data.source, tmp_path / "run", threads=1)
    model = genloom.load(run)
    assert torch.equal(model.step_nats(data.piece(9)), Counts.of(data).step_nats(data.piece(9)))
    scores = compose(model, 2, Wish(bars=5))
    assert all(score.lasts == 20 and len(score.notes) for score in scores)
    known = torch.full((32, 2), -1)
    known[:, 0] = data.piece(9)["x"][0, :32, 0]
    assert torch.equal(model.harmonise(known, 2)[..., 0], known[:, 0].expand(2, -1))
    with pytest.raises(InputError, match="counts takes key and density, not composer"):
        compose(model, 1, Wish(composer="ada"))
    genloom.fit("counts", data.source, tmp_path / "run", threads=1)  # going on changes nothing
    assert len(run.history()) >= 1 and torch.equal(genloom.load(run).count, model.count)


# -- counterpoint, which music has beside its net --------------------------------------------------


def flags(before, now):
    """Return what is said of each pitch that a lower voice may begin: parallel octave, fifth, hidden one, crossing."""
    net = Counterpoint(2)
    with torch.no_grad():
        net.strict.copy_(torch.tensor([[1.0, 10.0, 100.0, 1000.0]]) / STRICT)
        added = net(40, [torch.tensor([now])], torch.tensor([before]))[0, 1:]
    return {pitch + 1: round(float(value)) for pitch, value in enumerate(added) if round(float(value))}


def test_what_may_be_forbidden_by_hand():
    """Pitches count from 1. The upper voice goes from 20 to 22: an octave or unison lies at 10 and 22, a fifth at 15."""
    said = {before: flags((20, before), 22) for before in (8, 13, 20, 0)}
    below = {before: {pitch: flag for pitch, flag in found.items() if pitch <= 22} for before, found in said.items()}
    assert below == {8: {10: 1, 15: 100, 22: 1}, 13: {15: 10, 22: 100}, 20: {22: 1}, 0: {}}  # from above 15 it falls to it
    assert all(found[pitch] >= 1000 for found in said.values() for pitch in range(23, 41))
    assert all(flag == 1000 for flag in flags((20, 8), 20).values())  # who stays makes no parallel
    assert all(flag == 1000 for flag in flags((0, 8), 22).values())  # nor does who comes from a rest


def test_counterpoint_is_the_same_in_every_key():
    torch.manual_seed(0)
    net = Counterpoint(3)
    for weight in net.parameters():
        torch.nn.init.normal_(weight)
    before, now = torch.tensor([[20, 15, 10]]), [torch.tensor([22]), torch.tensor([14])]
    here = net(40, now, before)
    there = net(40, [each + 5 for each in now], before + 5)
    assert torch.allclose(here[:, 0], there[:, 0]) and torch.allclose(here[:, 1:36], there[:, 6:41], atol=1e-5)
