"""The operator's card: one page that says whether a record is usual, where it is not, and what to look at first.

Needs matplotlib.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genloom.data.series.record import Record
from genloom.shapes.series import SINCE_1970
from genloom.use.report.html import plot, write_html
from genloom.use.report.plot import figure
from genloom.use.series.check import counted, date_of
from genloom.use.series.deviation import LOUD, Deviation

ALARMS, BLAMED, TAGS = 12, 3, 16  # that the page names; tags of an alarm; tags that are drawn
WHOLLY = 0.9  # share of unusual rows above which the record as a whole is another
LONG = 20_000  # places that are drawn at most
BAND = 2.0  # deviations of the band of usual operation to either side


def write_card(found: Deviation, source: str, run: str, path: Path) -> None:
    """Write the page; InputError where it cannot be written."""
    parts = [f"<h1>{html.escape(source)}: {html.escape(verdict(found))}</h1>", f"<p>{about(found, run)}</p>"]
    if found.alarms():
        parts += ["<h2>What to look at first</h2>", alarms_table(found)]
    parts += ["<h2>How unusual each row is</h2>", f"<p>{EXPLAINED}</p>", scores_plot(found)]
    parts += ["<h2>Each tag, and where it usually lies</h2>", f"<p>{BANDED}</p>", tags_plot(found)]
    write_html(f"{source}: deviation", parts, path)


EXPLAINED = (
    "Above 1 is an alarm. In blue, what was learnt of usual operation; in grey, ten lines of statistics: the distance of "
    "each row from the mean of usual rows, in deviations of every direction, over a bar taken from the same rows. Where "
    "only blue is high, the row alone is one that may be seen any day, and what it does after those before it is not."
)
BANDED = (
    "The line is what was measured. The band is where the tag lies when all other tags are as they are (two deviations to "
    "either side); red marks where it is to blame."
)


def verdict(found: Deviation) -> str:
    """Say in a few words how it was."""
    alarms, silent = found.alarms(), found.silent()
    dead = f"; no value at the end of {', '.join(found.columns[d].name for d, _ in silent)}" if silent else ""
    if not alarms:
        return f"as usual{dead}"
    share = float((found.scores > 1).sum() / np.isfinite(found.scores).sum())
    if share > WHOLLY:
        return f"unusual as a whole: this record lies outside of what the run learnt from{dead}"
    return f"{counted(len(alarms), 'alarm')}, {share:.1%} of the rows unusual{dead}"


def about(found: Deviation, run: str) -> str:
    """Say what was scored, and what the bar is."""
    scored, rows = int(np.isfinite(found.scores).sum()), int(found.record.mask.any(1).sum())
    bars = found.bars
    lacking = "have no value, or lack a whole window of rows before them, or half of its cells"
    early = "" if scored == rows else f" The other {rows - scored:,} rows {lacking}."
    early += "".join(f" {found.columns[d].name} has no value from {when(found.record, i)} on." for d, i in found.silent())
    few = "" if bars.seen else f" These are too few to see one in {1 / bars.rate:,.0f}: the bar is reckoned beyond them."
    return html.escape(
        f"{scored:,} of {rows:,} rows scored by {run}.{early} The bar is such that at most {bars.rate * 100:.3g} % of usual "
        f"rows pass it, taken from {bars.rows:,} rows that the run never learnt from.{few}"
    )


def alarms_table(found: Deviation) -> str:
    """Return the alarms, the worst first."""
    alarms = list(zip(found.alarms(), found.nearest, strict=True))
    worst = sorted(alarms, key=lambda each: -float(np.nanmax(found.scores[slice(*each[0])])))
    rows = []
    for (begin, end), nearest in worst[:ALARMS]:
        told = (
            "<br>".join(html.escape(line) for line in reasons(found, begin, end)) or "no tag by itself: how they go together"
        )
        height = float(np.nanmax(found.scores[begin:end]))
        span = html.escape(f"{when(found.record, begin)} to {when(found.record, end - 1)}")
        rows.append(
            f'<tr><td>{span}</td><td class="figure">{height:.1f}</td><td>{told}</td><td>{html.escape(nearest)}</td></tr>'
        )
    more = f"<p>and {len(alarms) - ALARMS} more</p>" if len(alarms) > ALARMS else ""
    head = "<tr><th>when</th><th>worst score</th><th>look at</th><th>most like usual operation at</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>{more}"


def reasons(found: Deviation, begin: int, end: int) -> Iterator[str]:
    """Say of the tags that stand out in an alarm what is wrong with each."""
    for d, _ in found.blame(begin, end)[:BLAMED]:
        name, part = found.columns[d].name, slice(begin, end)
        off, still = (np.nan_to_num(each[part, d]) for each in (found.off, found.still))
        if still.max() > max(1.0, off.max()):
            yield f"{name} does not move as it usually does"
        elif off.max() > LOUD:
            worst = begin + int(off.argmax())
            value, expected = found.values[worst, d], found.expected[worst, d]
            way, wide = "above" if value > expected else "below", BAND * found.spread[worst, d]
            said = "that the others say" if len(found.columns) > 1 else "where it usually lies"
            yield f"{name} is {value:.4g}, {way} the {expected:.4g} ± {wide:.2g} {said}"


def when(record: Record, place: int) -> str:
    """Return when a place is, and of which run, as a person reads it."""
    named = instant(record, place)
    return f"{named} of run {record.index.runs[record.run[place]]}" if record.index.group else named


def instant(record: Record, place: int) -> str:
    """Return when a place is, as a person reads it."""
    seconds = float(record.seconds[place])
    if seconds > SINCE_1970:
        return date_of(seconds)
    return f"{seconds:g} s" if record.index.time else f"row {place + 1:,}"


def drawn(found: Deviation) -> tuple[Any, Any, list[int]]:
    """Return the places that are drawn, their times, and where stretches begin among them."""
    record = found.record
    spread = np.linspace(0, len(record.codes) - 1, min(len(record.codes), LONG)).round().astype(int)
    places = np.unique(np.concatenate([spread, np.flatnonzero(found.scores > 1)[:LONG]]))
    seconds = record.seconds[places]
    dates = record.index.group is None and seconds.min() > SINCE_1970
    times = (seconds * 1000).astype("datetime64[ms]") if dates else places
    return places, times, (np.flatnonzero(np.diff(record.stretch[places])) + 1).tolist()


def scores_plot(found: Deviation) -> str:
    """Return the scores over time."""
    places, times, turns = drawn(found)
    page, axes = figure(1, [2.2], 11.0)
    ax = axes[0][0]
    for values, color, label in ((found.simple, "0.7", "statistics"), (found.scores, "tab:blue", "learnt")):
        ax.plot(times, broken(np.clip(values[places], 0.05, 1e3), turns), color=color, linewidth=0.9, label=label)
    ax.axhline(1, color="tab:red", linewidth=0.9)
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.legend(frameon=False, loc="upper left", ncols=2)
    return plot(page)


def tags_plot(found: Deviation) -> str:
    """Return each tag over time with its band, those to blame first."""
    places, times, turns = drawn(found)
    highest = np.nan_to_num(found.tags).max(0)
    order = [int(d) for d in np.argsort(-highest)][:TAGS]
    page, axes = figure(1, [1.25] * len(order), 11.0)
    for d, ax in zip(order, axes[:, 0], strict=True):
        column = found.columns[d]
        values = broken(found.values[places, d], turns)
        if column.categories:
            ax.step(times, values, where="post", color="tab:purple", linewidth=0.9)
            ax.set_yticks(range(min(column.levels, 8)), [str(name)[:12] for name in column.categories[:8]])
        else:
            middle, wide = found.expected[places, d], BAND * found.spread[places, d]
            ax.fill_between(times, middle - wide, middle + wide, color="tab:green", alpha=0.3, linewidth=0)
            ax.plot(times, values, color="0.15", linewidth=0.8)
            blamed = np.where(np.nan_to_num(found.tags[places, d]) > 1, found.values[places, d], np.nan)
            ax.plot(times, blamed, color="tab:red", linewidth=2.0)
        ax.set_ylabel(column.name[:16], rotation=0, ha="right", va="center")
    return plot(page)


def broken(values: Any, turns: Sequence[int]) -> Any:
    """Return values with a gap before each place at which another stretch begins, so that no line joins the two."""
    values = np.array(values, float)
    values[list(turns)] = np.nan
    return values


def to_json(found: Deviation, source: str, run: str) -> dict[str, Any]:
    """Return the scores of all rows and tags as plain JSON; a tag's is its share of what is unusual in a row."""
    record, names = found.record, [column.name for column in found.columns]
    heights = np.nan_to_num(found.tags)
    shares = heights / np.maximum(heights.sum(1, keepdims=True), 1e-12)
    rows = []
    for place in np.unique(record.place).tolist():
        scored = bool(np.isfinite(found.scores[place]))
        row: dict[str, Any] = {"time": instant(record, place)}
        if record.index.group:
            row["run"] = record.index.runs[record.run[place]]
        row |= {"score": float(f"{found.scores[place]:.4g}") if scored else None, "alarm": bool(found.scores[place] > 1)}
        row["tags"] = {name: round(float(s), 3) for name, s in zip(names, shares[place], strict=True) if s > 0.001}
        rows.append(row)
    alarms = zip(found.alarms(), found.nearest, strict=True)
    return {
        "source": source,
        "model": run,
        "threshold": 1.0,
        "rate": found.bars.rate,
        "alarms": [alarm_json(found, begin, end, near) for (begin, end), near in alarms],
        "rows": rows,
    }


def alarm_json(found: Deviation, begin: int, end: int, nearest: str) -> dict[str, Any]:
    """Return one alarm as plain JSON."""
    return {
        "from": when(found.record, begin),
        "to": when(found.record, end - 1),
        "score": round(float(np.nanmax(found.scores[begin:end])), 3),
        "tags": [{"tag": found.columns[d].name, "over": round(height, 3)} for d, height in found.blame(begin, end)[:BLAMED]],
        "look_at": list(reasons(found, begin, end)),
        "most_like": nearest,
    }
