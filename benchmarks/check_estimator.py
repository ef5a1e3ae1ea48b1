"""Put GAINImputer through scikit-learn's own suite for estimators.

python -m benchmarks.check_estimator
"""

from __future__ import annotations

import time
from collections import Counter

import sklearn
from sklearn.utils.estimator_checks import check_estimator

from benchmarks.evidence import record
from genloom import GAINImputer


def main() -> None:
    """Run every check and record how many passed."""
    results = check_estimator(GAINImputer(), on_fail=None, on_skip=None)
    counts = Counter(result["status"] for result in results)
    skipped = ", ".join(result["check_name"] for result in results if result["status"] == "skipped")
    figures = {name: counts[name] for name in ("passed", "skipped", "failed", "xfail")}
    record(
        "check-estimator",
        figures,
        seed=None,
        cpu_seconds=time.process_time(),
        notes=f"scikit-learn {sklearn.__version__}, check_estimator(GAINImputer()); skipped: {skipped} "
        "(needs SCIPY_ARRAY_API), as for IterativeImputer",
    )


if __name__ == "__main__":
    main()
