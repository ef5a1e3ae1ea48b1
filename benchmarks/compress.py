"""Compress test pictures with a trained model of pixels, take them apart again, and compare with its own bits and with PNG.

genloom fit pixelcnn ../shared/data/binarized_mnist/binarized_mnist_packed.npz -o runs/p --preset modern --minutes 60
python -m benchmarks.compress runs/p
"""

from __future__ import annotations

import argparse
import io
import time

import torch

from benchmarks.evidence import record
from genloom import Run, load, load_data
from genloom.shapes.pictures import to_bytes, to_picture
from genloom.use.likelihood.compress import HEAD, pack, unpack


def png_bits(x: torch.Tensor) -> int:
    """Return the bits of each picture as its own smallest PNG, summed; black and white ones with a bit a pixel."""
    total = 0
    for picture in x:
        file, image = io.BytesIO(), to_picture(picture)
        image = image.convert("1") if bool(((picture == 0) | (picture == 1)).all()) else image
        image.save(file, "PNG", optimize=True)
        total += 8 * len(file.getvalue())
    return total


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--pictures", type=int, default=200)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    run = Run.open(arguments.run)
    model = load(run)
    test = load_data(run.record["data"]["source"].split("[")[0], split="test")
    x = test.pictures(torch.linspace(0, len(test) - 1, arguments.pictures).long())
    before = time.process_time()
    packed = pack(model, x)
    middle = time.process_time()
    lossless = torch.equal(to_bytes(unpack(model, packed.data)), to_bytes(x))
    singles = [pack(model, picture[None]) for picture in x[:20]]
    figures = {
        "pictures": len(x),
        "lossless": lossless,
        "bits_a_picture": packed.payload / len(x),
        "own_bits_a_picture": packed.expected / len(x),
        "overhead": packed.payload / packed.expected - 1,
        "overhead_one_by_one": sum(p.payload for p in singles) / sum(p.expected for p in singles) - 1,
        "header_bits": 8 * HEAD.size,
        "png_bits_a_picture": png_bits(x) / len(x),
        "cpu_seconds_to_pack": round(middle - before, 2),
        "cpu_seconds_to_unpack": round(time.process_time() - middle, 2),
    }
    record(
        "compress",
        figures,
        seed=0,
        cpu_seconds=time.process_time() - began,
        notes=f"{model.coding}; {run.record['model']}",
        training=run.record["command"],
    )


if __name__ == "__main__":
    main()
