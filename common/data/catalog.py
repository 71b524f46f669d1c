"""The table of named data sets: how each looks, where it is looked for, where it comes from, which split rule it has.

A data set is searched in `--data-dir`, then `$DATA_DIR`, then the Keras cache (`datasets/` in `$KERAS_HOME` or
`~/.keras`), in every shape in which users have it; after that it is downloaded, where there is a stable address and a
checksum.
"""

import io
import os
import pickle
import socket
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.data import readers
from common.errors import UserError


class Download(NamedTuple):
    """One file: its name in the Keras cache (may contain a folder), its address, and its md5 or sha256."""

    file: str
    url: str
    digest: str


@dataclass(frozen=True)
class Dataset:
    """One row of the table. `places` and `idx_folders` are relative to a searched folder, in order of preference."""

    how_to_get: str  # "which file from which site", for the message when it is not there
    filenames: tuple[str, ...]
    idx_folders: tuple[str, ...] = ()
    default_size: int = 128  # pixels, when no size is asked for
    channels: int = 3
    crop: int | None = None  # centre square of at most this side; None: the whole image
    split: str = "hash"  # see `choose`
    classes: tuple[str, ...] = ()
    stacked_digits: int = 0  # so many digits at random in one picture, a channel each
    digit_like: bool = False  # 28 pixels, never mirrored, and measured by a small classifier
    downloads: tuple[Download, ...] = ()


def _with_archives(*names):
    return tuple(name + end for name in names for end in ("", ".zip", ".tar", ".tar.gz", ".tgz"))


DIGITS = tuple("0123456789")
GARMENTS = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
OBJECTS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
FASHION_MD5 = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}

DATASETS = {
    "celeba": Dataset(
        how_to_get="img_align_celeba.zip from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
        filenames=(
            *_with_archives("img_align_celeba", "celeba/img_align_celeba", "CelebA/Img/img_align_celeba"),
            *_with_archives("celeba", "CelebA"),
        ),
        crop=178,  # the author's: the aligned 218x178 to its central 178x178
        split="celeba",
        downloads=(
            Download(
                "img_align_celeba.zip",
                "https://drive.usercontent.google.com/download?id=0B7EVK8r0v71pZjFTYXZWM3FlRnM&export=download&confirm=t",
                "00d2c5bc6d35e252742224ab0c1e8fcb",
            ),
        ),
    ),
    "celeba_hq": Dataset(
        how_to_get="a folder or zip of CelebA-HQ images, for example CelebA-HQ-img from "
        "https://github.com/switchablenorms/CelebAMask-HQ, renamed celeba_hq",
        filenames=(
            *_with_archives("celeba_hq", "celeba-hq", "CelebA-HQ"),
            *_with_archives("CelebA-HQ-img", "CelebAMask-HQ/CelebA-HQ-img", "celeba_hq_256"),
        ),
    ),
    "ffhq": Dataset(
        how_to_get="thumbnails128x128 or images1024x1024 from https://github.com/NVlabs/ffhq-dataset, renamed ffhq",
        filenames=_with_archives("ffhq", "FFHQ", "thumbnails128x128", "images1024x1024", "ffhq/thumbnails128x128"),
    ),
    "lsun_church": Dataset(
        how_to_get="church_outdoor_train_lmdb.zip from https://github.com/fyu/lsun, unzipped",
        filenames=_with_archives(
            *("lsun_church", "church_outdoor_train_lmdb", "lsun/church_outdoor_train_lmdb", "church_outdoor_train")
        ),
        crop=256,
    ),
    "lsun_bedroom": Dataset(
        how_to_get="bedroom_train_lmdb.zip from https://github.com/fyu/lsun, unzipped",
        filenames=_with_archives("lsun_bedroom", "bedroom_train_lmdb", "lsun/bedroom_train_lmdb", "bedroom_train"),
        crop=256,
    ),
    "lfw": Dataset(
        how_to_get="lfw-deepfunneled.tgz from http://vis-www.cs.umass.edu/lfw/",
        filenames=_with_archives("lfw128", "lfw", "lfw-deepfunneled", "lfw_funneled", "lfw/lfw-deepfunneled"),
        crop=128,  # ours: the face alone, and what the 128x128 edition of the set shows
        split="person",
        downloads=(
            Download(
                "lfw-deepfunneled.tgz",
                "http://vis-www.cs.umass.edu/lfw/lfw-deepfunneled.tgz",
                "68331da3eb755a505a502b5aacb3c201",
            ),
        ),
    ),
    "cifar10": Dataset(
        how_to_get="cifar-10-python.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html",
        filenames=(
            *("cifar-10-python.tar.gz", "cifar-10-batches-py", "cifar10/cifar-10-batches-py"),
            *("cifar-10-batches-py-target/cifar-10-batches-py", "cifar-10-batches-py-target_archive"),
            *(
                "cifar10-jpeg.tar.xz",
                *_with_archives("cifar10-jpeg", "cifar10"),
            ),  # a lossy copy: never before the others
        ),
        default_size=32,
        split="folder",
        classes=OBJECTS,
        downloads=(
            Download(
                "cifar-10-python.tar.gz",
                "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
                "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
            ),
        ),
    ),
    "mnist": Dataset(
        how_to_get="mnist.npz from https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
        filenames=("mnist.npz", "mnist/mnist.npz"),
        idx_folders=("mnist", "MNIST/raw", "."),
        default_size=28,
        channels=1,
        classes=DIGITS,
        digit_like=True,
        downloads=(
            Download(
                "mnist.npz",
                "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
                "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
            ),
        ),
    ),
    "fashion_mnist": Dataset(
        how_to_get="the four *-ubyte.gz files of https://github.com/zalandoresearch/fashion-mnist in a folder "
        "fashion-mnist",
        filenames=("fashion_mnist.npz", "fashion-mnist.npz"),
        idx_folders=("fashion-mnist", "fashion_mnist", "FashionMNIST/raw", "."),
        default_size=28,
        channels=1,
        classes=GARMENTS,
        digit_like=True,
        downloads=tuple(Download(f"fashion-mnist/{f}", FASHION_URL + f, md5) for f, md5 in FASHION_MD5.items()),
    ),
}
for _name, _k in (("stacked_mnist", 3), ("stacked_mnist_2", 2)):
    _spelled = tuple(f"{i:0{_k}d}" for i in range(10**_k))
    DATASETS[_name] = replace(DATASETS["mnist"], channels=3, stacked_digits=_k, classes=_spelled)
NAMES = (*DATASETS, "toy_faces")
FOLDER = Dataset(how_to_get="", filenames=(), default_size=64, crop=readers.SQUARE)


def is_digit_like(name):
    """Return whether a data set is MNIST or one like it; False for folders, toy faces and points."""
    return DATASETS.get(name, FOLDER).digit_like


# ---------------------------------------------------------------------------------------------------------- finding


def keras_home() -> Path:
    """`$KERAS_HOME` or `~/.keras`, read now rather than when Keras was imported."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()


def find(name: str, split: str, data_dir=None) -> tuple[Path, ...]:
    """The files the split is made from: one archive, folder or npz, or the IDX pair (images, labels).

    Downloads if need be. Raises `UserError` saying which file to get, from where, and where to put it.
    """
    spec, places = DATASETS[name], search_dirs(data_dir)
    found = next(filter(None, (find_in(root, spec, name, split) for root in places)), None)
    reason = "it has no stable address to download from"
    if not found and spec.downloads:
        reason = _download(name, spec.downloads)
        found = find_in(places[-1], spec, name, split)
    if not found:
        searched = ", ".join(str(root) for root in places)
        raise UserError(
            f"{name} is not in {searched} ({reason}): get {spec.how_to_get}, and put it into one of these folders"
        )
    return found


def search_dirs(data_dir):
    """Folders that are searched, in order."""
    places = []
    for what, given in (("--data-dir", data_dir), ("$DATA_DIR", os.environ.get("DATA_DIR"))):
        if given:
            places.append(Path(given).expanduser())
            if not os.path.exists(places[-1]):
                raise UserError(f"{what} {given} does not exist: give the folder that holds the data sets")
    return [*places, keras_home() / "datasets"]


def find_in(root, spec, name, split):
    for folder in spec.idx_folders:
        # MNIST and Fashion-MNIST share their file names: only the folder's own name tells one from the other.
        if folder != "." or ("fashion" in root.name.lower()) == (name == "fashion_mnist"):
            pair = _idx_pair(root / folder, "train" if split == "train" else "t10k")
            if pair:
                return pair
    for place in spec.filenames:
        for path in (root / place, *([root] if root.name == Path(place).name else [])):  # or --data-dir is it
            if os.path.isfile(path) or (os.path.isdir(path) and readers.contains_images(path)):
                return (path,)
    return None


def _idx_pair(folder, stem):
    found = []
    for kind in ("images-idx3", "labels-idx1"):
        names = [f"{stem}-{k}-ubyte{end}" for k in (kind, kind.replace("-", ".")) for end in ("", ".gz")]
        found += [folder / n for n in names if os.path.isfile(folder / n)][:1]
    return tuple(found) if len(found) == 2 else None


def _download(name, downloads):
    """Fetches what is missing into the Keras cache; the reason when that failed. A half file never has its name."""
    import keras

    print(f"{name}: not found on this machine, downloading it", flush=True)
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30)  # a silent network must not hang for ever
    try:
        for file, url, digest in downloads:
            target = keras_home() / "datasets" / file
            if not target.exists():
                _fetch(keras.utils.get_file, target, url, digest)
    except Exception as error:
        return f"the download failed: {' '.join(str(error).split()).split(' -- ')[-1][:100]}"
    finally:
        socket.setdefaulttimeout(timeout)
    return "downloaded, but not readable"


def _fetch(get_file, target, url, digest):
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    try:
        get_file(part.name, url, file_hash=digest, cache_dir=keras_home(), cache_subdir=str(target.parent))
    except Exception:
        part.unlink(missing_ok=True)  # Keras leaves a file behind whose checksum is wrong
        raise
    os.replace(part, target)


# ------------------------------------------------------------------------------------------------------ array files


def read_arrays(paths: tuple[Path, ...], split: str) -> tuple[np.ndarray, np.ndarray] | None:
    """(uint8 images (N, h, w[, c]), int labels (N,)) of IDX (images, labels), npz or CIFAR files; None for images."""
    path = paths[0]
    with readers.source_errors(path):
        if len(paths) == 2:
            images, labels = (readers.read_idx(p) for p in paths)
        elif path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as f:
                images, labels = f[f"x_{split}"], f[f"y_{split}"]
        elif path.name.startswith("cifar-10-"):
            images, labels = _read_cifar(path, split)
        else:
            return None
        if (
            images.ndim != (4 if "cifar" in path.name else 3)
            or images.dtype != np.uint8
            or labels.shape != images.shape[:1]
        ):
            raise ValueError(f"{len(images)} images but {len(labels)} labels, or not 8-bit pictures")
        return images, labels.astype(np.int64)


class _ArraysOnly(pickle.Unpickler):
    """CIFAR comes pickled; an unpickler that knows three numpy names cannot be made to run anything else."""

    def find_class(self, module, name):
        known = {"ndarray": np.ndarray, "dtype": np.dtype, "_reconstruct": np.zeros(1).__reduce__()[0]}
        if not module.startswith("numpy") or name not in known:
            raise ValueError(f"unexpected {module}.{name} in the pickle")
        return known[name]


def _read_cifar(path, split):
    wanted = [f"data_batch_{i}" for i in range(1, 6)] if split == "train" else ["test_batch"]
    if path.is_dir():
        found = {name: (path / name).read_bytes() for name in wanted}
    else:
        with tarfile.open(path, "r:*") as archive:
            members = ((os.path.basename(m.name), m) for m in archive if m.isreg() and m.size <= readers.MAX_BYTES)
            found = {name: archive.extractfile(m).read() for name, m in members if name in wanted}
    batches = [_ArraysOnly(io.BytesIO(found[name]), encoding="bytes").load() for name in wanted]
    images = np.concatenate([b[b"data"] for b in batches]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return images, np.concatenate([b[b"labels"] for b in batches])
