"""List the text files of a folder, zip or tar, and read their lines, without unpacking anything to disk."""

import os
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from common.data.archives import source_errors, zip_names
from common.data.file_types import is_system_file, safe_name
from common.errors import UserError

WHAT = "a .csv or .txt file, or a folder, .zip or .tar of such files"
SUFFIXES = (".csv", ".txt")
MAX_LINE = 16 << 20  # bytes


def text_files(path: Path) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Return an iterator over the text files of a source. Read each file before the next.

    Args:
        path: a file, an archive (told by its content) or a folder. A file itself may have any name; in archives and
            folders only those named .csv and .txt count.

    Yields:
        (name inside the source, iterator over the lines as bytes, with their ends). Longer lines are cut at `MAX_LINE`.

    Raises:
        UserError: if the source is missing, damaged or encrypted, or may not be read.
    """
    if not os.path.exists(path):
        raise UserError(f"{path} does not exist: give {WHAT}")
    if os.path.isdir(path):
        return _files_of_folder(path)
    if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would block for ever
        raise UserError(f"{path} is neither a file nor a folder: give {WHAT}")
    with source_errors(path), open(path, "rb") as f:
        if f.read(2) == b"PK":
            return _files_of_zip(path)
        if tarfile.is_tarfile(path):
            return _files_of_tar(path)
    return iter([(path.name, _lines_of_file(path, path))])


def _is_text(name):
    return name.lower().endswith(SUFFIXES) and not is_system_file(name)


def _files_of_folder(folder):
    def refuse(error):
        raise UserError(f"cannot read the folder {error.filename} ({error.strerror}): check its permissions")

    visited = set()  # a link may lead to a folder that was read, or back up
    for parent, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        info = os.stat(parent)
        if (info.st_dev, info.st_ino) in visited:
            folders.clear()
            continue
        visited.add((info.st_dev, info.st_ino))
        folders.sort(key=lambda name, parent=parent: (os.path.islink(os.path.join(parent, name)), name))
        for name in sorted(files):
            path = os.path.join(parent, name)
            inside = os.path.relpath(path, folder)
            if _is_text(inside) and os.path.isfile(path):
                yield safe_name(inside), _lines_of_file(path, folder)


def _lines_of_file(path, source):
    with source_errors(source), open(path, "rb") as stream:
        yield from _lines(stream, source)


def _files_of_zip(path):
    with source_errors(path):
        archive = zipfile.ZipFile(path)
    with archive:
        members = [info for info in archive.infolist() if not info.is_dir()]
        for name, info in sorted(zip(zip_names(members), members, strict=True), key=lambda pair: pair[0]):
            if _is_text(name):
                if info.flag_bits & 1:
                    raise UserError(f"{path} is encrypted: unzip it with its password")
                with source_errors(path):
                    stream = archive.open(info)
                yield safe_name(name), _lines(stream, path)


def _files_of_tar(path):
    with source_errors(path):
        archive = tarfile.open(path, "r:*")  # noqa: SIM115 - closed below
    with archive:
        members = iter(archive)
        while True:
            with source_errors(path):
                member = next(members, None)
            if member is None:
                return
            if member.isreg() and _is_text(member.name):
                yield safe_name(member.name), _lines(archive.extractfile(member), path)


def _lines(stream, source):
    with source_errors(source):
        while line := stream.readline(MAX_LINE):
            yield line
