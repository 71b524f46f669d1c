"""Load a named data set, or a folder of images, as one uint8 array.

The first call decodes, crops and resizes the images in parallel. It writes them to a memory-mapped array under
`prepared/` in the Keras cache. Later calls read that array and do not touch the images. `common.data.batches` feeds it
to `fit`.

This module does not import Keras, so that `--help` stays fast.
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from common.data import cache, readers
from common.data.array_files import read_arrays
from common.data.cache import DecodingJob
from common.data.catalog import DATASETS, FOLDER, NAMES, find, keras_home
from common.data.decoding import BadImage, crop_and_resize, decode
from common.data.splits import split_indices
from common.errors import UserError

FORMAT = 1  # of the prepared arrays: raise it when the same source would give other pixels, names or labels
SIZES = (8, 1024)
TOY_IMAGES = {"train": (20000, 1), "test": (2000, 2)}  # number of faces, seed


@dataclass(frozen=True, eq=False)
class Images:
    """One split of a data set, as `load_images` returns it.

    Args:
        name: the name it was loaded by: "lfw", "folder:PATH".
        array: uint8 (N, size, size, channels), read-only; a memory map if the Keras cache could be written.
        names: N names: a path inside the folder or archive, or "train/00012" for array files and toy faces.
        labels: int64 (N,) classes, float32 (N, F) factors of the toy faces, or None.
        label_names: names of the classes, in the order of the labels, or of the factors; () without labels.
        skipped: (name, reason) of each unreadable image that was left out.
    """

    name: str
    array: np.ndarray
    names: list[str]
    labels: np.ndarray | None
    label_names: tuple[str, ...]
    skipped: list[tuple[str, str]]


def to_float(pixels: np.ndarray) -> np.ndarray:
    """Return uint8 pixels 0..255 of any shape as float32 in [-1, 1]."""
    values = np.divide(pixels, np.float32(127.5), dtype=np.float32)
    values -= 1
    return values


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Return floats in [-1, 1] of any shape as uint8 0..255, rounded and clipped; NaN becomes mid-gray."""
    values = np.nan_to_num(np.asarray(values, np.float32), nan=0.0)
    return np.clip(np.rint((values + 1) * 127.5), 0, 255).astype(np.uint8)


def digits_to_label(digits: np.ndarray) -> np.ndarray:
    """Return the numbers that rows of decimal digits spell: [3, 0, 7] is 307.

    Args:
        digits: integers 0 to 9, (n, k), the highest place first.

    Returns:
        int64 (n,).
    """
    return digits @ 10 ** np.arange(digits.shape[1])[::-1]


def load_images(
    name: str, size: int | None = None, split: str = "train", data_dir=None, limit: int | None = None
) -> Images:
    """Load one split of a data set.

    The data set is searched in `data_dir`, `$DATA_DIR` and the Keras cache, and downloaded if it has a stable
    address. Unreadable images are left out, listed in `skipped` and reported in one printed line.

    ```python
    images = load_images("lfw", size=64, limit=1000)
    images.array.shape  # (1000, 64, 64, 3)
    ```

    Args:
        name: a name in `NAMES`, or "folder:PATH" for a folder, .zip or .tar of images, searched recursively.
        size: side of the images in pixels, 8 to 1024. Default None: 128 for photographs of faces and LSUN; 64 for a
            folder; 32 for CIFAR-10 and the toy faces; 28 for MNIST and data sets like it. Images of 28 pixels are
            padded with background for size 32, and resized for any other.
        split: "train" (default) or "test", see `common.data.splits.split_indices`; for a folder also "all".
        data_dir: folder to search first (default None).
        limit: use only the first `limit` files of the split. Default None: use all.

    Returns:
        `Images`, with a read-only array (N, size, size, channels).

    Raises:
        UserError: if an argument is wrong, the data set is missing or damaged, or the split is empty. Also if more
            than half of the images are unreadable.
    """
    _check_arguments(name, size, split, limit)
    size, limit = size and int(size), limit and int(limit)
    if name == "toy_faces":
        from common.data import toy_faces

        dataset, size, sources = FOLDER, size or 32, ()
        origin = hashlib.sha256(Path(toy_faces.__file__).read_bytes()).hexdigest()  # a changed drawing is a new source
    else:
        dataset = DATASETS.get(name, FOLDER)
        size = size or dataset.default_size
        folder = Path(name.removeprefix("folder:")).expanduser()
        sources = (folder,) if dataset is FOLDER else find(name, split, data_dir)
        origin = [readers.fingerprint(path) for path in sources]
    settings = [FORMAT, name, origin, size, dataset.channels, dataset.crop, dataset.split_rule, split, limit]
    key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
    label = name
    if dataset is FOLDER and sources:
        label = f"folder-{re.sub(r'[^A-Za-z0-9_-]', '_', sources[0].name)[:40]}"
    target = keras_home() / "prepared" / f"{label}-{size}-{split}-{key}"
    fields = cache.read(target)
    if fields is None:
        with _decoding_job(name, dataset, sources, size, split, limit) as job:
            fields = cache.prepare(name, job, (size, size, dataset.channels), target)
    images = Images(name, **fields)
    if images.skipped:
        print(f"{name}: skipped {cache.summarise_skipped(images.skipped, len(images.array))}", flush=True)
    return images


def _check_arguments(name, size, split, limit):
    if name not in NAMES and not (isinstance(name, str) and name.startswith("folder:") and len(name) > 7):
        raise UserError(f"unknown data set {name!r}: allowed are {', '.join(NAMES)} and folder:PATH")
    is_int = lambda value: isinstance(value, int | np.integer) and not isinstance(value, bool)
    if size is not None and not (is_int(size) and SIZES[0] <= size <= SIZES[1]):
        raise UserError(f"the image size must be a whole number from {SIZES[0]} to {SIZES[1]}, not {size!r}")
    splits = ("train", "test", "all") if name.startswith("folder:") else ("train", "test")
    if split not in splits:
        raise UserError(f"unknown split {split!r}: allowed are {', '.join(splits)}")
    if limit is not None and not (is_int(limit) and limit >= 1):
        raise UserError(f"the limit must be a whole number of images, at least 1, not {limit!r}")


# -------------------------------------------------------------------------------------------------------- preparing


@contextlib.contextmanager
def _decoding_job(name, dataset, sources, size, split, limit) -> Iterator[DecodingJob]:
    if name == "toy_faces":
        yield _toy_face_job(size, split, limit)
    elif (arrays := read_arrays(sources, split)) is not None:
        yield _array_job(dataset, *arrays, size, split, limit)
    else:
        with readers.open_images(sources[0]) as entries:
            yield _file_job(dataset, entries, size, split, limit)


def _toy_face_job(size, split, limit):
    from common.data import toy_faces

    count, seed = TOY_IMAGES[split]
    factors = toy_faces.sample_factors(min(count, limit or count), seed)
    render = lambda rows: list(toy_faces.draw(np.stack(rows), size))
    return DecodingJob(_numbered(split, factors), factors, tuple(toy_faces.FACTORS), enumerate(factors), render)


def _array_job(dataset, images, labels, size, split, limit):
    if dataset.stacked_digits:  # random digits, one per channel, and background in the channels that are left
        shape = (len(images), dataset.stacked_digits)
        digits = np.random.default_rng(["train", "test"].index(split)).integers(len(images), size=shape)
        labels = digits_to_label(labels[digits])
        blank = [np.zeros_like(images[0])] * (dataset.channels - dataset.stacked_digits)
        pictures = (np.stack([*images[row], *blank], axis=-1) for row in digits[:limit])
    else:
        pictures = iter(images[:limit])

    def render(chunk):
        if size == 32 and chunk[0].shape[:2] == (28, 28):  # the usual way: digits keep their size, with a border of 2
            chunk = [np.pad(x, [(2, 2), (2, 2)] + [(0, 0)] * (x.ndim - 2)) for x in chunk]
        return [crop_and_resize(Image.fromarray(np.ascontiguousarray(x)), size) for x in chunk]

    labels = labels[:limit]
    return DecodingJob(_numbered(split, labels), labels, dataset.classes, enumerate(pictures), render)


def _file_job(dataset, entries, size, split, limit):
    names = [entry.name for entry in entries]
    chosen = split_indices(dataset.split_rule, names, split)[:limit]
    rows, labels = {i: row for row, i in enumerate(chosen)}, None
    if dataset.classes:
        folders = [names[i].split("/")[-2] for i in chosen]
        unknown = sorted(set(folders) - set(dataset.classes))
        if unknown:
            raise UserError(
                f"unknown classes {unknown[:3]}: name the folders of the images {', '.join(dataset.classes)}"
            )
        labels = np.array([dataset.classes.index(folder) for folder in folders])

    def decode_or_error(data):
        if isinstance(data, BadImage):
            return data
        return _result_or_error(decode, data, size, dataset.channels, dataset.crop)

    render = lambda chunk: [decode_or_error(data) for data in chunk]
    # Read here, in the source's own order, because a tar cannot be read backwards; only decoding is parallel.
    items = ((rows[i], _result_or_error(entry.read)) for i, entry in enumerate(entries) if i in rows)
    return DecodingJob([names[i] for i in chosen], labels, dataset.classes, items, render)


def _result_or_error(function, *args):
    """Return `function(*args)`, or the `BadImage` that it raises."""
    try:
        return function(*args)
    except BadImage as error:
        return error


def _numbered(split, rows):
    return [f"{split}/{i:05d}" for i in range(len(rows))]
