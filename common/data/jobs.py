"""Describe what to decode for each kind of data set: image files, array files and toy faces."""

import contextlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from common.cores import usable_cores
from common.data import readers
from common.data.archives import Entry
from common.data.array_files import read_arrays
from common.data.cache import DecodingJob
from common.data.catalog import Dataset
from common.data.decoding import BadImage, crop_and_resize, decode, is_grey, quiet_pillow
from common.data.file_types import printable
from common.data.progress import progress_bar
from common.data.splits import fixed_random_subset, split_indices
from common.errors import UserError

TOY_IMAGES = {"train": (20000, 1), "test": (2000, 2)}  # number of faces, seed
_grey_sources: dict[str, bool] = {}  # by origin: a source is looked through once per process, not once per split


def digits_to_label(digits: np.ndarray) -> np.ndarray:
    """Return the numbers that rows of decimal digits spell: [3, 0, 7] is 307.

    Args:
        digits: integers 0 to 9, (n, k), the highest place first.

    Returns:
        int64 (n,).
    """
    return digits @ 10 ** np.arange(digits.shape[1])[::-1]


@contextlib.contextmanager
def decoding_job(
    name: str,
    dataset: Dataset,
    sources: tuple[Path, ...],
    origin: str,
    size: int,
    split: str,
    limit: int | None,
    channels: int | None,
) -> Iterator[DecodingJob]:
    """Open a data set for decoding.

    Args:
        name: of the data set.
        dataset: its row of the catalog.
        sources: its files; () for toy faces.
        origin: text that identifies the content of the sources.
        size: side of the images in pixels.
        split: "train" or "test"; for a folder also "all".
        limit: number of images to draw by lot; None for all.
        channels: 1 or 3; None for 1 if all images of the source are grey, else 3.

    Yields:
        The job. Its items can be read only inside the `with` block.

    Raises:
        UserError: if a source is damaged or a split is empty.
    """
    n_classes = 10 if dataset.stacked_digits else len(dataset.classes)
    if name == "toy_faces":
        yield _toy_face_job(size, split, limit, channels or 3)
    elif (arrays := read_arrays(sources, split, n_classes)) is not None:
        yield _array_job(dataset, *arrays, size, split, limit, channels)
    else:
        with readers.open_images(sources[0]) as entries:
            if channels is None:
                if origin not in _grey_sources:
                    _grey_sources[origin] = all_grey(entries, name)
                channels = 1 if _grey_sources[origin] else 3
            yield _file_job(dataset, entries, size, split, limit, channels)


def all_grey(entries: list[Entry], name: str) -> bool:
    """Return whether all images of a source are grey; images that cannot be read do not count.

    Args:
        entries: of `readers.open_images`. They are read up to the first one that is not grey.
        name: of the data set, for messages.
    """
    n_grey, n_workers = 0, usable_cores()
    advance = progress_bar(len(entries), f"checking whether the {len(entries)} images of {printable(name)} are grey")
    pending, unread = deque(), (entry for entry in entries if not entry.problem)
    with quiet_pillow(), ThreadPoolExecutor(n_workers) as pool:
        while True:
            while len(pending) < 2 * n_workers and (entry := next(unread, None)) is not None:
                pending.append(pool.submit(_result_or_error, is_grey, _result_or_error(entry.read)))
            if not pending:
                return n_grey > 0
            result = pending.popleft().result()
            if result is False:
                return False
            n_grey += result is True
            advance(1)


def _toy_face_job(size, split, limit, channels):
    from common.data import toy_faces

    count, seed = TOY_IMAGES[split]
    factors = toy_faces.sample_factors(min(count, limit or count), seed)  # independent: the first ones are a lot, too
    render = lambda rows: [_with_channels(face, channels) for face in toy_faces.draw(np.stack(rows), size)]
    return DecodingJob(
        _numbered(split, range(len(factors))), channels, factors, tuple(toy_faces.FACTORS), enumerate(factors), render
    )


def _array_job(dataset, images, labels, size, split, limit, channels):
    rows = fixed_random_subset(np.arange(len(images)), limit)
    if dataset.stacked_digits:  # random digits, one per channel, and background in the channels that are left
        shape = (len(images), dataset.stacked_digits)
        digits = np.random.default_rng(["train", "test"].index(split)).integers(len(images), size=shape)
        labels = digits_to_label(labels[digits])
        blank = [np.zeros_like(images[0])] * (dataset.channels - dataset.stacked_digits)
        pictures = (np.stack([*images[digits[row]], *blank], axis=-1) for row in rows)
    else:
        pictures = (images[row] for row in rows)

    def render(chunk):
        if size == 32 and chunk[0].shape[:2] == (28, 28):  # the usual way: digits keep their size, with a border of 2
            chunk = [np.pad(x, [(2, 2), (2, 2)] + [(0, 0)] * (x.ndim - 2)) for x in chunk]
        resized = (crop_and_resize(Image.fromarray(np.ascontiguousarray(x)), size) for x in chunk)
        return [_with_channels(x, channels) for x in resized]

    return DecodingJob(_numbered(split, rows), channels, labels[rows], dataset.classes, enumerate(pictures), render)


def _file_job(dataset, entries, size, split, limit, channels):
    skipped = [(entry.name, entry.problem) for entry in entries if entry.problem]
    entries = [entry for entry in entries if not entry.problem]
    names = [entry.name for entry in entries]
    chosen = fixed_random_subset(np.array(split_indices(dataset.split_rule, names, split)), limit).tolist()
    rows, labels = {i: row for row, i in enumerate(chosen)}, None
    if dataset.classes:
        folders = [f"/{names[i]}".split("/")[-2] for i in chosen]
        unknown = sorted(set(folders) - set(dataset.classes))
        if unknown:
            raise UserError(
                f"unknown classes {unknown[:3]}: name the folders of the images {', '.join(dataset.classes)}"
            )
        labels = np.array([dataset.classes.index(folder) for folder in folders])

    decode_or_error = lambda data: _result_or_error(decode, data, size, channels, dataset.crop)
    render = lambda chunk: [decode_or_error(data) for data in chunk]
    # Read here, in the source's own order, because a tar cannot be read backwards; only decoding is parallel.
    items = ((rows[i], _result_or_error(entry.read)) for i, entry in enumerate(entries) if i in rows)
    return DecodingJob([names[i] for i in chosen], channels, labels, dataset.classes, items, render, skipped)


def _result_or_error(function, *args):
    """Return `function(*args)`, or the `BadImage` that it raises; a `BadImage` in place of the data is passed on."""
    if args and isinstance(args[0], BadImage):
        return args[0]
    try:
        return function(*args)
    except BadImage as error:
        return error


def _with_channels(image, channels):
    """Return an image (height, width, 1 or 3) in another number of channels."""
    if image.shape[-1] == channels:
        return image
    mode = "L" if channels == 1 else "RGB"
    return np.asarray(Image.fromarray(image.squeeze()).convert(mode)).reshape(*image.shape[:2], channels)


def _numbered(split, rows):
    return [f"{split}/{i:05d}" for i in rows]
