"""Atomic writes and JSON: a file appears complete or not at all."""

import hashlib
import json
import os
import tempfile
from pathlib import Path

from common.errors import UserError


def shortened(name):
    """Return a name that may be that of a folder: a long one ends in a hash. File systems allow 255 bytes."""
    if len(name.encode()) <= 200:
        return name
    return f"{name[:40]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def atomic_write(path, write):
    """Write a file so that a reader never sees half of it.

    Args:
        path: path of the file. Missing folders are made.
        write: function of a temporary path that writes the content there; the result is renamed to `path`. The
            temporary path has the suffix of `path`, because many writers choose their format by it.

    Raises:
        UserError: if the file cannot be written, e.g. on a full disk. An older file at `path` stays as it was.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".part-", suffix="".join(path.suffixes[-2:]))
        os.close(descriptor)
        try:
            write(Path(temporary))
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}; an older file there is unchanged") from None


def write_json(path, content):
    """Write a JSON file atomically.

    Args:
        path: path of the file.
        content: anything that `json.dumps` takes, without NaN and infinity.

    Raises:
        UserError: if the file cannot be written.
        ValueError: if a number is NaN or infinite.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    # What is not UTF-8, as in the name of a file, becomes a \\u escape of JSON.
    atomic_write(path, lambda temporary: temporary.write_text(text, encoding="utf-8", errors="backslashreplace"))


def read_json(path):
    """Return the content of a JSON file.

    Raises:
        UserError: if the file is missing or damaged.
    """
    if Path(path).exists() and not Path(path).is_file():  # reading a pipe or a device would never end
        raise UserError(f"cannot read {path}: it is not a file")
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read {path}: {error}") from None
