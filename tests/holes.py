"""A small table of mixed columns with holes, as text and as types."""

import numpy as np
import pandas as pd

NAMES = ["id", "size", "weight", "kind", "day", "ok"]


def complete(n=300, seed=0):
    g = np.random.default_rng(seed)
    size = g.normal(10, 3, n).round(2)
    day = pd.Timestamp("2021-03-01") + pd.to_timedelta(g.integers(0, 200, n), unit="D")
    return pd.DataFrame(
        {
            "id": np.arange(1, n + 1),
            "size": size,
            "weight": (2 * size + g.normal(0, 0.5, n)).round(1),
            "kind": np.where(size > 11, "large", np.where(size > 8, "middle", "small")),
            "day": day,
            "ok": size > 9,
        }
    )


def holes(frame, share=0.15, seed=1):
    """Return which cells to take out: never one of the first column."""
    chosen = np.random.default_rng(seed).random(frame.shape) < share
    chosen[:, 0] = False
    return chosen


def as_text(frame, day="%Y-%m-%d"):
    columns = {
        "day": frame["day"].dt.strftime(day),
        "ok": np.where(frame["ok"], "yes", "no"),
        "size": frame["size"].map("{:.2f}".format),
        "weight": frame["weight"].map("{:.1f}".format),
    }
    return frame.assign(**columns).astype(str).astype(object)


def write_csv(path, n=300, share=0.15, **text):
    """Write the table with holes; return the complete one as text and the holes."""
    frame = as_text(complete(n), **text)
    out = holes(frame, share)
    frame.mask(out, "").to_csv(path, index=False)
    return frame, out
