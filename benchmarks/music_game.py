"""Whether a game against a critic makes `music` better, once likelihood has trained it: it does not.

    python -m benchmarks.music_game --runs runs [--reward features]     # the run of `benchmarks.music_jsb 16th`

Notes are drawn, so no gradient passes through them: a piece drawn is worth what the critic makes of it, and what made it is
made likelier by that much (Williams 1992, REINFORCE; SeqGAN, Yu et al. 2017, rewards so). Either the critic's logit is the
reward of a step (`answers`), or how far it brings the mean of the critic's features to that of real pieces (`features`):
that is the exact gradient of feature matching, |E f(made) - E f(real)|^2, Salimans et al. 2016. The likelihood goes on being
descended beside it. The critic is a GRU that reads forwards, told pitches, intervals between voices, and leaps.
"""

# B batch, T steps, V voices, W width

from __future__ import annotations

import argparse
import copy
import time
from itertools import combinations
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.evidence import record
from benchmarks.music_jsb import pieces_of, source_of, trained
from genloom import load_data
from genloom.core.dataset import size, take
from genloom.core.random import Noise
from genloom.measures.figure import Figure
from genloom.measures.music import distributions, faults, overlaps, rate
from genloom.models.music.music import Music
from genloom.models.music.stepwise import drawn_shifts
from genloom.nn.voices import StepByStep, span
from genloom.scores.voices import Voices
from genloom.shapes.score import FIRST, sounding

STEPS, BATCH, AVERAGED = 48, 32, 50  # steps of a piece drawn, pieces a round, rounds that weights are averaged over
PIECES, BARS = 100, 14
FAR = 51  # intervals that are told apart


class Critic(nn.Module):
    """Codes `[B, T, V]` to an answer a step `[B, T]`, and the features that it comes from `[B, T, W]`."""

    def __init__(self, codes: int, voices: int, width: int = 128) -> None:
        super().__init__()
        self.pairs = list(combinations(range(voices), 2))
        self.cells = nn.ModuleList(nn.Embedding(3 * codes, 24) for _ in range(voices))
        self.apart = nn.ModuleList(nn.Embedding(FAR, 12) for _ in self.pairs)
        self.leaps = nn.ModuleList(nn.Embedding(FAR, 12) for _ in range(voices))
        self.place = nn.Embedding(96, 16)
        self.enter = nn.Linear(36 * voices + 12 * len(self.pairs) + 16, width)
        self.gru = nn.GRU(width, width, batch_first=True)
        self.features, self.out = nn.Linear(width, width), nn.Linear(width, 1)

    def forward(self, x: Tensor, beat: Tensor) -> tuple[Tensor, Tensor]:
        now = sounding(x)
        before = F.pad(now[:, :-1], (0, 0, 1, 0))
        parts = [net((3 * now + x.clamp_max(FIRST))[..., v]) for v, net in enumerate(self.cells)]
        for net, (a, b) in zip(self.apart, self.pairs, strict=True):
            parts.append(net(interval(now[..., a], now[..., b])))
        parts += [net(interval(now[..., v], before[..., v])) for v, net in enumerate(self.leaps)]
        h = F.leaky_relu(self.enter(torch.cat([*parts, self.place(beat)], -1)), 0.2)
        features = F.leaky_relu(self.features(self.gru(h)[0] + h), 0.2)
        return self.out(features)[..., 0], features


def interval(a: Tensor, b: Tensor) -> Tensor:
    """Return the place of the interval between codes among those that are told apart."""
    return span(a - b, (a >= FIRST) & (b >= FIRST))


@torch.no_grad()
def drawn(model: Music, beat: Tensor, bar: Tensor, told: list[Tensor]) -> Tensor:
    """Return pieces `[B, T, V]` that begin at given places of the bar."""
    hand = StepByStep(model.network, len(beat), bar, told)
    steps = [hand.step(each, lambda v, logits: torch.multinomial(logits.softmax(1), 1)[:, 0]) for each in beat.unbind(1)]
    return torch.stack(steps, 1)


def worth(reward: Tensor, fading: float) -> Tensor:
    """Return what steps `[B, T]` lead to, above the mean of pieces, of deviation 1: rewards from a step on, fading."""
    sums, later = [], reward.new_zeros(len(reward))
    for each in reward.flip(1).unbind(1):
        later = each + fading * later
        sums.append(later)
    found = torch.stack(sums[::-1], 1)
    found = found - found.mean(0)
    return found / (found.std() + 1e-6)


def evaluate(model: Music, tests: list[dict[str, Tensor]]) -> dict[str, Any]:
    """Return nats, overlap and faults of a model's pieces."""
    shape = model.shape

    def voices(codes: Tensor) -> Voices:
        return shape.on_grid(shape.held(codes[: BARS * shape.bar]))

    def said(figure: Figure) -> list[float]:
        return [round(each, 4) for each in (figure.value, figure.low, figure.high)]

    made = [voices(each) for each in model.compose(PIECES, BARS * shape.bar, None, 1.0, Noise.of(5, PIECES))]
    counted = [
        [distributions(each, shape.grid, shape.bar) for each in pieces]
        for pieces in (made, [voices(piece["x"][0]) for piece in tests])
    ]
    wrong = np.array([faults(each) for each in made]).sum(1)
    nats = np.concatenate([model.step_nats(each)[0].numpy() for each in tests]).mean()
    return {
        "nats": round(float(nats), 4),
        "overlap": said(overlaps(counted[0], counted[1], 0)["overlap"]),
        "faults_per_bar": said(rate(wrong, np.full(PIECES, float(BARS)), "", "lower", 0)),
    }


def play(model: Music, data: Any, options: argparse.Namespace) -> tuple[Music, list[dict[str, float]]]:
    """Play rounds; return the model of averaged weights, and what share of steps the critic called rightly."""
    critic, averaged = Critic(model.shape.codes, len(model.shape.voices)), copy.deepcopy(model).eval()
    critic_steps = torch.optim.Adam(critic.parameters(), 1e-3, betas=(0.5, 0.99))
    steps = torch.optim.AdamW(model.network.parameters(), options.rate, weight_decay=model.hyper.decay)
    called: list[dict[str, float]] = []
    for round_ in range(options.rounds):
        batch = take(data, torch.randint(0, size(data), (BATCH,)))
        x, mask, bar = batch["x"].long(), batch["mask"], batch["bar"]
        shift = drawn_shifts(x, model.hyper.transpose, model.shape.codes)
        x = torch.where(x >= FIRST, x + shift[:, None, None], x)
        told = [torch.full((BATCH,), each) for each in model.unknown]
        likelihood = (model.train().nats(x, batch["beat"], bar, told).sum(2) * mask).sum() / mask.sum()

        x, mask, beat = x[:, :STEPS], mask[:, :STEPS], batch["beat"][:, :STEPS]  # examples begin at any place of a bar
        made = drawn(model.eval(), beat, bar, told)
        (real, of_real), (fake, of_fake) = critic(x, beat), critic(made, beat)
        with torch.no_grad():
            spread, mean = of_fake.std((0, 1)) + 1e-3, of_fake.mean((0, 1))
            towards = ((of_real * mask[..., None]).sum((0, 1)) / mask.sum() - mean) / spread
            reward = (of_fake - mean) / spread @ towards if options.reward == "features" else fake.detach()
        chance = -model.nats(made, beat, bar, told).sum(2)
        loss = likelihood - options.weight * (worth(reward, options.fading) * chance).mean()
        steps.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.network.parameters(), 1.0)
        steps.step()

        loss = (F.softplus(-real) * mask).sum() / mask.sum() + F.softplus(fake).mean()
        critic_steps.zero_grad()
        loss.backward()
        critic_steps.step()
        with torch.no_grad():
            for a, b in zip(averaged.parameters(), model.parameters(), strict=True):
                a.lerp_(b, 1 / AVERAGED)
        right = {"real": ((real > 0) & mask).sum() / mask.sum(), "made": (fake < 0).float().mean()}
        called.append({name: float(each) for name, each in right.items()})
        if not (round_ + 1) % 50:
            print(round_ + 1, {name: round(np.mean([each[name] for each in called[-50:]]), 3) for name in right})
    return averaged, called


def main() -> None:
    """Measure before and after, and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", help="folder in which the training is kept, and looked for", required=True)
    parser.add_argument("--reward", choices=("answers", "features"), default="features")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--weight", type=float, default=1.0, help="of the game beside the likelihood")
    parser.add_argument("--fading", type=float, default=0.8, help="of a reward, a step")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    began = time.process_time()
    model, _ = trained("16th", options.runs)
    assert isinstance(model, Music)
    data, test = (load_data(source_of("16th"), split=split, steps=128) for split in ("train", "test"))
    tests = pieces_of(test, range(len(test.names)), model.shape.low)
    before = evaluate(model, tests)
    after, called = play(model, data, options)
    figures = {
        "before": before,
        "after": evaluate(after, tests),
        "critic_right": {name: round(np.mean([each[name] for each in called[-50:]]), 3) for name in ("real", "made")},
        "rounds": options.rounds,
        "weight": options.weight,
    }
    print(figures)
    notes = f"{BATCH} pieces of {STEPS} steps a round; {PIECES} pieces of {BARS} bars, 16th grid of chorales"
    record(f"music-game-{options.reward}", figures, seed=0, cpu_seconds=time.process_time() - began, notes=notes)


if __name__ == "__main__":
    main()
