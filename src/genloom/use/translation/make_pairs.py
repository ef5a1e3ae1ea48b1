"""Making pairs out of any pictures: A is a picture with something taken away, B the picture itself."""

# H height, W width

from __future__ import annotations

import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from genloom.bounds import numeral, short
from genloom.data.options import PictureOptions
from genloom.data.pictures.decode import convert
from genloom.data.pictures.load import find_pictures
from genloom.data.pictures.sources import Pictures, quiet
from genloom.data.source import Progress
from genloom.errors import InputError, nearest
from genloom.files import check_writable, replaced, umask
from genloom.reading import kind_of, named, parsing

SHARPER, INK = 1.6, 12.0  # of a line drawing: ratio of its two blurs, and how dark a difference between them is drawn
HOLES, COVERED = 3, 0.35  # rectangles cut out, and the longest side of one as a share of the picture's
Maker = Callable[[Any, int], Any]  # from a pillow image in RGB and a number of its own to what A is


def grey(image: Any, number: int) -> Any:
    """Take the colours away."""
    return image.convert("L")


def blur(image: Any, number: int) -> Any:
    """Take the detail away, below a fiftieth of the shorter side."""
    from PIL import ImageFilter

    return image.filter(ImageFilter.GaussianBlur(max(1.0, min(image.size) / 50)))


def small(image: Any, number: int, factor: int = 4) -> Any:
    """Make it smaller and larger again, both by an antialiased bicubic filter."""
    from PIL import Image

    size = (max(1, image.width // factor), max(1, image.height // factor))
    return image.resize(size, Image.Resampling.BICUBIC).resize(image.size, Image.Resampling.BICUBIC)


def holes(image: Any, number: int) -> Any:
    """Cover some rectangles with grey."""
    from PIL import ImageDraw

    random, made = np.random.default_rng(number), image.copy()
    for _ in range(HOLES):
        w, h = (max(1, int(side * random.uniform(0.1, COVERED))) for side in image.size)
        left, top = random.integers(image.width - w + 1), random.integers(image.height - h + 1)
        ImageDraw.Draw(made).rectangle((int(left), int(top), int(left) + w - 1, int(top) + h - 1), fill=(128, 128, 128))
    return made


def edges(image: Any, number: int) -> Any:
    """Draw where brightness changes, by Sobel's filter, dark on white."""
    return lines_of(slopes(np.asarray(image.convert("L"), np.float32) / 255) * 2)


def outline(image: Any, number: int) -> Any:
    """Draw lines along what is darker than its surroundings: a difference of two blurs, dark on white."""
    from PIL import ImageFilter

    page = image.convert("L")
    fine = max(0.6, min(page.size) / 160)
    near, far = (np.asarray(page.filter(ImageFilter.GaussianBlur(r)), np.float32) / 255 for r in (fine, fine * SHARPER))
    return lines_of(np.maximum(far - near, 0) * INK)


def slopes(x: np.ndarray) -> np.ndarray:
    """Return how steep numbers `[H, W]` are in each place, by Sobel's filter: 1 where they go from 0 to 1 in two steps."""
    x = np.pad(x, 1, "edge")
    across = x[:, 2:] - x[:, :-2]
    down = x[2:] - x[:-2]
    return np.hypot((across[:-2] + 2 * across[1:-1] + across[2:]) / 4, (down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]) / 4)


def lines_of(strength: np.ndarray) -> Any:
    """Return strengths `[H, W]` as dark lines on white."""
    from PIL import Image

    return Image.fromarray(np.round(255 * (1 - np.clip(strength, 0, 1))).astype(np.uint8))


MAKERS: dict[str, Maker] = {
    "edges": edges, "grey": grey, "small": small, "holes": holes, "blur": blur, "outline": outline,
}  # fmt: skip


def maker_of(name: str) -> Maker:
    """Return what makes A, by name; `small:4` says by how much. InputError where there is none."""
    kind, _, factor = name.partition(":")
    if kind not in MAKERS or (factor and kind != "small"):
        raise InputError(f"--make takes {', '.join(MAKERS)} (small:4), not {short(name)}{nearest(kind[:100], MAKERS)}")
    if not factor:
        return MAKERS[kind]
    times = numeral(factor)
    if times is None or not 2 <= times <= 16:
        raise InputError(f"--make small:N takes a whole number from 2 to 16, got {short(factor)}")
    return lambda image, number: small(image, number, times)


def make_pairs(source: str, out: str, make: str, options: PictureOptions, progress: Progress) -> list[str]:
    """Write pairs of all pictures of a source into folders A and B, within `train` and `test` where it has them.

    The folder is there once all of them are written, or not at all.

    Returns:
        The files that were written, "" for each picture that was left out.

    Raises:
        InputError: there are no pictures, one cannot be read and is not to be skipped, or `out` is there already or cannot
            be written.
    """
    maker, root = maker_of(make), named(out)
    if kind_of(root) not in ("", "folder") or (kind_of(root) == "folder" and any(root.iterdir())):
        raise InputError(f"{out} is there already, and not empty: name a new folder for the pairs")
    check_writable(root / "A" / "x.png")
    train, test = (find_pictures(source, split) for split in ("train", "test"))
    splits = [("", train)] if list(train.places) == list(test.places) else [("train", train), ("test", test)]
    total = sum(len(pictures) for _, pictures in splits)
    with made_whole(root) as part:
        written = (one for name, pictures in splits for one in written_pairs(pictures, part / name, maker, options))
        found = list(progress(written, total, "making pairs"))
        if not any(found):
            raise InputError(f"none of the {total:,} pictures of {source} can be read")
    return found


@contextmanager
def made_whole(root: Path) -> Iterator[Path]:
    """Give a folder beside `root` to write into, which takes its place if all goes well, and else is gone."""
    root.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=root.parent))
    try:
        yield part
        part.chmod(0o777 & ~umask())
        if root.exists():  # and empty
            root.rmdir()
        part.rename(root)
    except OSError as error:
        raise InputError(f"cannot write {root}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def written_pairs(pictures: Pictures, folder: Path, maker: Maker, options: PictureOptions) -> Iterator[str]:
    """Write the pairs of some pictures, and yield their names, "" for one that cannot be read and is to be skipped."""
    from PIL import Image, ImageOps

    files = ["_".join(PurePosixPath(name).with_suffix(".png").parts) for name in pictures.names]
    if len(set(files)) < len(files):
        raise InputError("some pictures have the same name but for the suffix or the folder: rename them")
    for i, (name, file) in enumerate(zip(pictures.names, files, strict=True)):
        try:
            with quiet(), parsing(name, "a picture", "; mend it, or say --skip-broken"), pictures.open(i) as lying:
                image = ImageOps.exif_transpose(lying)
                size = options.height_and_width or (image.height, image.width)
                whole = Image.fromarray(convert(image, 3, size, not options.squeeze))
        except InputError:
            if not options.skip_broken:
                raise
            yield ""
            continue
        for side, page in (("A", maker(whole, zlib.crc32(name.encode()))), ("B", whole)):
            with replaced(folder / side / file) as part:
                page.save(part)
        yield file
