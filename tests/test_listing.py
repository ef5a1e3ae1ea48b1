"""Opening the same data again reads no picture, and no change goes unnoticed."""

import os
import struct
import time

import numpy as np
import pytest
from PIL import Image

import genloom.data.pictures.listing as listing
import genloom.data.pictures.load as loading
from genloom import InputError
from genloom.data.pictures.load import PictureSource, load_pictures


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GENLOOM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(listing, "SETTLED", 0)
    for name in ("a/1", "a/2", "b/1"):
        write(tmp_path / "data" / f"{name}.bmp", len(name) + int(name[-1]))
    return tmp_path / "data"


def write(path, grey):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4), grey, np.uint8)).save(path)


def reads(monkeypatch, folder, **options):
    """Return the data and how many files were read for it."""
    counted = []
    with monkeypatch.context() as patch:
        patch.setattr(loading, "content_key", lambda *given: counted.append(1) or content_key(*given))
        patch.setattr(loading, "read_headers", lambda *given: counted.append(1) or read_headers(*given))
        source = PictureSource(str(folder), loading.PictureOptions(**options))
        source.shape()
        return source.load(), len(counted)


content_key, read_headers = loading.content_key, loading.read_headers


def test_the_second_opening_reads_nothing(folder, monkeypatch):
    first, read = reads(monkeypatch, folder)
    again, none = reads(monkeypatch, folder)
    assert read == 2 and none == 0 and again.fingerprint == first.fingerprint and (again.pixels == first.pixels).all()
    _, other = reads(monkeypatch, folder, size=2)
    assert other > 0 and reads(monkeypatch, folder, size=2)[1] == 0


@pytest.mark.parametrize("change", ["content", "name", "more", "less", "touched", "link"])
def test_any_change_is_noticed(folder, monkeypatch, change):
    first, _ = reads(monkeypatch, folder)
    one = folder / "a" / "1.bmp"
    stat, time_before = one.stat(), time.time_ns()
    while time.time_ns() - time_before < 20_000_000:  # the clock of a file system has ticks
        pass
    if change == "content":  # as long as before, and the time set back: the time of the change itself cannot be
        write(one, 250)
        assert one.stat().st_size == stat.st_size
        os.utime(one, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    elif change == "name":
        one.rename(folder / "b" / "2.bmp")
    elif change == "more":
        write(folder / "c" / "1.bmp", 9)
    elif change == "less":
        one.unlink()
    elif change == "touched":
        os.utime(one)
    else:
        (folder / "d").symlink_to(folder / "a", target_is_directory=True)
    data, read = reads(monkeypatch, folder)
    assert read > 0 and (data.fingerprint == first.fingerprint) == (change == "touched")


def test_what_changed_a_moment_ago_is_not_remembered(folder, monkeypatch):
    monkeypatch.setattr(listing, "SETTLED", 60 * 10**9)
    reads(monkeypatch, folder)
    assert reads(monkeypatch, folder)[1] > 0


def test_hidden_files_say_nothing_and_a_lost_folder_is_no_listing(folder, monkeypatch):
    reads(monkeypatch, folder)
    (folder / ".DS_Store").write_text("x")
    assert reads(monkeypatch, folder)[1] == 0
    assert listing.list_files(folder / "nowhere") is None


def test_a_damaged_memory_is_read_anew(folder, tmp_path, monkeypatch):
    first, _ = reads(monkeypatch, folder)
    for path in (tmp_path / "cache" / "listings").glob("*.json"):
        path.write_text('{"sha')
    again, read = reads(monkeypatch, folder)
    assert read > 0 and again.fingerprint == first.fingerprint == load_pictures(folder).fingerprint


def test_labels_beside_an_idx_file_are_part_of_it(tmp_path, monkeypatch):
    monkeypatch.setenv("GENLOOM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(listing, "SETTLED", 0)

    def labelled(labels):
        images, n = tmp_path / "images.idx3", len(labels)
        images.write_bytes(struct.pack(">HBBIII", 0, 8, 3, n, 2, 2) + bytes(range(4 * n)))
        (tmp_path / "labels.idx1").write_bytes(struct.pack(">HBBI", 0, 8, 1, n) + bytes(labels))
        return load_pictures(images).labels.tolist()

    assert labelled([0, 1, 1]) == [0, 1, 1] and labelled([1, 0, 0]) == [1, 0, 0]


def test_a_date_that_no_number_holds_costs_the_memory_alone(folder):
    os.utime(folder / "a" / "2.bmp", (13_569_465_600, 13_569_465_600))  # the year 2400: beyond 2^63 nanoseconds
    assert listing.list_files(folder) is None and len(load_pictures(folder)) == 3


def test_an_entry_may_be_read_by_others(folder, tmp_path):
    load_pictures(folder)
    mask = os.umask(0)
    os.umask(mask)
    entry = next(path for path in (tmp_path / "cache").iterdir() if (path / "meta.json").exists())
    assert entry.stat().st_mode & 0o777 == 0o777 & ~mask


def test_a_picture_that_may_not_be_read_is_as_a_broken_one(folder, monkeypatch):
    whole, opened = load_pictures(folder), Image.open

    def refuse(path, **options):
        if str(path).endswith("a/1.bmp"):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, **options)

    os_open = os.open

    def reads(path, *rest):
        return refuse(path) if str(path).endswith("a/1.bmp") else os_open(path, *rest)

    monkeypatch.setattr("PIL.Image.open", refuse)
    monkeypatch.setattr("genloom.reading.os.open", reads)
    monkeypatch.setattr(listing, "SETTLED", 60 * 10**9)
    os.utime(folder / "a" / "1.bmp")
    with pytest.raises(InputError, match="1 of 3 pictures cannot be read .*Permission denied.*--skip-broken"):
        load_pictures(folder)
    rest = load_pictures(folder, loading.PictureOptions(skip_broken=True))
    assert len(rest) == 2 and rest.fingerprint != whole.fingerprint


def test_what_may_not_be_read_is_said(folder, monkeypatch):
    def refuse(*given):
        raise PermissionError(13, "Permission denied", "a/1.bmp")

    monkeypatch.setattr(loading, "content_key", refuse)
    with pytest.raises(InputError, match="cannot read a/1.bmp: Permission denied"):
        load_pictures(folder)
    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(InputError, match="cannot read a/1.bmp: Permission denied"):
        load_pictures(folder)
