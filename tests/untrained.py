"""Small models of pixels that nobody trained, of every kind."""

import torch

from genloom.models.likelihood.pixelcnn import PixelCNN
from genloom.models.likelihood.pixelrnn import PixelRNN
from genloom.nn.causal import Places
from genloom.shapes.pictures import ImageShape

KINDS = ["plain", "gated", "row", "diagonal"]


def small(kind="gated", channels=1, height=6, width=6, levels=2, classes=(), **hyper):
    torch.manual_seed(0)
    values = {"features": 12, "layers": 2, "head": 6, "levels": levels, **hyper}
    shape = ImageShape(channels=channels, height=height, width_px=width, classes=classes)
    cls = PixelCNN if kind in ("plain", "gated") else PixelRNN
    model = cls(cls.Hyper(kind=kind, **values), shape).eval()
    for module in model.modules():
        if isinstance(module, Places):
            torch.nn.init.normal_(module.weight)  # begins as nothing, which would hide it
    return model
