"""Loading images from folders, archives and code: arguments, cropping, labels and unreadable images."""

import os
import subprocess
import sys
import tarfile

import numpy as np
import pytest

from common.data import catalog, jobs, readers, toy_faces
from common.data.images import load_images, to_float, to_uint8
from common.data.splits import fixed_random_subset
from common.errors import UserError
from tests.helpers.datasets import encode, fill, numbered_pngs, solid_png
from tests.helpers.scripts import ROOT

KERAS_FREE = (
    "archives, array_files, cache, catalog, decoding, downloads, file_types, images, jobs, progress, readers, splits, "
    "storage, toy_2d, toy_faces"
)


def test_importing_does_not_load_keras():
    code = (
        f"import sys; from common.data import {KERAS_FREE}; "
        "print([m for m in ('keras', 'tensorflow', 'jax', 'torch') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (result.stdout.strip(), result.stderr) == ("[]", "")


def test_to_float_and_back():
    every = np.arange(256, dtype=np.uint8)
    values = to_float(every)
    assert values.dtype == np.float32 and values[0] == -1 and values[255] == 1
    np.testing.assert_allclose(values, every / 255.0 * 2 - 1, atol=1e-6)
    np.testing.assert_array_equal(to_uint8(values), every)
    assert to_uint8(np.array([-9.0, 9.0, 1e300, -1e300, 0.5 / 127.5 - 1.002])).tolist() == [0, 255, 255, 0, 0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_to_uint8_refuses_pixels_that_are_not_numbers(value, dtype):
    images = np.zeros((5, 4, 4, 3), dtype)
    images[2, 1, 1, 0] = images[4, 0, 0, 2] = value
    with pytest.raises(UserError, match=r"^pixels are not numbers: 2 of 5 images, first index 2"):
        to_uint8(images)
    with pytest.raises(UserError, match=r"^pixels are not numbers: 1 of 1 images, first index 0"):
        to_uint8(images[2])
    assert to_uint8(images[:2]).max() == 128


@pytest.mark.parametrize(
    "wrong, message",
    [
        (dict(name="celebb"), "allowed are celeba, .*stacked_mnist_2, toy_faces and folder:PATH"),
        (dict(name="folder:"), "allowed are"),
        (dict(name="folder:a\0b"), "allowed are"),
        (dict(name=None), "allowed are"),
        (dict(size=7), "8 to 1024"),
        (dict(size=1025), "8 to 1024"),
        (dict(size=32.0), "whole number"),
        (dict(size=True), "whole number"),
        (dict(split="val"), "train, test"),
        (dict(limit=0), "at least 1"),
        (dict(limit="5"), "at least 1"),
        (dict(channels=2), "channels must be 1 or 3, not 2"),
        (dict(channels="1"), "channels must be 1 or 3"),
        (dict(channels=True), "channels must be 1 or 3"),
        (dict(name="stacked_mnist", channels=1), "a digit in each of its 3 channels"),
        (dict(name="folder:~nobody_of_this_name/x"), "does not exist"),
        (dict(data_dir="~nobody_of_this_name"), "does not exist"),
        (dict(name=f"folder:{'x' * 5000}"), "does not exist"),
        (dict(name="folder:/dev/null"), "neither a file nor a folder"),
        (dict(data_dir="/no/such/folder"), "--data-dir /no/such/folder does not exist"),
        (dict(name="folder:/no/such/folder"), "does not exist"),
    ],
)
def test_wrong_arguments_say_what_is_allowed(wrong, message):
    with pytest.raises(UserError, match=message) as caught:
        load_images(**{"name": "lfw", **wrong})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name, first, last",
    [("celeba", 20, 197), ("lfw", 45, 172), ("lsun_church", 20, 197), ("ffhq", 0, 217), ("folder", 20, 197)],
)
def test_each_data_set_has_its_own_crop(tmp_path, name, first, last):
    rows = np.repeat(np.arange(218, dtype=np.uint8)[:, None, None], 178, 1).repeat(3, 2)  # a row's colour is its number
    fill(tmp_path / name, {f"P{i}_0001.png": encode(rows) for i in range(2)})
    crop = 128 if name == "lfw" else 178
    pixels = load_images(f"folder:{tmp_path / name}" if name == "folder" else name, crop, data_dir=tmp_path).array[0]
    assert abs(int(pixels[0, 0, 0]) - first) <= 1 and abs(int(pixels[-1, 0, 0]) - last) <= 1


@pytest.mark.parametrize("kind", ["folder", "images.zip"])
def test_folder_is_decoded_once(tmp_path, monkeypatch, kind):
    source = fill(tmp_path / kind, numbered_pngs(30))
    first = load_images(f"folder:{source}", 8)
    assert isinstance(first.array, np.memmap) and not first.array.flags.writeable
    assert first.array.shape[1:] == (8, 8, 1) and first.labels is None and first.skipped == []
    for name, image in zip(first.names, first.array, strict=True):
        assert (image == int(name[:3])).all()
    with monkeypatch.context() as patch:
        patch.setattr(readers, "open_images", None)  # the second time nothing is opened
        again = load_images(f"folder:{source}", 8)
        assert again.names == first.names and (again.array == first.array).all()
        with pytest.raises(TypeError):
            load_images(f"folder:{source}", 16)
    few = load_images(f"folder:{source}", 8, limit=3)
    assert few.names == fixed_random_subset(np.array(first.names), 3).tolist()
    assert (few.array == fixed_random_subset(first.array, 3)).all()
    test = load_images(f"folder:{source}", 8, "test")
    assert sorted(test.names + first.names) == sorted(numbered_pngs(30))
    changed = first.names[0]
    fill(source, {**numbered_pngs(30), changed: solid_png(200)})
    assert (load_images(f"folder:{source}", 8).array[0] == 200).all()
    assert load_images(f"folder:{source}").array.shape[1:] == (64, 64, 1)


def test_limit_draws_from_all_class_folders(tmp_path):
    classes = {"a_dark": 10, "b_mid": 120, "c_bright": 240}
    source = fill(tmp_path / "X", {f"{c}/{i:03d}.png": solid_png(v) for c, v in classes.items() for i in range(100)})
    every = load_images(f"folder:{source}", 8)
    for n in (30, 90):
        few = load_images(f"folder:{source}", 8, limit=n)
        counts = [sum(name.startswith(c) for name in few.names) for c in classes]
        assert sum(counts) == n and max(counts) - min(counts) <= n / 3
        assert few.names == sorted(few.names) and set(few.names) < set(every.names)
        values = [classes[name.split("/")[0]] for name in few.names]
        assert few.array[:, 0, 0, 0].tolist() == values
    assert load_images(f"folder:{source}", 8, limit=5000).names == every.names


def test_tar_out_of_order_gives_the_same_array(tmp_path):
    source = fill(tmp_path / "images", numbered_pngs(40))
    with tarfile.open(tmp_path / "images.tar.xz", "w:xz") as archive:
        for name in reversed(sorted(os.listdir(source))):
            archive.add(source / name, f"images/{name}")
    plain, packed = load_images(f"folder:{source}", 8), load_images(f"folder:{tmp_path}/images.tar.xz", 8)
    assert packed.names == [f"images/{n}" for n in plain.names] and (packed.array == plain.array).all()


def test_unreadable_images_are_skipped_and_named(tmp_path, capsys):
    members = numbered_pngs(50)
    bad = [n for n in load_images(f"folder:{fill(tmp_path / 'whole', members)}", 8).names][3:5]
    noise = encode(np.random.default_rng(0).integers(0, 256, (12, 12, 3)).astype(np.uint8))
    members |= {bad[0]: noise[:300], bad[1]: b"<html>"}
    for _ in range(2):  # decoded, then read from the cache
        images = load_images(f"folder:{fill(tmp_path / 'images', members)}", 8)
        assert images.skipped == [(bad[0], "truncated"), (bad[1], "not an image")]
        line = capsys.readouterr().out.splitlines()[-1]
        total = len(images.array) + 2
        assert f"skipped 2 of {total} images: {bad[0]} (truncated), {bad[1]} (not an image)" in line
        assert len(images.names) == len(images.array) and not set(bad) & set(images.names)
        assert [int(n[:3]) for n in images.names] == images.array[:, 0, 0, 0].tolist()


def test_what_the_listing_shows_to_be_unreadable_is_named_in_every_split(tmp_path, capsys):
    source = fill(tmp_path / "images", numbered_pngs(30) | {"a.psd": b"x"})
    (source / "set").symlink_to("/no/such/folder")
    for kwargs in (dict(split="train"), dict(split="test"), dict(limit=1)):
        images = load_images(f"folder:{source}", 8, **kwargs)
        assert [name for name, _ in images.skipped] == ["a.psd", "set"] and not {"a.psd", "set"} & set(images.names)
        assert "set (cannot be read: broken link to /no/such/folder)" in capsys.readouterr().out


def test_a_path_that_is_not_utf8_can_be_loaded_and_printed(tmp_path, capsys):
    source = tmp_path / os.fsdecode(b"gr\xfcn")
    fill(source, numbered_pngs(9) | {"bad.png": b"x"})
    assert len(load_images(f"folder:{source}", 8, "all").array) == 9
    capsys.readouterr().out.encode("utf-8")


def test_mostly_unreadable_data_set_is_refused(tmp_path, keras_home):
    fill(tmp_path / "images", {f"{i}.jpg": b"broken" for i in range(20)} | {"good.png": solid_png(1)})
    with pytest.raises(UserError, match=r"mostly unreadable.*not an image.*more") as caught:
        load_images(f"folder:{tmp_path}/images", 8)
    assert "\n" not in str(caught.value) and os.listdir(keras_home / "prepared") == []


def test_cifar10_as_folders_of_classes(tmp_path):
    classes = catalog.OBJECTS
    members = {f"{s}/{c}/{i}.png": solid_png(i) for s in ("train", "test") for c in classes for i in (1, 2)}
    fill(tmp_path / "cifar10", members)
    images = load_images("cifar10", data_dir=tmp_path)
    assert images.labels.tolist() == [*range(10), *range(10)] and images.array.shape[1:] == (32, 32, 3)
    assert images.array[:, 0, 0, 0].tolist() == [1] * 10 + [2] * 10
    few = load_images("cifar10", data_dir=tmp_path, limit=12)
    assert few.labels.tolist() == fixed_random_subset(images.labels, 12).tolist()
    assert all(n.startswith("test/") for n in load_images("cifar10", split="test", data_dir=tmp_path).names)
    fill(tmp_path / "cifar10", {"train/dragon/1.png": solid_png(1)})
    with pytest.raises(UserError, match=r"unknown classes \['dragon'\].*airplane, .*truck"):
        load_images("cifar10", data_dir=tmp_path)


def test_toy_faces_need_no_files(monkeypatch):
    train, test = load_images("toy_faces", limit=12), load_images("toy_faces", 40, "test", limit=5)
    assert train.array.shape == (12, 32, 32, 3) and test.array.shape == (5, 40, 40, 3)
    pictures, factors = toy_faces.generate(12, 32, 1)
    np.testing.assert_array_equal(train.array, pictures)
    np.testing.assert_array_equal(train.labels, factors)
    assert train.labels.dtype == np.float32 and train.label_names == tuple(toy_faces.FACTORS)
    np.testing.assert_array_equal(test.array, toy_faces.generate(5, 40, 2)[0])
    with pytest.raises(UserError, match="pixels"):
        load_images("toy_faces", 8)
    monkeypatch.setattr(jobs, "TOY_IMAGES", {"train": (7, 1)})
    assert len(load_images("toy_faces").array) == 7
