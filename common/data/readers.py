"""List and read the images of a folder, zip, tar or LMDB.

Archives are read in place. A fault in one image raises `BadImage`, and the caller skips that image. A fault in the
whole source raises `UserError`.
"""

import contextlib
import os
import stat
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from common.data.archives import ARCHIVES, Entry, bounded_read, broken_entry, is_lmdb, open_archive, open_lmdb
from common.data.decoding import BadImage
from common.data.file_types import (
    HEAD_BYTES,
    IMAGE_SUFFIXES,
    decode_names,
    file_type,
    is_system_file,
    looks_like_image,
    printable,
    safe_name,
    unsupported,
)
from common.errors import UserError

BROKEN_LINK = -1  # as the size of a file


# ---------------------------------------------------------------------------------------------------------- finding


def walk(folder: Path) -> Iterator[tuple[str, str, int, int]]:
    """Yield every image file of a folder and its subfolders, and every link that leads nowhere.

    A file counts as an image by its suffix or, if that says nothing, by its content. Links to folders are followed
    after all real folders, and each folder is visited once: so no image comes twice, and a circle of links ends.

    Args:
        folder: where to start.

    Yields:
        (name relative to the folder, path, size in bytes, modification time in ns). A link that leads nowhere has the
        size `BROKEN_LINK`.

    Raises:
        UserError: if a folder may not be read.
    """
    folders, linked_folders, visited = deque([""]), deque(), set()
    while folders or linked_folders:
        name = (folders or linked_folders).popleft()
        path = os.path.join(folder, name)
        try:
            info = os.stat(path)
            if (info.st_dev, info.st_ino) in visited:
                continue
            visited.add((info.st_dev, info.st_ino))
            with os.scandir(path) as scan:
                children = sorted(scan, key=lambda child: child.name)
        except OSError as error:
            raise UserError(f"cannot read the folder {path} ({error.strerror}): check its permissions") from None
        for child in children:
            child_name = os.path.join(name, child.name)
            if is_system_file(child.name):
                continue
            try:
                info = child.stat()
            except OSError:
                if file_type(child.name) != "other":
                    yield child_name, child.path, BROKEN_LINK, 0
                continue
            if stat.S_ISDIR(info.st_mode):
                (linked_folders if child.is_symlink() else folders).append(child_name)
            elif stat.S_ISREG(info.st_mode) and _may_be_image(child):  # reading a pipe would block for ever
                yield child_name, child.path, info.st_size, info.st_mtime_ns


def _may_be_image(file):
    """Return whether to list a file: it has the suffix of an image, or an unknown one and the content of an image."""
    kind = file_type(file.name)
    if kind == "unknown":
        try:
            with open(file.path, "rb") as f:
                return looks_like_image(f.read(HEAD_BYTES))
        except OSError:
            return True  # reading it reports it
    return kind != "other"


def fingerprint(path: Path) -> list:
    """Return what identifies the content of a source: path, size and modification time.

    A folder contributes the size and time of every image in it. The list can be written as JSON.

    Args:
        path: an archive, an array file, a folder of images or an LMDB folder.

    Returns:
        [path, size in bytes, time in ns], or [path, [(name in hex, size, time), ...]] for a folder of images.

    Raises:
        UserError: if the path does not exist, or is neither a file nor a folder.
    """
    path = Path(os.path.realpath(path))
    if not os.path.exists(path):
        raise UserError(f"{path} does not exist: give a folder, .zip or .tar of images")
    if path.is_dir() and not is_lmdb(path):
        return [str(path), [(os.fsencode(name).hex(), n, t) for name, _, n, t in walk(path)]]
    info = (path / "data.mdb" if path.is_dir() else path).stat()
    if not stat.S_ISREG(info.st_mode):  # opening a pipe would block for ever
        raise UserError(f"{path} is neither a file nor a folder: give a folder, .zip or .tar of images")
    return [str(path), info.st_size, info.st_mtime_ns]


def is_image_file(path: Path) -> bool:
    """Return whether a path is a file that holds an image, by its content."""
    try:
        if not os.path.isfile(path):  # opening a pipe would block for ever
            return False
        with open(path, "rb") as f:
            return looks_like_image(f.read(HEAD_BYTES))
    except OSError:
        return False


def contains_images(folder: Path) -> bool:
    """Return whether a folder holds images, an LMDB or CIFAR batches; an empty folder counts as missing."""
    marker_files = ("data.mdb", "data_batch_1", "test_batch")
    return any((folder / name).exists() for name in marker_files) or next(walk(folder), None) is not None


# ---------------------------------------------------------------------------------------------------------- reading


@contextlib.contextmanager
def open_images(path: Path) -> Iterator[list[Entry]]:
    """Open a folder, zip, tar or LMDB, or a single image file, as a list of images.

    Read them in the order of the list: a compressed tar is slow to read backwards.

    Args:
        path: the folder, archive or image file.

    Yields:
        one `Entry` per image. Its `read` works only inside the `with` block.

    Raises:
        UserError: if the path is no such source, is damaged, or holds no image. Also if its listing already shows
            that more than half of the images are unreadable.
    """
    path, close = Path(path), lambda: None
    try:
        if path.is_dir() and is_lmdb(path):
            entries, close = open_lmdb(path)
        elif path.is_dir():
            entries = _folder_entries(path)
        elif is_image_file(path):
            entries = [Entry(safe_name(path.name), _file_reader(path))]
        elif not path.name.lower().endswith(ARCHIVES):
            raise UserError(
                f"{path} is not a folder or an archive of images: allowed are {', '.join(ARCHIVES)} and image files"
            )
        else:
            entries, close = open_archive(path)
        if not entries:
            raise UserError(f"no images in {path}: {_what_to_do(path)}")
        broken = [entry for entry in entries if entry.problem]
        if 2 * len(broken) > len(entries):
            example = f"{broken[0].name} ({broken[0].problem})"
            raise UserError(
                f"{path} is mostly unreadable, {len(broken)} of {len(entries)} images, for example {example}"
            )
        yield entries
    finally:
        close()


def _what_to_do(path):
    archives = sorted(f.name for f in path.iterdir() if f.name.lower().endswith(ARCHIVES)) if path.is_dir() else ()
    if archives:
        return f"unpack the archive that lies there, or give it instead: folder:{path / archives[0]}"
    return f"put files there that end in {', '.join(IMAGE_SUFFIXES)}"


def _folder_entries(folder):
    files = list(walk(folder))
    names = decode_names([os.fsencode(name) for name, *_ in files], "latin-1")
    entries = []
    for name, (_, path, size, _) in zip(names, files, strict=True):
        if size == BROKEN_LINK:
            entries.append(broken_entry(name, f"cannot be read: {_why_unreadable(path)}"))
        elif file_type(name) == "unsupported":
            entries.append(broken_entry(name, unsupported(name)))
        else:
            entries.append(Entry(safe_name(name), _file_reader(path)))
    return entries


def _why_unreadable(path):
    try:
        return f"broken link to {printable(os.readlink(path))}"
    except OSError as error:
        return error.strerror


def _file_reader(file):
    def read():
        try:
            with open(file, "rb") as f:
                return bounded_read(f)
        except OSError as error:
            raise BadImage(f"cannot be read: {error.strerror}") from None

    return read
