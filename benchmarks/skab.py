"""What simple rules say of SKAB's faults: a water circuit with eight sensors, 34 runs with a fault each and one without any.

    python -m benchmarks.skab

Rows after the first 400 of each faulty run are scored, 53.6 % of them faulty. Three protocols: `own`, learnt from the first
400 rows of the same run (the published split); `other`, from the run without faults alone; `moved`, from that run too, each
run being first brought to its mean and spread by its own first 400 rows. An alarm is a score over the 99th percentile of
what was learnt from. Rules: `always` alarms; the distance of Mahalanobis; what principal components of windows of ten rows
leave over; an isolation forest; and either of the first two averaged over the last minute.
"""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score

from benchmarks.evidence import DATA, record

FIRST, WINDOW, KEPT, LAST = 400, 10, 0.95, 60
ALARM = 0.99  # quantile of the scores of what was learnt from
Rows = np.ndarray[Any, np.dtype[np.float64]]
Rule = Callable[[Rows], Callable[[Rows], Rows]]


def runs() -> tuple[Rows, list[tuple[str, Rows, Rows]]]:
    """Return the rows of the run without faults, and of each other run its name, rows and truth."""
    faulty = []
    with zipfile.ZipFile(DATA / "skab" / "skab.zip") as packed:
        for name in sorted(packed.namelist()):
            if not name.endswith(".csv"):
                continue
            frame = pd.read_csv(io.BytesIO(packed.read(name)), sep=";").drop(columns="datetime")
            truth = frame.pop("anomaly").to_numpy() if "anomaly" in frame else None
            values = frame.drop(columns="changepoint", errors="ignore").to_numpy(float)
            if truth is None:
                usual = values
            else:
                faulty.append((name, values, truth))
    return usual, faulty


def mahalanobis(train: Rows) -> Callable[[Rows], Rows]:
    """Return the distance from the mean, in standard deviations of every direction."""
    mean, inverse = train.mean(0), np.linalg.pinv(np.cov(train.T) + 1e-9 * np.eye(train.shape[1]))
    return lambda x: np.sqrt(np.einsum("nd,de,ne->n", x - mean, inverse, x - mean))


def windows(x: Rows) -> Rows:
    """Return each row with the nine before it, of the first row as often as needed."""
    padded = np.concatenate([np.repeat(x[:1], WINDOW - 1, 0), x])
    return np.concatenate([padded[i : i + len(x)] for i in range(WINDOW)], 1)


def components(train: Rows) -> Callable[[Rows], Rows]:
    """Return what the principal components of windows leave over."""
    scale = train.std(0) + 1e-9
    parts = windows(train / scale)
    mean = parts.mean(0)
    values, vectors = np.linalg.eigh(np.cov(parts.T))
    kept = int((np.cumsum(values[::-1]) / values.sum() < KEPT).sum()) + 1
    basis = vectors[:, ::-1][:, :kept]

    def score(x: Rows) -> Rows:
        rest = windows(x / scale) - mean
        return np.linalg.norm(rest - rest @ basis @ basis.T, axis=1)

    return score


def forest(train: Rows) -> Callable[[Rows], Rows]:
    """Return how soon random cuts part a row from the rest."""
    trees = IsolationForest(n_estimators=100, random_state=0).fit(train)
    return lambda x: -trees.score_samples(x)


def calm(rule: Rule) -> Rule:
    """Return a rule averaged over the last minute."""

    def fitted(train: Rows) -> Callable[[Rows], Rows]:
        score = rule(train)
        return lambda x: pd.Series(score(x)).rolling(LAST, min_periods=1).mean().to_numpy()

    return fitted


RULES: dict[str, Rule] = {
    "mahalanobis": mahalanobis,
    "components": components,
    "forest": forest,
    "mahalanobis, a minute": calm(mahalanobis),
    "components, a minute": calm(components),
}


def judged(truth: Rows, scores: Rows, alarms: Rows) -> dict[str, float]:
    """Return average precision, F1, and the shares of false and of missed alarms."""
    hits = float((alarms & (truth == 1)).sum())
    return {
        "ap": float(average_precision_score(truth, scores)),
        "f1": 2 * hits / float(alarms.sum() + truth.sum()),
        "false_alarms": float(alarms[truth == 0].mean()),
        "missed": float((~alarms)[truth == 1].mean()),
    }


def main() -> None:
    """Score every rule by every protocol, and record."""
    began = time.process_time()
    usual, faulty = runs()
    truth = np.concatenate([wrong[FIRST:] for _, _, wrong in faulty])
    always = judged(truth, np.ones(len(truth)), np.ones(len(truth), bool))
    figures: dict[str, Any] = {f"always, {key}": round(value, 4) for key, value in always.items()}
    for protocol in ("own", "other", "moved"):
        for name, rule in RULES.items():
            scores, alarms = [], []
            for _, x, _ in faulty:
                first = x[:FIRST]
                if protocol == "moved":
                    x = (x - first.mean(0)) / (first.std(0) + 1e-9) * usual.std(0) + usual.mean(0)
                learnt = first if protocol == "own" else usual
                score = rule(learnt)
                found, bar = score(x)[FIRST:], np.quantile(score(learnt), ALARM)
                scores.append(found / bar)
                alarms.append(found > bar)
            values = judged(truth, np.concatenate(scores), np.concatenate(alarms))
            figures |= {f"{protocol}, {name}, {key}": round(value, 4) for key, value in values.items()}
            print(protocol, name, {key: round(value, 3) for key, value in values.items()}, flush=True)
    notes = (
        f"{len(truth):,} rows of {len(faulty)} runs, {truth.mean():.1%} of them faulty; scores are over each run's own bar"
    )
    record("skab-rules", figures, seed=0, cpu_seconds=time.process_time() - began, notes=notes)


if __name__ == "__main__":
    main()
