"""A small plant: two tanks in a row, a valve that a controller moves, three modes, and five faults that may be planted.

A pump fills tank 1 through a valve; from tank 1 water runs into tank 2, and from there out. A PI controller moves the valve
so that the level of tank 2 is that of the mode, with limits and without winding up. Tank 2 is heated at a constant rate and
loses warmth to what is around it. Levels follow the balance of volumes with Torricelli's law, the temperature that of heat.
"""

# R runs, T rows

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

Fault = Literal["leak", "stuck valve", "drifting sensor", "frozen sensor", "worn pump"]
FAULTS: tuple[Fault, ...] = ("leak", "stuck valve", "drifting sensor", "frozen sensor", "worn pump")
TAGS = ("level_1", "level_2", "inflow", "outflow", "valve", "temperature")
MODES = {"low": 0.8, "normal": 1.2, "high": 1.6}  # the level of tank 2 that is held, in metres
STEP_S, SUBSTEPS = 10.0, 5  # seconds from row to row, and parts that these are computed in
AREA, HOLE_1, HOLE_2, GRAVITY = 0.5, 0.0035, 0.0032, 9.81  # square metres; of tanks, and of the holes they run out by
PUMP = 0.030  # cubic metres a second through the open valve
GAIN, RESET_S = 1.4, 240.0  # of the controller
HEATER, LOSS, FEED = 90_000.0, 700.0, 15.0  # watts; watts a kelvin; degrees of the water that comes in
HEAT = 4.18e6  # joules a cubic metre and kelvin
NOISE = {"level_1": 0.006, "level_2": 0.005, "inflow": 0.0002, "outflow": 0.0001, "valve": 0.3, "temperature": 0.08}


@dataclass(frozen=True)
class Plan:
    """What a simulation is told.

    Attributes:
        runs, rows: how many runs, and how many rows each has.
        ambient: degrees around the plant, least and most.
        modes: that runs may have; each run has one at first, and changes it `changes` times.
        fault: that begins in every run at row `begins`, or None.
    """

    runs: int = 60
    rows: int = 360
    ambient: tuple[float, float] = (10.0, 30.0)
    modes: tuple[str, ...] = tuple(MODES)
    changes: int = 1
    fault: Fault | None = None
    begins: int = 180

    def __post_init__(self) -> None:
        if min(self.runs, self.rows) < 1 or min(self.changes, self.begins) < 0:
            raise ValueError("a plant has a run and a row at least, and nothing begins before the first row")
        if not self.modes or set(self.modes) - set(MODES) or self.fault not in (None, *FAULTS):
            raise ValueError(f"modes are {', '.join(MODES)}, faults {', '.join(FAULTS)}")


def plant(plan: Plan | None = None, seed: int = 0) -> pd.DataFrame:
    """Return runs of the plant: `time`, `run`, `mode`, `ambient`, and six tags in metres, litres a second, percent, degrees.

    The same seed gives the same runs.
    """
    import pandas as pd

    plan = plan or Plan()
    random = np.random.default_rng((seed, 0x706C616E74))
    names, wanted = modes_of(plan, random)
    ambient = random.uniform(*plan.ambient, plan.runs)
    tags = simulate(plan, wanted, ambient, random)
    stamps = pd.Timestamp("2026-01-05") + pd.to_timedelta(np.arange(plan.rows) * STEP_S, unit="s")
    days = pd.to_timedelta(np.arange(plan.runs), unit="D")
    frame = {
        "time": np.concatenate([(stamps + day).to_numpy() for day in days]),
        "run": np.repeat(np.arange(1, plan.runs + 1), plan.rows),
        "mode": names.ravel(),
        "ambient": np.repeat(np.round(ambient, 1), plan.rows),
    }
    digits = {"valve": 1, "temperature": 2, "inflow": 2, "outflow": 2}
    return pd.DataFrame(frame | {name: np.round(tags[name].ravel(), digits.get(name, 3)) for name in TAGS})


def modes_of(plan: Plan, random: np.random.Generator) -> tuple[Any, Any]:
    """Return the mode of each row as a name `[R, T]`, and the level it asks for `[R, T]`."""
    places = random.integers(len(plan.modes), size=(plan.runs, plan.changes + 1))
    turns = np.sort(random.integers(plan.rows // 6, 5 * plan.rows // 6 + 1, size=(plan.runs, plan.changes)), 1)
    which = (np.arange(plan.rows)[None, :, None] >= turns[:, None, :]).sum(2)
    place = np.take_along_axis(places, which, 1)
    levels = np.array([MODES[name] for name in plan.modes])
    return np.array(plan.modes)[place], levels[place]


def simulate(plan: Plan, wanted: Any, ambient: Any, random: np.random.Generator) -> dict[str, Any]:
    """Return what the sensors say of each tag `[R, T]`; runs begin settled in their first mode."""
    level_2 = wanted[:, 0] * random.uniform(0.98, 1.02, plan.runs)
    level_1 = level_2 * (HOLE_2 / HOLE_1) ** 2
    flow = HOLE_2 * np.sqrt(2 * GRAVITY * level_2)
    summed = flow / PUMP - GAIN * (wanted[:, 0] - level_2)
    warm = (HEATER + flow * HEAT * FEED + LOSS * ambient) / (flow * HEAT + LOSS)
    wander, stuck = np.zeros(plan.runs), np.zeros(plan.runs)
    said: dict[str, list[Any]] = {name: [] for name in TAGS}
    for row in range(plan.rows):
        faulty = plan.fault is not None and row >= plan.begins
        late = row - plan.begins
        wander = 0.97 * wander + random.normal(0, 0.004, plan.runs)  # of the pump's pressure
        drift = 0.0012 * late if faulty and plan.fault == "drifting sensor" else 0.0
        error = wanted[:, row] - (level_2 + drift)
        free = summed + GAIN * error
        summed = np.where((free > 0) & (free < 1) | (free * error < 0), summed + GAIN * error * STEP_S / RESET_S, summed)
        valve = np.clip(summed + GAIN * error, 0, 1)
        stuck = valve if not (faulty and plan.fault == "stuck valve") else stuck
        opened = stuck if faulty and plan.fault == "stuck valve" else valve
        worn = max(0.6, 1 - 0.01 * late) if faulty and plan.fault == "worn pump" else 1.0
        inflow = PUMP * opened * worn * (1 + wander)
        leak = 0.0012 if faulty and plan.fault == "leak" else 0.0
        for _ in range(SUBSTEPS):
            between = HOLE_1 * np.sqrt(2 * GRAVITY * level_1)
            out = HOLE_2 * np.sqrt(2 * GRAVITY * level_2)
            lost = leak * np.sqrt(2 * GRAVITY * level_1)
            level_1 = np.maximum(level_1 + (inflow - between - lost) * STEP_S / SUBSTEPS / AREA, 0.01)
            level_2 = np.maximum(level_2 + (between - out) * STEP_S / SUBSTEPS / AREA, 0.01)
            gained = HEATER + between * HEAT * (FEED - warm) + LOSS * (ambient - warm)
            warm = warm + gained * STEP_S / SUBSTEPS / (HEAT * AREA * level_2)
        true = dict(zip(TAGS, (level_1, level_2 + drift, inflow * 1e3, out * 1e3, opened * 100, warm), strict=True))
        scale = {"inflow": 1e3, "outflow": 1e3}
        for name, value in true.items():
            noisy = value + random.normal(0, NOISE[name] * scale.get(name, 1.0), plan.runs)
            frozen = faulty and plan.fault == "frozen sensor" and name == "temperature" and said[name]
            said[name].append(said[name][max(plan.begins - 1, 0)] if frozen else noisy)
    whole = {name: np.stack(values, 1) for name, values in said.items()}
    least = {name: values if name == "temperature" else np.maximum(values, 0) for name, values in whole.items()}
    return least | {"valve": np.minimum(least["valve"], 100)}
