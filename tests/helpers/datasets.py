"""Write small data sets to disk in the formats of their sites."""

import gzip
import struct
import zipfile

import numpy as np


def fill(path, members):
    """Writes {name: bytes} as a folder, or a zip."""
    if path.suffix == ".zip":
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
    else:
        for name, content in members.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    return path


def idx(array):
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def digits(n, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (n, 28, 28)).astype(np.uint8), random.integers(0, 10, n).astype(np.uint8)


def write_idx(folder, train, test, end=".gz"):
    pack = gzip.compress if end else bytes
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return fill(folder, {f"{n}-ubyte{end}": pack(idx(a)) for n, a in zip(names, (*train, *test), strict=True)})
