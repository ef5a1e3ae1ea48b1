"""Hostile input: files that lie, words that make no sense, and damage done at random. For the suite and for `attacks`."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from genloom.cli.app import run

MB = 1 << 20
NASTY = (
    *("", " ", "-1", "0", "1.5", "1e18", "nan", "inf", "-inf", "²", "٣", "9" * 30, "9" * 5000, "x" * 300, "~nosuchuser/x"),
    *("../" * 60, "null", "true", "[]", "{}", "a\nb", "\x1b[2J", "'; DROP TABLE t;--", "%s%n", "$x^{$", "1_000", "0x10"),
    *("١٢", "1,,2", "(,)"),
)
JSONS = (None, True, 0, -1, 10**30, 1.5, "", "x" * 300, [], {}, [[]], {"a": []}, "../../x", float("nan"), float("inf"))


@dataclass(frozen=True)
class Attack:
    """One attempt: what is typed, and what is done to the files before.

    Attributes:
        about: a few words, for a report.
        before: damages files of the folder that belongs to this attempt alone.
    """

    about: str
    words: list[str]
    before: Callable[[], Any] = lambda: None


def picture(height: int = 8, width: int = 8, seed: int = 0) -> bytes:
    """Return a PNG of noise."""
    data = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)).save(data, "png")
    return data.getvalue()


# -- files that lie --------------------------------------------------------------------------------


def sources(folder: Path, large: int = 1) -> list[Path]:
    """Make files that are no data, or not what they say; `large` scales those that unpack to many megabytes."""
    folder.mkdir(parents=True, exist_ok=True)
    made = [*pipes(folder), *arrays(folder), *zips(folder, large), *idx(folder, large), *tables(folder)]
    Image.new("1", (16_000, 16_000)).save(folder / "vast.png")
    return [*made, folder / "vast.png", Path("/dev/zero"), Path("/dev/null"), Path("/proc/self/mem")]


def pipes(folder: Path) -> Iterator[Path]:
    """Make pipes that nobody writes to."""
    for suffix in ("zip", "npy", "npz", "csv", "csv.gz", "parquet", "yaml", "png", "glz", "json"):
        path = folder / f"pipe.{suffix}"
        os.mkfifo(path)
        yield path


def arrays(folder: Path) -> Iterator[Path]:
    """Make arrays of numpy of kinds, sizes and headers that are no pictures."""
    kinds = ("datetime64[s]", "timedelta64[s]", "U2", "S3", "V8", "complex64", "object", "float16", "int64", [("a", "i4")])
    for i, kind in enumerate(kinds):
        np.save(folder / f"kind{i}.npy", np.zeros((100, 8, 8), kind), allow_pickle=True)
        yield folder / f"kind{i}.npy"
    for i, shape in enumerate([(100, 0, 8), (0, 8, 8), (100, 8), (), (100, 8, 8, 7), (2, 2, 2, 2, 2)]):
        np.save(folder / f"shape{i}.npy", np.zeros(shape, np.uint8))
        yield folder / f"shape{i}.npy"
    for i, shape in enumerate([(10**9, 1000, 1000, 3), (-1, 8, 8), (2**63, 2, 2), (100, 8, 8)]):
        with (folder / f"head{i}.npy").open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
            file.write(b"x" * 100)
        yield folder / f"head{i}.npy"
    (folder / "nest.npy").write_bytes(b"\x93NUMPY\x02\x00" + struct.pack("<I", 9000) + b"[" * 8999 + b"\n")
    (folder / "code.npy").write_bytes(
        b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + b"__import__('os').system('x')".ljust(118)
    )
    with zipfile.ZipFile(folder / "negative.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (-1, 28, 28)})
        archive.writestr("x.npy", head.getvalue() + bytes(64 * MB))
    yield folder / "negative.npz"
    np.savez(folder / "labels.npz", x=np.zeros((100, 8, 8), np.uint8), y=np.zeros((3, 3)))
    with zipfile.ZipFile(folder / "none.npz", "w") as archive:
        archive.writestr("x.npy", b"hello")
    yield from (folder / name for name in ("nest.npy", "code.npy", "labels.npz", "none.npz"))


def zips(folder: Path, large: int) -> Iterator[Path]:
    """Make zips with odd names, damaged members, and members that unpack to much."""
    names = {
        "absolute": "/a/{}.png",
        "up": "../../{}.png",
        "drive": "C:\\a\\{}.png",
        "steer": "\x1b[2J{}.png",
        "long": "x" * 400 + "{}.png",
    }
    for about, name in names.items():
        with zipfile.ZipFile(folder / f"{about}.zip", "w") as archive:
            for i in range(70):
                archive.writestr(name.format(i) if i % 2 else f"b/{i}.png", picture(seed=i))
        yield folder / f"{about}.zip"
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.png", picture())
        with archive.open("1.png", "w", force_zip64=True) as member:
            member.write(picture())
            for _ in range(300 * large):
                member.write(bytes(MB))
    with zipfile.ZipFile(folder / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        member = archive.open("x.npy", "w", force_zip64=True)
        with member:
            np.lib.format.write_array_header_1_0(
                member, {"descr": "|u1", "fortran_order": False, "shape": (2000 * large, MB)}
            )
            for _ in range(200 * large):
                member.write(bytes(MB))
    whole = (folder / "absolute.zip").read_bytes()
    (folder / "cut.zip").write_bytes(whole[: len(whole) // 2])
    (folder / "utf.zip").write_bytes(
        whole.replace(b"b/0.png", b"\xff\xfe0.png").replace(b"\x14\0\0\0\0\0", b"\x14\0\0\x08\0\0")
    )
    flagged = bytearray(whole)
    for start in (i for i in range(len(whole) - 4) if whole[i : i + 4] == b"PK\x01\x02"):
        flagged[start + 8] |= 1  # says that it is packed with a password
    (folder / "password.zip").write_bytes(bytes(flagged))
    yield from (folder / name for name in ("bomb.zip", "bomb.npz", "cut.zip", "utf.zip", "password.zip"))


def idx(folder: Path, large: int) -> Iterator[Path]:
    """Make idx files that end early, or announce more than there is."""
    with gzip.open(folder / "bomb-images-idx3-ubyte.gz", "wb", compresslevel=1) as file:
        file.write(struct.pack(">4B3I", 0, 0, 8, 3, 1200 * large, 1024, 1024))
        for _ in range(120 * large):
            file.write(bytes(MB))
    contents = {
        "cut": b"\0\0\x08\x03\0\0",
        "wrap": struct.pack(">4B3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1),
        "flat": struct.pack(">4B3I", 0, 0, 8, 3, 100, 0, 8),
        "none": b"",
    }
    for name, content in contents.items():
        (folder / f"{name}-images-idx3-ubyte").write_bytes(content)
        yield folder / f"{name}-images-idx3-ubyte"
    yield folder / "bomb-images-idx3-ubyte.gz"


def tables(folder: Path) -> Iterator[Path]:
    """Make tables with headings, lines and bytes that are none."""
    texts = {
        "empty": "",
        "heading": "a,b\n",
        "blank": "a,b,,\n" + "1,,,\n" * 80,
        "same": "a,a\n" + "1,\n" * 80,
        "tex": "$x^{$,b\n" + "".join(f"{i},{i % 5 or ''}\n" for i in range(90)),
        "line": "a,b\n" + "1" * (9 * MB),
        "quote": 'a,b\n"1,2\n' * 40,
        "nul": "a,b\n\0\0,1\n",
        "wide": ",".join(f"c{i}" for i in range(3000)) + "\n" + ",".join("1" * 3000),
        "steer": "a\x1b[2J,b\n" + "1,\n" * 80,
        "huge": "a,b\n" + f"{'9' * 400},\n" * 80,
        "inf": "a,b\n" + "inf,\nnan,1\n1e999,2\n" * 40,
    }
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text(text)
        yield folder / f"{name}.csv"
    (folder / "cut.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n" * 999)[:-30])
    pd.DataFrame({"a": ["x" * MB] * 400, "b": [None] * 400}).to_parquet(folder / "large.parquet")
    yield folder / "large.parquet"
    (folder / "no.parquet").write_bytes(b"PAR1" + b"x" * 99 + b"PAR1")
    yield from (folder / "cut.csv.gz", folder / "no.parquet")


YAMLS = (
    *(
        "batch: 2001-99-99",
        "batch: !!timestamp foo",
        "batch: !!int abc",
        "batch: !!float abc",
        "batch: " + "9" * 5000,
        "1: 2",
    ),
    *("null: 3", "2001-01-01: 4", "[" * 20_000, "{" * 20_000, "hyper: &a {z: *a}", "- 1", "batch: [1, [2, [3]]]", "x: y: z"),
    *(
        "\t",
        "batch:",
        "minutes: null",
        "!!python/object/apply:os.system ['x']",
        "hyper: {width: 1e18}",
        "hyper: 3",
        "seed: 1.5",
    ),
    *("model: [a", "\xff\xfe", "size: {a: 1}", "flip: maybe", "config: x.yaml"),
)


# -- damage at random ------------------------------------------------------------------------------


def damaged_bytes(rng: np.random.Generator, content: bytes) -> bytes:
    """Return bytes with some of them changed, cut off, repeated or put in."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 6))):
        place = int(rng.integers(0, max(len(data), 1)))
        kind = int(rng.integers(0, 5))
        if kind == 0 and data:
            data[place] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            del data[place:]
        elif kind == 2:
            data[place:place] = rng.bytes(int(rng.integers(1, 40)))
        elif kind == 3:
            data[place:place] = data[place : place + 64] * int(rng.integers(1, 20))
        elif data:
            data[place : place + 4] = struct.pack("<i", int(rng.choice([-1, 0, 2**31 - 1, 65536])))
    return bytes(data)


def damaged_json(rng: np.random.Generator, text: str) -> str:
    """Return JSON with one of its values replaced, removed or wrapped."""
    value = json.loads(text)
    place, holder = [], value
    while isinstance(holder, dict | list) and holder and (not place or rng.random() < 0.7):
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        place.append((holder, keys[int(rng.integers(0, len(keys)))]))
        holder = holder[place[-1][1]]
    if not place:
        return json.dumps(JSONS[int(rng.integers(0, len(JSONS)))])
    where, key = place[-1]
    kind = int(rng.integers(0, 4))
    if kind == 0 and isinstance(where, dict):
        del where[key]
    elif kind == 1:
        where[key] = [where[key]] * 3
    elif kind == 2 and isinstance(where, dict):
        where["x" * 40] = where[key]
    else:
        where[key] = JSONS[int(rng.integers(0, len(JSONS)))]
    return json.dumps(value)


def damage(rng: np.random.Generator, path: Path) -> None:
    """Damage a file as a disk, a copy or a person might."""
    if path.suffix in (".json", ".jsonl") and rng.random() < 0.75:
        lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        chosen = int(rng.integers(0, len(lines)))
        lines[chosen] = damaged_json(rng, lines[chosen])
        path.write_text("\n".join(lines))
    elif rng.random() < 0.1:
        path.unlink()
    elif rng.random() < 0.05:
        path.unlink()
        os.mkfifo(path)
    elif rng.random() < 0.05:
        path.write_text("[" * 100_000)
    else:
        path.write_bytes(damaged_bytes(rng, path.read_bytes()))


def fuzzed(rng: np.random.Generator, runs: dict[str, Path], data: dict[str, Path], folder: Path) -> Attack:
    """Return an attack at random: a file of a run or of data is damaged, or a word of a command makes no sense.

    Args:
        runs: small trained runs by model: dcgan, vae, pixelcnn, gain.
        data: sources that are whole: a zip, an npz, an idx, a csv, a parquet, a picture, a glz.
        folder: where this attack may write.
    """
    kind = int(rng.integers(0, 3))
    if kind == 0:
        return fuzzed_run(rng, runs, folder)
    return fuzzed_data(rng, runs, data, folder) if kind == 1 else fuzzed_words(rng, runs, data, folder)


def fuzzed_run(rng: np.random.Generator, runs: dict[str, Path], folder: Path) -> Attack:
    """Damage a file of a run, then use the run."""
    name = str(rng.choice(sorted(runs)))
    copy = folder / "run"
    files = sorted(path.relative_to(runs[name]) for path in runs[name].rglob("*") if path.is_file())
    chosen = files[int(rng.integers(0, len(files)))]
    uses = [
        f"sample {copy} -n 2 -o {folder}/s.npy",
        f"show {copy} -o {folder}/s.png",
        f"sample {copy} -n 2 -o {folder}/s.png --checkpoint best",
        f"fit {name} digits -o {copy} --preset tiny --examples 2200 --device cpu",
        f"fit {name} digits -o {folder}/n --from {copy} --examples 64 --device cpu",
    ]

    def before() -> None:
        shutil.copytree(runs[name], copy)
        damage(rng, copy / chosen)

    return Attack(f"{name}/{chosen}", uses[int(rng.integers(0, len(uses)))].split(), before)


def fuzzed_data(rng: np.random.Generator, runs: dict[str, Path], data: dict[str, Path], folder: Path) -> Attack:
    """Damage a source, then read it."""
    name = str(rng.choice(sorted(data)))
    copy = folder / data[name].name
    uses = {
        "csv": [f"repair {copy} -o {folder}/o.csv --method mean", f"check {copy}"],
        "parquet": [f"repair {copy} -o {folder}/o.parquet --method mean"],
        "picture": [f"complete {runs['pixelcnn']} {copy} -n 1 -o {folder}/c.png"],
        "glz": [f"compress {runs['pixelcnn']} {copy} -o {folder}/o/"],
        "config": [f"fit --config {copy} --dry-run"],
    }.get(name, [f"fit gan {copy} -o {folder}/r --dry-run --device cpu"])

    def before() -> None:
        shutil.copy(data[name], copy)
        damage(rng, copy)

    return Attack(f"{name} damaged", uses[int(rng.integers(0, len(uses)))].split(), before)


def fuzzed_words(rng: np.random.Generator, runs: dict[str, Path], data: dict[str, Path], folder: Path) -> Attack:
    """Put a word that makes no sense into a command that does."""
    out, fit = f"{folder}/o", f"fit gan {data['npz']}"
    whole = [
        f"{fit} -o {out} --size 8 --batch 16 --minutes 1 --dry-run --seed 1 --hyper.z 8 --threads 1 --micro 8",
        f"{fit} -o {out} --precision fp32 --device cpu --dry-run --examples 64 --channels 1",
        f"{fit}[0:50] -o {out} --dry-run --examples 64 --from {runs['dcgan']}",
        f"sample {runs['dcgan']} -n 2 -o {out}.png --seed 1 --checkpoint last --temperature 1 --scale 1",
        f"walk {runs['vae']} -o {out}.gif --seeds 1,2 --frames 2",
        f"walk {runs['vae']} -o {out}.png --arithmetic (1,2)-3",
        f"complete {runs['pixelcnn']} {data['picture']} -n 1 -o {out}.png --known top-half --seed 1",
        f"repair {data['csv']} -o {out}.csv --method mean --draws 0 --seed 1 --kind.a numeric",
        f"show {runs['gain']} -o {out}.png",
        f"check {data['zip']} -o {out}.png --size 8",
    ]
    words = whole[int(rng.integers(0, len(whole)))].split()
    place = int(rng.integers(1, len(words)))
    nasty = NASTY[int(rng.integers(0, len(NASTY)))]
    if rng.random() < 0.15:
        del words[place]
    else:
        words[place] = nasty if rng.random() < 0.8 or words[place].startswith("-") else words[place] + nasty
    return Attack("a word", words)


# -- what is attacked, and the list ----------------------------------------------------------------


def prepared(folder: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Train small runs and write sources that are whole."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (100, 8, 8), dtype=np.uint8)
    np.savez(folder / "x.npz", x=pixels, y=np.arange(100) % 3)
    np.save(folder / "x.npy", pixels)
    (folder / "x.idx").write_bytes(b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (100, 8, 8)) + pixels.tobytes())
    (folder / "x.png").write_bytes(picture())
    (folder / "x.csv").write_text("a,b,c\n" + "".join(f"{i},{i % 7 or ''},{'xyz'[i % 3]}\n" for i in range(200)))
    (folder / "x.yaml").write_text("model: gan\ndata: digits\nout: o\nbatch: 32\nhyper:\n  z: 8\n")
    pd.read_csv(folder / "x.csv").to_parquet(folder / "x.parquet")
    with zipfile.ZipFile(folder / "x.zip", "w") as archive:
        for i in range(70):
            archive.writestr(f"{'ab'[i % 2]}/{i}.png", picture(seed=i))
    runs = {}
    for model, source in (
        ("dcgan", "digits"),
        ("vae", "digits"),
        ("pixelcnn", str(folder / "x.npz")),
        ("gain", str(folder / "x.csv")),
    ):
        runs[model] = folder / model
        words = [
            "fit",
            model,
            source,
            "-o",
            str(runs[model]),
            "--preset",
            "tiny",
            "--examples",
            "2k",
            "--device",
            "cpu",
            "--quiet",
        ]
        assert run([*words, *(["--hyper.levels", "256"] if model == "pixelcnn" else [])]) == 0
    assert run(["compress", str(runs["pixelcnn"]), str(folder / "x.png"), "-o", str(folder / "x.glz")]) == 0
    names = {"zip": "x.zip", "npz": "x.npz", "npy": "x.npy", "idx": "x.idx", "picture": "x.png", "csv": "x.csv",
             "parquet": "x.parquet", "glz": "x.glz", "config": "x.yaml"}  # fmt: skip
    data = {kind: folder / name for kind, name in names.items()}
    return runs, data


def listed(runs: dict[str, Path], data: dict[str, Path], folder: Path) -> Iterator[Attack]:
    """Yield the attacks of the list: every lying file in every place that takes one, and every word in many."""
    lying = sources(folder / "lying")
    out = str(folder / "out")
    pixels = str(runs["pixelcnn"])
    for path in lying:
        yield Attack(path.name, ["fit", "gan", str(path), "-o", out, "--dry-run"])
        yield Attack(path.name, ["check", str(path), "-o", "c.png"])
        yield Attack(path.name, ["repair", str(path), "-o", "r.csv", "--method", "mean", "--report", "r.html"])
        yield Attack(path.name, ["complete", pixels, str(path), "-n", "1", "-o", "c.png"])
        yield Attack(path.name, ["complete", pixels, str(data["picture"]), "--known", str(path), "-n", "1", "-o", "c.png"])
        yield Attack(path.name, ["compress", pixels, str(path), "-o", "c.glz"])
        yield Attack(path.name, ["fit", "--config", str(path)])
        yield Attack(path.name, ["show", str(path)])
        if not str(path).startswith(("/dev", "/proc")):
            yield Attack(path.name, ["sample", str(runs["dcgan"]), "-n", "1", "-o", str(path) + "/"])
        yield Attack(
            path.name,
            ["sample", str(runs["dcgan"]), "-n", "1", "-o", str(path)] if "pipe" in path.name else ["show", str(path)],
        )
    for i, text in enumerate(YAMLS):
        path = folder / f"y{i}.yaml"
        path.write_bytes(text.encode("latin-1"))
        yield Attack("yaml", ["fit", "gan", "digits", "-o", out, "--config", str(path), "--dry-run"])
    for word in NASTY:
        yield from (Attack("word", words) for words in places(word, runs, out))
    yield Attack("many", ["sample", str(runs["dcgan"]), "-n", "300000", "-o", "s.npy"])
    yield Attack("many", ["sample", str(runs["dcgan"]), "-n", "900000000", "-o", "s.png"])


def places(word: str, runs: dict[str, Path], out: str) -> list[list[str]]:
    """Return commands with a word in each of many places."""
    drawing, coding, fit = str(runs["dcgan"]), str(runs["vae"]), ["fit", "gan", "digits", "-o", out, "--dry-run"]
    return [
        ["fit", "gan", word, "-o", out, "--dry-run"], ["fit", word, "digits", "-o", out, "--dry-run"],
        ["fit", "gan", "digits", "-o", word, "--dry-run"], [*fit, "--from", word], [*fit, "--label", word], ["show", word],
        ["sample", word, "-o", "s.png"], ["sample", drawing, "-o", word, "-n", "1"], ["judge", word],
        ["judge", drawing, "--record", word, "-n", "64"], ["repair", f"sqlite:///{word}", "--table", "t"],
        ["repair", word, "-o", "o.csv"], ["--limit", word, "models"], ["models", word], ["check", f"digits[{word}:]"],
        ["walk", coding, "-o", "w.png", "--arithmetic", word], [word],
    ]  # fmt: skip
