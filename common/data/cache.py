"""Prepares images once, in parallel, into a memory-mapped array in a cache folder, and reads it back.

Knows no data set: what to prepare comes as a `Plan`. A prepared array is two files, `<target>.npy` (uint8 NHWC) and
`<target>.json` (names, labels, and a fingerprint by which a damaged array is noticed).
"""

import contextlib
import json
import os
import shutil
import sys
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.data import readers
from common.errors import UserError


class DecodingJob(NamedTuple):
    """What to prepare: `render` turns a chunk of the payloads of `items`, (row, payload), into images or `BadImage`."""

    names: list[str]
    labels: np.ndarray | None
    label_names: tuple[str, ...]
    items: Iterable[tuple[int, object]]
    render: Callable[[list], list]


def prepare(name: str, plan: DecodingJob, shape: tuple[int, ...], target: Path) -> dict:
    """Carries out the plan for images of `shape`: the fields of an `Images`, as `read` gives them.

    Unreadable images are left out and listed in `skipped`; `UserError` if they are more than half.
    """
    total, array = len(plan.names), None
    temporary = Path(f"{target}.{os.getpid()}.tmp")
    try:
        array = _allocate(temporary, (total, *shape))
        bad = _render_all(plan, array, f"preparing {total} images of {name} at {shape[0]} pixels (only this once)")
        skipped = [(plan.names[i], bad[i]) for i in sorted(bad)]
        if 2 * len(bad) > total:
            raise UserError(
                f"{name} is mostly unreadable, skipped {summarise_skipped(skipped, total - len(bad))}: get it again"
            )
        good = np.array([i for i in range(total) if i not in bad])
        if bad:  # close the gaps
            whole, array = array, _allocate(Path(f"{temporary}.tmp"), (len(good), *shape))
            for row, i in enumerate(good):
                array[row] = whole[i]
        labels = None if plan.labels is None else plan.labels[good]
        names = [plan.names[i] for i in good]
        if isinstance(array, np.memmap):
            return _write(target, array, names, labels, plan.label_names, skipped)
        array.flags.writeable = False
        return dict(array=array, names=names, labels=labels, label_names=plan.label_names, skipped=skipped)
    finally:
        for path in (temporary, Path(f"{temporary}.tmp")):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _render_all(plan, array, title):
    """Fills the array; {row: reason} of the images that could not be used."""
    bad, pending, workers = {}, deque(), os.cpu_count() or 1
    progress = _progress(len(array), title)

    def collect():
        rows, future = pending.popleft()
        for row, image in zip(rows, future.result(), strict=True):
            if isinstance(image, Exception):
                bad[row] = str(image)
            else:
                array[row] = image
        progress(len(rows))

    with readers.quiet_pillow(), ThreadPoolExecutor(workers) as pool:
        for rows, payloads in _chunks(plan.items):
            pending.append((rows, pool.submit(plan.render, payloads)))
            if len(pending) > 2 * workers:
                collect()
        while pending:
            collect()
    return bad


def _chunks(items, rows=32, size=4 << 20):
    """Groups of (rows, payloads): big enough to be worth a thread's while, small enough to fit into memory."""
    group, total = [], 0
    for item in items:
        group.append(item)
        total += len(item[1]) if isinstance(item[1], bytes) else 0
        if len(group) == rows or total > size:
            yield tuple(zip(*group, strict=True))
            group, total = [], 0
    if group:
        yield tuple(zip(*group, strict=True))


def _progress(total, title, patience=2.0):
    """A function to call with the number of images done; it shows a bar from when it has taken more than a moment."""
    begin, bar, done = time.monotonic(), None, 0

    def advance(count):
        nonlocal bar, done
        done += count
        if bar is None and time.monotonic() - begin > patience:
            import keras

            print(title, flush=True)
            bar = keras.utils.Progbar(total, interval=0.2 if sys.stdout.isatty() else 10)
        if bar is not None:
            bar.update(done)

    return advance


def summarise_skipped(skipped: list[tuple[str, str]], good: int, most: int = 3) -> str:
    """The end of the line "skipped ...": how many of how many, and the first few by name."""
    shown = ", ".join(f"{name} ({reason})" for name, reason in skipped[:most])
    more = f", and {len(skipped) - most} more" if len(skipped) > most else ""
    return f"{len(skipped)} of {len(skipped) + good} images: {shown}{more}"


def _allocate(path, shape):
    """An array in a new file, or in memory (and a line that says so) where the file cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for stale in path.parent.glob("*.tmp"):  # of a process that was killed
            if time.time() - stale.stat().st_mtime > 86400:
                stale.unlink()
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
    """Both files appear whole or not at all, the description last: without it the array is not looked at."""
    array.flush()
    description = {
        "names": names,
        "skipped": skipped,
        "labels": None if labels is None else [labels.dtype.str, labels.tolist()],
        "label_names": label_names,
        "check": _fingerprint(array),
    }
    temporary = Path(f"{array.filename}.json.tmp")
    temporary.write_text(json.dumps(description))
    os.replace(array.filename, f"{target}.npy")
    os.replace(temporary, f"{target}.json")
    return read(target)


def read(target: Path) -> dict | None:
    """The fields of an `Images`, without its name, or `None` if they are not there or are damaged."""
    try:
        description = json.loads(Path(f"{target}.json").read_text())
        array = np.load(f"{target}.npy", mmap_mode="r")
        if _fingerprint(array) != description["check"] or len(array) != len(description["names"]):
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


def _fingerprint(array):
    """Of the shape and of 64 images spread over the array: to read all of it could take as long as to decode it."""
    check = zlib.crc32(repr((array.shape, array.dtype.str)).encode())
    for i in np.linspace(0, len(array) - 1, min(64, len(array))).astype(int):
        check = zlib.crc32(np.ascontiguousarray(array[i]), check)
    return check
