"""`load`: a named data set, or a folder of images, as one uint8 array.

Images are decoded, cropped and resized once, in parallel, into a memory-mapped array under `prepared/` in the Keras
cache; the next call reads it back without touching the images. `common.data.batches` serves it to `fit` (it lives in
a module of its own because it needs Keras, and importing this one must cost nothing: `--help` does it).
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
from common.data.cache import DecodingJob
from common.data.catalog import DATASETS, FOLDER, NAMES, find, keras_home, read_arrays
from common.data.splits import split_indices
from common.errors import UserError

FORMAT = 1  # of the prepared arrays: raise it when the same source would give other pixels, names or labels
SIZES = (8, 1024)
TOY_IMAGES = {"train": (20000, 1), "test": (2000, 2)}  # how many, and from which seed


@dataclass(frozen=True, eq=False)
class Images:
    """One split of a data set. `array` cannot be written to; `names` and `labels` have one element per image."""

    name: str  # "lfw", "folder:..."
    array: np.ndarray  # uint8 (N, size, size, channels), a memory map if it comes from files
    names: list[str]  # file names, or "train/00012"
    labels: np.ndarray | None  # (N,) int classes, or (N, F) float factors of the toy faces
    label_names: tuple[str, ...]  # of the classes, or of the factors
    skipped: list[tuple[str, str]]  # (name, reason) of the corrupt images that were left out


def to_float(pixels: np.ndarray) -> np.ndarray:
    """uint8 0..255 -> float32 in [-1, 1], any shape."""
    values = np.divide(pixels, np.float32(127.5), dtype=np.float32)
    values -= 1
    return values


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Floats in [-1, 1] -> uint8 0..255, rounded and clipped, any shape; not-a-number becomes mid-gray."""
    values = np.nan_to_num(np.asarray(values, np.float32), nan=0.0)
    return np.clip(np.rint((values + 1) * 127.5), 0, 255).astype(np.uint8)


def digits_to_label(digits: np.ndarray) -> np.ndarray:
    """Digits (n, k), the highest first -> the numbers that they spell, (n,) int64: [3, 0, 7] is 307."""
    return digits @ 10 ** np.arange(digits.shape[1])[::-1]


def load_images(
    name: str, size: int | None = None, split: str = "train", data_dir=None, limit: int | None = None
) -> Images:
    """One split of a data set.

    Args:
        name: one of `NAMES`, or "folder:PATH" with a folder, .zip or .tar of images, searched recursively.
        size: pixels of a side, 8 to 1024. `None`: 128 for faces and LSUN, 64 for a folder, 32 for CIFAR-10 and the toy
            faces, 28 for MNIST and its like (where 32 pads the 28 with background, and other sizes resize).
        split: "train" or "test", see `choose`; of a folder also "all".
        data_dir: searched before `$DATA_DIR` and the Keras cache.
        limit: only the first so many files of the split.

    Raises `UserError` for what the user can put right: a wrong value, a data set that is not there, one whose images
    are mostly unreadable. Single unreadable images are left out and listed in `skipped`.
    """
    _check(name, size, split, limit)
    size, limit = size and int(size), limit and int(limit)
    if name == "toy_faces":
        from common.data import toy_faces

        spec, size, sources = FOLDER, size or 32, ()
        origin = hashlib.sha256(Path(toy_faces.__file__).read_bytes()).hexdigest()  # drawn otherwise: prepared anew
    else:
        spec = DATASETS.get(name, FOLDER)
        size = size or spec.default_size
        folder = Path(name.removeprefix("folder:")).expanduser()
        sources = (folder,) if spec is FOLDER else find(name, split, data_dir)
        origin = [readers.fingerprint(path) for path in sources]
    rules = [FORMAT, name, origin, size, spec.channels, spec.crop, spec.split, split, limit]
    key = hashlib.sha256(json.dumps(rules).encode()).hexdigest()[:16]
    label = f"folder-{re.sub(r'[^A-Za-z0-9_-]', '_', sources[0].name)[:40]}" if spec is FOLDER and sources else name
    target = keras_home() / "prepared" / f"{label}-{size}-{split}-{key}"
    fields = cache.read(target)
    if fields is None:
        with _decoding_job(name, spec, sources, size, split, limit) as plan:
            fields = cache.prepare(name, plan, (size, size, spec.channels), target)
    images = Images(name, **fields)
    if images.skipped:
        print(f"{name}: skipped {cache.summarise_skipped(images.skipped, len(images.array))}", flush=True)
    return images


def _check(name, size, split, limit):
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
def _decoding_job(name, spec, sources, size, split, limit) -> Iterator[DecodingJob]:
    if name == "toy_faces":
        yield _plan_toy(size, split, limit)
    elif (arrays := read_arrays(sources, split)) is not None:
        yield _plan_arrays(spec, *arrays, size, split, limit)
    else:
        with readers.open_images(sources[0]) as entries:
            yield _plan_files(spec, entries, size, split, limit)


def _plan_toy(size, split, limit):
    from common.data import toy_faces

    count, seed = TOY_IMAGES[split]
    factors = toy_faces.sample_factors(min(count, limit or count), seed)
    render = lambda rows: list(toy_faces.draw(np.stack(rows), size))
    return DecodingJob(_numbered(split, factors), factors, tuple(toy_faces.FACTORS), enumerate(factors), render)


def _plan_arrays(spec, images, labels, size, split, limit):
    if spec.stacked_digits:  # digits at random, one per channel and background in the rest
        shape = (len(images), spec.stacked_digits)
        digits = np.random.default_rng(["train", "test"].index(split)).integers(len(images), size=shape)
        labels = digits_to_label(labels[digits])
        blank = [np.zeros_like(images[0])] * (spec.channels - spec.stacked_digits)
        pictures = (np.stack([*images[row], *blank], axis=-1) for row in digits[:limit])
    else:
        pictures = iter(images[:limit])

    def render(chunk):
        if size == 32 and chunk[0].shape[:2] == (28, 28):  # digits keep their size, as is usual: 2 of background around
            chunk = [np.pad(x, [(2, 2), (2, 2)] + [(0, 0)] * (x.ndim - 2)) for x in chunk]
        return [readers.crop_and_resize(Image.fromarray(np.ascontiguousarray(x)), size) for x in chunk]

    labels = labels[:limit]
    return DecodingJob(_numbered(split, labels), labels, spec.classes, enumerate(pictures), render)


def _plan_files(spec, entries, size, split, limit):
    names = [entry.name for entry in entries]
    chosen = split_indices(spec.split, names, split)[:limit]
    rows, labels = {i: row for row, i in enumerate(chosen)}, None
    if spec.classes:
        folders = [names[i].split("/")[-2] for i in chosen]
        if not set(folders) <= set(spec.classes):
            raise UserError(
                f"unknown classes {sorted(set(folders) - set(spec.classes))[:3]}: the folders must be classes"
            )
        labels = np.array([spec.classes.index(folder) for folder in folders])

    def attempt(function, *args):
        try:
            return function(*args)
        except readers.BadImage as error:
            return error

    def render(chunk):
        return [
            x if isinstance(x, Exception) else attempt(readers.decode, x, size, spec.channels, spec.crop) for x in chunk
        ]

    # Read here, in the source's own order, because a tar cannot be read backwards; only decoding is parallel.
    items = ((rows[i], attempt(entry.read)) for i, entry in enumerate(entries) if i in rows)
    return DecodingJob([names[i] for i in chosen], labels, spec.classes, items, render)


def _numbered(split, rows):
    return [f"{split}/{i:05d}" for i in range(len(rows))]


# -------------------------------------------------------------------------------------------------------- splitting
