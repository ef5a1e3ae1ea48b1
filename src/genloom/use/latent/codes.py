"""What the codes of an encoder hold, as pictures: axes by their KL, reconstructions, the two-dimensional manifold."""

# N pictures, C channels, H height, W width, Z axes of the code

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from genloom.core.capabilities import Encodes, Infers, Latent
from genloom.core.model import Model
from genloom.errors import InputError
from genloom.files import replaced
from genloom.shapes.pictures import enlarged, grid, save, to_picture

ACTIVE = 0.01  # variance of a code's mean over the data from which an axis counts as active, Burda et al. 2015
REACH = 3.0  # standard deviations of the codes of the data
STEPS = 11
MOST_AXES = 20


@dataclass(frozen=True)
class Axis:
    """One axis of the code.

    Attributes:
        number: its place in the code.
        kl: nats that it carries, the mean over pictures.
        active: whether its mean moves with the picture.
        strip: pictures `[STEPS, C, H, W]` along it, the rest of the code being that of a real picture.
        from_zero: the same, the rest of the code being zero.
    """

    number: int
    kl: float
    active: bool
    strip: Tensor
    from_zero: Tensor


@torch.no_grad()
def axes(model: Model, x: Tensor) -> list[Axis]:
    """Return the axes of a code over pictures `[N, C, H, W]`, those that carry most first.

    Raises:
        InputError: the model has no posterior over codes.
    """
    if not isinstance(model, Infers):
        raise InputError(f"{type(model).__name__} has no posterior over codes, so no axes to order; vae has one")
    parts = [model.infer(part) for part in x.split(250)]
    mu, logvar = (torch.cat([part[i] for part in parts]).cpu() for i in (0, 1))
    kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).mean(0)
    deviation = (mu.var(0) + logvar.exp().mean(0)).sqrt()
    found = []
    for number in kl.argsort(descending=True)[:MOST_AXES].tolist():
        steps = torch.linspace(-REACH, REACH, STEPS) * deviation[number] + mu[:, number].mean()
        strips = []
        for start in (mu[0], torch.zeros_like(mu[0])):
            z = start.repeat(STEPS, 1)
            z[:, number] = steps
            strips.append(model.decode(z.to(model.device)).float().cpu())
        found.append(Axis(number, float(kl[number]), bool(mu[:, number].var() > ACTIVE), *strips))
    return found


def plot_axes(found: list[Axis], dims: int, path: Path) -> None:
    """Write a row for each axis as a PNG: on the left about a real picture's code, on the right about zero."""
    from genloom.use.report.plot import figure

    channels, height, width = found[0].strip.shape[1:]
    page, places = figure(2, [0.5 * height / width + 0.05] * len(found), width=0.5 * STEPS + 0.6)
    for axis, (left, right) in zip(found, places, strict=True):
        for place, strip in ((left, axis.strip), (right, axis.from_zero)):
            picture = strip.permute(2, 0, 3, 1).reshape(height, STEPS * width, channels).clamp(0, 1)
            place.imshow(picture.squeeze(2).numpy(), cmap="gray", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
            place.set_xticks([])
            place.set_yticks([])
        name = f"z{axis.number}\n{axis.kl:.2f} nats" if axis.active else f"z{axis.number}\ndead"
        left.set_ylabel(name, rotation=0, ha="right", va="center", color="black" if axis.active else "darkgrey")
    places[0][0].set_title(f"about a picture's code, {REACH:g} deviations either way")
    places[0][1].set_title(f"about zero; {len(found)} of {dims} axes, those that carry most first")
    with replaced(path) as part:
        page.savefig(part)


@torch.no_grad()
def reconstructions(model: Model, x: Tensor) -> Tensor:
    """Return pictures `[N, C, H, W]` and their reconstructions in turn, `[2 N, C, H, W]`.

    Raises:
        InputError: the model has no encoder.
    """
    if not isinstance(model, Encodes):
        raise InputError(f"{type(model).__name__} has no encoder to reconstruct with; autoencoder and vae have one")
    back = model.decode(model.encode(x)).float().cpu()
    return torch.stack([x.cpu(), back], 1).flatten(0, 1)


@torch.no_grad()
def manifold(model: Model, side: int = 20) -> Tensor:
    """Return the pictures `[side * side, C, H, W]` of a code of two axes, spread evenly over the Gaussian's quantiles.

    Kingma & Welling 2013, figure 4.

    Raises:
        InputError: the model has no posterior over codes, or its code has more axes.
    """
    dims = model.code_width if isinstance(model, Latent) else 0
    if not isinstance(model, Infers) or dims != 2:
        raise InputError(f"the manifold is that of a code of two axes, this one has {dims}: train with --hyper.z 2")
    places = torch.special.ndtri((torch.arange(side) + 0.5) / side)
    z = torch.stack([places.repeat(side), -places.repeat_interleave(side)], 1)
    return model.decode(z.to(model.device)).float().cpu()


def write_grid(x: Tensor, columns: int, path: Path) -> None:
    """Write pictures `[N, C, H, W]` as one PNG, enlarged where they are small."""
    picture = to_picture(grid(enlarged(x, max(1, 64 // x.shape[2])), columns))
    with replaced(path) as part:
        save(picture, part)
