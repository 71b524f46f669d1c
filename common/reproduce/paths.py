"""The folder of the runs: whether --out can be used, and what must not be overwritten."""

import itertools
import os
import tempfile
from pathlib import Path

from common.errors import UserError


def out_path(text):
    """Return the absolute path of --out. A symbolic link in it is kept, because URLs are relative to it.

    Args:
        text: str, value of the flag; relative to the current folder.

    Raises:
        UserError: if it is empty, not UTF-8, of an unknown user, or something other than a folder.
    """
    if not text.strip():
        raise UserError("--out is empty; name a folder, or omit the flag (default runs)")
    try:
        text.encode()
        expanded = os.path.expanduser(text)
        path = Path(os.path.abspath(expanded))
        if expanded.startswith("~") and not os.path.lexists(path):
            raise UserError(f"--out {text} names a user who does not exist; name another folder")
        if os.path.lexists(path) and not path.is_dir():
            raise UserError(f"--out {text} is not a folder; name another one")
    except UnicodeEncodeError:
        raise UserError(f"--out {os.fsencode(text)!r} is not UTF-8; name another folder") from None
    except OSError as error:
        raise UserError(f"--out {text} cannot be used: {error.strerror}; name another folder") from None
    return path


def check_writable(path, text):
    """Make the folder `path` if it is missing, and check that files can be written to it.

    Args:
        path: Path, value of `out_path(text)`.
        text: str, value of --out, for the error.

    Raises:
        UserError: if not.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UserError(f"--out {text} cannot be written to: {error.strerror}; name another folder") from None


def move_aside(path):
    """Rename a file or folder to `<name>.old-N`, with the first free N, and return the new path.

    Raises:
        UserError: if it cannot be renamed.
    """
    candidates = (path.with_name(f"{path.name}.old-{i}") for i in itertools.count(1))
    moved = next(candidate for candidate in candidates if not os.path.lexists(candidate))
    try:
        os.replace(path, moved)
    except OSError as error:
        raise UserError(f"cannot rename {path} to {moved.name}: {error.strerror}") from None
    return moved
