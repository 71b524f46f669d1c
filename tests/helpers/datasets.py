"""Write small data sets to disk in the formats of their sites."""

import gzip
import io
import struct
import tarfile
import zipfile

import numpy as np
from PIL import Image

from common.data.readers import open_images


def encode(image, kind="PNG", **options):
    """Return an array or a Pillow image as the bytes of an image file."""
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def solid_png(colour, size=(12, 12)):
    """Return the bytes of a PNG of one colour, a grey level or (red, green, blue); `size` is (height, width)."""
    return encode(np.full((*size, 3), colour, np.uint8))


def numbered_pngs(n):
    """Return {"000.png": bytes, ...}, where image i has grey level i."""
    return {f"{i:03d}.png": solid_png(i) for i in range(n)}


def fill(path, members):
    """Write {name: bytes} into a folder, or into a zip for a path that ends in .zip, and return the path."""
    if path.suffix == ".zip":
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_zip(path, members)
    for name, content in members.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def write_zip(path, members, **options):
    """Write {name: bytes} into a zip and return its path."""
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def write_tar(path, members, mode="w:gz"):
    """Write {name: bytes} into a tar, in their order, and return its path."""
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def contents(path):
    """Return {name: bytes} of the images that are read from a folder or an archive."""
    with open_images(path) as entries:
        return {entry.name: entry.read() for entry in entries if not entry.problem}


def problems(path):
    """Return {name: reason} of the images that the listing of a folder or an archive shows to be unreadable."""
    with open_images(path) as entries:
        return {entry.name: entry.problem for entry in entries if entry.problem}


def idx(array):
    """Return a uint8 array as the bytes of an IDX file."""
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def digits(n, seed=0):
    """Return n random images (n, 28, 28) and labels (n,) of the types of MNIST."""
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (n, 28, 28)).astype(np.uint8), random.integers(0, 10, n).astype(np.uint8)


def write_idx(folder, train, test, suffix=".gz"):
    """Write the four IDX files of (images, labels) for train and test into a folder and return it."""
    pack = gzip.compress if suffix else bytes
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return fill(folder, {f"{n}-ubyte{suffix}": pack(idx(a)) for n, a in zip(names, (*train, *test), strict=True)})
