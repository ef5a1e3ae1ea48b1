"""Which precision a device is good at."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["auto", "fp32", "bf16"]


def pick_precision(name: Precision, device: torch.device) -> Literal["fp32", "bf16"]:
    """Return `bf16` where asked for or, for `auto`, where the device has units for it."""
    if name != "auto":
        return name
    return "bf16" if has_bf16_units(device) else "fp32"


def has_bf16_units(device: torch.device) -> bool:
    """Whether bf16 products run faster than fp32 ones: AVX512-BF16 or AMX, or CUDA from Ampere on."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(getattr(torch.cpu, name, bool)() for name in names)
    return False
