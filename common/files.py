"""Atomic writes and JSON: files that appear whole or not at all."""

import json
import os
import tempfile
from pathlib import Path

from common.errors import UserError


def atomic_write(path, write):
    """Calls `write(temporary_path)` and renames the result to `path`: a reader never sees half a file.

    The temporary file has the same ending, since many writers choose their format by it.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".part-", suffix="".join(path.suffixes[-2:]))
        os.close(handle)
        try:
            write(Path(temporary))
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:  # a full disk above all
        raise UserError(f"cannot write {path}: {error.strerror or error}; what was there before is whole") from None


def write_json(path, content):
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    atomic_write(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_json(path):
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from None
