"""Data sets: what is found where, how it is split, what is prepared, and in which order batches come."""

import hashlib
import io
import os
import pickle
import struct
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from common.data import cache, catalog, readers, toy_faces
from common.data import images as data_images
from common.data.batches import EndlessBatches
from common.data.images import Images, load_images, to_float, to_uint8
from common.data.splits import split_indices
from common.errors import UserError
from tests.helpers.datasets import digits, fill, write_idx


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty Keras cache, no $DATA_DIR, and a network that is down."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("DATA_DIR", raising=False)
    monkeypatch.setattr(catalog, "_fetch", lambda *_: (_ for _ in ()).throw(OSError("no\nnetwork")))
    return tmp_path / "keras"


def encode(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def flat(value, size=(12, 12)):
    return encode(np.full((*size, 3), value, np.uint8))


def numbered(n):
    return {f"{i:03d}.png": flat(i) for i in range(n)}


# --------------------------------------------------------------------------------------------------- the smaller ones


def test_importing_it_costs_nothing():
    code = "import sys, common.data; print([m for m in ('keras', 'tensorflow', 'jax', 'torch') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_to_float_and_back():
    every = np.arange(256, dtype=np.uint8)
    values = to_float(every)
    assert values.dtype == np.float32 and values[0] == -1 and values[255] == 1
    np.testing.assert_allclose(values, every / 255.0 * 2 - 1, atol=1e-6)
    np.testing.assert_array_equal(to_uint8(values), every)
    assert to_uint8(np.array([-9.0, 9.0, np.nan, 0.5 / 127.5 - 1.002])).tolist() == [0, 255, 128, 0]


@pytest.mark.parametrize(
    "wrong, message",
    [
        (dict(name="celebb"), "allowed are celeba, .*stacked_mnist_2, toy_faces and folder:PATH"),
        (dict(name="folder:"), "allowed are"),
        (dict(name=None), "allowed are"),
        (dict(size=7), "8 to 1024"),
        (dict(size=1025), "8 to 1024"),
        (dict(size=32.0), "whole number"),
        (dict(size=True), "whole number"),
        (dict(split="val"), "train, test"),
        (dict(limit=0), "at least 1"),
        (dict(limit="5"), "at least 1"),
        (dict(data_dir="/no/such/folder"), "--data-dir /no/such/folder does not exist"),
        (dict(name="folder:/no/such/folder"), "does not exist"),
    ],
)
def test_wrong_values_say_what_is_allowed(wrong, message):
    with pytest.raises(UserError, match=message) as caught:
        load_images(**{"name": "lfw", **wrong})
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------------------------------------------------- finding

PLACES = {
    "celeba": [
        *("img_align_celeba.zip", "img_align_celeba", "celeba/img_align_celeba", "celeba/img_align_celeba.zip"),
        *("celeba.zip", "celeba", "img_align_celeba/img_align_celeba", "CelebA/Img/img_align_celeba.zip"),
    ],
    "celeba_hq": ["celeba_hq", "celeba_hq.zip", "CelebA-HQ-img"],
    "ffhq": ["ffhq", "thumbnails128x128.zip"],
    "lsun_church": ["lsun_church", "lsun_church.zip", "church_outdoor_train"],
    "lsun_bedroom": ["lsun_bedroom"],
    "lfw": ["lfw128.zip", "lfw.zip", "lfw", "lfw-deepfunneled"],
}


@pytest.mark.parametrize("name, place", [(name, place) for name in PLACES for place in PLACES[name]])
def test_every_place_is_found(tmp_path, name, place):
    fill(tmp_path / place, {f"x/Person{i}_0001.png": flat(9 * i, (20, 20)) for i in range(4)})
    train, test = (load_images(name, 16, split, data_dir=tmp_path) for split in ("train", "test"))
    assert len(train.array) + len(test.array) == 4 and len(test.array) >= 1
    assert set(train.array[:, 0, 0, 0]) | set(test.array[:, 0, 0, 0]) == {0, 9, 18, 27}


def test_the_order_of_search(tmp_path, home, monkeypatch):
    for i, folder in enumerate([tmp_path / "given", tmp_path / "env", home / "datasets"]):
        fill(folder / "ffhq", {"a.png": flat(10 * i), "b.png": flat(10 * i)})
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "env"))
    assert load_images("ffhq", 8, data_dir=tmp_path / "given").array.max() == 0
    assert load_images("ffhq", 8).array.max() == 10
    (tmp_path / "env" / "ffhq" / "a.png").unlink()
    (tmp_path / "env" / "ffhq" / "b.png").unlink()  # an empty folder is not the data set
    assert load_images("ffhq", 8).array.max() == 20
    assert load_images("ffhq", 8, data_dir=tmp_path / "given" / "ffhq").array.max() == 0  # the folder itself
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"\$DATA_DIR .*nowhere does not exist"):
        load_images("ffhq", 8)


@pytest.mark.parametrize("name", catalog.DATASETS)
def test_what_is_not_there_is_asked_for_in_one_line(tmp_path, home, name):
    with pytest.raises(UserError, match=r"get .* (from|of) http|get .* from") as caught:
        load_images(name, data_dir=tmp_path)
    message = str(caught.value)
    assert "http" in message and str(tmp_path) in message and str(home / "datasets") in message and "\n" not in message
    assert ("no network" in message) == bool(catalog.DATASETS[name].downloads)


def test_a_half_download_is_never_taken_for_the_file(home, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv("KERAS_HOME", str(home))
    monkeypatch.delenv("DATA_DIR", raising=False)
    import keras

    (x, y), buffer = digits(6), io.BytesIO()
    np.savez(buffer, x_train=x, y_train=y, x_test=x[:2], y_test=y[:2])
    seen = []

    def get_file(fname, origin, file_hash, cache_dir, cache_subdir):
        part = Path(cache_subdir) / fname
        seen.append((fname, origin, file_hash, part.exists()))
        part.write_bytes(buffer.getvalue()[:500] if len(seen) == 1 else buffer.getvalue())
        if len(seen) == 1:
            raise ValueError("file hash does not match")
        return str(part)

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    with pytest.raises(UserError, match=r"hash does not match.*get mnist\.npz from"):
        load_images("mnist")
    assert os.listdir(home / "datasets") == []
    (home / "datasets" / "mnist.npz.part").write_bytes(b"of a process that was killed")
    np.testing.assert_array_equal(load_images("mnist").array[..., 0], x)
    assert os.listdir(home / "datasets") == ["mnist.npz"] and len(seen) == 2 and len(seen[1][2]) == 64
    load_images("mnist", split="test")
    assert len(seen) == 2


# ---------------------------------------------------------------------------------------------------------- splits


def test_hash_split_is_stable_disjoint_and_complete():
    names = [f"images/{i:05d}.jpg" for i in range(4000)]
    train, test = (split_indices("hash", names, split) for split in ("train", "test"))
    assert sorted(train + test) == list(range(4000)) and 150 < len(test) < 250
    shuffled = [names[i] for i in np.random.default_rng(0).permutation(4000)]
    assert [shuffled[i] for i in split_indices("hash", shuffled, "test")] == [names[i] for i in test]
    assert split_indices("hash", [n.removeprefix("images/") for n in names], "test") == test  # a folder, or a zip of it
    half = split_indices("hash", names[:2000], "test")
    assert half == [i for i in test if i < 2000]  # an image stays on its side when others come
    place = int.from_bytes(hashlib.sha256(b"00007.jpg").digest()[:8], "big") / 2**64
    assert (7 in test) == (place < 0.05)


def test_small_sets_still_have_both_sides():
    for n in range(2, 30):
        names = [f"{i}.jpg" for i in range(n)]
        assert len(split_indices("hash", names, "test")) >= 1 and len(split_indices("hash", names, "train")) >= 1
    assert split_indices("hash", ["a.jpg"], "train") == [0]
    with pytest.raises(UserError, match="test split is empty"):
        split_indices("hash", ["a.jpg"], "test")


def test_no_person_is_on_both_sides():
    names = [f"lfw/{p}/{p}_{i:04d}.jpg" for p in (f"Person_{k}" for k in range(500)) for i in range(1 + len(p) % 3)]
    train, test = ({names[i].split("/")[1] for i in split_indices("person", names, s)} for s in ("train", "test"))
    assert not train & test and len(train | test) == 500 and 25 < len(test) < 75


def test_celeba_has_its_official_split():
    numbers = (1, 162770, 162771, 182637, 182638, 202599)
    names = [f"celeba/img_align_celeba/{i:06d}.jpg" for i in numbers]
    assert split_indices("celeba", names, "train") == [0, 1] and split_indices("celeba", names, "test") == [4, 5]
    part = [f"{i:06d}.jpg" for i in range(1, 101)]  # the first hundred: no official test image among them
    train, test = split_indices("celeba", part, "train"), split_indices("celeba", part, "test")
    assert len(test) >= 1 and sorted(train + test) == list(range(100))


# -------------------------------------------------------------------------------------------------- image folders


@pytest.mark.parametrize(
    "name, first, last",
    [("celeba", 20, 197), ("lfw", 45, 172), ("lsun_church", 20, 197), ("ffhq", 0, 217), ("folder", 20, 197)],
)
def test_every_set_is_cropped_by_its_own_rule(tmp_path, name, first, last):
    rows = np.repeat(np.arange(218, dtype=np.uint8)[:, None, None], 178, 1).repeat(3, 2)  # a row's colour is its number
    fill(tmp_path / name, {f"P{i}_0001.png": encode(rows) for i in range(2)})
    crop = 128 if name == "lfw" else 178
    pixels = load_images(f"folder:{tmp_path / name}" if name == "folder" else name, crop, data_dir=tmp_path).array[0]
    assert abs(int(pixels[0, 0, 0]) - first) <= 1 and abs(int(pixels[-1, 0, 0]) - last) <= 1


@pytest.mark.parametrize("kind", ["folder", "images.zip"])
def test_a_folder_is_prepared_once(tmp_path, monkeypatch, kind):
    source = fill(tmp_path / kind, numbered(30))
    first = load_images(f"folder:{source}", 8)
    assert isinstance(first.array, np.memmap) and not first.array.flags.writeable
    assert first.array.shape[1:] == (8, 8, 3) and first.labels is None and first.skipped == []
    for name, image in zip(first.names, first.array, strict=True):
        assert (image == int(name[:3])).all()
    with monkeypatch.context() as patch:
        patch.setattr(readers, "open_images", None)  # the second time nothing is opened
        again = load_images(f"folder:{source}", 8)
        assert again.names == first.names and (again.array == first.array).all()
        with pytest.raises(TypeError):
            load_images(f"folder:{source}", 16)
    few = load_images(f"folder:{source}", 8, limit=3)
    assert few.names == first.names[:3] and (few.array == first.array[:3]).all()
    test = load_images(f"folder:{source}", 8, "test")
    assert sorted(test.names + first.names) == sorted(numbered(30))
    changed = first.names[0]
    fill(source, {**numbered(30), changed: flat(200)})
    assert (load_images(f"folder:{source}", 8).array[0] == 200).all()
    assert load_images(f"folder:{source}").array.shape[1:] == (64, 64, 3)


def test_a_tar_out_of_order_gives_the_same_array(tmp_path):
    source = fill(tmp_path / "images", numbered(40))
    with tarfile.open(tmp_path / "images.tar.xz", "w:xz") as archive:
        for name in reversed(sorted(os.listdir(source))):
            archive.add(source / name, f"images/{name}")
    plain, packed = load_images(f"folder:{source}", 8), load_images(f"folder:{tmp_path}/images.tar.xz", 8)
    assert packed.names == [f"images/{n}" for n in plain.names] and (packed.array == plain.array).all()


def test_corrupt_images_are_skipped_by_name(tmp_path, capsys):
    members = numbered(50)
    bad = [n for n in load_images(f"folder:{fill(tmp_path / 'whole', members)}", 8).names][3:5]
    noise = encode(np.random.default_rng(0).integers(0, 256, (12, 12, 3)).astype(np.uint8))
    members |= {bad[0]: noise[:300], bad[1]: b"<html>"}
    for _ in range(2):  # prepared, and read back
        images = load_images(f"folder:{fill(tmp_path / 'images', members)}", 8)
        assert images.skipped == [(bad[0], "truncated"), (bad[1], "not an image")]
        line = capsys.readouterr().out.splitlines()[-1]
        total = len(images.array) + 2
        assert f"skipped 2 of {total} images: {bad[0]} (truncated), {bad[1]} (not an image)" in line
        assert len(images.names) == len(images.array) and not set(bad) & set(images.names)
        assert [int(n[:3]) for n in images.names] == images.array[:, 0, 0, 0].tolist()


def test_a_set_that_is_mostly_corrupt_is_refused(tmp_path, home):
    fill(tmp_path / "images", {f"{i}.jpg": b"broken" for i in range(20)} | {"good.png": flat(1)})
    with pytest.raises(UserError, match=r"mostly unreadable.*not an image.*more") as caught:
        load_images(f"folder:{tmp_path}/images", 8)
    assert "\n" not in str(caught.value) and os.listdir(home / "prepared") == []


@pytest.mark.parametrize("damage", ["truncated", "overwritten", "emptied", "no description", "half a description"])
def test_a_damaged_cache_is_rebuilt(tmp_path, home, damage):
    source = fill(tmp_path / "images", numbered(20))
    before = np.array(load_images(f"folder:{source}", 8).array)
    array, description = (next((home / "prepared").glob(f"*.{end}")) for end in ("npy", "json"))
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
    assert len(array.read_bytes()) == len(content) and len(list((home / "prepared").iterdir())) == 2


def test_without_a_cache_the_images_stay_in_memory(tmp_path, home, capsys, monkeypatch):
    source = fill(tmp_path / "images", numbered(20))
    home.mkdir()
    (home / "prepared").write_text("a file where the folder should be")
    images = load_images(f"folder:{source}", 8)
    assert not isinstance(images.array, np.memmap) and not images.array.flags.writeable and images.array.max() > 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    (home / "prepared").unlink()
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100}))
    assert not isinstance(load_images(f"folder:{source}", 8).array, np.memmap)
    assert "not enough space" in capsys.readouterr().out


def test_a_bar_when_it_takes_more_than_a_moment(tmp_path, capsys, monkeypatch):
    ticks = iter(range(0, 1000, 3))
    monkeypatch.setattr(cache.time, "monotonic", lambda: next(ticks))
    load_images(f"folder:{fill(tmp_path / 'images', numbered(80))}", 8)
    out = capsys.readouterr().out
    assert "preparing" in out and "only this once" in out


# ------------------------------------------------------------------------------------------------------ array files


@pytest.mark.parametrize("folder, end", [("mnist", ".gz"), ("mnist", ""), ("MNIST/raw", ""), (".", ".gz")])
def test_mnist_from_idx(tmp_path, folder, end):
    train, test = digits(40, 0), digits(20, 1)
    root = tmp_path / "here"
    write_idx(root / folder, train, test, end)
    for split, (x, y) in (("train", train), ("test", test)):
        images = load_images("mnist", split=split, data_dir=root)
        np.testing.assert_array_equal(images.array, x[..., None])
        np.testing.assert_array_equal(images.labels, y)
        assert images.names[3] == f"{split}/00003" and images.label_names == tuple("0123456789")
    padded = load_images("mnist", 32, data_dir=root, limit=7).array
    np.testing.assert_array_equal(padded, np.pad(train[0][:7], [(0, 0), (2, 2), (2, 2)])[..., None])
    small = load_images("mnist", 14, data_dir=root).array
    expected = Image.fromarray(train[0][5]).resize((14, 14), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(small[5, :, :, 0], expected)


def test_mnist_and_fashion_share_names_but_not_folders(tmp_path):
    a, b = digits(5, 0), digits(5, 1)
    write_idx(tmp_path / "mnist", a, a)
    write_idx(tmp_path / "fashion-mnist", b, b)
    for root in (tmp_path, tmp_path / "mnist"):
        np.testing.assert_array_equal(load_images("mnist", data_dir=root).array[..., 0], a[0])
    for root in (tmp_path, tmp_path / "fashion-mnist"):
        np.testing.assert_array_equal(load_images("fashion_mnist", data_dir=root).array[..., 0], b[0])
    assert load_images("fashion_mnist", data_dir=tmp_path).label_names[9] == "Ankle boot"
    for name, folder in (("mnist", "fashion-mnist"), ("fashion_mnist", "mnist")):
        with pytest.raises(UserError, match="is not in"):
            load_images(name, data_dir=tmp_path / folder)


def test_damaged_array_files(tmp_path):
    x, y = digits(9)
    write_idx(tmp_path / "a" / "mnist", (x, y[:-1]), (x, y))
    with pytest.raises(UserError, match="9 images but 8 labels"):
        load_images("mnist", data_dir=tmp_path / "a")
    fill(tmp_path / "b", {"mnist.npz": b"PK half of it"})
    np.savez(fill(tmp_path / "c", {"x": b""}) / "mnist.npz", x_train=x)
    np.savez(fill(tmp_path / "d", {"x": b""}) / "mnist.npz", x_train=np.array([None]), y_train=y)
    np.savez(fill(tmp_path / "e", {"x": b""}) / "mnist.npz", x_train=x / 255.0, y_train=y)
    for folder in "bcde":
        with pytest.raises(UserError, match=r"mnist\.npz is damaged") as caught:
            load_images("mnist", data_dir=tmp_path / folder)
        assert "\n" not in str(caught.value)


def test_stacked_mnist_spells_its_label(tmp_path):
    y = np.arange(300, dtype=np.uint8) % 10
    x = np.repeat(y, 28 * 28).reshape(-1, 28, 28) * 20  # a digit's colour is its value
    write_idx(tmp_path / "mnist", (x, y), (x, y))
    images = load_images("stacked_mnist", data_dir=tmp_path)
    assert images.array.shape == (300, 28, 28, 3) and len(images.label_names) == 1000
    np.testing.assert_array_equal(images.array[:, 5, 5] // 20 @ np.array([100, 10, 1]), images.labels)
    assert len(set(images.labels)) > 200
    again = load_images("stacked_mnist", 32, data_dir=tmp_path, limit=10)
    np.testing.assert_array_equal(again.labels, images.labels[:10])
    np.testing.assert_array_equal(again.array[:, 2:30, 2:30], images.array[:10])
    assert (load_images("stacked_mnist", split="test", data_dir=tmp_path).labels != images.labels).any()


def test_stacked_mnist_2_has_two_digits_and_no_blue(tmp_path):
    y = np.arange(300, dtype=np.uint8) % 10
    x = np.repeat(y, 28 * 28).reshape(-1, 28, 28) * 20 + 5
    write_idx(tmp_path / "mnist", (x, y), (x, y))
    images = load_images("stacked_mnist_2", data_dir=tmp_path)
    assert images.array.shape == (300, 28, 28, 3) and images.label_names[::99] == ("00", "99")
    assert not images.array[..., 2].any()
    np.testing.assert_array_equal(images.array[:, 5, 5, :2] // 20 @ np.array([10, 1]), images.labels)
    assert len(set(images.labels)) > 80
    for size in (32, 40):
        assert not load_images("stacked_mnist_2", size, "test", tmp_path, limit=3).array[..., 2].any()


def test_stacked_mnist_draws_its_digits_as_ever(tmp_path):
    train, test = digits(40), digits(30, 1)
    write_idx(tmp_path / "mnist", train, test)
    for seed, split, (x, y) in ((0, "train", train), (1, "test", test)):
        rows = np.random.default_rng(seed).integers(len(x), size=(len(x), 3))
        images = load_images("stacked_mnist", split=split, data_dir=tmp_path)
        np.testing.assert_array_equal(images.array, x[rows].transpose(0, 2, 3, 1))
        np.testing.assert_array_equal(images.labels, y[rows] @ np.array([100, 10, 1]))


class Python2(pickle._Pickler):
    """Writes text and bytes as Python 2 did, as CIFAR was."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_old(self, value):
        value = value.encode() if isinstance(value, str) else value
        self.write(b"T" + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_old


def cifar_batches():
    random = np.random.default_rng(0)
    batches = {}
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        x, y = random.integers(0, 256, (4, 3072)).astype(np.uint8), random.integers(0, 10, 4).tolist()
        buffer = io.BytesIO()
        Python2(buffer, 2).dump({"data": x, "labels": y})
        batches[name] = (buffer.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray"), x, y)
    return batches


@pytest.mark.parametrize("form", ["cifar-10-python.tar.gz", "cifar-10-batches-py", "cifar-10-batches-py-target/"])
def test_cifar10_batches(tmp_path, form):
    batches = cifar_batches()
    folder = fill(tmp_path / "in" / "cifar-10-batches-py", {n: b for n, (b, _, _) in batches.items()})
    root = tmp_path / "root"
    root.mkdir()
    if form.endswith("gz"):
        with tarfile.open(root / form, "w:gz") as archive:
            archive.add(folder, folder.name)
    else:
        target = root / form / folder.name if form.endswith("/") else root / form
        target.parent.mkdir(exist_ok=True)
        folder.rename(target)
    train, test = load_images("cifar10", data_dir=root), load_images("cifar10", split="test", data_dir=root)
    assert train.array.shape == (20, 32, 32, 3) and test.array.shape == (4, 32, 32, 3)
    _, x, y = batches["data_batch_2"]
    np.testing.assert_array_equal(train.array[5], x[1].reshape(3, 32, 32).transpose(1, 2, 0))
    assert train.labels[4:8].tolist() == y and train.label_names[0] == "airplane"


def test_a_pickle_that_wants_to_run_something_is_refused(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    target = tmp_path / "ran"
    evil = b"cos\nsystem\n(S'touch " + str(target).encode() + b"'\ntR."
    fill(tmp_path / "cifar-10-batches-py", {"test_batch": evil})
    with pytest.raises(UserError, match=r"unexpected os.system|unexpected posix.system"):
        load_images("cifar10", split="test", data_dir=tmp_path)
    assert not target.exists()


def test_cifar10_as_folders_of_classes(tmp_path):
    classes = catalog.OBJECTS
    fill(
        tmp_path / "cifar10", {f"{s}/{c}/{i}.png": flat(i) for s in ("train", "test") for c in classes for i in (1, 2)}
    )
    images = load_images("cifar10", data_dir=tmp_path, limit=12)
    assert images.labels.tolist() == [*range(10), 0, 1]  # one of each class first
    assert images.array[:, 0, 0, 0].tolist() == [1] * 10 + [2] * 2
    assert all(n.startswith("test/") for n in load_images("cifar10", split="test", data_dir=tmp_path).names)
    fill(tmp_path / "cifar10", {"train/dragon/1.png": flat(1)})
    with pytest.raises(UserError, match="dragon"):
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
    monkeypatch.setattr(data_images, "TOY_IMAGES", {"train": (7, 1)})
    assert len(load_images("toy_faces").array) == 7


# ----------------------------------------------------------------------------------------------------------- batches


@pytest.fixture(scope="module")
def pixels():
    images = np.random.default_rng(0).integers(0, 256, (23, 6, 5, 3)).astype(np.uint8)
    images[:, 0, 0, 0] = np.arange(23)  # an image's number
    return images


def batches(*args, **kwargs):
    from common.data.batches import EndlessBatches  # needs Keras, which the other tests do not wait for

    return EndlessBatches(*args, **kwargs)


def numbers(batch):
    return batch[:, 0, 0, 0].tolist()


def test_batches_are_slices_of_a_permutation_per_epoch(pixels):
    run = batches(pixels, 5, seed=3, dtype="uint8")
    assert run.steps_per_epoch == 4 and run.num_batches is None
    for epoch in range(3):
        order = np.random.default_rng([3, epoch]).permutation(23)
        for position in range(4):
            expected = order[5 * position : 5 * position + 5].tolist()
            batch = run[4 * epoch + position]
            assert numbers(batch) == expected and batch.dtype == np.uint8
            np.testing.assert_array_equal(batch, pixels[expected])
    assert len({tuple(numbers(run[i])) for i in range(12)}) == 12
    assert numbers(batches(pixels, 5, seed=4, dtype="uint8")[0]) != numbers(run[0])


def test_batches_are_floats_between_minus_one_and_one(pixels):
    images = Images("x", pixels, [], None, (), [])
    batch = batches(images, 7)[1]
    assert batch.dtype == np.float32 and batch.shape == (7, 6, 5, 3) and batch.min() >= -1 and batch.max() <= 1
    np.testing.assert_array_equal(batch, to_float(batches(pixels, 7, dtype="uint8")[1]))


@pytest.mark.parametrize("flip", [False, True])
def test_start_continues_exactly_and_in_any_order(pixels, flip):
    whole = batches(pixels, 5, seed=1, flip=flip)
    rest = batches(pixels, 5, seed=1, start=11, flip=flip)
    for i in reversed(range(9)):
        np.testing.assert_array_equal(rest[i], whole[11 + i])


def test_flip_mirrors_half_of_the_images(pixels):
    before = pixels.copy()
    plain, flipped = (batches(pixels, 20, dtype="uint8", flip=flip) for flip in (False, True))
    mirrored = 0
    for i in range(50):
        for a, b in zip(plain[i], flipped[i], strict=True):
            same = (a == b).all()
            assert same or (a[:, ::-1] == b).all()
            mirrored += not same
    assert 420 < mirrored < 580
    np.testing.assert_array_equal(pixels, before)


def test_the_flips_are_not_the_permutations_random_numbers():
    words = lambda *seed: np.random.SeedSequence(seed).generate_state(4).tolist()
    assert words(5, 1) == words(5, 1, 0)  # why two words would not do
    assert words(5, 7, 1) not in [words(5, epoch) for epoch in range(2000)]


def test_wrong_batches_say_so(pixels):
    with pytest.raises(UserError, match="only 23 images: lower --batch-size from 24"):
        batches(pixels, 24)
    with pytest.raises(UserError, match="at least 1"):
        batches(pixels, 0)
    for wrong in (pixels.astype("float64"), pixels[..., 0], np.zeros(30, "float32")):
        with pytest.raises(ValueError, match="uint8 images"):
            batches(wrong, 4)
    with pytest.raises(ValueError, match="dtype"):
        batches(pixels, 4, dtype="float16")


def test_points_are_passed_on_as_they_are():
    points = np.random.default_rng(0).normal(size=(23, 2)).astype("float32")
    seen = np.concatenate([EndlessBatches(points, 5, seed=1)[i] for i in range(4)])
    assert seen.dtype == np.float32
    assert {tuple(row) for row in seen} < {tuple(row) for row in points}
    assert len({tuple(row) for row in seen}) == 20


def test_fit_sees_the_sequence_in_order(pixels):
    import keras

    class Watch(keras.Model):
        """Keeps the number of every image that it is trained on, in the order in which they come."""

        def __init__(self):
            super().__init__()
            self.factor = self.add_weight(shape=(), initializer="ones")
            self.step = self.add_weight(shape=(), initializer="zeros", dtype="int32", trainable=False)
            self.seen = self.add_weight(shape=(9, 5), initializer="zeros", trainable=False)

        def call(self, x):
            self.seen.assign_add(keras.ops.one_hot(self.step, 9)[:, None] * x[None, :, 0, 0, 0])
            self.step.assign_add(1)
            return x * self.factor

        def compute_loss(self, x, y, y_pred, sample_weight, training=True):
            return keras.ops.mean(y_pred)

    model = Watch()
    model.compile("sgd")
    run = batches(pixels, 5)
    model.fit(run, steps_per_epoch=3, shuffle=False, epochs=2, verbose=0)
    model.fit(batches(pixels, 5, start=6), steps_per_epoch=3, shuffle=False, verbose=0)
    seen = keras.ops.convert_to_numpy(model.seen)
    expected = batches(pixels, 5)
    for i in range(9):
        np.testing.assert_array_equal(seen[i], expected[i][:, 0, 0, 0])
