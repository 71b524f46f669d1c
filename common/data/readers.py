"""Finds and decodes images in a folder, a zip, a tar or an LMDB, and reads IDX files.

Archives are read in place: nothing is ever extracted to disk, so a hostile member name has nowhere to point to. Fault
with one image raises `BadImage` (the caller leaves it out); fault with the whole source raises `UserError`.
"""

import contextlib
import gzip
import io
import os
import stat
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from common.errors import UserError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")  # no format that starts another program (EPS)
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2")
MAX_BYTES = 64 << 20  # of one image file, inflated
MAX_PIXELS = 50_000_000  # of one decoded image
SQUARE = 1 << 30  # as a crop: the largest centre square


class BadImage(Exception):
    """One image that cannot be used; the message is the reason, in a few words."""


class Entry(NamedTuple):
    """One image of a source: `name` is safe to print and to compare, `read()` gives its bytes or raises `BadImage`."""

    name: str
    read: Callable[[], bytes]


# ---------------------------------------------------------------------------------------------------------- finding


def safe_name(name: str) -> str:
    """A member's name as a plain relative path: no drive, no '..', no control characters, printable anywhere."""
    parts = [p for p in name.replace("\\", "/").split("/") if p not in ("", ".", "..") and not p.endswith(":")]
    text = "/".join(parts).encode("utf-8", "replace").decode("utf-8")
    return "".join(c if c.isprintable() else "?" for c in text)


def is_image(name: str) -> bool:
    """By name alone: a known extension, and neither a dot file nor macOS's `__MACOSX/` shadow of one."""
    parts = safe_name(name).split("/")
    return parts[-1].lower().endswith(EXTENSIONS) and not any(p.startswith(".") or p == "__MACOSX" for p in parts)


def walk(folder: Path) -> Iterator[tuple[str, str, int, int]]:
    """(relative name, path, bytes, mtime in ns) of every image file in `folder`; links to folders are not followed."""

    def fail(error):
        raise UserError(f"cannot read the folder {error.filename} ({error.strerror}): check its permissions")

    for root, folders, files in os.walk(folder, onerror=fail):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__MACOSX")
        for path in (os.path.join(root, f) for f in sorted(files) if is_image(f)):
            try:
                info = os.stat(path)
            except OSError:  # a dangling link: listed, so that it is reported when it is read
                yield os.path.relpath(path, folder), path, -1, 0
                continue
            if stat.S_ISREG(info.st_mode):  # a pipe named x.jpg would block for ever
                yield os.path.relpath(path, folder), path, info.st_size, info.st_mtime_ns


def fingerprint(path: Path) -> list:
    """What must stay the same for a prepared array to be current: path, size and time, of every image if a folder."""
    path = Path(path).resolve()
    if not os.path.exists(path):
        raise UserError(f"{path} does not exist: give a folder, .zip or .tar of images")
    if path.is_dir() and not _is_lmdb(path):
        return [str(path), [(name.encode("utf-8", "replace").hex(), n, t) for name, _, n, t in walk(path)]]
    info = (path / "data.mdb" if path.is_dir() else path).stat()
    return [str(path), info.st_size, info.st_mtime_ns]


def contains_images(folder: Path) -> bool:
    """Whether anything that this module can read lies in the folder (an empty folder counts as not there)."""
    marks = ("data.mdb", "data_batch_1", "test_batch")
    return any((folder / m).exists() for m in marks) or next(walk(folder), None) is not None


@contextlib.contextmanager
def open_images(path: Path) -> Iterator[list[Entry]]:
    """The images of a folder, zip, tar or LMDB, in the order in which they are best read (tar: do not go back).

    Raises `UserError` if there is no such source, it is damaged, or holds no image.
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
def source_errors(path):
    """Turns whatever a damaged or forbidden file can raise into one line."""
    try:
        yield
    except PermissionError:
        raise UserError(f"cannot read {path} (permission denied): check its permissions") from None
    except UserError:
        raise
    except Exception as error:
        why = " ".join(str(error).split())[:80] or type(error).__name__
        raise UserError(f"{path} is damaged or only half downloaded ({why}): delete it and fetch it again") from None


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
    entries = sorted(
        (Entry(safe_name(i.filename), reader(i)) for i in members if is_image(i.filename)), key=lambda e: e.name
    )
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


# --------------------------------------------------------------------------------------------------------- decoding


@contextlib.contextmanager
def quiet_pillow():
    """Pillow's remarks on odd files are not ours to pass on; its warning of a huge image becomes an error to catch."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def decode(data: bytes, size: int, channels: int = 3, crop: int | None = None) -> np.ndarray:
    """An image file's bytes -> uint8 (size, size, channels); raises `BadImage` with the reason.

    The first frame of an animation, turned upright by its EXIF orientation, transparency laid over white (as a page
    shows it), 16 bits scaled to 8 (Pillow alone would clip them), then `fit`.
    """
    if not data:
        raise BadImage("empty file")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise BadImage(f"more than {MAX_PIXELS // 1_000_000} megapixels")
        image.load()
        return crop_and_resize(_to_mode(_upright(image), channels), size, crop)
    except BadImage:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise BadImage(f"more than {MAX_PIXELS // 1_000_000} megapixels") from None
    except UnidentifiedImageError:
        raise BadImage("not an image") from None
    except Exception as error:
        text = " ".join(str(error).split())[:60]
        raise BadImage("truncated" if "truncated" in text.lower() else f"corrupt: {text}") from None


def crop_and_resize(image: Image.Image, size: int, crop: int | None = None) -> np.ndarray:
    """Centre square of side min(crop, height, width) (None: all of it), then bilinear to uint8 (size, size, channels).

    Pillow's bilinear averages over the pixels it shrinks, and is what the author's `scipy.misc.imresize` called.
    """
    if crop is not None:
        side = min(crop, image.width, image.height)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(size, size, -1)


def _upright(image):
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # broken EXIF says nothing about the picture itself
        return image


def _to_mode(image, channels):
    if image.mode == "F":
        raise BadImage("floating-point pixels")
    if image.mode.startswith("I"):
        wide = np.asarray(image).astype(np.int64)
        image = Image.fromarray(np.clip((wide + 128) // 257, 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if channels == 1 else "RGB")


# ------------------------------------------------------------------------------------------------------ array files


def read_idx(path: Path) -> np.ndarray:
    """An IDX file of unsigned bytes, gzipped or not -> uint8 array; raises `UserError` if it is not whole."""
    with source_errors(path):
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as f:
            data = f.read(1 << 30)
        if len(data) < 4 or data[:3] != b"\0\0\x08" or not 1 <= data[3] <= 4:
            raise ValueError("not an IDX file of bytes: wrong magic number")
        shape = struct.unpack_from(f">{data[3]}I", data, 4)
        return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)
