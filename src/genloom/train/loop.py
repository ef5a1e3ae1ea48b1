"""play(): the one loop that trains every model.

It advances the model's round to its next move, lets the mover, and no other player, descend, and
yields a report every so often. Stopping is closing the iterator, or the plan's budget, or `stop`;
each leaves a checkpoint from which the run goes on to the same weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor

from genloom.core.clock import Clock
from genloom.core.model import Dataset, Model, Move, Phase
from genloom.core.random import mix
from genloom.train.checkpoint import Tensors, optimizer_tensors, read_optimizer, read_tensors, read_weights
from genloom.train.feed import Hand, Order, check_batch
from genloom.train.health import Referee, Verdict
from genloom.train.learner import Seat, Shadowed
from genloom.train.machine import keep_freed_memory
from genloom.train.run import Run

Score = Callable[[Model], tuple[str, float]]  # a measure of a model by name, lower is better
Start = Callable[[Model], None] | None
WATCH_ROUNDS = 16  # gradient norms are read once in so many rounds


@dataclass(frozen=True)
class Plan:
    """How long and how to train; everything but the budget is part of what a resumed run must repeat.

    Attributes:
        examples: stop after so many examples, over all ranks, or None.
        minutes: stop after so many minutes of training, over all resumptions, or None.
        batch: examples of one whole batch, over all ranks.
        micro: largest number of examples to hold at once on a rank, or None for all of its part.
        seed: all randomness follows from it.
        precision: of matrix products and convolutions.
        compile: compile the networks with torch.compile.
        save_every, report_every: seconds between checkpoints and between reports.
        save_examples, report_examples: the same in examples, in place of seconds, or None.
        stop_when: end once the referee speaks this verdict.
    """

    examples: int | None = None
    minutes: float | None = None
    batch: int = 64
    micro: int | None = None
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False
    save_every: float = 60.0
    report_every: float = 2.0
    save_examples: int | None = None
    report_examples: int | None = None
    stop_when: Literal["plateau"] | None = None


@dataclass(frozen=True)
class Report:
    """What there is to say at one instant of training."""

    examples: int
    rounds: int
    phase: str
    notes: Mapping[str, float]
    health: Sequence[Verdict]
    seconds: float
    cpu_seconds: float
    examples_per_second: float
    grid: Path | None = None
    checkpoint: Path | None = None
    trouble: str | None = None
    score: tuple[str, float] | None = None

    @property
    def fatal(self) -> bool:
        """Whether training cannot go on."""
        return any(verdict.fatal for verdict in self.health)


def play(
    model: Model,
    data: Dataset,
    run: Run,
    plan: Plan,
    score: Score | None = None,
    stop: Callable[[], bool] = lambda: False,
    start: Start = None,
) -> Iterator[Report]:
    """Train `model` on `data` in the folder of `run`, from its last checkpoint where it has one.

    Args:
        score: a cheap measure of the shadowed model, as (name, value), lower is better, taken at each
            checkpoint; it decides what `best.json` names.
        stop: asked between rounds; once true, training saves and ends.
        start: gives a model the weights from which a run without checkpoint begins, or None for its own.

    Raises:
        InputError: the batch is larger than the data or cannot be cut as asked.
        RuntimeError: the model's round breaks a rule of play, with the rule.
    """
    writes = not dist.is_initialized() or dist.get_rank() == 0
    if writes:
        run.take()
    try:
        yield from Table(model, data, run, plan, score, start).play(stop)
    finally:
        model.eval()
        run.release()


def compile_networks(seats: Iterable[Seat], model: Model) -> None:
    """Let torch compile the players' networks; where a player is the whole model, its parts, which are what is called."""
    for seat in seats:
        for module in seat.player.modules:
            for part in module.children() if module is model else [module]:
                part.compile()


class Table:
    """The state of one training: seats, clock, and what has been noted since the last report."""

    def __init__(self, model: Model, data: Dataset, run: Run, plan: Plan, score: Score | None,
                 start: Start = None) -> None:  # fmt: skip
        self.model, self.data, self.run, self.plan, self.score = model, data, run, plan, score
        self.world = dist.get_world_size() if dist.is_initialized() else 1
        self.rank = dist.get_rank() if self.world > 1 else 0
        self.phases = list(model.phases())
        self.slices = check_batch(plan.batch, plan.micro, self.phases, len(data), self.world)
        keep_freed_memory()
        self.clock = Clock()
        torch.manual_seed(mix(plan.seed, 2))
        last = run.last_checkpoint()
        if last is None:
            model.study(data)
            if start is not None:
                start(model)
        self.model.to(plan.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.seats = {player.name: Seat(player, model, self.world) for player in model.players()}
        self.past_seconds, self.past_cpu, self.score_cpu, self.phase_index = 0.0, 0.0, 0.0, 0
        if last is not None:
            self.restore(last)
        if plan.compile:
            compile_networks(self.seats.values(), model)
        self.order = Order(len(data), mix(plan.seed, 0))
        self.referee = Referee(model, data, self.seats, run.history())
        self.sums: dict[str, Tensor] = {}
        self.last: Report | None = None
        self.counts: dict[str, int] = {}
        self.began, self.began_cpu = time.monotonic(), time.process_time()
        self.saved_at = self.reported_at = self.began
        self.saved_examples = self.reported_examples = self.clock.examples
        self.report_cost = self.score_cost = 0.0
        self.scored_at = self.began

    # -- playing -----------------------------------------------------------------------------------

    def play(self, stop: Callable[[], bool]) -> Iterator[Report]:
        """Play rounds until the budget is spent or `stop` says so; save at the end."""
        fresh = self.clock.rounds == 0
        if fresh:
            yield self.report(save=False)
        while not (self.spent() or self.agreed(stop())):
            self.play_round()
            save = self.due(self.saved_at, self.saved_examples, self.plan.save_every, self.plan.save_examples)
            patience = max(self.plan.report_every, 30 * self.report_cost)
            if not (save or self.due(self.reported_at, self.reported_examples, patience, self.plan.report_examples)):
                continue
            yield self.report(save)
            if self.agreed(self.referee.fatal):  # a process that stopped alone would leave the others waiting
                return
            if self.agreed(self.plan.stop_when in {verdict.name for verdict in self.last.health} if self.last else False):
                break
        last = self.run.last_checkpoint()
        if last is None or int(last.name) != self.clock.examples:
            yield self.report(save=True)

    def due(self, since: float, since_examples: int, seconds: float, examples: int | None) -> bool:
        """Whether it is time again, by examples where these are given, else by the clock on the wall as rank 0 sees it."""
        if examples is not None:
            return self.clock.examples // examples > since_examples // examples  # the same instants after a resume
        return self.agreed(time.monotonic() - since >= seconds)

    def play_round(self) -> None:
        """Play one round: all hands in lock-step from move to move."""
        phase, clock = self.current_phase(), self.clock
        self.model.train()
        # The randomness of a round is a pure function of (seed, rank, round): nothing of it needs saving.
        torch.manual_seed(mix(self.plan.seed, 3, self.rank, clock.rounds))
        hands = [self.hand(phase, i) for i in range(self.slices)]
        rounds = [phase.round(hand, clock) for hand in hands]
        watch = clock.rounds % WATCH_ROUNDS == 0
        while (mover := self.turn(rounds)) is not None:
            self.seats[mover].step(clock, watch)
        clock.examples = max(hand.position for hand in hands)
        clock.rounds += 1
        self.model.after(clock)

    def turn(self, rounds: list[Iterator[Move]]) -> str | None:
        """Let every hand make its next move; return who moved, or None at the end of the round."""
        movers = set()
        for moves in rounds:
            move = self.next_move(moves)
            movers.add(move.player if move else None)
            if move is None:
                continue
            if move.player not in self.seats:
                raise RuntimeError(f"a move names {move.player!r}; the players are {', '.join(self.seats)}")
            self.seats[move.player].descend(move.loss, 1 / len(rounds))
            self.note(move.player, move.loss)
            for name, value in move.notes.items():
                self.note(name, value)
        if len(movers) > 1:
            raise RuntimeError(f"hands disagree whose turn it is ({movers}): a turn may depend on data only if all agree")
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

    def hand(self, phase: Phase, i: int) -> Hand:
        """Return the i-th micro-batch stream of this rank, at the clock's position."""
        slices = self.world * self.slices
        whole = phase.batch or self.plan.batch
        return Hand(self.data, self.order, self.clock, phase, whole, self.rank * self.slices + i, slices,
                    self.plan.device, self.clock.examples)  # fmt: skip

    def note(self, name: str, value: Tensor | float) -> None:
        """Add a figure to the mean of the next report, without waiting for the device."""
        value = value.detach().float() if isinstance(value, Tensor) else torch.tensor(float(value))
        self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.counts[name] = self.counts.get(name, 0) + 1

    # -- phases and budget -------------------------------------------------------------------------

    def current_phase(self) -> Phase:
        """Return the phase at this clock; entering one marked `fresh` renews the optimizers."""
        index = self.phase_at(self.progress())
        if index != self.phase_index:
            self.phase_index = index
            if self.phases[index].fresh:
                for seat in self.seats.values():
                    seat.forget()
        return self.phases[index]

    def phase_at(self, progress: float) -> int:
        """Return the index of the phase that holds at this share of the run."""
        total = sum(phase.share for phase in self.phases)
        reached = 0.0
        for i, phase in enumerate(self.phases):
            reached += phase.share / total
            if progress < reached:
                return i
        return len(self.phases) - 1

    def progress(self) -> float:
        """Return the share of the budget that is spent: by examples where given, else by time, as rank 0 sees it."""
        if self.plan.examples is not None:
            return self.clock.examples / self.plan.examples
        if self.plan.minutes is None or len(self.phases) == 1:
            return 0.0
        return self.broadcast(self.seconds() / (60 * self.plan.minutes))

    def spent(self) -> bool:
        """Whether the budget of examples or of minutes is used up."""
        if self.plan.examples is not None and self.clock.examples >= self.plan.examples:
            return True
        return self.plan.minutes is not None and self.agreed(self.seconds() >= 60 * self.plan.minutes)

    def agreed(self, mine: bool) -> bool:
        """Return what rank 0 says."""
        return bool(self.broadcast(float(mine)))

    def broadcast(self, mine: float) -> float:
        if self.world == 1:
            return mine
        value = torch.tensor(mine, dtype=torch.float64, device=self.plan.device)
        dist.broadcast(value, 0)
        return float(value)

    def seconds(self) -> float:
        """Return the wall seconds of training, over all resumptions."""
        return self.past_seconds + time.monotonic() - self.began

    # -- reporting and saving ----------------------------------------------------------------------

    def report(self, save: bool) -> Report:
        """Judge the health, write the statistics, the grid and, with `save`, a checkpoint."""
        started = time.monotonic()
        report = self.last if self.last and self.last.rounds == self.clock.rounds else self.look(started)
        if self.rank == 0:
            report = self.write(report, save and not report.fatal)
        if save:
            self.saved_at, self.saved_examples = time.monotonic(), self.clock.examples
        self.last = report
        self.reported_at, self.reported_examples = time.monotonic(), self.clock.examples
        self.report_cost = self.reported_at - started
        return report

    def look(self, now: float) -> Report:
        """Sum up what was noted since the last report and judge the health."""
        notes = {name: float(total) / self.counts[name] for name, total in self.sums.items()}
        notes |= {f"grad_{name}": seat.norm for name, seat in self.seats.items() if seat.norm == seat.norm}
        self.sums, self.counts = {}, {}
        with Shadowed(self.model, list(self.seats.values())) as model, torch.no_grad():
            health, figures = self.referee.look(model, self.seats, self.clock, notes)
        elapsed = now - self.reported_at
        speed = (self.clock.examples - self.reported_examples) / elapsed if elapsed > 0 else 0.0
        return Report(self.clock.examples, self.clock.rounds, self.phases[self.phase_index].name, notes | figures,
                        health, self.seconds(), self.past_cpu + time.process_time() - self.began_cpu, speed)  # fmt: skip

    def write(self, report: Report, save: bool) -> Report:
        """Write the report's line and, with `save`, grid and checkpoint; a full disk is trouble, not the end."""
        try:
            if save:  # first: a picture that cannot be written must not cost a checkpoint
                report = self.save(report)
            if save or report.rounds == 0:
                with Shadowed(self.model, list(self.seats.values())) as model, torch.no_grad():
                    report = replace(report, grid=self.run.write_grid(model, report.examples))
            self.run.write_stats(report)
        except OSError as error:
            report = replace(report, trouble=self.run.explain(error))
        return report

    def save(self, report: Report) -> Report:
        """Write a checkpoint of everything that the next round depends on, and remember the best."""
        groups: dict[str, Tensors] = {}
        with Shadowed(self.model, list(self.seats.values())) as model, torch.no_grad():
            if any(seat.shadow for seat in self.seats.values()):
                groups["shadow"] = {name: value.clone() for name, value in model.state_dict().items()}
            best = self.take_score(model)
        groups["model"] = self.model.state_dict()
        groups["optimizer"] = {
            key: value for name, seat in self.seats.items() for key, value in optimizer_tensors(name, seat.optimizer).items()
        }
        state = {
            "examples": self.clock.examples,
            "rounds": self.clock.rounds,
            "phase": self.phase_index,
            "seconds": report.seconds,
            "cpu_seconds": report.cpu_seconds,
            "score_cpu_seconds": self.score_cpu,
            "shadows": {name: seat.last_examples for name, seat in self.seats.items()},
            "score": best,
        }
        if best is not None:
            self.referee.scores.append(best[1])
        return replace(report, checkpoint=self.run.write_checkpoint(groups, state), score=best)

    def take_score(self, model: Model) -> tuple[str, float] | None:
        """Return the light judge's score, or None where its last one cost more than a twentieth of the time since."""
        began = time.monotonic()
        if self.score is None or (self.plan.save_examples is None and began - self.scored_at < 20 * self.score_cost):
            return None
        cpu = time.process_time()
        with torch.random.fork_rng():
            score = self.score(model)
        self.scored_at = time.monotonic()
        self.score_cost = self.scored_at - began
        self.score_cpu += time.process_time() - cpu
        return score

    def restore(self, folder: Path) -> None:
        """Take up everything from a checkpoint."""
        state = self.run.state(folder)
        device = self.plan.device
        read_weights(self.model, read_tensors(folder / "model.safetensors"), folder)
        optimizer = read_tensors(folder / "optimizer.safetensors")
        self.clock = Clock(state["examples"], state["rounds"])
        self.phase_index = state["phase"]
        self.past_seconds, self.past_cpu = state["seconds"], state["cpu_seconds"]
        self.score_cpu = state.get("score_cpu_seconds", 0.0)  # earlier versions did not count it
        for name, seat in self.seats.items():
            read_optimizer(name, seat.optimizer, {key: value.to(device) for key, value in optimizer.items()})
            seat.last_examples = state["shadows"][name]
        pairs = [pair for seat in self.seats.values() for pair in seat.shadow.items()]
        if pairs:
            saved = read_tensors(folder / "shadow.safetensors")
            names = {id(value): name for name, value in self.model.state_dict(keep_vars=True).items()}
            with torch.no_grad():
                torch._foreach_copy_([shadow for _, shadow in pairs], [saved[names[id(value)]] for value, _ in pairs])
