"""EfficientNet-Lite features: known photographs, agreement with the other features on spoilt pictures, and cost.

pip download --no-deps foolbox scikit-image; python -m benchmarks.features_lite foolbox-*.whl scikit_image-*.whl

Photographs are read from the two packages' files, which need not be installed, and from scikit-learn and matplotlib.
"""

from __future__ import annotations

import io
import re
import sys
import time
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.stats import spearmanr
from torch import Tensor

from benchmarks.evidence import DATA, record
from benchmarks.judge_sensitivity import put_table, spoilt
from genloom import load_data
from genloom.measures.features.registry import make_features
from genloom.measures.frechet import frechet_distance
from genloom.measures.mixture import mixture_samples
from genloom.nn.efficientnet_lite import SIZES, pretrained
from genloom.nn.resize import to_size
from genloom.shapes.pictures import to_picture

N = 400
LITE, OTHERS = tuple(SIZES), ("classifier", "random", "pixels")
ESPRESSO, PALACE, UNIFORM = 967, 698, 652  # places in the list of ImageNet's 1,000 classes

# -- photographs -----------------------------------------------------------------------------------


def photographs(foolbox: Path, skimage: Path) -> list[tuple[bytes, int]]:
    """Return files of pictures with their ImageNet classes: foolbox's carry theirs in the name."""
    found = []
    with zipfile.ZipFile(foolbox) as wheel:
        for name in wheel.namelist():
            if match := re.fullmatch(r"foolbox/data/imagenet_\d+_(\d+)\.jpg", name):
                found.append((wheel.read(name), int(match[1])))
    with zipfile.ZipFile(skimage) as wheel:
        found.append((wheel.read("skimage/data/coffee.png"), ESPRESSO))
    for package, place, label in (
        ("sklearn", "datasets/images/china.jpg", PALACE),
        ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg", UNIFORM),
    ):
        folder = Path(find_spec(package).submodule_search_locations[0])
        found.append(((folder / place).read_bytes(), label))
    return found


def recognised(name: str, pictures: list[tuple[bytes, int]]) -> dict[str, float]:
    """Return the share of photographs whose class is a net's first guess, and one of its first five."""
    net, first, five = pretrained(name), 0, 0
    for content, label in pictures:
        x = to_float(Image.open(io.BytesIO(content)))
        guesses = net(to_size(x, net.pixels))[1][0].topk(5).indices.tolist()
        first, five = first + (guesses[0] == label), five + (label in guesses)
    return {
        f"accuracy_known, {name}": round(first / len(pictures), 4),
        f"accuracy_known, {name}, first five": round(five / len(pictures), 4),
    }


def to_float(image: Image.Image) -> Tensor:
    """Return a picture as `[1, 3, H, W]` in [0, 1]."""
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None].float() / 255


# -- agreement -------------------------------------------------------------------------------------


def spoilt_in_colour(fresh: Tensor, labels: Tensor, train: Tensor) -> dict[str, Tensor]:
    """Return sets of pictures in colour, each spoilt in one way: those of the digits, and milder and subtler ones."""
    sets = spoilt(fresh, labels, train)
    x, generator = sets["untouched"], torch.Generator().manual_seed(1)
    left, right = x.chunk(2, 3)
    sets.pop("one digit repeated")
    return {name.replace("digits", "pictures"): value for name, value in sets.items()} | {
        "slightly blurred": F.avg_pool2d(x, 3, 1, 1, count_include_pad=False),
        "slightly noisy": (x + 0.05 * torch.randn(x.shape, generator=generator)).clamp(0, 1),
        "JPEG, quality 10": torch.cat([jpeg(picture, 10) for picture in x]),
        "colours swapped": x[:, [1, 2, 0]],
        "halves swapped": torch.cat([right, left], 3),
        "upside down": x.flip(2),
        "PCA + Gaussian mixture": mixture_samples(train, len(train)),
    }


def jpeg(x: Tensor, quality: int) -> Tensor:
    """Return a picture `[3, H, W]` as a JPEG of this quality gives it back, `[1, 3, H, W]`."""
    file = io.BytesIO()
    to_picture(x).save(file, "JPEG", quality=quality)
    return to_float(Image.open(file))


def distances() -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Return the Fréchet distance of each spoilt set in each kind of features, and CPU milliseconds a picture."""
    data, test = (load_data(DATA / "cifar10" / f"cifar10_{name}.zip") for name in ("train_15000", "test_3000"))
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(5))
    real, copies = data.pictures(order[:N]), data.pictures(order[N : 2 * N])
    fresh = torch.randperm(len(test), generator=torch.Generator().manual_seed(6))
    sets = spoilt_in_colour(test.pictures(fresh), test.labels[fresh], copies)
    rows: dict[str, dict[str, float]] = {name: {} for name in sets}
    cost = {}
    for kind in (*OTHERS, *LITE):
        features = make_features(kind, data)
        began = time.process_time()
        target, _ = features(real)
        cost[features.name] = round(1000 * (time.process_time() - began) / N, 3)
        for name, x in sets.items():
            rows[name][features.name] = frechet_distance(features((x * 255).round() / 255)[0], target)
            print(name, features.name, rows[name][features.name], flush=True)
    return rows, cost


def agreement(rows: dict[str, dict[str, float]]) -> dict[str, float]:
    """Return Spearman's rank correlation over the sets between each pair of features of which one is lite."""
    names = list(next(iter(rows.values())))
    columns = {name: [row[name] for row in rows.values()] for name in names}
    return {
        f"agreement, {a} with {b}": round(float(spearmanr(columns[a], columns[b]).statistic), 3)
        for i, b in enumerate(names)
        for a in names[:i]
        if b.startswith("lite")
    }


def main() -> None:
    """Measure, record, and write the table."""
    began = time.process_time()
    figures: dict[str, float] = {}
    pictures = photographs(*map(Path, sys.argv[1:3]))
    for name in LITE:
        figures |= recognised(name, pictures)
    rows, cost = distances()
    figures |= agreement(rows)
    first, *_, usual = cost  # the data's own classifier, and the judge's usual features in colour
    figures = {
        "accuracy_known": figures[f"accuracy_known, {LITE[-1]}"],
        "agreement": figures[f"agreement, {first} with {usual}"],
    } | figures
    figures |= {f"FID[{kind}], {name}": round(value, 4) for name, row in rows.items() for kind, value in row.items()}
    figures |= {f"milliseconds a picture, {kind}": value for kind, value in cost.items()}
    record(
        "features-lite",
        figures,
        seed=0,
        cpu_seconds=time.process_time() - began,
        notes=f"{len(pictures)} photographs of known class out of packages (foolbox 20, scikit-image, scikit-learn and "
        f"matplotlib 1 each); {N} CIFAR-10 pictures (JPEG copies) a set against {N} training pictures; cost is of 32x32 "
        "pictures, resize in it, one thread in fp32 on a machine with other work; agreement is Spearman's rank correlation "
        f"over the {len(rows)} sets",
    )
    kinds = list(cost)
    lines = ["| set | " + " | ".join(f"FID[{kind}]" for kind in kinds) + " |", "|---" * (len(kinds) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(f"{row[kind]:.3g}" for kind in kinds) + " |" for name, row in rows.items()]
    put_table("Pictures in colour", "features_lite", "features-lite", lines)


if __name__ == "__main__":
    main()
