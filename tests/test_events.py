"""Notes one after the other as data, and C-RNN-GAN."""

import numpy as np
import pytest
import torch

import genloom
from games import piece, write_music
from genloom.cli.app import run as command
from genloom.core.clock import Clock
from genloom.errors import InputError
from genloom.models.music.crnngan import CRNNGAN, CRNNGANHyper
from genloom.scores.midi import read_midi
from genloom.scores.score import Score, as_notes
from genloom.shapes.base import Shape
from genloom.shapes.events import EventShape

SHAPE = EventShape(notes=30, low=40, high=90)


def test_notes_come_back_from_numbers():
    whole = piece(3)
    x = SHAPE.encode(whole)
    assert x.shape == (30, 4) and x[0].tolist() == pytest.approx([1.0, (whole.notes["pitch"][0] - 69) / 12, 80 / 127, 0.0])
    back = SHAPE.decode(x[None])[0].notes
    for field in ("start", "length", "pitch", "velocity"):
        assert np.allclose(np.sort(back[field]), np.sort(whole.notes[field]), atol=1e-5), field
    assert Shape.from_json(SHAPE.to_json()) == SHAPE


def test_chords_have_no_time_between_and_the_highest_first():
    x = SHAPE.encode(Score(as_notes([(0.0, 1.0, 60, 80, 0), (0.0, 1.0, 64, 80, 0), (2.0, 1.0, 62, 80, 0)])))
    assert x[:, 3].tolist() == [0, 0, 2] and x[0, 1] > x[1, 1]


def test_whatever_a_network_makes_is_a_piece_of_notes():
    wild = torch.tensor([[[-3.0, 9.0, 7.0, -2.0], [0.0, -9.0, -1.0, 1.0]]])
    notes = SHAPE.decode(wild)[0].notes
    assert notes["pitch"].tolist() == [90, 40] and notes["velocity"].tolist() == [127, 1] and (notes["length"] > 0).all()
    assert notes["start"].tolist() == [0, 1]


def test_examples_are_notes_in_a_row_of_one_piece(tmp_path):
    data = find(write_music(tmp_path, 10), steps=12)
    assert data.shape.notes == 12 and len(data) == 8 * 2  # of 30 notes, from the first and the eleventh on
    first = data.shape.encode(piece(1))  # the first by its name
    batch = data.batch({"x": torch.tensor([0, 1])})["x"]
    assert torch.equal(batch[0], first[:12]) and torch.equal(batch[1, 1:], first[11:22]) and batch[1, 0, 3] == 0
    assert find(tmp_path).shape.notes == 30  # all have as many
    with pytest.raises(InputError, match="an example has 31 notes one after the other, and no piece has more than 30"):
        find(tmp_path, steps=31)


def find(folder, **said):
    from genloom.data.source import find_source

    return find_source(folder, said, kind="events").load()


# -- the model -------------------------------------------------------------------------------------


def test_the_paper_has_its_networks():
    """Two layers of 350 units, one way and both; torch has two biases a gate."""
    model = CRNNGAN(CRNNGANHyper.paper(), EventShape())
    n, f = 350, 4

    def lstm(width, ways):
        return ways * 4 * (n * width + n * n + 2 * n)

    assert sum(p.numel() for p in model.generator.parameters()) == lstm(2 * f, 1) + lstm(n, 1) + f * n + f
    assert sum(p.numel() for p in model.discriminator.parameters()) == lstm(f, 2) + lstm(2 * n, 2) + 2 * n + 1
    player = model.players()[0]
    optimizer = player.optimizer(player.parameters())
    assert type(optimizer) is torch.optim.SGD and optimizer.defaults["lr"] == 0.1 and player.clip == 5.0
    hyper = model.hyper
    assert (hyper.batch, hyper.epochs, hyper.waits, hyper.tones, hyper.matching) == (20, 6, 0.7, 1, True)


def small(**said):
    torch.manual_seed(0)
    return CRNNGAN(CRNNGANHyper.tiny().with_values({"dropout": 0.0, **said}), SHAPE)


def test_cells_of_three_notes_come_back_as_notes():
    x = torch.rand(2, 30, 4)
    for tones in (1, 3, 4):
        for hertz in (False, True):
            model = small(tones=tones, hertz=hertz)
            model.mean.copy_(torch.tensor([0.5, 400.0, 0.3, 0.1]))
            model.spread.copy_(torch.tensor([2.0, 100.0, 1.0, 0.5]))
            cells = model.entered(x)
            assert cells.shape == (2, -(-30 // tones), 4 * tones)
            assert torch.allclose(model.left(cells), x, atol=1e-4)


def test_heights_are_hertz_in_the_paper():
    model = small(hertz=True)
    assert model.as_heard(torch.tensor([[1.0, 0.0, 0.5, 0.0], [1.0, 1.0, 0.5, 0.0]]))[:, 1].tolist() == [440.0, 880.0]


def test_the_generator_said_the_notes_one_by_one_is_the_same_as_given_them():
    model = small()
    z = torch.rand(2, 10, 12)
    made = model.generator(z)
    assert torch.allclose(model.generator.following(z, made), made, atol=1e-5)


def test_the_discriminator_reads_both_ways_and_gives_a_mean():
    model = small()
    x = torch.rand(1, 10, 12, requires_grad=True)
    held = model.discriminator.features(x)
    first, last = (torch.autograd.grad(held[0, t].sum(), x, retain_graph=True)[0][0].abs().sum(-1) for t in (0, 9))
    assert (first > 0).all() and (last > 0).all()
    said = model.discriminator.out(held)[0, :, 0].sigmoid().mean()
    assert model.discriminator.probability(held)[0].item() == pytest.approx(said.item())


@pytest.mark.parametrize(("bias", "waiting"), [(4.0, "generator"), (-4.0, None), (0.0, None)])
def test_a_player_waits_while_it_is_far_ahead(bias, waiting):
    """A discriminator that takes all for real is behind, and the generator waits; a bias moves both losses by hand."""
    model = small(waits=0.7)
    torch.nn.init.constant_(model.discriminator.out.bias, bias)
    moves = {move.player: move for move in model.round(iter([{"x": torch.rand(4, 30, 4)}]), Clock())}
    still = {name for name, move in moves.items() if float(move.loss.detach()) == 0}
    assert still == ({waiting} if waiting else ({"discriminator"} if bias < 0 else set()))


def test_beginnings_grow_epoch_by_epoch():
    model = small(tones=1, grows=4, epochs=3)
    model.hyper = model.hyper.with_values({"pretrained": 30})
    seen = []
    model.generator.following = lambda z, x: seen.append(x.shape[1]) or x + 1
    for examples in (0, 9, 10, 29):
        list(model.next_notes(iter([{"x": torch.rand(2, 30, 4)}]), Clock(examples)))
    assert seen == [4, 4, 8, 12]


def test_it_learns_to_say_the_next_notes_and_then_plays(tmp_path):
    folder = write_music(tmp_path / "music", 20)
    options = {"preset": "tiny", "threads": 1, "save_examples": 10**9, "report_examples": 160, "hyper": {"epochs": 40}}
    run = genloom.fit("crnngan", folder, tmp_path / "run", examples=1200, **options)
    errors = [line["notes"]["next"] for line in run.history() if "next" in line["notes"]]
    assert errors[-1] < 0.8 * errors[0]
    assert {line["phase"] for line in run.history()} == {"next notes", "game"}
    assert command(["sample", str(run.folder), "-n", "2", "-o", str(tmp_path / "two.mid")]) == 0
    assert len(read_midi(tmp_path / "two.mid")[0].notes) > 10
    for suffix in ("png", "npy"):
        assert command(["sample", str(run.folder), "-n", "2", "-o", str(tmp_path / f"two.{suffix}")]) == 0
