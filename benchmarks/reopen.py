"""What opening a folder of 60,000 pictures costs the first time and again: `python -m benchmarks.reopen`.

Every opening is a process of its own, which counts the processor seconds of `load_pictures` beyond those of the imports.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from PIL import Image

from benchmarks.evidence import DATA, record
from genloom.data.pictures.load import load_pictures

OPEN = """
import json, sys, time
from genloom.data.pictures.load import load_pictures
before = time.process_time()
data = load_pictures(sys.argv[1])
print(json.dumps({"seconds": time.process_time() - before, "pictures": len(data)}))
"""


def write_folder(folder: Path) -> None:
    """Write the 60,000 digits of MNIST's training set as PNG files, a folder per class."""
    digits = load_pictures(DATA / "mnist")
    assert digits.labels is not None
    for i in range(len(digits)):
        place = folder / str(int(digits.labels[i]))
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(digits.pixels[i, ..., 0].numpy()).save(place / f"{i:05d}.png")


def opened(folder: Path, cache: Path) -> float:
    """Return the processor seconds of one opening in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(folder)],
        env=os.environ | {"GENLOOM_CACHE": str(cache), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    said: dict[str, Any] = json.loads(done.stdout)
    assert said["pictures"] == 60000
    return float(said["seconds"])


def main() -> None:
    """Measure both and write the evidence."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, cache = Path(temporary) / "digits", Path(temporary) / "cache"
        write_folder(folder)
        first = opened(folder, cache)
        again = [opened(folder, cache) for _ in range(5)]
        figures = {"first_seconds": round(first, 2), "seconds": round(median(again), 3)}
        record("reopen", figures, seed=None, cpu_seconds=first + sum(again), all=[round(each, 3) for each in again])


if __name__ == "__main__":
    main()
