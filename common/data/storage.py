"""Disk space for prepared arrays: reserve it before it is needed, and give back what old arrays hold."""

import contextlib
import glob
import json
import os
import shutil
import time
from pathlib import Path

import numpy as np

from common.data.file_types import printable
from common.errors import UserError

MEMORY_BYTES = 256 << 20  # a set up to this size may stay in memory if the disk does not take it
REPORT_BYTES = 20_000_000_000  # a line says so if all prepared arrays together are larger
STALE_SECONDS = 86400  # a temporary file this old belongs to a process that was killed


def keras_home() -> Path:
    """Return `$KERAS_HOME` or `~/.keras`, as set now rather than when Keras was imported."""
    return Path(os.path.expanduser(os.environ.get("KERAS_HOME") or "~/.keras"))


def readable_size(n_bytes: float) -> str:
    """Return a number of bytes as text, as "3.2 GB"; units are powers of 1000."""
    power = next(p for p in range(5) if n_bytes < 999.5 * 1000**p or p == 4)
    number = n_bytes / 1000**power
    digits = 1 if power and number < 99.95 else 0
    return f"{number:.{digits}f} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"


def allocate(path: Path, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Return a uint8 array in a new .npy file whose room on disk is reserved.

    Writing into a memory map on a full disk kills the process, so the room is taken at once.

    Args:
        path: the file. Missing folders are made, and temporary files of killed processes are deleted.
        shape: of the array.
        name: name of the data set, for messages.

    Returns:
        A memory map; or an array in memory, with a printed line, if the disk does not take an array of at most
        `MEMORY_BYTES`.

    Raises:
        UserError: if the disk does not take a larger array.
    """
    n_bytes = int(np.prod(shape))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for temporary in path.parent.glob("*.tmp"):
            with contextlib.suppress(FileNotFoundError):  # another process has just renamed its own
                if time.time() - temporary.stat().st_mtime > STALE_SECONDS:
                    temporary.unlink()
        if shutil.disk_usage(path.parent).free < 1.05 * n_bytes:
            raise OSError("not enough space left")
        array = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
        if hasattr(os, "posix_fallocate"):
            with open(path, "r+b") as f:
                os.posix_fallocate(f.fileno(), 0, array.offset + n_bytes)
        return array
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()
        stay_in_memory(path.parent, n_bytes, name, error)
        return np.empty(shape, np.uint8)


def stay_in_memory(folder: Path, n_bytes: int, name: str, error: OSError):
    """Print that a small array stays in memory because the disk does not take it, or refuse a large one.

    Args:
        folder: where the array should go.
        n_bytes: size of the array.
        name: name of the data set.
        error: why the array cannot be written.

    Raises:
        UserError: if the array is larger than `MEMORY_BYTES`.
    """
    reason = error.strerror or error
    if n_bytes <= MEMORY_BYTES:
        size = readable_size(n_bytes)
        print(f"cannot write to {folder} ({reason}): {printable(name)} ({size}) stays in memory this time", flush=True)
        return
    free = "unknown"
    with contextlib.suppress(OSError):
        free = readable_size(shutil.disk_usage(next(f for f in (folder, *folder.parents) if f.is_dir())).free)
    raise UserError(
        f"cannot store {name} in {folder} ({reason}): it needs {readable_size(n_bytes)}, free are {free}. Make room, "
        "set KERAS_HOME to a folder on another disk, or take fewer or smaller images (--limit, --size)"
    ) from None


def shorten(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return an array with some of its rows, which are moved together inside its own file or memory.

    Args:
        array: the result of `allocate`.
        rows: indices of the rows to keep, in ascending order.
    """
    for row, i in enumerate(rows):
        if row != i:
            array[row] = array[i]
    if not isinstance(array, np.memmap):
        return array[: len(rows)]
    path, shape = array.filename, (len(rows), *array.shape[1:])
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    array.flush()
    with open(path, "r+b") as f:  # numpy leaves room in the header for another number of rows
        np.lib.format.write_array_header_1_0(f, header)
        if f.tell() != array.offset:
            raise OSError("the header has another length")
        f.truncate(array.offset + int(np.prod(shape)))
    return np.lib.format.open_memmap(path, "r+")


def remove_stale(target: Path, label: str, source: list):
    """Delete the arrays that a newly written one replaces: those of an earlier content of the same source.

    Args:
        target: path of the new array, without suffix.
        label: first part of the names of all arrays that may be stale.
        source: what the new array's description gives as its source. Descriptions without a source were written by
            earlier versions, which named their arrays in another way: no one reads them any more.
    """
    freed = 0
    for description in target.parent.glob(f"{glob.escape(label)}*.json"):
        if description.stem == target.name:
            continue
        try:
            is_stale = json.loads(description.read_text(encoding="utf-8")).get("source") in (None, source)
        except (OSError, ValueError, AttributeError):
            continue
        for path in (description.with_suffix(".npy"), description) if is_stale else ():
            with contextlib.suppress(OSError):
                size = path.stat().st_size
                path.unlink()
                freed += size
    if freed:
        print(f"deleted older arrays of the same images from {target.parent}: {readable_size(freed)} freed", flush=True)


def report_size(folder: Path):
    """Print how much the prepared arrays hold, if it is more than `REPORT_BYTES`."""
    total = 0
    for path in folder.glob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size
    if total > REPORT_BYTES:
        print(
            f"prepared arrays hold {readable_size(total)} in {folder}: delete those you no longer need, "
            "they are made again when asked for",
            flush=True,
        )
