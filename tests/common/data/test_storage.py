"""Disk space of prepared arrays: full disks, sets larger than the disk, stale arrays, and what all of them hold."""

import json
import os
import types
from pathlib import Path

import numpy as np
import pytest

from common.data import cache, storage
from common.data.images import load_images
from common.errors import UserError
from tests.helpers.datasets import digits, encode, fill, numbered_pngs, solid_png, write_idx


def prepared(keras_home):
    return sorted(path.name for path in (keras_home / "prepared").iterdir())


@pytest.fixture
def small_disk(monkeypatch):
    """Leave 100 bytes on the disk, and let no set stay in memory."""
    monkeypatch.setattr(storage, "MEMORY_BYTES", 500)
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda _: types.SimpleNamespace(free=100))


def test_a_set_larger_than_the_disk_is_refused_with_its_size(tmp_path, keras_home, small_disk):
    source = fill(tmp_path / "images", numbered_pngs(20))
    with pytest.raises(UserError) as caught:
        load_images(f"folder:{source}", 8, "all")
    message = str(caught.value)
    assert "it needs 1.3 kB, free are 100 bytes" in message and "KERAS_HOME" in message and "\n" not in message
    assert str(keras_home / "prepared") in message and "not enough space" in message and prepared(keras_home) == []
    few = load_images(f"folder:{source}", 8, "all", limit=7)
    assert len(few.array) == 7 and not isinstance(few.array, np.memmap)


@pytest.mark.parametrize("call", ["open_memmap", "posix_fallocate", "replace"])
def test_a_disk_that_fills_up_meanwhile(tmp_path, keras_home, monkeypatch, capsys, call):
    source = fill(tmp_path / "images", {**numbered_pngs(20), "bad.png": b"broken"})
    fail = lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    monkeypatch.setattr(np.lib.format if call == "open_memmap" else os, call, fail)
    images = load_images(f"folder:{source}", 8, "all")
    assert not isinstance(images.array, np.memmap) and not images.array.flags.writeable
    assert images.array[:, 0, 0, 0].tolist() == list(range(20)) and images.skipped == [("bad.png", "not an image")]
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 2 and "No space left on device" in out[0] and "(1.3 kB) stays in memory" in out[0]
    monkeypatch.setattr(storage, "MEMORY_BYTES", 500)
    with pytest.raises(UserError, match=r"cannot store folder:.*No space left on device.*needs 1\.3 kB.*KERAS_HOME"):
        load_images(f"folder:{source}", 8, "all")
    assert prepared(keras_home) == []


def test_room_is_reserved_before_anything_is_written(tmp_path):
    array = storage.allocate(tmp_path / "a.tmp", (64, 32, 32, 3), "x")
    info = os.stat(tmp_path / "a.tmp")
    assert info.st_size == array.offset + array.nbytes and info.st_blocks * 512 >= array.nbytes


@pytest.mark.parametrize("n_rows", [1, 99, 100, 101, 1000])
def test_rows_are_dropped_in_place(tmp_path, n_rows):
    array = storage.allocate(tmp_path / "a.npy", (1001, 2, 2, 1), "x")
    array[:] = np.arange(1001).reshape(-1, 1, 1, 1) % 251
    rows = np.sort(np.random.default_rng(0).choice(1001, n_rows, replace=False))
    expected = np.array(array[rows])
    shorter = storage.shorten(array, rows)
    np.testing.assert_array_equal(shorter, expected)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), expected)
    assert os.path.getsize(tmp_path / "a.npy") == shorter.offset + expected.nbytes
    in_memory = np.array(np.arange(1001).reshape(-1, 1, 1, 1) % 251, np.uint8) + np.zeros((1, 2, 2, 1), np.uint8)
    np.testing.assert_array_equal(storage.shorten(in_memory, rows), expected)


def test_older_arrays_of_a_changed_source_are_deleted(tmp_path, keras_home, capsys):
    source, other = fill(tmp_path / "images", numbered_pngs(30)), fill(tmp_path / "b" / "images", numbered_pngs(30))
    load = lambda path=source, size=8, split="train", **kwargs: load_images(f"folder:{path}", size, split, **kwargs)
    kept = [load(other), load(size=16), load(split="test"), load(limit=5), load(channels=3)]
    names = prepared(keras_home)
    old = load()
    before = np.array(old.array)
    assert "deleted" not in capsys.readouterr().out
    fill(source, {old.names[0]: solid_png(200)})
    new = load()
    out = capsys.readouterr().out
    assert out.count("\n") == 1 and "deleted older arrays of the same images" in out and "kB freed" in out
    assert set(names) < set(prepared(keras_home)) and len(prepared(keras_home)) == len(names) + 2
    np.testing.assert_array_equal(old.array, before)  # whoever still reads it keeps it
    assert new.array[0, 0, 0, 0] == 200 and len(kept) == 5
    assert load().names == new.names and capsys.readouterr().out == ""


def test_older_arrays_of_named_data_sets_and_formats_are_deleted(tmp_path, keras_home):
    for seed in (0, 1):
        write_idx(tmp_path / "mnist", digits(40 + seed, seed), digits(20, 1))
        images = load_images("mnist", data_dir=tmp_path)
        description, array = prepared(keras_home)
        assert len(images.array) == 40 + seed and description.endswith(".json") and array.endswith(".npy")
    content = json.loads((keras_home / "prepared" / description).read_text())
    assert content["source"][:2] == ["mnist", [str(tmp_path / "mnist" / f"train-{kind}-ubyte.gz") for kind in
        ("images-idx3", "labels-idx1")]]  # fmt: skip
    del content["source"]  # as the first version wrote it
    fill(keras_home / "prepared", {"mnist-28-train-0.json": json.dumps(content).encode(), "mnist-28-train-0.npy": b"x"})
    fill(keras_home / "prepared", {"mnist-28-train-1.json": b"{", "mnist-28-train-2.json": b"[]", "a.json": b"{}"})
    write_idx(tmp_path / "mnist", digits(50, 3), digits(20, 1))
    load_images("mnist", data_dir=tmp_path)
    left = set(prepared(keras_home))
    assert not left & {description, array, "mnist-28-train-0.json", "mnist-28-train-0.npy"} and len(left) == 5


def test_one_source_has_one_array_however_its_path_is_written(tmp_path, keras_home, monkeypatch):
    source = fill(tmp_path / "images", numbered_pngs(10))
    (tmp_path / "link").symlink_to(source)
    monkeypatch.chdir(tmp_path)
    for path in (source, "images", "./images/", "images/../images", tmp_path / "link"):
        load_images(f"folder:{path}", 8)
    assert len(prepared(keras_home)) == 2


def test_a_line_says_if_all_arrays_together_are_large(tmp_path, keras_home, monkeypatch, capsys):
    source = fill(tmp_path / "images", numbered_pngs(30))
    load_images(f"folder:{source}", 8)
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(storage, "REPORT_BYTES", 3000)
    load_images(f"folder:{source}", 16)
    out = capsys.readouterr().out
    assert out.count("\n") == 1 and "prepared arrays hold" in out and f"in {keras_home / 'prepared'}" in out
    load_images(f"folder:{source}", 16)  # nothing new
    assert capsys.readouterr().out == ""


def test_sizes_are_readable():
    sizes = {0: "0 bytes", 999: "999 bytes", 1000: "1.0 kB", 15_300: "15.3 kB", 99_960: "100 kB", 999_600: "1.0 MB"}
    assert {n: storage.readable_size(n) for n in sizes} == sizes
    assert storage.readable_size(2.5e9) == "2.5 GB" and storage.readable_size(3e15) == "3000 TB"


def test_checksum_tells_arrays_apart():
    images = np.random.default_rng(0).integers(0, 256, (200, 4, 4, 3)).astype(np.uint8)
    check = cache.array_checksum(images)
    assert check == cache.array_checksum(images.copy())
    different = [images[:-1], images[..., :1], images.astype(np.int64), images[::-1], images + np.uint8(1)]
    assert check not in map(cache.array_checksum, different)
    assert encode(images[0])  # a picture


def test_a_temporary_file_that_another_process_renames_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "glob", lambda *_: [tmp_path / "renamed.tmp"])
    array = storage.allocate(tmp_path / "a.tmp", (2, 3), "x")
    assert isinstance(array, np.memmap)
