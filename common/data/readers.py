"""Read the image files of a folder, zip, tar or LMDB.

Archives are read in place. Nothing is extracted to disk, so a hostile member name cannot overwrite a file. A fault in
one image raises `BadImage`, and the caller skips that image. A fault in the whole source raises `UserError`.
"""

import contextlib
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from common.data.decoding import BadImage
from common.errors import UserError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2")
MAX_BYTES = 64 << 20  # of one image file, inflated


class Entry(NamedTuple):
    """One image of a source.

    Args:
        name: path inside the source, safe to print and to compare (see `safe_name`).
        read: function that returns the bytes of the image file, or raises `BadImage`.
    """

    name: str
    read: Callable[[], bytes]


# ---------------------------------------------------------------------------------------------------------- finding


def safe_name(name: str) -> str:
    """Return a member's name as a plain relative path: no drive, no '..', no unprintable characters."""
    parts = [p for p in name.replace("\\", "/").split("/") if p not in ("", ".", "..") and not p.endswith(":")]
    text = "/".join(parts).encode("utf-8", "replace").decode("utf-8")
    return "".join(c if c.isprintable() else "?" for c in text)


def is_image(name: str) -> bool:
    """Return whether a file name is that of an image.

    It needs a known extension. Dot files and macOS's `__MACOSX/` copies do not count.
    """
    parts = safe_name(name).split("/")
    return parts[-1].lower().endswith(EXTENSIONS) and not any(p.startswith(".") or p == "__MACOSX" for p in parts)


def walk(folder: Path) -> Iterator[tuple[str, str, int, int]]:
    """Yield every image file of a folder and its subfolders; links to folders are not followed.

    Args:
        folder: where to start.

    Yields:
        (name relative to the folder, path, size in bytes, modification time in ns). A dangling link has size -1.

    Raises:
        UserError: if a folder may not be read.
    """

    def fail(error):
        raise UserError(f"cannot read the folder {error.filename} ({error.strerror}): check its permissions")

    for root, folders, files in os.walk(folder, onerror=fail):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__MACOSX")
        for path in (os.path.join(root, f) for f in sorted(files) if is_image(f)):
            try:
                info = os.stat(path)
            except OSError:  # a dangling link: list it, so that reading it reports it
                yield os.path.relpath(path, folder), path, -1, 0
                continue
            if stat.S_ISREG(info.st_mode):  # reading a pipe named x.jpg would block for ever
                yield os.path.relpath(path, folder), path, info.st_size, info.st_mtime_ns


def fingerprint(path: Path) -> list:
    """Return what identifies the content of a source: path, size and modification time.

    A folder contributes the size and time of every image in it. The list can be written as JSON.

    Args:
        path: an archive, an array file, a folder of images or an LMDB folder.

    Returns:
        [path, size in bytes, time in ns], or [path, [(name in hex, size, time), ...]] for a folder of images.

    Raises:
        UserError: if the path does not exist.
    """
    path = Path(path).resolve()
    if not os.path.exists(path):
        raise UserError(f"{path} does not exist: give a folder, .zip or .tar of images")
    if path.is_dir() and not _is_lmdb(path):
        return [str(path), [(name.encode("utf-8", "replace").hex(), n, t) for name, _, n, t in walk(path)]]
    info = (path / "data.mdb" if path.is_dir() else path).stat()
    return [str(path), info.st_size, info.st_mtime_ns]


def contains_images(folder: Path) -> bool:
    """Return whether a folder holds images, an LMDB or CIFAR batches; an empty folder counts as missing."""
    marker_files = ("data.mdb", "data_batch_1", "test_batch")
    return any((folder / name).exists() for name in marker_files) or next(walk(folder), None) is not None


@contextlib.contextmanager
def open_images(path: Path) -> Iterator[list[Entry]]:
    """Open a folder, zip, tar or LMDB as a list of images.

    Read them in the order of the list: a compressed tar is slow to read backwards.

    Args:
        path: the folder or archive.

    Yields:
        one `Entry` per image. Its `read` works only inside the `with` block.

    Raises:
        UserError: if the path is no such source, is damaged, or holds no image.
    """
    path, close = Path(path), lambda: None
    try:
        if path.is_dir() and _is_lmdb(path):
            entries, close = _lmdb_entries(path)
        elif path.is_dir():
            entries = [Entry(safe_name(name), _file_reader(file)) for name, file, _, _ in walk(path)]
        elif not path.name.lower().endswith(ARCHIVES):
            raise UserError(f"{path} is not a folder or an archive of images: allowed are {', '.join(ARCHIVES)}")
        else:
            opener = _zip_entries if path.suffix.lower() == ".zip" else _tar_entries
            with source_errors(path):
                entries, close = opener(path)
        if not entries:
            raise UserError(f"no images in {path}: put files there that end in {', '.join(EXTENSIONS)}")
        yield entries
    finally:
        close()


@contextlib.contextmanager
def source_errors(path: Path) -> Iterator[None]:
    """Turn every exception that a damaged or forbidden file can raise into a `UserError` of one line."""
    try:
        yield
    except PermissionError:
        raise UserError(f"cannot read {path} (permission denied): check its permissions") from None
    except UserError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        raise UserError(f"{path} is damaged or only half downloaded ({reason}): delete it and fetch it again") from None


# ---------------------------------------------------------------------------------------------------------- reading


def _file_reader(file):
    def read():
        try:
            with open(file, "rb") as f:
                return _bounded(f)
        except OSError as error:
            raise BadImage(f"cannot be read: {error.strerror}") from None

    return read


def _bounded(stream) -> bytes:
    data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise BadImage(f"more than {MAX_BYTES >> 20} MB")
    return data


def _zip_entries(path):
    archive = zipfile.ZipFile(path)

    def reader(info):
        def read():
            # Only these two inflate piecewise; the others would unpack a bomb whole before a limit could stop them.
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise BadImage("unsupported zip compression")
            if info.flag_bits & 1:
                raise BadImage("encrypted")
            try:
                with archive.open(info) as f:
                    return _bounded(f)
            except BadImage:
                raise
            except Exception as error:
                raise BadImage(f"damaged in the zip: {' '.join(str(error).split())[:60]}") from None

        return read

    members = [i for i in archive.infolist() if not i.is_dir() and not stat.S_ISLNK(i.external_attr >> 16)]
    entries = [Entry(safe_name(i.filename), reader(i)) for i in members if is_image(i.filename)]
    entries.sort(key=lambda entry: entry.name)
    if not entries and any(i.filename.endswith("data.mdb") for i in members):
        raise UserError(f"{path} holds an LMDB, which cannot be read inside a zip: unzip it, and `pip install lmdb`")
    return entries, archive.close


def _tar_entries(path):
    archive = tarfile.open(path, "r:*")  # noqa: SIM115 - closed by open_images

    def reader(member):
        def read():
            if member.size > MAX_BYTES:
                raise BadImage(f"more than {MAX_BYTES >> 20} MB")
            with source_errors(path):  # in a stream, damage to one member is damage to all that follow
                return archive.extractfile(member).read()

        return read

    try:
        members = [m for m in archive.getmembers() if m.isreg() and is_image(m.name)]
    except BaseException:
        archive.close()
        raise
    return [Entry(safe_name(m.name), reader(m)) for m in members], archive.close


def _is_lmdb(folder: Path) -> bool:
    return (folder / "data.mdb").exists()


def _lmdb_entries(folder):
    try:
        import lmdb
    except ImportError:
        raise UserError(f"{folder} is an LMDB: `pip install lmdb` to read it") from None
    with source_errors(folder):
        env = lmdb.open(str(folder), readonly=True, lock=False, readahead=False, meminit=False)
        txn = env.begin(buffers=False)
        keys = list(txn.cursor().iternext(keys=True, values=False))
    return [Entry(safe_name(k.decode("utf-8", "replace")), lambda k=k: txn.get(k)) for k in keys], env.close
