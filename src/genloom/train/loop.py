"""play(): the one loop that trains every model.

It advances the model's round to its next move, lets the mover, and no other player, descend, and
yields a report every so often. The plan's budget and `stop` end it with a checkpoint, from which the
run goes on to the same weights; closing the iterator ends it at the last one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace

import torch
from torch import nn

from genloom.core.clock import Clock
from genloom.core.dataset import Dataset
from genloom.core.model import Model, Move
from genloom.core.random import seed_device, stream
from genloom.data.given import Given
from genloom.train.checkpoint import Checkpoint
from genloom.train.ema import EMA
from genloom.train.feed import AHEAD, Feed, MicroBatches, check_batch
from genloom.train.graphs import record_networks
from genloom.train.health import Referee
from genloom.train.learner import Learner
from genloom.train.ledger import Ledger
from genloom.train.machine import keep_freed_memory
from genloom.train.phases import Phases
from genloom.train.plan import Plan, Report, Score, Start
from genloom.train.ranks import Ranks
from genloom.train.run import Run

WATCH_ROUNDS = 16  # gradient norms are read once in so many rounds


def play(
    model: Model,
    data: Dataset,
    run: Run,
    plan: Plan,
    score: Score | None = None,
    stop: Callable[[], bool] = lambda: False,
    start: Start = None,
) -> Generator[Report, None, None]:
    """Train `model` on `data` in the folder of `run`, from its last checkpoint where it has one.

    Args:
        score: a cheap measure of the model with its averaged weights, as (name, value), lower is better, taken at each
            checkpoint; it decides what `best.json` names.
        stop: asked between rounds; once true, in whichever process, training saves and ends.
        start: gives a model the weights from which a run without checkpoint begins, or None for its own.

    Raises:
        InputError: the batch is larger than the data or cannot be cut as asked.
        RuntimeError: the model's round breaks a rule of play, with the rule.
    """
    ranks = Ranks()
    if ranks.first:
        run.take()
    try:
        loop = Loop(model, data, run, plan, ranks, score, start)
        try:
            yield from loop.play(stop)
        finally:
            loop.feed.close()
    finally:
        model.eval()
        run.release()


def compile_networks(learners: Sequence[Learner], model: Model) -> None:
    """Let torch compile the players' networks; where a player is the whole model, its parts, which are what is called."""
    for learner in learners:
        for module in learner.player.modules:
            for part in parts_called(module, model):
                part.compile()


def parts_called(module: nn.Module, model: Model) -> Iterator[nn.Module]:
    """Yield the modules that are called: not a container, nor the model itself, but what they hold."""
    if module is model or isinstance(module, nn.ModuleDict | nn.ModuleList):
        for child in module.children():
            yield from parts_called(child, model)
    else:
        yield module


class Loop:
    """One training: its parts, and the rounds that are played with them."""

    def __init__(
        self,
        model: Model,
        data: Dataset,
        run: Run,
        plan: Plan,
        ranks: Ranks,
        score: Score | None = None,
        start: Start = None,
    ) -> None:
        self.model, self.run, self.plan, self.ranks, self.score = model, run, plan, ranks, score
        self.slices = 1 if model.at_once else check_batch(plan.batch, plan.micro, model.phases(), data, ranks.world)
        keep_freed_memory()
        seed_device(stream("start", seed=plan.seed), plan.device)
        checkpoint = Checkpoint.shared(run.last_checkpoint() if ranks.first else None, ranks)
        self.data = model.study(data, run.remember)
        if checkpoint is None and start is not None:
            start(model)
        model.to(plan.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.data = self.data.to(plan.device)
        players = model.players()
        self.learners = {player.name: Learner(player, ranks) for player in players}
        self.ema = EMA(model, players)
        self.clock = checkpoint.clock if checkpoint else Clock()
        self.ledger = Ledger(plan, model, list(self.learners), self.clock)
        if checkpoint:
            checkpoint.restore(self)
        else:
            ranks.share_weights(model)
        self.phases = Phases(model.phases(), self.clock)
        if plan.compile and plan.device.type == "cuda" and self.slices == 1 and model.recorded(1):
            record_networks(model, plan, plan.batch // ranks.world)
        elif plan.compile and model.compilable:
            compile_networks(list(self.learners.values()), model)
        # A program's own data may be bound to this thread, or draw from torch's generator, which is seeded here.
        self.feed = Feed(self.data, plan.seed, plan.device, ahead=0 if isinstance(data, Given) else AHEAD)
        self.referee = Referee(model, self.data, self.learners, run.history(), getattr(score, "of_mean", math.inf))
        self.last: Report | None = None

    # -- playing -----------------------------------------------------------------------------------

    def play(self, stop: Callable[[], bool]) -> Iterator[Report]:
        """Play rounds until the budget is spent or `stop` says so; save at the end."""
        if self.clock.rounds == 0:
            yield self.report(save=False)
        over, save, report = self.wishes(stop)
        over = over or self.model.at_once
        while not (over or self.ledger.out_of_examples() or self.phases.finished(self.clock)):
            self.play_round()
            over, save, report = self.wishes(stop)
            if not (save or report):
                continue
            yield self.report(save)
            fatal, enough = self.verdicts()
            if fatal:
                return
            over = over or enough
        if self.ranks.any(self.ranks.first and not self.saved())[0]:
            yield self.report(save=True)

    def saved(self) -> bool:
        """Whether the last checkpoint is of this instant."""
        last = self.run.last_checkpoint()
        return last is not None and int(last.name) == self.clock.examples

    def wishes(self, stop: Callable[[], bool]) -> list[bool]:
        """Return whether to stop, to save and to report: any process may ask to stop, the rest the first decides."""
        first, ledger = self.ranks.first, self.ledger
        over = stop() or (first and ledger.out_of_time())
        return self.ranks.any(over, first and ledger.save_due(), first and ledger.report_due())

    def verdicts(self) -> list[bool]:
        """Return whether training cannot go on, and whether it has done what it was to: in every process alike."""
        health = self.last.health if self.last else ()
        return self.ranks.any(self.referee.fatal, self.plan.stop_when in {verdict.name for verdict in health})

    def play_round(self) -> None:
        """Play one round: all streams of micro-batches in lock-step from move to move."""
        clock, ranks = self.clock, self.ranks
        for name in self.phases.enter(clock):
            self.learners[name].forget()
        phase = self.phases.current(clock)
        self.model.train()
        # The randomness of a round is a pure function of (seed, rank, round): nothing of it needs saving.
        seed_device(stream("round", ranks.rank, clock.rounds, seed=self.plan.seed), self.plan.device)
        whole, slices = phase.batch or self.plan.batch, ranks.world * self.slices
        streams = [
            MicroBatches(self.feed, clock, phase, whole, ranks.rank * self.slices + i, slices, clock.examples)
            for i in range(self.slices)
        ]
        rounds = [phase.round(batches, clock) for batches in streams]
        watch = clock.rounds % WATCH_ROUNDS == 0
        while (mover := self.move(rounds)) is not None:
            self.learners[mover].step(clock, watch)
            self.ema.follow(self.learners[mover].player, clock)
        clock.examples = max(batches.position for batches in streams)
        clock.rounds += 1
        self.model.after(clock)

    def move(self, rounds: list[Iterator[Move]]) -> str | None:
        """Let every round make its next move; return who moved, or None at the end of the round."""
        movers = set()
        for moves in rounds:
            move = self.next_move(moves)
            movers.add(move.player if move else None)
            if move is None:
                continue
            if move.player not in self.learners:
                raise RuntimeError(f"a move names {move.player!r}; the players are {', '.join(self.learners)}")
            self.learners[move.player].descend(move.loss, 1 / len(rounds))
            self.ledger.write(move)
        if len(movers) > 1:
            raise RuntimeError(f"micro-batches disagree whose turn it is ({movers}): it may hang on data only if all agree")
        return movers.pop()

    def next_move(self, moves: Iterator[Move]) -> Move | None:
        """Run the round to its next yield, under autocast where the plan has it."""
        kind = self.plan.device.type
        with torch.autocast(kind, dtype=torch.bfloat16, enabled=self.plan.precision == "bf16"):
            before = torch.is_autocast_enabled(kind), torch.is_grad_enabled()
            move = next(moves, None)
            leaked = before != (torch.is_autocast_enabled(kind), torch.is_grad_enabled())
        if leaked:
            torch.set_grad_enabled(True)
            raise RuntimeError("a round yielded inside no_grad, autocast or another `with`: close it before the yield")
        return move

    # -- reporting and saving ----------------------------------------------------------------------

    def report(self, save: bool) -> Report:
        """Judge the health, write the statistics, the grid and, with `save`, a checkpoint."""
        started = time.monotonic()
        report = self.last if self.last and self.last.rounds == self.clock.rounds else self.examine(started)
        save = save and not self.ranks.any(report.fatal)[0]
        checkpoint = Checkpoint.of(self) if save else None
        if self.ranks.first:
            report = self.write(report, checkpoint)
        self.last = report
        self.ledger.reported(started, save)
        return report

    def examine(self, now: float) -> Report:
        """Sum up what was noted since the last report and judge the health."""
        norms = {name: learner.norm for name, learner in self.learners.items() if learner.norm is not None}
        notes = self.ranks.mean(self.ledger.means(norms))
        with self.ema.applied() as model, torch.no_grad():
            health, figures = self.referee.examine(model, self.learners, self.clock, notes)
        return Report(
            examples=self.clock.examples,
            rounds=self.clock.rounds,
            phase=self.phases.current(self.clock).name,
            notes=notes | figures,
            health=health,
            seconds=self.ledger.seconds(),
            cpu_seconds=self.ledger.cpu_seconds(),
            examples_per_second=self.ledger.speed(now),
        )

    def write(self, report: Report, checkpoint: Checkpoint | None) -> Report:
        """Write the report's line and, where there is one, checkpoint and grid; a full disk is trouble, not the end."""
        try:
            if checkpoint:  # first: a picture that cannot be written must not cost a checkpoint
                report = self.save(report, checkpoint)
            if checkpoint or report.rounds == 0:
                with self.ema.applied() as model, torch.no_grad():
                    report = replace(report, grid=self.run.write_grid(model, report.examples))
            self.run.write_stats(report)
        except OSError as error:
            report = replace(report, trouble=self.run.explain(error))
        return report

    def save(self, report: Report, checkpoint: Checkpoint) -> Report:
        """Let the light judge score the averaged weights, and write the checkpoint."""
        with self.ema.applied() as model, torch.no_grad():
            score = self.take_score(model)
        if score is not None:
            self.referee.scores.append(score[1])
        checkpoint.note(report, score, self.ledger.score_cpu)
        return replace(report, checkpoint=self.run.write_checkpoint(checkpoint), score=score)

    def take_score(self, model: Model) -> tuple[str, float] | None:
        """Return the light judge's score, or None where there is no judge or it is not its time."""
        began, cpu = time.monotonic(), time.process_time()
        if self.score is None or not self.ledger.score_due(began):
            return None
        score = self.score(model)
        self.ledger.scored(began, cpu)
        return score
