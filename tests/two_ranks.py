"""What each of two processes does for test_ranks.py; `torch.distributed.run` starts it with a folder for the results."""

import sys
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist

from games import Duel, Points, record, train, weights
from genloom.train.loop import play
from genloom.train.plan import Plan
from genloom.train.processes import leave_processes, start_processes
from genloom.train.run import Run


class Pooled(Duel):
    """A game that remembers what it was dealt, and hangs on it; each process is dealt its own part."""

    def __init__(self):
        super().__init__(ema=100.0)
        self.register_buffer("pool", torch.zeros(4))

    def round(self, batches, clock):
        for move in super().round(batches, clock):
            yield replace(move, loss=move.loss * (1 + self.pool.mean()))
        self.pool.copy_(next(batches)["z"].mean(0))


def stopped_by_the_other(folder, rank):
    """Return the examples after which training ends where the second process alone wishes to stop in its third round."""
    asked = []
    run = Run.begin(folder, record())
    plan = Plan(examples=6400, batch=32, save_every=1e9, report_every=1e9)
    *_, last = play(Duel(), Points(), run, plan, stop=lambda: bool(asked.append(1)) or (rank == 1 and len(asked) > 2))
    return last.examples


def main(folder):
    """Train in folders that the processes do not share."""
    torch.set_num_threads(1)
    start_processes("cpu")
    rank = dist.get_rank()
    own = folder / f"rank{rank}"
    model, _ = train(own / "whole")
    pooled, _ = train(own / "pooled", Pooled(), examples=960)
    train(own / "parts", Pooled(), examples=288)
    parts, _ = train(own / "parts", Pooled(), examples=960)
    found = {
        "weights": weights(model),
        "pooled": torch.cat([weights(pooled), pooled.pool]),
        "parts": torch.cat([weights(parts), parts.pool]),
        "stopped": torch.tensor(stopped_by_the_other(own / "stopped", rank)),
    }
    torch.save(found, folder / f"{rank}.pt")
    leave_processes()
    threads = [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]
    assert not any("gloo" in name for name in threads), threads  # they would outlive Python and abort it


if __name__ == "__main__":
    main(Path(sys.argv[1]))
