"""Exact nearest neighbours against scikit-learn's brute force and faiss's flat index, and what a million rows cost.

    python -m benchmarks.neighbours

Features are drawn from a mixture whose groups overlap, rectified and brought to length 1, as those of networks are.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.evidence import record
from genloom.nn import neighbours as searching

ROWS, WIDE, NEAR, GROUPS = 100_000, 512, 50, 300
MANY, QUERIES = 1_000_000, 2_048


def features(n: int, seed: int = 0) -> Tensor:
    """Return features `[n, WIDE]` in 16 bits, made a block at a time."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(GROUPS, WIDE, generator=generator)
    parts = []
    for rows in torch.arange(n).split(50_000):
        own = torch.randint(GROUPS, (len(rows),), generator=generator)
        parts.append(F.normalize(F.relu(centres[own] + torch.randn(len(rows), WIDE, generator=generator)), dim=1).half())
    return torch.cat(parts)


def timed(work: Any) -> tuple[float, Any]:
    """Return the seconds of the processor that work took, and what it gave."""
    began = time.process_time()
    found = work()
    return time.process_time() - began, found


def against_others() -> dict[str, Any]:
    """Compare with the others in one run, one thread each."""
    import faiss
    from sklearn.neighbors import NearestNeighbors
    from threadpoolctl import threadpool_limits

    faiss.omp_set_num_threads(1)
    x = features(ROWS).float()
    x = F.normalize(x, dim=1)
    plain, compared = searching.plainly, []
    searching.plainly = lambda *said: compared.append(len(said[1])) or plain(*said)  # type: ignore[func-returns-value]
    ours, found = timed(lambda: searching.neighbours(x, NEAR))
    numbers = x.numpy()

    def by_faiss() -> Any:
        index = faiss.IndexFlatIP(WIDE)
        index.add(numbers)
        return torch.from_numpy(index.search(numbers, NEAR + 1)[1])

    flat, theirs = timed(by_faiss)
    with threadpool_limits(1):
        fitted = NearestNeighbors(n_neighbors=NEAR, algorithm="brute", n_jobs=1).fit(numbers)
        brute, scikit = timed(lambda: torch.from_numpy(fitted.kneighbors(return_distance=False)))
    rows = torch.arange(0, ROWS, 50)
    products = x[rows].double() @ x.double().T
    products[torch.arange(len(rows)), rows] = -1
    kth = products.topk(NEAR, 1).values[:, -1:]
    missed = (products.gather(1, found[rows]) < kth - 1e-7).sum()
    own = theirs[rows] != rows[:, None]
    return {
        "rows": ROWS,
        "features": WIDE,
        "neighbours": NEAR,
        "seconds": round(ours, 1),
        "sklearn_seconds": round(brute, 1),
        "faiss_seconds": round(flat, 1),
        "over_sklearn": round(brute / ours, 2),
        "over_faiss": round(flat / ours, 2),
        "missed_of_2000_rows_in_double_precision": int(missed),
        "sklearn_missed": int((products.gather(1, scikit[rows]) < kth - 1e-7).sum()),
        "faiss_missed": int(((products.gather(1, theirs[rows]) < kth - 1e-7) & own).sum()),
        "rows_compared_with_all": sum(compared),
    }


def of_a_million() -> dict[str, Any]:
    """Measure what neighbours among a million rows cost, by those of some."""
    x = features(MANY)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun, coarse = timed(lambda: searching.Coarse.of(x))
    taken, _ = timed(lambda: searching.found_by(coarse, x, x[:QUERIES], NEAR, torch.arange(QUERIES)))
    return {
        "million_rows_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "million_rows_gib_of_the_rows_alone": round(before / 2**20, 2),
        "million_rows_hours": round((begun + taken * MANY / QUERIES) / 3600, 2),
    }


def main() -> None:
    """Measure, a million rows in a process of their own, and write the evidence."""
    torch.set_num_threads(1)
    if sys.argv[1:] == ["million"]:
        print(json.dumps(of_a_million()))
        return
    began = time.process_time()
    figures = against_others()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.neighbours", "million"], check=True, capture_output=True, text=True
    )
    figures |= json.loads(done.stdout)
    record(
        "neighbours", figures, seed=0, cpu_seconds=time.process_time() - began, notes="one thread; hours from 2,048 queries"
    )


if __name__ == "__main__":
    main()
