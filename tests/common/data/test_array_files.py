"""Data sets in array files: MNIST's IDX and npz, its stacked digits, and CIFAR-10's pickled batches."""

import gzip
import io
import pickle
import struct
import tarfile
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from common.data.array_files import read_idx
from common.data.images import load_images
from common.data.splits import fixed_random_subset
from common.errors import UserError
from tests.helpers.datasets import digits, fill, idx, write_idx, write_tar


def test_idx_files_are_read_whole_or_refused(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 3)).astype(np.uint8)
    (tmp_path / "raw").write_bytes(idx(images))
    (tmp_path / "x.gz").write_bytes(gzip.compress(idx(images)))
    np.testing.assert_array_equal(read_idx(tmp_path / "raw"), images)
    np.testing.assert_array_equal(read_idx(tmp_path / "x.gz"), images)
    wrong = {
        "short": idx(images)[:-1],
        "long": idx(images) + b"x",
        "header": idx(images)[:10],
        "nothing": b"",
        "magic": b"\0\0\x0d" + idx(images)[3:],
        "cut.gz": gzip.compress(idx(images))[:-12],
        "plain.gz": idx(images),
    }
    for name, data in wrong.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=name) as caught:
            read_idx(tmp_path / name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("folder, suffix", [("mnist", ".gz"), ("mnist", ""), ("MNIST/raw", ""), (".", ".gz")])
def test_mnist_is_read_from_idx_files(tmp_path, folder, suffix):
    train, test = digits(40, 0), digits(20, 1)
    root = tmp_path / "here"
    write_idx(root / folder, train, test, suffix)
    for split, (x, y) in (("train", train), ("test", test)):
        images = load_images("mnist", split=split, data_dir=root)
        np.testing.assert_array_equal(images.array, x[..., None])
        np.testing.assert_array_equal(images.labels, y)
        assert images.names[3] == f"{split}/00003" and images.label_names == tuple("0123456789")
    few, seven = load_images("mnist", 32, data_dir=root, limit=7), fixed_random_subset(np.arange(40), 7)
    np.testing.assert_array_equal(few.array, np.pad(train[0][seven], [(0, 0), (2, 2), (2, 2)])[..., None])
    assert few.names == [f"train/{i:05d}" for i in seven] and few.labels.tolist() == train[1][seven].tolist()
    small = load_images("mnist", 14, data_dir=root).array
    expected = Image.fromarray(train[0][5]).resize((14, 14), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(small[5, :, :, 0], expected)


def test_mnist_and_fashion_mnist_share_file_names_but_not_folders(tmp_path):
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


def test_damaged_array_files_are_refused(tmp_path):
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


BAD_LABELS = {
    "200": (np.uint8([3, 200, 1, 200]), r"2 labels are not 0 to 9, first 200 at 1"),
    "10": (np.int64([0, 9, 10, 1]), r"1 labels are not 0 to 9, first 10 at 2"),
    "negative": (np.int64([-1, 0, 0, 0]), r"first -1 at 0"),
    "nan": (np.array([1, 2, np.nan, 3]), r"first nan at 2"),
    "infinite": (np.array([1, np.inf, 2, 3]), r"first inf at 1"),
    "half": (np.array([1, 2, 3, 0.5]), r"first 0\.5 at 3"),
    "text": (np.array(["a", "b", "c", "d"]), r"not numbers but <U1"),
    "objects": (np.array([1, None, 2, 3], object), r"allow_pickle"),
    "one hot": (np.eye(10, dtype=np.uint8)[:4], r"4 images but \(4, 10\) labels"),
    "none": (np.zeros(0, np.uint8), r"4 images but 0 labels"),
    "scalar": (np.uint8(3), r"4 images but \(\) labels"),
}


@pytest.mark.parametrize("kind", BAD_LABELS)
def test_labels_that_are_no_classes_are_refused(tmp_path, kind):
    labels, message = BAD_LABELS[kind]
    np.savez(tmp_path / "mnist.npz", x_train=digits(4)[0], y_train=labels)
    for name in ("mnist", "stacked_mnist"):
        with pytest.raises(UserError, match=rf"mnist\.npz is damaged.*{message}") as caught:
            load_images(name, data_dir=tmp_path)
        assert "\n" not in str(caught.value)


def test_labels_may_be_stored_as_whole_floats(tmp_path):
    np.savez(tmp_path / "mnist.npz", x_train=digits(4)[0], y_train=np.array([0.0, 9.0, 3.0, 1.0]))
    images = load_images("mnist", data_dir=tmp_path)
    assert images.labels.tolist() == [0, 9, 3, 1] and images.labels.dtype == np.int64


def test_the_file_with_the_bad_labels_is_named(tmp_path):
    x, y = digits(9)
    write_idx(tmp_path / "mnist", (x, np.full_like(y, 200)), (x, y))
    with pytest.raises(UserError, match=r"train-labels-idx1-ubyte\.gz is damaged.*9 labels are not 0 to 9"):
        load_images("mnist", data_dir=tmp_path)
    assert len(load_images("mnist", split="test", data_dir=tmp_path).labels) == 9


@pytest.mark.parametrize("shape", [(5, 0, 0), (0, 28, 28), (5, 28, 0), (5, 784), (5, 28, 28, 1)])
def test_pictures_of_a_wrong_shape_are_refused(tmp_path, shape):
    x, y = np.zeros(shape, np.uint8), np.zeros(shape[0], np.uint8)
    write_idx(tmp_path / "idx" / "mnist", (x, y), (x, y))
    np.savez(fill(tmp_path / "npz", {"x": b""}) / "mnist.npz", x_train=x, y_train=y)
    for folder, name in (("idx", "train-images-idx3-ubyte.gz"), ("npz", "mnist.npz")):
        with pytest.raises(UserError, match=f"{name} is damaged.*pictures") as caught:
            load_images("mnist", data_dir=tmp_path / folder)
        assert "\n" not in str(caught.value)


def test_stacked_mnist_labels_are_the_numbers_its_digits_spell(tmp_path):
    y = np.arange(300, dtype=np.uint8) % 10
    x = np.repeat(y, 28 * 28).reshape(-1, 28, 28) * 20  # a digit's colour is its value
    write_idx(tmp_path / "mnist", (x, y), (x, y))
    images = load_images("stacked_mnist", data_dir=tmp_path)
    assert images.array.shape == (300, 28, 28, 3) and len(images.label_names) == 1000
    np.testing.assert_array_equal(images.array[:, 5, 5] // 20 @ np.array([100, 10, 1]), images.labels)
    assert len(set(images.labels)) > 200
    again = load_images("stacked_mnist", 32, data_dir=tmp_path, limit=10)
    np.testing.assert_array_equal(again.labels, fixed_random_subset(images.labels, 10))
    np.testing.assert_array_equal(again.array[:, 2:30, 2:30], fixed_random_subset(images.array, 10))
    assert (load_images("stacked_mnist", split="test", data_dir=tmp_path).labels != images.labels).mean() > 0.9


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


def test_stacked_mnist_draws_its_digits_from_a_fixed_seed(tmp_path):
    train, test = digits(40), digits(30, 1)
    write_idx(tmp_path / "mnist", train, test)
    for seed, split, (x, y) in ((0, "train", train), (1, "test", test)):
        rows = np.random.default_rng(seed).integers(len(x), size=(len(x), 3))
        images = load_images("stacked_mnist", split=split, data_dir=tmp_path)
        np.testing.assert_array_equal(images.array, x[rows].transpose(0, 2, 3, 1))
        np.testing.assert_array_equal(images.labels, y[rows] @ np.array([100, 10, 1]))


class Python2(pickle._Pickler):
    """Pickle text and bytes as Python 2 did, which wrote the CIFAR files."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_old(self, value):
        value = value.encode() if isinstance(value, str) else value
        self.write(b"T" + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_old


def python2_pickle(batch):
    """Return a CIFAR batch as Python 2 pickled it."""
    buffer = io.BytesIO()
    Python2(buffer, 2).dump(batch)
    return buffer.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def cifar_batches():
    """Return {file name: (pickled bytes, images, labels)} for the six CIFAR-10 batches, of 4 images each."""
    random = np.random.default_rng(0)
    batches = {}
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        x, y = random.integers(0, 256, (4, 3072)).astype(np.uint8), random.integers(0, 10, 4).tolist()
        batches[name] = (python2_pickle({"data": x, "labels": y}), x, y)
    return batches


@pytest.mark.parametrize("form", ["cifar-10-python.tar.gz", "cifar-10-batches-py", "cifar-10-batches-py-target/"])
def test_cifar10_is_read_from_its_pickled_batches(tmp_path, form):
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
    for images, names in ((train, [f"data_batch_{i}" for i in range(1, 6)]), (test, ["test_batch"])):
        pixels = np.concatenate([batches[name][1] for name in names])
        np.testing.assert_array_equal(images.array, pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        assert images.labels.tolist() == [label for name in names for label in batches[name][2]]
        assert images.label_names[0] == "airplane"


BAD_BATCHES = {
    "9 labels": ({"labels": [0] * 9}, "4 images but 9 labels in test_batch"),
    "class 10": ({"labels": [0, 1, 2, 10]}, "first 10 at 3"),
    "nan": ({"labels": np.array([0, np.nan, 1, 2])}, "first nan at 1"),
    "28 pixels": ({"data": np.zeros((4, 784), np.uint8)}, r"pictures of shape \(4, 784\)"),
    "floats": ({"data": np.zeros((4, 3072))}, "not 8-bit pictures but float64"),
    "no labels": ({"labels": None}, "NoneType"),
}


@pytest.mark.parametrize("kind", BAD_BATCHES)
def test_cifar10_batches_of_another_form_are_refused(tmp_path, kind):
    changes, message = BAD_BATCHES[kind]
    batch = {"data": np.zeros((4, 3072), np.uint8), "labels": [0, 1, 2, 3], **changes}
    fill(tmp_path / "cifar-10-batches-py", {"test_batch": python2_pickle(batch)})
    with pytest.raises(UserError, match=f"cifar-10-batches-py is damaged.*{message}") as caught:
        load_images("cifar10", split="test", data_dir=tmp_path)
    assert "\n" not in str(caught.value)


def test_a_tar_without_all_batches_says_which_it_lacks(tmp_path):
    batches = {f"cifar-10-batches-py/{name}": data for name, (data, _, _) in cifar_batches().items()}
    del batches["cifar-10-batches-py/data_batch_3"]
    write_tar(tmp_path / "cifar-10-python.tar.gz", batches)
    with pytest.raises(UserError, match="it lacks data_batch_3"):
        load_images("cifar10", data_dir=tmp_path)


def test_pickle_that_runs_a_command_is_refused(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    target = tmp_path / "ran"
    hostile = b"cos\nsystem\n(S'touch " + str(target).encode() + b"'\ntR."
    fill(tmp_path / "cifar-10-batches-py", {"test_batch": hostile})
    with pytest.raises(UserError, match=r"unexpected os.system|unexpected posix.system"):
        load_images("cifar10", split="test", data_dir=tmp_path)
    assert not target.exists()
