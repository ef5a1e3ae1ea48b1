"""The convolutions of VGG19, for perceptual losses: Simonyan and Zisserman 2015 (arXiv 1409.1556), configuration E.

Its weights are ImageNet's and come from a person's own file: the state dict of torchvision's `vgg19`, as `save_file` of
safetensors writes it.
"""

# B batch, C channels, H height, W width

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genloom.errors import InputError
from genloom.reading import kind_of, named
from genloom.tensors import read_tensors

PLAN = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))  # channels and convolutions of each block
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, by which pictures in [0, 1] are normalised


class VGG19(nn.Module):
    """Pictures `[B, 3, H, W]` in [0, 1] to the map after the last rectified convolution of a block, before its pooling.

    Args:
        block: 1 to 5; what lies behind it is left out.
        convolutions: of that block, how many; 2 of the second and 4 of the fifth are VGG 2,2 and VGG 5,4 of SRGAN.
    """

    def __init__(self, block: int, convolutions: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for place, (channels, count) in enumerate(PLAN[:block], 1):
            for _ in range(convolutions if place == block else count):
                layers += [nn.Conv2d(inputs, channels, 3, padding=1), nn.ReLU()]
                inputs = channels
            if place < block:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        mean, deviation = (torch.tensor(each, device=x.device).view(1, 3, 1, 1) for each in (MEAN, DEVIATION))
        x = x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x
        h: Tensor = self.features((x - mean) / deviation)
        return h


def read_vgg19(file: str, block: int, convolutions: int) -> VGG19:
    """Return a frozen VGG19 with the weights of a file.

    Raises:
        InputError: there is none, it cannot be read, or it holds other weights.
    """
    net = VGG19(block, convolutions)
    wanted, found = net.state_dict(), read_tensors(file_of_weights(file))
    for name, value in wanted.items():
        if name not in found or found[name].shape != value.shape:
            raise InputError(f"{file} holds no weights of VGG19: {name} is missing, or of another size")
    net.load_state_dict({name: found[name].float() for name in wanted})
    return net.eval().requires_grad_(False)


def file_of_weights(file: str) -> Path:
    """Return a file by its name; InputError where there is none."""
    if not file or kind_of(named(file)) != "file":
        raise InputError(
            f"VGG19's weights are not {f'at {file}' if file else 'known'}: name their .safetensors by --hyper.vgg FILE, or "
            "take another content loss, such as --hyper.content discriminator"
        )
    return named(file)


def features_loss(net: nn.Module, made: Tensor, real: Tensor) -> Tensor:
    """Return the mean square difference of features of pictures in [0, 1], those divided by 12.75 (section 3.2)."""
    return F.mse_loss(net(made).float() / 12.75, net(real).float() / 12.75)
