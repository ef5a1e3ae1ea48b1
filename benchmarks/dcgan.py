"""Judge a trained DCGAN run: its last checkpoint and its best, and real pictures beside them.

genloom fit dcgan ../shared/data/mnist -o runs/mnist --preset modern --minutes 25 --threads 1
python -m benchmarks.dcgan dcgan-mnist runs/mnist
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path

from benchmarks.evidence import FOLDER, record
from genloom import Run, judge
from genloom.use.judging.picture_jury import REAL, SIMPLE


def main() -> None:
    """Measure and record; copy the last grid beside the model's page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("run")
    parser.add_argument("--test", help="pictures never trained on")
    parser.add_argument("--features", help="between which distances are taken; the judge's choice where left out")
    parser.add_argument("-n", type=int)
    arguments = parser.parse_args()
    began = time.process_time()
    run = Run.open(arguments.run)
    terms = {"n": arguments.n, "test": arguments.test, "features": arguments.features}
    last, best = (judge(run, checkpoint=name, **terms) for name in ("last", "best"))
    figures: dict = {name: [f.value, f.low, f.high] for name, f in last.measures.items()}
    fid = next(name for name in figures if name.startswith("FID"))
    figures |= {f"{fid}, {row}": last.baselines[row][fid].value for row in (REAL, SIMPLE)}
    figures |= {
        f"{fid}, best": best.measures[fid].value,
        "last_over_best": round(last.measures[fid].value / best.measures[fid].value, 3),
    }
    state = run.state(run.last_checkpoint())
    figures |= {"examples": state["examples"], "cpu_minutes": round(state["cpu_seconds"] / 60, 1)}
    picture = FOLDER.parent / "models" / f"{arguments.name}.png"
    shutil.copy(sorted(Path(arguments.run).glob("samples/*.png"))[-1], picture)
    cost = state["cpu_seconds"] + time.process_time() - began
    record(
        arguments.name,
        figures,
        seed=run.record["plan"]["seed"],
        cpu_seconds=cost,
        about=last.about,
        notes=f"{last.about['n']} samples against {last.about['compared_with']} training pictures; best by "
        f"{run.best()['measure']} during training. {' '.join(last.verdicts)}",
        training=run.record["command"],
    )


if __name__ == "__main__":
    main()
