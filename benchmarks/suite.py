"""What the test suite costs, in CPU seconds, beside that of another commit: `python -m benchmarks.suite --before COMMIT`.

Either suite runs on two workers with the sources of its own tree; what its child processes cost is counted.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from benchmarks.evidence import FOLDER, ROOT, checkout, record
from genloom.train.machine import processor


def cost(root: Path) -> tuple[float, str]:
    """Return the CPU seconds of a tree's suite, and its last line."""
    environment = os.environ | {"PYTHONPATH": str(root / "src")}
    before = os.times()
    command = [sys.executable, "-m", "pytest", "-n", "2", "-p", "no:cacheprovider", "-o", "addopts=-v --strict-markers"]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return spent, re.sub(r"=+ ?| in .*", "", done.stdout.splitlines()[-1])


def measured(commit: str) -> tuple[float, str]:
    """Return the cost of a commit's suite, and its last line."""
    with checkout(commit) as other:
        return cost(other)


def known(commit: str) -> tuple[float, str] | None:
    """Return what was measured of a commit on this processor before, or None."""
    path = FOLDER / "suite.json"
    evidence = json.loads(path.read_text()) if path.exists() else {}
    if (evidence.get("before_commit"), evidence.get("processor")) != (commit, processor()):
        return None
    return evidence["figures"]["cpu_seconds_before"], evidence["figures"]["before"]


def main() -> None:
    """Run both and write the evidence."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", required=True, help="the commit to compare with")
    arguments = parser.parse_args()
    before, said_before = known(arguments.before) or measured(arguments.before)
    after, said = cost(ROOT)
    figures = {"cpu_seconds_before": round(before), "cpu_seconds_after": round(after), "before": said_before, "after": said}
    record("suite", figures, seed=None, cpu_seconds=before + after, before_commit=arguments.before)


if __name__ == "__main__":
    main()
