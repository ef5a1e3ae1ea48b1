"""What the figures of pictures mean, in words."""

from __future__ import annotations

from genloom.measures.figure import Figure
from genloom.measures.likelihood import OF_TRAINING
from genloom.use.judging.panel import Rows
from genloom.use.judging.picture_data import JudgedData
from genloom.use.judging.picture_jury import REAL, SIMPLE

OVERFITTED = 0.1  # share of its size by which the log-likelihood of training pictures may exceed that of others
COPIED = 0.05  # share of near-copies, five times that of pictures never seen, that is called memorising
FEW = 1000  # training pictures below which a person is warned
NARROW = 0.8  # share of the real pictures' recall or coverage below which samples cover few of them


def verdicts(figures: dict[str, Figure], rows: Rows, found: JudgedData) -> list[str]:
    """Say in words what the figures mean."""
    said = [*memorised(figures), *beaten(figures, rows[SIMPLE]), *never_drawn(figures, rows[REAL])]
    said += too_good(figures, rows[REAL])
    said += [text for name in figures if name.startswith(OF_TRAINING) and (text := over_fitted(figures, name))]
    if len(found.train) < FEW:
        said.append(
            f"{len(found.train):,} training pictures are few: models learn so few by heart or draw the same thing again and "
            f"again, and the figures are rough; {FEW:,} or more do better, mirrored (--flip) where that makes sense"
        )
    if not found.known:
        said.append("these are not the pictures that the run was trained on: memorisation says nothing about those")
    return said or ["nothing stands out"]


def flattered(taught_by: str, features: str) -> list[str]:
    """Say that a model is judged by the features that it learnt from, or by their kin."""
    kind = features.split(":")[0]
    if not taught_by or not kind.startswith("lite"):
        return []
    akin = "the features it is judged in" if kind == taught_by else f"{taught_by}, which is akin to {kind}"
    return [f"it learnt from {akin}: they flatter it, so look at --features random and at SWD too"]


def memorised(figures: dict[str, Figure]) -> list[str]:
    """Say that many samples are copies of training pictures."""
    return [
        f"{measured.value:.0%} of the samples are near-copies of training pictures by {name[12:-1]}, of real pictures 1 %: "
        "the model memorises; train less, on more pictures, or with augmentation"
        for name, measured in figures.items()
        if name.startswith("near-copies") and measured.low > COPIED
    ]


def beaten(figures: dict[str, Figure], simple: dict[str, Figure]) -> list[str]:
    """Say that the simple model is nearer to the data."""
    fid = find("FID", figures)
    own, other = figures[fid], simple[fid]
    if own.low <= other.high:  # a tie is none
        return []
    return [
        f"a mixture of Gaussians fitted in seconds is nearer to the data by {fid}: {other.value:.3g} against {own.value:.3g}"
    ]


def never_drawn(figures: dict[str, Figure], real: dict[str, Figure]) -> list[str]:
    """Say that the samples reach little of the data."""
    recall = find("recall", figures)
    if figures[recall].high >= real[recall].low / 2:
        return []
    return [
        f"the samples reach {figures[recall].value:.0%} of the variety of the data, other real pictures "
        f"{real[recall].value:.0%}: much of the data is never drawn"
    ]


def too_good(figures: dict[str, Figure], real: dict[str, Figure]) -> list[str]:
    """Say why a precision or density above that of real pictures is no good news, where samples cover few of them."""
    high = [name for name in names("precision", "density", figures) if figures[name].low > real[name].high]
    if not high or not is_narrow(figures, real):
        return []
    told = ", ".join(
        f"{name.split('[')[0]} {figures[name].value:.2f} (real pictures {real[name].value:.2f})"
        for name in [*high, *names("recall", "coverage", figures)]
    )
    return [
        f"no good news: {told}: samples lie where real pictures are dense but cover few of them, as blurred or repeated "
        "pictures do"
    ]


def is_narrow(figures: dict[str, Figure], real: dict[str, Figure]) -> bool:
    """Whether samples cover far fewer real pictures than other real pictures do."""
    return any(figures[name].high < NARROW * real[name].low for name in names("recall", "coverage", figures))


def over_fitted(figures: dict[str, Figure], name: str) -> str:
    """Say that training pictures are far likelier than others, or return ""."""
    trained, fresh = figures[name], figures[name.replace(OF_TRAINING, "log-likelihood")]
    gap = (trained.value - fresh.value) / abs(fresh.value)
    if trained.low <= fresh.high or gap <= OVERFITTED:
        return ""
    return (
        f"training pictures are {trained.value - fresh.value:.0f} nats likelier than unseen ones ({gap:.0%}): the model "
        "is over-fitted; train less, or on more pictures"
    )


def names(first: str, second: str, figures: dict[str, Figure]) -> list[str]:
    """Return the whole names of two measures."""
    return [find(first, figures), find(second, figures)]


def find(start: str, figures: dict[str, Figure]) -> str:
    """Return the name of the measure that begins so."""
    return next(name for name in figures if name.startswith(start))
