"""Everything that only a GPU can tell, in one call of minutes: what breaks, what differs, what it is worth.

    python -m benchmarks.gpu --seconds 480 --out docs/evidence
    python -m benchmarks.gpu --device cpu --tiny        # the rehearsal, which the test suite runs

Each step's figures are written as soon as it ends, so that a call that is cut off keeps what was measured. A step that
fails says so among the figures and the next one goes on. Needs torch 2.11 or later, numpy, safetensors, pillow and
scikit-learn; the binarised digits are looked for in `device-data/` (which git ignores) or the data folder.
"""

from __future__ import annotations

import argparse
import collections
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import genloom
from benchmarks import pixelcnn_speed, training_speed
from benchmarks.evidence import DATA, ROOT
from genloom.catalogue import MODELS, find_model
from genloom.core.capabilities import (
    Certifies,
    Encodes,
    Imputes,
    Latent,
    PixelByPixel,
    Restyles,
    Samples,
    Scores,
    Tags,
    Translates,
    Upscales,
)
from genloom.core.model import Misfit, Model
from genloom.core.random import Noise
from genloom.data.points import gaussian_line
from genloom.data.tags.vectors import WordVectors
from genloom.measures.likelihood import log_likelihoods
from genloom.nn.dense import exact_products
from genloom.scores.midi import midi_of
from genloom.scores.score import Score, as_notes
from genloom.shapes.columns import Column
from genloom.shapes.events import EventShape
from genloom.shapes.pairs import PairShape
from genloom.shapes.pictures import ImageShape
from genloom.shapes.pieces import PieceShape
from genloom.shapes.points import PointShape
from genloom.shapes.score import ScoreShape
from genloom.shapes.series import SeriesShape
from genloom.shapes.styles import StyleShape
from genloom.shapes.table import TableShape
from genloom.shapes.tags import TagShape
from genloom.train.loop import Loop
from genloom.train.ranks import Ranks
from genloom.train.request import Request
from genloom.train.run import Run
from genloom.train.session import prepare, versions
from genloom.use.report.evidence import record

DIGITS = "binarized_mnist/binarized_mnist_packed.npz"
SHAPES = (
    ImageShape(tuple("0123456789"), 1, 8, 8),
    TableShape(columns=(Column("a", low=-3.0, high=3.0), Column("b", "categorical", categories=("x", "y", "z")))),
    PointShape(columns=1),
    PairShape(height=8, width_px=8),
    PieceShape((), 3, 32, 32),
    TagShape(("red", "blue"), 8, 3, 32, 32),
    SeriesShape(columns=(Column("a", low=0.0, high=16.0), Column("b", low=0.0, high=16.0)), window=8),
    ScoreShape(voices=("upper", "lower"), low=50, high=70, window=8),
    EventShape(notes=8, low=40, high=90),
    StyleShape(("a", "b"), voices=("upper", "lower"), low=50, high=70, window=8),
)
LATER = ("rtsgan", "timegan", "music", "crnngan", "music_cyclegan")  # recurrent ones
ADAM = {"waves": 6, "optimizer": "adam", "clip": 1.0, "warmup": 4000, "beta2": 0.99, "batch": 128, "ema": 20_000.0}
LIKELIHOODS: dict[str, tuple[float, str, dict[str, Any], float]] = {  # bar in nats, model, hyper-parameters, share of time
    "plain": (81.3, "pixelcnn", {**ADAM, "rate": 1e-3}, 0.27),
    "row": (80.54, "pixelrnn", {**ADAM, "kind": "row", "rate": 4e-3, "features": 32}, 0.28),
    "diagonal": (79.2, "pixelrnn", {**ADAM, "whole": True, "rate": 4e-3, "features": 32}, 0.45),
}


@dataclass
class Call:
    """One call of this benchmark: where it runs, how large, until when, and what it has found."""

    device: torch.device
    tiny: bool
    until: float
    folder: Path
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def left(self) -> float:
        """Seconds that remain."""
        return self.until - time.monotonic()

    def scaled(self, full: int, tiny: int) -> int:
        """Return a size: the full one, or that of the rehearsal."""
        return tiny if self.tiny else full


# -- does it run -----------------------------------------------------------------------------------


def environment(call: Call) -> dict[str, Any]:
    """Say where this runs."""
    found: dict[str, Any] = dict(versions())
    if call.device.type == "cuda":
        found |= {"gpu": torch.cuda.get_device_name(), "cuda": torch.version.cuda}
        a = torch.randn(8192, 8192, device=call.device, dtype=torch.bfloat16)
        found["product_tflops"] = round(2 * 8192**3 / timed(call, lambda: a @ a, 10) / 1e12, 1)
    return found


def contract(call: Call) -> dict[str, Any]:
    """Train every model, go on with it, use what it can do: where anything raises, say what."""
    found = {}
    for name in MODELS:
        with tempfile.TemporaryDirectory() as folder:
            found[name] = attempt(lambda: uses(call, name, Path(folder)))  # noqa: B023
    return found


def uses(call: Call, name: str, folder: Path) -> str:
    """Train a tiny model and do with it all that it can; return "ok"."""
    options: dict[str, Any] = {"preset": "tiny", "device": str(call.device), "seed": 3, "save_examples": 256}
    for examples in (call.scaled(512, 128), call.scaled(1024, 256)):
        run = genloom.fit(name, data_for(name, folder), folder / "run", examples=examples, **options)
    model = genloom.load(run, device=str(call.device))
    if isinstance(model, Samples):
        assert model.sample(4).isfinite().all()
    if isinstance(model, Latent):
        model.generate(torch.zeros(2, model.code_width))  # a code from the CPU
    if isinstance(model, Encodes):
        model.decode(model.encode(torch.zeros(2, *model.shape.dims)).cpu())
    if isinstance(model, Tags):
        assert model.votes(model.features(torch.zeros(2, *model.shape.pictures))).isfinite().all()  # type: ignore[attr-defined]
    if isinstance(model, Upscales):
        assert model.upscale(torch.zeros(2, *model.shape.dims)).isfinite().all()
    if isinstance(model, Restyles):
        model.restyle(torch.zeros(model.shape.dims, dtype=torch.long), 1)
    if isinstance(model, Translates):
        assert model.translate(torch.zeros(2, *model.shape.dims)).isfinite().all()
    if isinstance(model, Imputes):
        rows = torch.zeros(3, *model.shape.dims), torch.tensor([[True] + [False] * (model.shape.width - 1)]).expand(3, -1)
        model.impute(*rows), model.draw(*rows, 2)
    if isinstance(model, Certifies):
        failed = [claim.text for claim in model.claims() if not claim.holds and "sum to one" in claim.text]
        assert not failed, failed
    return "ok"


def data_for(name: str, folder: Path, side_px: int = 0) -> Any:
    """Return small data that a model takes; pictures of pairs and for pieces are of that side."""
    cls = find_model(name)
    kind = next(shape.kind for shape in SHAPES if not isinstance(cls.fits(shape, cls.Hyper.tiny()), Misfit))
    if kind == "images":
        return "digits"
    if kind == "points":
        return gaussian_line(2000)
    if kind == "pairs":
        return small_pairs(folder / "pairs", side_px or 8)
    if kind == "pieces":
        return small_pairs(folder / "pieces", side_px or 40) / "A"
    if kind == "series":
        return "plant"
    if kind in ("score", "events"):
        return small_music(folder / "scores")
    if kind == "styles":
        small_music(folder / "styles" / "a"), small_music(folder / "styles" / "b")
        return folder / "styles"
    if kind == "tags":
        return small_tags(folder / "tags")
    rows = np.random.default_rng(0).normal(size=(400, 3)).round(2)
    lines = [f"{a},{b if b > -1.5 else ''},{'xyz'[int(abs(c)) % 3]}" for a, b, c in rows]
    (folder / "table.csv").write_text("a,b,c\n" + "\n".join(lines) + "\n")
    return folder / "table.csv"


def small_pairs(folder: Path, side_px: int = 8) -> Path:
    """Write pairs of small pictures, B being A inverted, and return their folder."""
    random = np.random.default_rng(0)
    for i in range(64):
        pixels = random.integers(0, 256, (side_px, side_px, 3), dtype=np.uint8)
        for side, values in (("A", pixels), ("B", 255 - pixels)):
            (folder / side).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(folder / side / f"{i}.png")
    return folder


def small_music(folder: Path) -> Path:
    """Write pieces of two voices, and return their folder."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(8):
        steps = [(float(t), 1.0, int(pitch), 80, 0) for t, pitch in enumerate(60 + random.integers(0, 12, 24))]
        score = Score(as_notes([*steps, *((4.0 * t, 4.0, 48, 80, 1) for t in range(6))]), ("upper", "lower"))
        (folder / f"{i}.mid").write_bytes(midi_of(score))
    return folder


def small_tags(folder: Path) -> Any:
    """Write small pictures with tags, and return them loaded."""
    pictures = small_pairs(folder, 32) / "A"
    lines = [f"{i}.png,{'red' if i % 2 else 'blue'};warm" for i in range(64)]
    (folder / "tags.csv").write_text("\n".join(lines))
    WordVectors(("red", "blue", "warm"), torch.eye(3)).write(folder / "words.safetensors")
    return genloom.load_data(pictures, tags=str(folder / "tags.csv"), words=str(folder / "words.safetensors"))


def attempt(work: Callable[[], Any]) -> Any:
    """Return what work gives, or what went wrong, in a line."""
    try:
        return work()
    except Exception as error:  # whatever it is, the other steps go on
        place = traceback.extract_tb(error.__traceback__)[-1]
        said = str(error).splitlines()[0][:160] if str(error) else ""
        return f"{type(error).__name__}: {said} ({Path(place.filename).name}:{place.lineno})"


# -- is it the same --------------------------------------------------------------------------------


def equality(call: Call) -> dict[str, Any]:
    """Compare the CPU with the device on the same weights and noise: largest differences, relative to the largest value."""
    found = {}
    for name in MODELS:
        found[name] = attempt(lambda: differences(call, name))  # noqa: B023
    return found


def differences(call: Call, name: str) -> dict[str, float]:
    """Return the largest relative differences of what one model gives, TF32 off."""
    torch.manual_seed(0)
    cls = find_model(name)
    hyper = cls.Hyper.tiny()
    hyper = hyper.with_values({"levels": 17}) if hasattr(hyper, "levels") else hyper
    shape = next(shape for shape in SHAPES if cls.fits(shape, hyper) == shape)
    here = cls(hyper, shape).eval()
    there = cls(hyper, shape).eval()
    there.load_state_dict(here.state_dict())
    there.to(call.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    with exact_products(call.device):
        pairs = zip(looked_at(here), looked_at(there), strict=True)
        return {what: apart(a, b) for (what, a), (_, b) in pairs}


def looked_at(model: Model) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield what a model gives for fixed inputs and noise, and the gradient of its mean square."""
    n, given = 6, torch.arange(6) if model.conditional else None
    x = (torch.randint(17, (n, *model.shape.dims), generator=torch.Generator().manual_seed(1)) / 16).float()
    if isinstance(model, Samples):
        yield "sample", model.sample(n, given, noise=Noise.of(5, n))
    if isinstance(model, Latent):
        z = model.prior(n, Noise.of(6, n))
        model.generate(z, given).square().mean().backward()
        yield "gradient", gradients(model)
    if isinstance(model, Scores):
        yield "log_prob", model.log_prob(x, given)
    if isinstance(model, PixelByPixel):
        model.zero_grad(set_to_none=True)
        (-model.log_prob(x, given).mean()).backward()
        yield "likelihood gradient", gradients(model)
    if isinstance(model, Encodes):
        yield "codes", model.encode(x)
    if isinstance(model, Translates):
        yield "translated", model.translate(x, noise=Noise.of(7, n))
    if isinstance(model, Tags):
        with torch.no_grad():  # as if it had studied tags
            model.counts.fill_(1)  # type: ignore[attr-defined]
            model.vectors.copy_(torch.eye(*model.vectors.shape))  # type: ignore[attr-defined]
        yield "votes", model.votes(torch.rand(n, 1280, generator=torch.Generator().manual_seed(1)), Noise.of(7, n))
    if isinstance(model, Restyles):
        yield "restyled", model.restyle((x[0] * 17).long(), 1).float()
    if isinstance(model, Upscales):
        yield "larger", model.upscale(x)
    if isinstance(model, Imputes):
        rows = torch.randint(3, (n, *model.shape.dims), generator=torch.Generator().manual_seed(1)).float()
        mask = torch.rand(rows.shape, generator=torch.Generator().manual_seed(2)) < 0.6
        yield "imputed", model.impute(rows, mask)
        yield "drawn", model.draw(rows, mask, 2, Noise.of(7, n))


def gradients(model: Model) -> torch.Tensor:
    """Return all gradients as one row."""
    return torch.cat([p.grad.flatten().float().cpu() for p in model.parameters() if p.grad is not None])


def apart(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the largest difference, relative to the largest value."""
    a, b = a.detach().float().cpu(), b.detach().float().cpu()
    return float(f"{float((a - b).abs().max() / a.abs().max().clamp_min(1e-12)):.2g}")


def resume(call: Call) -> dict[str, Any]:
    """Compare weights of a whole training with a second one of the same seed, and with one that was stopped and resumed."""
    found = {}
    for name in ("gain", "dcgan", "vae", "pixelcnn", "pix2pix", "cyclegan", "srgan", *LATER)[: call.scaled(99, 2)]:
        found[name] = attempt(lambda: resumed(call, name))  # noqa: B023
    return found


def resumed(call: Call, name: str) -> dict[str, float]:
    """Return the largest relative difference of weights: of the same twice, and of a resumed run."""
    from safetensors.torch import load_file

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        options: dict[str, Any] = {"preset": "tiny", "device": str(call.device), "seed": 3, "save_examples": 10**9}
        whole = call.scaled(1024, 384)
        for run, examples in (("whole", whole), ("again", whole), ("parts", whole // 3), ("parts", whole)):
            genloom.fit(name, data_for(name, folder), folder / run, examples=examples, **options)
        last = [
            load_file(Run.open(folder / run).checkpoint("last") / "model.safetensors") for run in ("whole", "again", "parts")
        ]
        one, again, parts = (torch.cat([v.flatten().float() for v in each.values()]) for each in last)
        return {"twice": apart(one, again), "resumed": apart(one, parts)}


# -- what it is worth ------------------------------------------------------------------------------


def timed(call: Call, step: Callable[[], object], rounds: int, warm: int = 3) -> float:
    """Return the wall seconds of a step, the device having finished."""
    for _ in range(warm):
        step()
    finish(call)
    began = time.perf_counter()
    for _ in range(rounds):
        step()
    finish(call)
    return (time.perf_counter() - began) / rounds


def finish(call: Call) -> None:
    """Wait for the device."""
    if call.device.type == "cuda":
        torch.cuda.synchronize()


def dcgan_speed(call: Call) -> dict[str, Any]:
    """Measure images a second of DCGAN 64x64, both players' moves: the loop most people copy, and ours."""
    found: dict[str, Any] = {}
    rounds = call.scaled(40, 1)
    for batch in (64, 512) if not call.tiny else (8,):
        with tempfile.TemporaryDirectory() as folder:
            plain = training_speed.plain_loop(batch, str(call.device))
            ours = training_speed.trainer_loop(Path(folder), batch, str(call.device))
            costs = [(timed(call, plain, rounds), timed(call, ours, rounds)) for _ in range(call.scaled(3, 1))]
            seconds = [sorted(column)[len(costs) // 2] for column in zip(*costs, strict=True)]
            found[f"plain_images_per_second_{batch}"] = round(batch / seconds[0])
            found[f"images_per_second_{batch}"] = round(batch / seconds[1])
            found[f"ratio_{batch}"] = round(seconds[0] / seconds[1], 2)
            found[f"busy_share_{batch}"] = busy_share(call, ours, call.scaled(20, 1))
    return found


def pixelcnn_step(call: Call) -> dict[str, Any]:
    """Measure images a second of the 15-layer PixelCNN: the plain masked loop, and ours."""
    found: dict[str, Any] = {}
    for batch in (64, 512) if not call.tiny else (2,):
        x = (torch.rand(batch, 1, 28, 28, generator=torch.Generator().manual_seed(0)) < 0.2).float().to(call.device)
        rounds = call.scaled(20, 1)
        plain, ours = pixelcnn_speed.plain_loop(x), pixelcnn_speed.our_loop(x)
        seconds = [timed(call, loop, rounds, call.scaled(3, 0)) for loop in (plain, ours)]
        found[f"plain_images_per_second_{batch}"] = round(batch / seconds[0])
        found[f"images_per_second_{batch}"] = round(batch / seconds[1])
        found[f"ratio_{batch}"] = round(seconds[0] / seconds[1], 2)
    return found


def busy_share(call: Call, step: Callable[[], object], rounds: int) -> float | None:
    """Return the share of the time in which the GPU computes, by its profiler; None on a CPU."""
    if call.device.type != "cuda":
        step()
        return None
    from torch.profiler import ProfilerActivity, profile

    wall = timed(call, step, rounds) * rounds
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        for _ in range(rounds):
            step()
        finish(call)
    busy = sum(event.self_device_time_total for event in seen.key_averages()) / 1e6
    return round(busy / wall, 3)


def waits(call: Call) -> dict[str, Any]:
    """Count the places where a round waits for the device, by model and line, over twenty rounds."""
    found: dict[str, Any] = {}
    for name in reversed(MODELS):  # the newest first
        found[name] = attempt(lambda: waits_of(call, name))  # noqa: B023
        call.figures["waits"] = found
        write(call)
    return found


def waits_of(call: Call, name: str) -> dict[str, float]:
    """Return the waits a round of one model, by file and line."""
    rounds = call.scaled(20, 2)
    with training(call, name, "tiny") as loop:
        for _ in range(3):
            loop.play_round()
        with warnings.catch_warnings(record=True) as said, sync_warnings(call):
            warnings.simplefilter("always")
            for _ in range(rounds):
                loop.play_round()
    places = collections.Counter(
        f"{Path(w.filename).parent.name}/{Path(w.filename).name}:{w.lineno}" for w in said if "synchron" in str(w.message)
    )
    return {place: round(count / rounds, 2) for place, count in places.most_common(6)}


@contextmanager
def sync_warnings(call: Call) -> Iterator[None]:
    """Let torch warn wherever it waits for the GPU."""
    if call.device.type != "cuda":
        yield
        return
    torch.cuda.set_sync_debug_mode("warn")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@contextmanager
def training(call: Call, name: str, preset: str, side_px: int = 0, **options: Any) -> Iterator[Loop]:
    """Give a training, ready to play rounds."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        data = data_for(name, folder, side_px)
        request = Request.of(name, data, folder / "run", preset=preset, device=str(call.device), **options)
        session = prepare(request)
        torch.manual_seed(0)
        model = session.model_class(session.hyper, session.data.shape)
        plan = replace(session.plan, save_every=1e9, report_every=1e9)
        loop = Loop(model, session.data, Run.begin(folder / "run", session.record), plan, Ranks())
        try:
            yield loop
        finally:
            loop.feed.close()


def paces(call: Call) -> dict[str, Any]:
    """Measure examples a second, and the GPU's busy share, of the modern presets on digits of 8x8 and a small table."""
    found: dict[str, Any] = {}
    for name in ("gan", "vae", "autoencoder", "pixelcnn", "pixelrnn", "gain"):
        found[name] = attempt(lambda: pace(call, name))  # noqa: B023
    return found


def pace(call: Call, name: str, preset: str = "modern", **options: Any) -> dict[str, Any]:
    """Return the pace of one model."""
    if name == "vae":
        options["hyper"] = {"decoder": "logistic"}
    with training(call, name, "tiny" if call.tiny else preset, **options) as loop:
        seconds = timed(call, loop.play_round, call.scaled(30, 1), call.scaled(5, 1))
        share = busy_share(call, loop.play_round, call.scaled(10, 1))
        return {"examples_per_second": round(loop.plan.batch / seconds), "busy_share": share, "batch": loop.plan.batch}


def translators(call: Call) -> dict[str, Any]:
    """Measure examples a second, and the GPU's busy share, of what turns pictures into pictures, at its papers' sizes."""
    found: dict[str, Any] = {}
    for name, side_px, batches in (("pix2pix", 256, (1, 16)), ("cyclegan", 128, (1, 8)), ("srgan", 128, (16, 64))):
        for batch in batches if not call.tiny else (2,):
            size = {"side_px": 40 if name == "srgan" else 8} if call.tiny else {"side_px": side_px}
            found[f"{name}_{batch}"] = attempt(lambda: pace(call, name, batch=batch, **size))  # noqa: B023
            call.figures["translators"] = found
            write(call)
    return found


def makers(call: Call) -> dict[str, Any]:
    """Measure examples a second, and the GPU's busy share, of what makes pictures and classifies."""
    found: dict[str, Any] = {}
    conv, graphs = {"net": "conv", "generator": 128, "noise_input": 0.2}, call.device.type == "cuda"
    kinds: dict[str, tuple[str, str, int, dict[str, Any]]] = {
        "dcgan modern 32": ("dcgan", "modern", 32, {}),
        "dcgan modern 32, batch 512": ("dcgan", "modern", 32, {"batch": 512}),
        "dcgan modern 128": ("dcgan", "modern", 128, {}),
        "r3gan modern 128": ("r3gan", "modern", 128, {}),
        "projected modern 64": ("projected", "modern", 64, {}),
        "icgan modern 32": ("icgan", "modern", 32, {}),
        "feature_matching paper 28": ("feature_matching", "paper", 28, {}),
        "feature_matching paper 28, fp32": ("feature_matching", "paper", 28, {"precision": "fp32"}),
        "feature_matching paper 28, fp32, graphs": (
            "feature_matching",
            "paper",
            28,
            {"precision": "fp32", "compile": graphs},
        ),
        "feature_matching conv 32": ("feature_matching", "paper", 32, {"hyper": conv}),
        "feature_matching conv 32, graphs": ("feature_matching", "paper", 32, {"hyper": conv, "compile": graphs}),
        "r3gan paper 32": ("r3gan", "paper", 32, {"micro": 64}),
    }
    for kind, (name, preset, side, options) in reversed(kinds.items()):
        if call.left < 5 and not call.tiny:
            break
        preset, size = ("tiny", {}) if call.tiny else (preset, {"size": side})
        options = {} if call.tiny else options
        found[kind] = attempt(lambda: pace(call, name, preset, **options, **size))  # noqa: B023
        call.figures["makers"] = found
        write(call)
    return found


def graphs(call: Call) -> dict[str, Any]:
    """Measure what recorded graphs (`--compile` on a GPU) are worth to models of pixels; they must change no weight."""
    found: dict[str, Any] = {}
    kinds: dict[str, tuple[str, str, dict[str, Any]]] = {
        "pixelcnn": ("pixelcnn", "modern", {"binarise": "threshold"}),
        "pixelrnn": ("pixelrnn", "modern", {"binarise": "threshold"}),
        "row": ("pixelrnn", "modern", {"binarise": "threshold", "kind": "row"}),
        "feature_matching": ("feature_matching", "paper", {}),
    }
    for kind, (name, preset, hyper) in kinds.items():
        found[kind] = attempt(lambda: graphed(call, name, preset, hyper))  # noqa: B023
    return found


def graphed(call: Call, name: str, preset: str, hyper: dict[str, Any]) -> dict[str, Any]:
    """Return examples a second of a net at 28x28, without and with graphs, and how far weights lie apart."""
    paces, weights = [], []
    for compile in (False, call.device.type == "cuda"):
        size = {"size": 8} if call.tiny else {"size": 28}
        options = {"hyper": hyper, "batch": call.scaled(64, 4), "compile": compile, **size}
        with training(call, name, "tiny" if call.tiny else preset, **options) as loop:
            for _ in range(call.scaled(5, 1)):
                loop.play_round()
            weights.append(torch.cat([p.detach().float().flatten().cpu() for p in loop.model.parameters()]))
            paces.append(round(loop.plan.batch / timed(call, loop.play_round, call.scaled(12, 1), 0)))
    return {"examples_per_second": paces[0], "recorded": paces[1], "apart": apart(*weights)}


def compiled(call: Call) -> dict[str, Any]:
    """Measure what torch.compile is worth, each in a process of its own that may take a limited time."""
    found = {}
    for what in ("dcgan", "pixelcnn"):
        if call.tiny and call.device.type == "cpu":
            found[what] = "left out of the rehearsal: compiling takes minutes on a CPU"
            continue
        command = [sys.executable, "-m", "benchmarks.gpu", "--compiled", what, "--device", str(call.device)]
        limit = max(10.0, min(60.0, call.left - 60))
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=limit, cwd=ROOT)
            found[what] = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else done.stderr[-300:]
        except subprocess.TimeoutExpired:
            found[what] = f"not done after {limit:.0f} s"
    return found


def compiled_one(what: str, device: str) -> dict[str, Any]:
    """Return seconds to compile and images a second, compiled, in this process."""
    call = Call(torch.device(device), False, time.monotonic() + 600, Path())
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        if what == "dcgan":
            step, batch = training_speed.trainer_loop(Path(folder), 512, device, compiled=True), 512
        else:
            batch = 512
            step = pixelcnn_speed.our_loop((torch.rand(batch, 1, 28, 28) < 0.2).float().to(device), compiled=True)
        step()
        finish(call)
        first = time.perf_counter() - began
        return {"first_step_seconds": round(first, 1), "images_per_second": round(batch / timed(call, step, 30))}


def sampling(call: Call) -> dict[str, Any]:
    """Measure samples a second of the modern nets, of 28x28 where they are of pixels."""
    found: dict[str, Any] = {}
    for name, n in (("dcgan", call.scaled(2000, 4)), ("pixelcnn", call.scaled(250, 2))):
        cls = find_model(name)
        hyper = cls.Hyper.tiny() if call.tiny else cls.Hyper.modern()
        hyper = hyper.with_values({"levels": 2}) if hasattr(hyper, "levels") else hyper
        side = 8 if call.tiny else 32 if name == "dcgan" else 28
        model = cls(hyper, ImageShape(channels=1, height=side, width_px=side)).eval().to(call.device)
        assert isinstance(model, Samples)
        seconds = timed(call, lambda: model.sample(n), 1, 1)  # noqa: B023
        found[name] = round(n / seconds, 1)
    return found


def judging(call: Call) -> dict[str, Any]:
    """Measure the judge on a run made here."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        run = genloom.fit(
            "dcgan",
            "digits",
            folder / "run",
            preset="tiny",
            examples=call.scaled(20_000, 512),
            device=str(call.device),
            save_examples=10**9,
        )
        began = time.perf_counter()
        judgement = genloom.judge(run, n=call.scaled(1000, 200))
        name = next(name for name in judgement.measures if name.startswith("FID"))
        return {"fid": round(judgement.measures[name].value, 2), "seconds": round(time.perf_counter() - began, 1)}


# -- the likelihoods that miss their bars -------------------------------------------------------------


def likelihoods(call: Call) -> dict[str, Any]:
    """Train what still misses its bar on the fixed binarised digits, for the time that is left."""
    source = next((str(folder / DIGITS) for folder in (ROOT / "device-data", DATA) if (folder / DIGITS).exists()), None)
    source = "digits" if call.tiny else source
    if source is None:
        return {"left out": f"no {DIGITS} in device-data/ or the data folder"}
    found: dict[str, Any] = {}
    total = call.left - 25
    for name, (bar, model, hyper, share) in LIKELIHOODS.items():
        if call.tiny:
            hyper = {**hyper, "layers": 1, "features": 4, "batch": 4, "binarise": "threshold"}
        seconds = 1.0 if call.tiny else share * total
        if not call.tiny and seconds < 20:
            found[name] = "no time left"
            continue
        found[name] = attempt(lambda: likelihood(call, source, model, hyper, seconds)) | {"bar": bar}  # noqa: B023
        call.figures["likelihoods"] = found
        write(call)
    return found


def likelihood(call: Call, source: str, name: str, hyper: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Train for so many seconds, the rate falling to the end, and score the test pictures."""
    folder = Path(tempfile.mkdtemp(dir=call.folder))
    options: dict[str, Any] = {
        "device": str(call.device),
        "save_every": 1e9,
        "report_every": 5.0,
        "seed": 1,
        "compile": call.device.type == "cuda",
    }
    began, rounds = time.monotonic(), call.scaled(100, 2)
    trial = genloom.fit(name, source, folder / "pace", examples=rounds * hyper["batch"], hyper=hyper, **options)
    a_round = hyper["batch"] / max(trial.history()[-1]["examples_per_second"], 1e-9)
    start = time.monotonic() - began - rounds * a_round  # what goes before the first round, paid again
    left = seconds - (time.monotonic() - began) - start - (0.0 if call.tiny else 10.0)  # to score
    examples = (4 if call.tiny else max(1, int(left / a_round))) * hyper["batch"]
    run = genloom.fit(name, source, folder / "run", examples=examples, hyper={**hyper, "anneal": examples}, **options)
    model = genloom.load(run, device=str(call.device))
    test = genloom.load_data(source, split="test")
    places = torch.arange(call.scaled(len(test), 4))
    with exact_products(call.device):
        assert isinstance(model, Scores)
        nats = -log_likelihoods(model, test, places, call.scaled(1000, 4))
    error = 1.96 * float(nats.std()) / math.sqrt(len(nats))
    value = float(nats.mean())
    lines = [line for line in run.history() if "nats" in line["notes"]]
    curve = [[round(line["seconds"], 1), line["examples"], round(line["notes"]["nats"], 2)] for line in lines]
    return {
        "nats": [round(value, 3), round(value - error, 3), round(value + error, 3)],
        "examples": examples,
        "seconds": round(time.monotonic() - began, 1),
        "weights": sum(p.numel() for p in model.parameters()),
        "hyper": hyper,
        "curve": curve[:: max(1, len(curve) // 16)],
    }


STEPS: dict[str, tuple[Callable[[Call], dict[str, Any]], float]] = {  # with the seconds that must be left to begin it
    "environment": (environment, 0),
    "contract": (contract, 30),
    "equality": (equality, 20),
    "resume": (resume, 20),
    "dcgan": (dcgan_speed, 20),
    "pixelcnn": (pixelcnn_step, 15),
    "waits": (waits, 15),
    "paces": (paces, 20),
    "translators": (translators, 20),
    "makers": (makers, 20),
    "sampling": (sampling, 15),
    "judging": (judging, 20),
    "graphs": (graphs, 40),
    "compile": (compiled, 120),
    "likelihoods": (likelihoods, 90),
}


def write(call: Call) -> None:
    """Write what has been found so far."""
    notes = "images a second: wall time, the device having finished; differences relative to the largest value, TF32 off"
    name = "gpu-rehearsal" if call.tiny else "gpu"
    record(name, call.figures, seed=None, cpu_seconds=time.process_time(), notes=notes, folder=call.folder)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Take the steps in order for as long as there is time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=480.0)
    parser.add_argument("--tiny", action="store_true", help="sizes of the rehearsal")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", ROOT / "docs" / "evidence")))
    parser.add_argument("--steps", help=f"with commas: {', '.join(STEPS)}")
    parser.add_argument("--compiled", help="the part of `compile` that runs in a process of its own")
    said = parser.parse_args(arguments)
    if said.compiled:
        print(json.dumps(compiled_one(said.compiled, said.device)))
        return {}
    call = Call(torch.device(said.device), said.tiny, time.monotonic() + said.seconds, said.out)
    chosen = re.split(r",\s*", said.steps) if said.steps else list(STEPS)
    for name in chosen:
        step, least = STEPS[name]
        if call.left < least and not call.tiny:
            call.figures[name] = "no time left"
            continue
        began = time.monotonic()
        call.figures[name] = attempt(lambda: step(call))  # noqa: B023
        print(f"{name}: {time.monotonic() - began:.1f} s", json.dumps(call.figures[name], default=str), flush=True)
        call.figures.setdefault("seconds", {})[name] = round(time.monotonic() - began, 1)
        write(call)
    return call.figures


if __name__ == "__main__":
    main()
