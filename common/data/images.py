"""Load a named data set, or a folder of images, as one uint8 array.

The first call decodes, crops and resizes the images in parallel. It writes them to a memory-mapped array under
`prepared/` in the Keras cache. Later calls read that array and do not touch the images. `common.data.batches` feeds it
to `fit`.

This module does not import Keras, so that `--help` stays fast.
"""

import contextlib
import hashlib
import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from common.data import cache, faces, readers
from common.data.catalog import DATASETS, FOLDER, NAMES, find
from common.data.decoding import FACE
from common.data.file_types import INSTALL_PHOTOS, is_readable_now, printable
from common.data.jobs import decoding_job
from common.data.storage import keras_home
from common.errors import DIVERGED, UserError
from common.locks import only_one_process
from common.streams import stage

FORMAT = 2  # of the prepared arrays: raise it when the same source would give other pixels, names or labels
SIZES = (8, 1024)
CROPS = ("square", FACE)


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
    """Return floats in [-1, 1] of any shape as uint8 0..255, rounded; finite values outside are clipped.

    Raises:
        UserError: if a value is NaN or infinite. Axis 0 of an array (N, height, width, channels) counts the images.
    """
    values = np.asarray(values)
    with np.errstate(over="ignore"):
        pixels = values.astype(np.float32)
    if not np.isfinite(pixels).all():
        images = (values if values.ndim == 4 else values[None]).astype(np.float64)
        broken = np.flatnonzero(~np.isfinite(images).reshape(len(images), -1).all(axis=1))
        if len(broken):
            raise UserError(
                f"pixels are not numbers: {len(broken)} of {len(images)} images, first index {broken[0]}; {DIVERGED}",
                topic="nan",
            )
    return np.clip(np.rint((pixels + 1) * 127.5), 0, 255).astype(np.uint8)


@stage("reading the images")
def load_images(
    name: str,
    size: int | None = None,
    split: str = "train",
    data_dir=None,
    limit: int | None = None,
    channels: int | None = None,
    crop: str | None = None,
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
        limit: use only `limit` files of the split, drawn by lot (`common.data.splits.fixed_random_subset`), the same
            ones in every call. Default None: use all.
        channels: 1 for grayscale or 3 for RGB. Default None: as in the data set. A folder has one channel if all its
            images are grey, those of other splits included, else three.
        crop: for a folder: "square" for the largest centre square, or "face" for a square around the largest face,
            which leaves out the photos without a face. Default None: "square" for a folder; the set's own for others.

    Returns:
        `Images`, with a read-only array (N, size, size, channels).

    Raises:
        UserError: if an argument is wrong, the data set is missing or damaged, or the split is empty. Also if more
            than half of the images are unreadable, or the disk does not take the prepared array.
    """
    _check_arguments(name, size, split, limit, channels, crop)
    size, limit, channels = (value and int(value) for value in (size, limit, channels))
    dataset = replace(FOLDER, crop=FACE) if crop == FACE else DATASETS.get(name, FOLDER)
    if name == "toy_faces":
        from common.data import toy_faces

        size, sources, label = size or 32, (), name
        origin = hashlib.sha256(Path(toy_faces.__file__).read_bytes()).hexdigest()  # a changed drawing is a new source
    elif name not in DATASETS:
        sources = (Path(os.path.realpath(os.path.expanduser(name.removeprefix("folder:")))),)
        label = f"folder-{re.sub(r'[^A-Za-z0-9_-]', '_', sources[0].name)[:40]}"
        origin = [readers.fingerprint(path) for path in sources]
    else:
        sources, label = find(name, split, data_dir), name
        origin = [readers.fingerprint(path) for path in sources]
    size, channels = size or dataset.default_size, channels or dataset.channels
    # Not the name of a folder: one path can be written in many ways.
    source = ["folder" if label != name else name, [os.path.realpath(p) for p in sources], size, split, limit, channels]
    source += [FACE] if crop == FACE else []
    settings = [FORMAT, source, origin, dataset.crop, dataset.split_rule]
    key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
    label = f"{label}-{size}-{split}-"
    target = keras_home() / "prepared" / f"{label}{key}"
    fields = _cached(target)
    if fields is None:
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):  # a cache that cannot be written to has no locks
                lock = only_one_process(keras_home() / "locks" / target.name, f"preparing {printable(name)}")
                if stack.enter_context(lock):
                    cache.remove_unfinished(target)
            fields = _cached(target)  # the other process may have prepared it
            if fields is None:
                with decoding_job(name, dataset, sources, json.dumps(origin), size, split, limit, channels) as job:
                    fields = cache.prepare(name, job, size, target, label, source)
    images = Images(name, **fields)
    if images.skipped:
        skipped = cache.summarise_skipped(images.skipped, len(images.array))
        print(f"{printable(name)}: skipped {skipped}", flush=True)
    return images


def _cached(target):
    """Return the fields of a prepared array; None without one, or if what it lacks could be read now."""
    fields = cache.read(target)
    return None if fields and any(is_readable_now(*image) for image in fields["skipped"]) else fields


def _check_arguments(name, size, split, limit, channels, crop):
    is_folder = isinstance(name, str) and name.startswith("folder:") and len(name) > 7 and "\0" not in name
    if name not in NAMES and not is_folder:
        raise UserError(f"unknown data set {name!r}: allowed are {', '.join(NAMES)} and folder:PATH")
    is_int = lambda value: isinstance(value, int | np.integer) and not isinstance(value, bool)
    if size is not None and not (is_int(size) and SIZES[0] <= size <= SIZES[1]):
        raise UserError(f"the image size must be a whole number from {SIZES[0]} to {SIZES[1]}, not {size!r}")
    splits = ("train", "test", "all") if name.startswith("folder:") else ("train", "test")
    if split not in splits:
        raise UserError(f"unknown split {split!r}: allowed are {', '.join(splits)}")
    if limit is not None and not (is_int(limit) and limit >= 1):
        raise UserError(f"the limit must be a whole number of images, at least 1, not {limit!r}")
    if channels is not None and not (is_int(channels) and channels in (1, 3)):
        raise UserError(f"the number of channels must be 1 or 3, not {channels!r}")
    if channels == 1 and name in DATASETS and DATASETS[name].stacked_digits:
        raise UserError(f"{name} has a digit in each of its 3 channels: it cannot have 1")
    if crop not in (None, *CROPS):
        raise UserError(f"unknown crop {crop!r}: allowed are {', '.join(CROPS)}")
    if crop == FACE and not is_folder:
        raise UserError(f"crops around faces are for your own photos, folder:PATH, not for {name}")
    if crop == FACE and not faces.has_detector():
        raise UserError(f"crops around faces need the extra photos: {INSTALL_PHOTOS}")
