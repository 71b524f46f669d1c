"""Decode images once, in parallel, into a memory-mapped array on disk, and read that array back.

This module knows no data set: a `DecodingJob` describes the images. A cached array consists of two files.
`<target>.npy` holds the images (uint8 NHWC). `<target>.json` holds names, labels, and a checksum that detects damage.
"""

import contextlib
import json
import os
import platform
import re
import secrets
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.cores import usable_cores
from common.data.decoding import quiet_pillow
from common.data.faces import NO_FACE
from common.data.file_types import printable
from common.data.progress import progress_bar
from common.data.storage import allocate, remove_stale, report_size, shorten, stay_in_memory
from common.errors import UserError


class DecodingJob(NamedTuple):
    """The images of one array, before they are decoded.

    Args:
        names: name of each image, N in all; the array has the same order.
        channels: 1 (grayscale) or 3, of every image.
        labels: (N,) classes or (N, F) factors; None without labels.
        label_names: names of the classes or of the factors; () without labels.
        items: yields (row, payload) once per image, in any order of rows. A payload is whatever `render` takes: the
            bytes of a file, a decoded picture, a vector of factors, or the `BadImage` that reading it raised.
        render: function from a list of payloads to a list of as many results. A result is a uint8 image of the
            array's shape (size, size, channels), or a `BadImage`. Several threads call it at once.
        skipped: (name, reason) of images of the source that are known to be unreadable, and not among `names`.
    """

    names: list[str]
    channels: int
    labels: np.ndarray | None
    label_names: tuple[str, ...]
    items: Iterable[tuple[int, object]]
    render: Callable[[list], list]
    skipped: list[tuple[str, str]] = ()


def prepare(name: str, job: DecodingJob, size: int, target: Path, label: str, source: list) -> dict:
    """Decode the images of a job and write them to the cache, in place of older arrays of the same source.

    Unreadable images are left out and listed. If the disk does not take the array, a small one stays in memory.

    Args:
        name: name of the data set, for messages.
        job: the images.
        size: side of each image, in pixels.
        target: path of the cached array, without the suffixes .npy and .json.
        label: first part of the file name of `target`, which all arrays of the same source share.
        source: what the images are and where they come from, but not their content, as JSON.

    Returns:
        {"array", "names", "labels", "label_names", "skipped"}: the fields of `common.data.images.Images` but its name.

    Raises:
        UserError: if more than half of the images are unreadable, if none shows a face of those that are cropped to
            it, or if the disk does not take a large array.
    """
    total = len(job.names)
    temporary = Path(f"{target}.{_machine()}-{secrets.token_hex(8)}.tmp")  # two containers may have one process number
    try:
        array = allocate(temporary, (total, size, size, job.channels), name)
        bad = _render_all(
            job, array, f"preparing {total} images of {printable(name)} at {size} pixels (only this once)"
        )
        skipped = [(job.names[i], bad[i]) for i in sorted(bad)]
        if len(bad) == total and NO_FACE in bad.values():
            raise UserError(
                f"no face was found in {total} images of {printable(name)}: give photos that show faces from the "
                "front, or take --crop square"
            )
        if 2 * sum(reason != NO_FACE for reason in bad.values()) > total:
            raise UserError(
                f"{name} is mostly unreadable, skipped {summarise_skipped(skipped, total - len(bad))}: get it again"
            )
        good = np.array([i for i in range(total) if i not in bad])
        fields = {
            "names": [job.names[i] for i in good],
            "labels": None if job.labels is None else job.labels[good],
            "label_names": job.label_names,
            "skipped": [*job.skipped, *skipped],
        }
        is_stored = isinstance(array, np.memmap)
        try:
            array = shorten(array, good) if bad else array
            if is_stored:
                _write(target, array, fields, source)
        except OSError as error:
            stay_in_memory(target.parent, array.nbytes, name, error)
            array, is_stored = np.array(array[: len(good)]), False
        if is_stored:
            remove_stale(target, label, source)
            report_size(target.parent)
        array.flags.writeable = False
        return {"array": array, **fields}
    finally:
        for path in (temporary, Path(f"{temporary}.json.tmp")):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def remove_unfinished(target: Path):
    """Delete what processes of this machine that were killed have left of an array.

    Call it while no other one here prepares the array. A lock may not reach to the others of a cluster.

    Args:
        target: see `prepare`.
    """
    for path in target.parent.glob(f"{target.name}.{_machine()}-*.tmp"):
        with contextlib.suppress(OSError):
            path.unlink()


def _machine():
    return re.sub(r"\W", "_", platform.node())


def _render_all(job, array, title):
    """Fill the array; return {row: reason} for the images that could not be used."""
    bad, pending, n_workers = {}, deque(), usable_cores()
    advance = progress_bar(len(array), title)

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


def _write(target, array, fields, source):
    """Move the array into place, then its description; `read` ignores an array without a description."""
    array.flush()
    labels = fields["labels"]
    description = {
        **fields,
        "labels": None if labels is None else [labels.dtype.str, labels.tolist()],
        "check": array_checksum(array),
        "source": source,
    }
    temporary = Path(f"{array.filename}.json.tmp")
    temporary.write_text(json.dumps(description), encoding="utf-8")
    os.replace(array.filename, f"{target}.npy")
    os.replace(temporary, f"{target}.json")


def read(target: Path) -> dict | None:
    """Return a cached array and its description, as `prepare` does; None if a file is missing or damaged."""
    try:
        description = json.loads(Path(f"{target}.json").read_text(encoding="utf-8"))
        array = np.load(f"{target}.npy", mmap_mode="r")
        if array_checksum(array) != description["check"] or len(array) != len(description["names"]):
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


def array_checksum(array: np.ndarray) -> int:
    """Return a checksum of the shape, the type and 64 sampled images; hashing all could take as long as decoding.

    Args:
        array: images (N, ...) of any type, in memory or in a file.
    """
    check = zlib.crc32(repr((array.shape, array.dtype.str)).encode())
    for i in np.linspace(0, len(array) - 1, min(64, len(array))).astype(int):
        check = zlib.crc32(np.ascontiguousarray(array[i]), check)
    return check
