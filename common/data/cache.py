"""Decode images once, in parallel, into a memory-mapped array on disk, and read that array back.

This module knows no data set: a `DecodingJob` describes the images. A cached array consists of two files.
`<target>.npy` holds the images (uint8 NHWC). `<target>.json` holds names, labels, and a checksum that detects damage.
"""

import contextlib
import json
import os
import shutil
import sys
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.data.decoding import quiet_pillow
from common.errors import UserError

STALE_SECONDS = 86400  # a temporary file this old belongs to a process that was killed


class DecodingJob(NamedTuple):
    """The images of one array, before they are decoded.

    Args:
        names: name of each image, N in all; the array has the same order.
        labels: (N,) classes or (N, F) factors; None without labels.
        label_names: names of the classes or of the factors; () without labels.
        items: yields (row, payload) once per image, in any order of rows. A payload is whatever `render` takes: the
            bytes of a file, a decoded picture, a vector of factors, or the `BadImage` that reading it raised.
        render: function from a list of payloads to a list of as many results. A result is a uint8 image of the
            array's shape (height, width, channels), or a `BadImage`. Several threads call it at once.
    """

    names: list[str]
    labels: np.ndarray | None
    label_names: tuple[str, ...]
    items: Iterable[tuple[int, object]]
    render: Callable[[list], list]


def prepare(name: str, job: DecodingJob, shape: tuple[int, ...], target: Path) -> dict:
    """Decode the images of a job and write them to the cache.

    Unreadable images are left out and listed. If the folder cannot be written, the array stays in memory.

    Args:
        name: name of the data set, for messages.
        job: the images.
        shape: (height, width, channels) of each image.
        target: path of the cached array, without the suffixes .npy and .json.

    Returns:
        {"array", "names", "labels", "label_names", "skipped"}: the fields of `common.data.images.Images` but its name.

    Raises:
        UserError: if more than half of the images are unreadable.
    """
    total, array = len(job.names), None
    temporary = Path(f"{target}.{os.getpid()}.tmp")
    compacted = Path(f"{temporary}.tmp")
    try:
        array = _allocate(temporary, (total, *shape))
        bad = _render_all(job, array, f"preparing {total} images of {name} at {shape[0]} pixels (only this once)")
        skipped = [(job.names[i], bad[i]) for i in sorted(bad)]
        if 2 * len(bad) > total:
            raise UserError(
                f"{name} is mostly unreadable, skipped {summarise_skipped(skipped, total - len(bad))}: get it again"
            )
        good = np.array([i for i in range(total) if i not in bad])
        if bad:  # close the gaps
            with_gaps, array = array, _allocate(compacted, (len(good), *shape))
            for row, i in enumerate(good):
                array[row] = with_gaps[i]
        labels = None if job.labels is None else job.labels[good]
        names = [job.names[i] for i in good]
        if isinstance(array, np.memmap):
            return _write(target, array, names, labels, job.label_names, skipped)
        array.flags.writeable = False
        return dict(array=array, names=names, labels=labels, label_names=job.label_names, skipped=skipped)
    finally:
        for path in (temporary, compacted):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _render_all(job, array, title):
    """Fill the array; return {row: reason} for the images that could not be used."""
    bad, pending, n_workers = {}, deque(), os.cpu_count() or 1
    advance = _progress(len(array), title)

    def collect():
        rows, future = pending.popleft()
        for row, image in zip(rows, future.result(), strict=True):
            if isinstance(image, Exception):
                bad[row] = str(image)
            else:
                array[row] = image
        advance(len(rows))

    with quiet_pillow(), ThreadPoolExecutor(n_workers) as pool:
        for rows, payloads in _chunks(job.items):
            pending.append((rows, pool.submit(job.render, payloads)))
            if len(pending) > 2 * n_workers:
                collect()
        while pending:
            collect()
    return bad


def _chunks(items, max_items=32, max_bytes=4 << 20) -> Iterator[tuple[tuple, tuple]]:
    """Yield groups of (rows, payloads), large enough for a thread to be worthwhile and small enough for memory."""
    group, size = [], 0
    for item in items:
        group.append(item)
        size += len(item[1]) if isinstance(item[1], bytes) else 0
        if len(group) == max_items or size > max_bytes:
            yield tuple(zip(*group, strict=True))
            group, size = [], 0
    if group:
        yield tuple(zip(*group, strict=True))


def _progress(total, title, delay=2.0):
    """Return a function to call with the number of newly done images; it shows a bar after `delay` seconds."""
    begin, bar, done = time.monotonic(), None, 0

    def advance(count):
        nonlocal bar, done
        done += count
        if bar is None and time.monotonic() - begin > delay:
            import keras

            print(title, flush=True)
            bar = keras.utils.Progbar(total, interval=0.2 if sys.stdout.isatty() else 10)
        if bar is not None:
            bar.update(done)

    return advance


def summarise_skipped(skipped: list[tuple[str, str]], n_good: int, max_shown: int = 3) -> str:
    """Return how many images were skipped and why, as "2 of 50 images: a.png (truncated), b.png (empty file)".

    Args:
        skipped: (name, reason) of each skipped image.
        n_good: number of the other images.
        max_shown: number of images to name (default 3).
    """
    shown = ", ".join(f"{name} ({reason})" for name, reason in skipped[:max_shown])
    more = f", and {len(skipped) - max_shown} more" if len(skipped) > max_shown else ""
    return f"{len(skipped)} of {len(skipped) + n_good} images: {shown}{more}"


def _allocate(path, shape):
    """Return an array in a new file, or in memory, with a message, if the file cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for temporary in path.parent.glob("*.tmp"):
            if time.time() - temporary.stat().st_mtime > STALE_SECONDS:
                temporary.unlink()
        if shutil.disk_usage(path.parent).free < 1.05 * np.prod(shape):  # a memory map on a full disk kills the process
            raise OSError("not enough space left")
        return np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    except OSError as error:
        print(
            f"cannot write to {path.parent} ({error.strerror or error}): the images stay in memory this time",
            flush=True,
        )
        return np.empty(shape, np.uint8)


def _write(target, array, names, labels, label_names, skipped):
    """Move the array into place, then its description; `read` ignores an array without a description."""
    array.flush()
    description = {
        "names": names,
        "skipped": skipped,
        "labels": None if labels is None else [labels.dtype.str, labels.tolist()],
        "label_names": label_names,
        "check": _checksum(array),
    }
    temporary = Path(f"{array.filename}.json.tmp")
    temporary.write_text(json.dumps(description))
    os.replace(array.filename, f"{target}.npy")
    os.replace(temporary, f"{target}.json")
    return read(target)


def read(target: Path) -> dict | None:
    """Return a cached array and its description, as `prepare` does; None if a file is missing or damaged."""
    try:
        description = json.loads(Path(f"{target}.json").read_text())
        array = np.load(f"{target}.npy", mmap_mode="r")
        if _checksum(array) != description["check"] or len(array) != len(description["names"]):
            return None
        labels = description["labels"]
        return dict(
            array=array,
            names=description["names"],
            labels=None if labels is None else np.array(labels[1], labels[0]),
            label_names=tuple(description["label_names"]),
            skipped=[tuple(pair) for pair in description["skipped"]],
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None


def _checksum(array):
    """Return a checksum of the shape and 64 sampled images; hashing everything could take as long as decoding."""
    check = zlib.crc32(repr((array.shape, array.dtype.str)).encode())
    for i in np.linspace(0, len(array) - 1, min(64, len(array))).astype(int):
        check = zlib.crc32(np.ascontiguousarray(array[i]), check)
    return check
