"""Hostile input against the command line: the list and the fuzzer of `hostile`, each attempt in a process of its own.

python -m benchmarks.attacks [--fuzzed 1200] [--seed 0]      # 1,500 attempts take about twenty minutes of a core

An attempt is held where the command ends with 0, or with 2 and one sentence; within a minute of processor time, 2 GB, and
without a traceback.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.evidence import record
from benchmarks.hostile import Attack, fuzzed, listed, prepared
from genloom.cli.app import run, warn
from genloom.use.likelihood.compress import pack  # noqa: F401  # imported before the attempts, which are forked

SECONDS, GIGABYTES = 60, 2.0  # of processor time
PATIENCE = 300  # seconds on the wall of a busy machine after which an attempt hangs


@dataclass
class Outcome:
    """How an attempt ended."""

    status: int
    seconds: float
    gigabytes: float
    said: str

    @property
    def held(self) -> bool:
        """Whether nobody was hurt."""
        lines = self.said.strip().splitlines()
        well = self.status == 0 or (self.status == 2 and len(lines) == 1 and lines[0].startswith("genloom: "))
        return well and self.seconds < SECONDS and self.gigabytes <= GIGABYTES and "Traceback" not in self.said


def attempt(attack: Attack, folder: Path) -> Outcome:
    """Run an attack in a fork of this process, whose imports are done."""
    folder.mkdir(parents=True)
    attack.before()
    said = folder / "said"
    child = os.fork()
    if not child:
        play(attack, folder, said)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.alarm(PATIENCE)
    _, status, usage = os.wait4(child, 0)
    signal.alarm(0)
    text = said.read_text(errors="replace") if said.exists() else ""
    code = os.waitstatus_to_exitcode(status)
    return Outcome(code, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / (1 << 20), text)


def play(attack: Attack, folder: Path, said: Path) -> None:
    """Be the child: run the command with its words, and end."""
    os.chdir(folder)
    with open(os.devnull, "w") as nowhere, said.open("w") as errors:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(errors.fileno(), 2)
        status = 1
        with open(1, "w", closefd=False) as sys.stdout, open(2, "w", closefd=False) as sys.stderr:
            try:
                warnings.showwarning = warn
                status = run(attack.words)
            except BaseException:
                traceback.print_exc()
    os._exit(status)


def main() -> None:
    """Attack, and record how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fuzzed", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="attacks whose description or words hold this, and no record")
    said = parser.parse_args()
    began = time.process_time()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["GENLOOM_CACHE"] = str(folder / "cache")
        runs, data = prepared(folder / "whole")
        rng = np.random.default_rng(said.seed)
        outcomes = []
        attacks = list(listed(runs, data, folder))
        for i in range(len(attacks) + said.fuzzed):
            place = folder / "attempt"
            attack = attacks[i] if i < len(attacks) else fuzzed(rng, runs, data, place)
            if said.only and said.only not in str(attack):
                continue
            outcome = attempt(attack, place)
            shutil.rmtree(place)
            outcomes.append(outcome)
            if not outcome.held:
                print(f"{outcome}\n    {attack.about}: {' '.join(word[:60] for word in attack.words)}", flush=True)
        figures = {
            "tried": len(outcomes),
            "held": sum(outcome.held for outcome in outcomes),
            "longest_seconds": round(max(outcome.seconds for outcome in outcomes), 1),
            "largest_gb": round(max(outcome.gigabytes for outcome in outcomes), 2),
        }
    print(figures)
    if not said.only:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = time.process_time() - began + children.ru_utime + children.ru_stime
        record("attacks", figures, seed=said.seed, cpu_seconds=cpu, notes=" ".join(__doc__.split("\n\n")[-1].split()))


if __name__ == "__main__":
    main()
