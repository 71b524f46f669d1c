"""List and read the images inside a zip, tar or LMDB, without unpacking it to disk.

A hostile member name cannot overwrite a file, and a link is followed inside its archive alone.
"""

import contextlib
import posixpath
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from common.data.decoding import BadImage
from common.data.file_types import (
    HEAD_BYTES,
    decode_names,
    file_type,
    is_system_file,
    looks_like_image,
    printable,
    safe_name,
    unsupported,
)
from common.errors import UserError

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2")
MAX_BYTES = 128 << 20  # of one image file, inflated; a photo of 200 megapixels has up to 100 MB
# Only these two inflate piecewise; the others would unpack a bomb whole before a limit could stop them.
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Entry(NamedTuple):
    """One image of a source.

    Args:
        name: path inside the source, safe to print and to compare (see `file_types.safe_name`).
        read: function that returns the bytes of the image file, or raises `BadImage`.
        problem: why the image cannot be read, if the listing already shows it; else None.
    """

    name: str
    read: Callable[[], bytes]
    problem: str | None = None


def broken_entry(name: str, problem: str) -> Entry:
    """Return the entry of an image that the listing already shows to be unreadable."""

    def read():
        raise BadImage(problem)

    return Entry(safe_name(name), read, problem)


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


def bounded_read(stream) -> bytes:
    """Return the rest of a stream, or raise `BadImage` if it is longer than `MAX_BYTES`."""
    data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise BadImage(f"more than {MAX_BYTES >> 20} MB")
    return data


def open_archive(path: Path) -> tuple[list[Entry], Callable[[], None]]:
    """Open a zip or a tar, by its content.

    Args:
        path: the archive.

    Returns:
        (one `Entry` per image, function that closes the archive).

    Raises:
        UserError: if the archive is damaged.
    """
    with source_errors(path):
        with open(path, "rb") as f:
            is_tar = f.read(2) != b"PK" and (path.suffix.lower() != ".zip" or tarfile.is_tarfile(path))
        return (_open_tar if is_tar else _open_zip)(path)


# -------------------------------------------------------------------------------------------------------------- zip


def _open_zip(path):
    archive = zipfile.ZipFile(path)
    members = [info for info in archive.infolist() if not info.is_dir()]
    names = zip_names(members)
    entries = [_zip_entry(archive, *pair) for pair in zip(members, names, strict=True)]
    entries = sorted(filter(None, entries), key=lambda entry: entry.name)
    if not entries and any(name.endswith("data.mdb") for name in names):
        archive.close()
        raise UserError(f"{path} holds an LMDB, which cannot be read inside a zip: unzip it, and `pip install lmdb`")
    return entries, archive.close


def zip_names(members):
    """Return the members' names. Python takes those that the zip does not mark as UTF-8 for cp437."""
    names = [info.filename for info in members]
    marked_utf8 = 0x800
    unmarked = [
        i for i, info in enumerate(members)
        if not info.flag_bits & marked_utf8 and info.filename == info.orig_filename.split("\0")[0]
    ]  # fmt: skip
    for i, name in zip(unmarked, decode_names([names[i].encode("cp437") for i in unmarked], "cp437"), strict=True):
        names[i] = name
    return names


def _zip_entry(archive, info, name):
    """Return the `Entry` of a member, or None if it is no image."""
    kind = file_type(name)
    if kind == "other" or is_system_file(name):
        return None
    if kind == "unsupported":
        return broken_entry(name, unsupported(name))
    if stat.S_ISLNK(info.external_attr >> 16):
        return broken_entry(name, "a link, which is not followed inside a zip: unzip it")
    if info.flag_bits & 1:
        return broken_entry(name, "encrypted: unzip it with its password")
    if info.compress_type not in COMPRESSIONS:
        return broken_entry(name, "unsupported zip compression: unzip it")

    def read(n_bytes=None):
        try:
            with archive.open(info) as f:
                return bounded_read(f) if n_bytes is None else f.read(n_bytes)
        except BadImage:
            raise
        except Exception as error:
            raise BadImage(f"damaged in the zip: {' '.join(str(error).split())[:60]}") from None

    if kind == "unknown":
        with contextlib.suppress(BadImage):  # a damaged member may be an image: reading it reports it
            if not looks_like_image(read(HEAD_BYTES)):
                return None
    return Entry(safe_name(name), read)


# -------------------------------------------------------------------------------------------------------------- tar


def _open_tar(path):
    archive = tarfile.open(path, "r:*")  # noqa: SIM115 - the caller closes it
    try:
        files, links, others = _tar_members(archive)
    except BaseException:
        archive.close()
        raise

    def reader(member):
        def read():
            if member.size > MAX_BYTES:
                raise BadImage(f"more than {MAX_BYTES >> 20} MB")
            with source_errors(path):  # in a stream, damage to one member is damage to all that follow
                return archive.extractfile(member).read()

        return read

    raw_names = [member.name.encode("utf-8", "surrogateescape") for member in (*files, *links)]
    names = dict(zip((*files, *links), decode_names(raw_names, "latin-1"), strict=True))
    images = {posixpath.normpath(member.name): member for member, kind in files.items() if kind == "image"}
    entries = []
    for member, kind in files.items():
        name = names[member]
        entries.append(
            Entry(safe_name(name), reader(member)) if kind == "image" else broken_entry(name, unsupported(name))
        )
    for link in links:
        target = _link_target(link, links)
        if target in images:
            entries.append(Entry(safe_name(names[link]), reader(images[target])))
        elif target not in others:
            entries.append(broken_entry(names[link], f"a link to {printable(target)}, which is not in the archive"))
    return entries, archive.close


def _tar_members(archive):
    """Return ({regular file: "image" or "unsupported"}, {link: its name}, names of other files and of folders).

    Files of an unknown type are looked into at once, because a compressed tar is slow to read backwards.
    """
    files, links, others = {}, {}, set()
    for member in archive:
        name = posixpath.normpath(member.name)
        kind = "other" if is_system_file(name) else file_type(name)
        if kind == "unknown" and member.isreg() and looks_like_image(archive.extractfile(member).read(HEAD_BYTES)):
            kind = "image"
        if member.isreg() and kind in ("image", "unsupported"):
            files[member] = kind
        elif (member.islnk() or member.issym()) and kind != "other":
            links[member] = name
        else:
            others.add(name)
        others.update(map(str, PurePosixPath(name).parents))
    return files, links, others


def _link_target(link, links):
    """Return the name that a link leads to, inside the archive, over other links if need be."""
    by_name = {name: member for member, name in links.items()}
    target = None
    for _ in range(8):  # a circle of links has no end
        folder = posixpath.dirname(link.name) if link.issym() else ""  # a hard link names its target in full
        target = posixpath.normpath(posixpath.join(folder, link.linkname))
        if target not in by_name:
            break
        link = by_name[target]
    return target


# ------------------------------------------------------------------------------------------------------------- LMDB


def is_lmdb(folder: Path) -> bool:
    """Return whether a folder is an LMDB."""
    return (folder / "data.mdb").exists()


def open_lmdb(folder: Path) -> tuple[list[Entry], Callable[[], None]]:
    """Open an LMDB whose values are image files; the result is that of `open_archive`.

    Raises:
        UserError: if the LMDB is damaged, or the package `lmdb` is missing.
    """
    try:
        import lmdb
    except ImportError:
        raise UserError(f"{folder} is an LMDB: `pip install lmdb` to read it") from None
    with source_errors(folder):
        env = lmdb.open(str(folder), readonly=True, lock=False, readahead=False, meminit=False)
        txn = env.begin(buffers=False)
        keys = list(txn.cursor().iternext(keys=True, values=False))
    return [Entry(safe_name(k.decode("utf-8", "replace")), lambda k=k: txn.get(k)) for k in keys], env.close
