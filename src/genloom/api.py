"""The Python API: fit a model on data, load a run, judge it."""

from __future__ import annotations

import os
from typing import Any

from genloom.core.model import Model
from genloom.errors import InputError
from genloom.train.checkpoint import read_group, read_weights, refuse_other_weights
from genloom.train.machine import pick_device
from genloom.train.request import Request
from genloom.train.run import Run
from genloom.train.session import prepare


def fit(model: str, data: Any, out: str | os.PathLike[str], **options: Any) -> Run:
    """Train a model on data into the run folder `out`; the same call goes on with an existing run.

    Args:
        model: a name from `genloom models`.
        data: a source (folder, zip, idx, npy, csv, `hf:owner/name`, `digits`), or an object with a `shape` (a `Shape`), a
            length and `batch(index, generator)`, which returns the examples at places `[n]` as `{"x": [n, *shape.dims]}`,
            and `"y": [n]` where the shape has classes. Its content is told by its `fingerprint`, or else by 64 examples.
        options: the fields of `Request` (preset, hyper, examples, minutes, batch, seed, ...), and the options of the data
            (size, channels, flip, ...).

    Raises:
        InputError: something in the request cannot be used, and nothing has been written; or the last checkpoint could
            not be written, and the same call goes on from the one before.
        RuntimeError: training cannot go on, such as a loss that is no number.

    Example:
        >>> run = fit("dcgan", "digits", "runs/digits", preset="tiny", examples=20_000)  # doctest: +SKIP
        >>> load("runs/digits").sample(16).shape  # doctest: +SKIP
        torch.Size([16, 1, 8, 8])
    """
    report = None
    for report in prepare(Request.of(model, data, out, **options)).play():
        if report.fatal:
            raise RuntimeError(report.health[0].text)
    run = Run.open(out)
    last = run.last_checkpoint()
    if report is not None and report.trouble and (last is None or int(last.name) != report.examples):
        raise InputError(report.trouble)
    return run


def load(run: str | os.PathLike[str] | Run, checkpoint: str = "last", device: str = "cpu") -> Model:
    """Return the trained model of a run, in evaluation mode, with its averaged weights (EMA) where it has them.

    Args:
        checkpoint: `last`, `best`, or the name of a folder in `checkpoints/`.
        device: auto, cpu, cuda or mps.

    Raises:
        InputError: there is no such run or checkpoint, or it is cut short or another model's.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    where = pick_device(device)
    path = run.weights(checkpoint)
    tensors = read_group(path)
    refuse_other_weights(run.build("meta"), tensors, path)  # before its memory is taken
    model = run.build()
    read_weights(model, tensors, path)
    return model.to(where).eval()
