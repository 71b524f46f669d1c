"""The cache of decoded images: damage, a full disk, stale files, and the progress bar."""

import itertools
import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from common.data import cache, progress, storage
from common.data.images import load_images
from tests.helpers.datasets import fill, numbered_pngs


@pytest.mark.parametrize("damage", ["truncated", "overwritten", "emptied", "no description", "half a description"])
def test_damaged_cache_is_rebuilt(tmp_path, keras_home, damage):
    source = fill(tmp_path / "images", numbered_pngs(20))
    before = np.array(load_images(f"folder:{source}", 8).array)
    array, description = (next((keras_home / "prepared").glob(f"*.{suffix}")) for suffix in ("npy", "json"))
    content = array.read_bytes()
    if damage == "no description":
        description.unlink()
    elif damage == "half a description":
        description.write_text(description.read_text()[:40])
    else:
        array.write_bytes(
            {"truncated": content[:-99], "overwritten": content[:-99] + b"x" * 99, "emptied": b""}[damage]
        )
    np.testing.assert_array_equal(load_images(f"folder:{source}", 8).array, before)
    assert len(array.read_bytes()) == len(content) and len(list((keras_home / "prepared").iterdir())) == 2


def assert_in_memory(images):
    assert not isinstance(images.array, np.memmap) and not images.array.flags.writeable
    assert images.names == list(numbered_pngs(20)) and images.array[:, 0, 0, 0].tolist() == list(range(20))


def test_images_stay_in_memory_if_the_cache_cannot_be_written(tmp_path, keras_home, capsys, monkeypatch):
    source = fill(tmp_path / "images", numbered_pngs(20))
    keras_home.mkdir()
    (keras_home / "prepared").write_text("a file where the folder should be")
    assert_in_memory(load_images(f"folder:{source}", 8, "all"))
    assert len(capsys.readouterr().out.splitlines()) == 1
    (keras_home / "prepared").unlink()
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100}))
    fill(source, {"bad.png": b"broken"})
    images = load_images(f"folder:{source}", 8, "all")
    assert_in_memory(images)
    assert images.skipped == [("bad.png", "not an image")]
    assert "not enough space" in capsys.readouterr().out


def test_only_stale_temporary_files_are_removed(tmp_path, keras_home):
    folder = fill(keras_home / "prepared", {"killed.tmp": b"", "running.tmp": b"", "old.npy": b""})
    for name, age in (("killed.tmp", 90000), ("running.tmp", 80000), ("old.npy", 90000)):
        os.utime(folder / name, times=(storage.time.time() - age,) * 2)
    load_images(f"folder:{fill(tmp_path / 'images', numbered_pngs(3))}", 8)
    left = {path.name for path in folder.iterdir() if not path.name.startswith("folder-images")}
    assert left == {"running.tmp", "old.npy"}


def test_what_a_killed_process_left_of_the_same_array_is_removed_at_once(tmp_path, keras_home):
    source = f"folder:{fill(tmp_path / 'images', numbered_pngs(3))}"
    load_images(source, 8)
    (array,) = (keras_home / "prepared").glob("*.npy")
    array.unlink()
    unfinished = array.with_suffix(f".{cache._machine()}-0123456789abcdef.tmp")
    of_another = array.with_suffix(".other_node-0123456789abcdef.tmp")
    for path in (unfinished, of_another):
        path.write_bytes(b"all of the room that it reserved")
    load_images(source, 8)
    assert array.exists() and not unfinished.exists() and of_another.exists()


def test_two_that_need_one_array_prepare_it_once(tmp_path, keras_home, monkeypatch):
    source, calls = f"folder:{fill(tmp_path / 'images', numbered_pngs(3))}", []
    prepare = cache.prepare

    def slowly(*args):
        calls.append(args)
        time.sleep(0.3)
        return prepare(*args)

    monkeypatch.setattr(cache, "prepare", slowly)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: load_images(source, 8), range(2))
    np.testing.assert_array_equal(first.array, second.array)
    assert len(calls) == 1


@pytest.mark.parametrize("seconds_per_call, is_shown", [(3, True), (0, False)])
def test_bar_appears_only_if_decoding_takes_long(tmp_path, capsys, monkeypatch, seconds_per_call, is_shown):
    clock = itertools.count(0, seconds_per_call)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    load_images(f"folder:{fill(tmp_path / 'images', numbered_pngs(80))}", 8)
    out = capsys.readouterr().out
    assert ("preparing" in out and "only this once" in out) if is_shown else out == ""
