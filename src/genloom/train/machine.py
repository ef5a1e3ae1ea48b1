"""The processor: which one, how fast, how much memory, and how that is handed out."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import time
from pathlib import Path

import torch

from genloom.bounds import short
from genloom.errors import InputError


def pick_device(name: str = "auto") -> torch.device:
    """Return the device of that name; `auto` takes CUDA, then Apple's, then the CPU. A GPU comes with its number."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda", "mps"):
            raise RuntimeError(name)  # torch knows more, on which nothing of ours runs
        device = torch.empty(1, device=device).device  # with the number of the GPU, since other threads begin on the first
    except (RuntimeError, AssertionError):
        raise InputError(
            f"--device {short(name)} is not to be had on this machine; leave it out, or say --device cpu"
        ) from None
    return device


def memory_of(device: torch.device) -> int:
    """Return the bytes of memory of a device; of a processor's where the system tells, else a number that never hinders."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on every system
        return 1 << 62


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory instead of returning it to the kernel after each step.

    Large activations are freed and allocated anew each step; without this every step pays for
    thousands of page faults. Elsewhere than on glibc nothing happens.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return
    trim_threshold, mmap_threshold = -1, -3
    libc = ctypes.CDLL(None)
    libc.mallopt(mmap_threshold, 1 << 25)  # the largest that glibc takes; a larger one is ignored
    libc.mallopt(trim_threshold, 1 << 30)


def processor() -> str:
    """Return the processor's name and the vector units that matter, for evidence and `doctor`."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    if torch.cuda.is_available():
        name = f"{torch.cuda.get_device_name()}, {name}"
    units = [
        word
        for word, probe in (("amx", "_is_amx_tile_supported"), ("avx512_bf16", "_is_avx512_bf16_supported"))
        if getattr(torch.cpu, probe, bool)()
    ]
    return (
        f"{name}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}{''.join(f' {unit}' for unit in units)}"
    )


def product_speed(device: torch.device, dtype: torch.dtype, n: int = 1024) -> float:
    """Measure the GFLOP/s of a matrix product."""
    a = torch.randn(n, n, device=device).to(dtype)
    (a @ a).sum().item()
    began = time.perf_counter()
    for _ in range(5):
        b = a @ a
    b.sum().item()
    return 5 * 2 * n**3 / (time.perf_counter() - began) / 1e9
