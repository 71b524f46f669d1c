"""Read data sets that come as array files: IDX (MNIST), npz (Keras) and pickled batches (CIFAR-10)."""

import gzip
import io
import math
import os
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np

from common.data.archives import MAX_BYTES, source_errors


def read_arrays(paths: tuple[Path, ...], split: str, n_classes: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Read the images and labels of a split from array files.

    Args:
        paths: the IDX pair (images, labels) of the split, or one npz file, or the folder or tar of CIFAR-10's batches.
        split: "train" or "test".
        n_classes: number of classes; the labels are 0 to `n_classes - 1`.

    Returns:
        (images, labels): uint8 (N, height, width) or (N, height, width, channels), and int64 (N,). None if the path is
        a folder or an archive of image files.

    Raises:
        UserError: if a file is damaged, or its arrays are not 8-bit images with one label each.
    """
    path = paths[0]
    with source_errors(path):
        if len(paths) == 2:
            images, labels = (read_idx(p) for p in paths)
        elif path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as f:
                images, labels = f[f"x_{split}"], f[f"y_{split}"]
        elif path.name.startswith("cifar-10-"):
            images, labels = _read_cifar(path, split)
        else:
            return None
        _check_images(images, 4 if "cifar" in path.name else 3)
    with source_errors(paths[-1]):
        return images, _check_labels(labels, len(images), n_classes)


def _check_images(images, ndim):
    if images.ndim != ndim or images.dtype != np.uint8:
        raise ValueError(f"not 8-bit pictures but {images.dtype} of shape {images.shape}")
    if not images.size:
        raise ValueError(f"empty pictures: shape {images.shape}")


def _check_labels(labels, n_images, n_classes):
    """Return the labels as int64 (n_images,)."""
    if labels.shape != (n_images,):
        raise ValueError(f"{n_images} images but {len(labels) if labels.ndim == 1 else labels.shape} labels")
    if labels.dtype.kind not in "iuf":
        raise ValueError(f"the labels are not numbers but {labels.dtype}")
    wrong = np.flatnonzero(~((labels >= 0) & (labels < n_classes) & (labels == np.floor(labels))))
    if len(wrong):
        raise ValueError(f"{len(wrong)} labels are not 0 to {n_classes - 1}, first {labels[wrong[0]]} at {wrong[0]}")
    return labels.astype(np.int64)


def read_idx(path: Path) -> np.ndarray:
    """Read an IDX file of unsigned bytes, gzipped or not.

    Args:
        path: the file; the suffix .gz says that it is gzipped.

    Returns:
        uint8 array of the shape in the file's header.

    Raises:
        UserError: if the file is damaged, incomplete or of another type.
    """
    with source_errors(path):
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as f:
            data = f.read(1 << 30)
        if len(data) < 4 or data[:3] != b"\0\0\x08" or not 1 <= data[3] <= 4:
            raise ValueError("not an IDX file of bytes: wrong magic number")
        shape = struct.unpack_from(f">{data[3]}I", data, 4)
        pixels = len(data) - 4 - 4 * data[3]
        if pixels != math.prod(shape):
            raise ValueError(f"{pixels} bytes of data for the shape {shape}")
        return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3], count=pixels).reshape(shape)


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickler that knows three numpy names, so a hostile CIFAR pickle cannot run anything else."""

    def find_class(self, module, name):
        known = {"ndarray": np.ndarray, "dtype": np.dtype, "_reconstruct": np.zeros(1).__reduce__()[0]}
        if not module.startswith("numpy") or name not in known:
            raise ValueError(f"unexpected {module}.{name} in the pickle")
        return known[name]


def _read_cifar(path, split):
    names = [f"data_batch_{i}" for i in range(1, 6)] if split == "train" else ["test_batch"]
    if path.is_dir():
        pickles = {name: (path / name).read_bytes() for name in names}
    else:
        with tarfile.open(path, "r:*") as archive:
            members = ((os.path.basename(m.name), m) for m in archive if m.isreg() and m.size <= MAX_BYTES)
            pickles = {name: archive.extractfile(m).read() for name, m in members if name in names}
        if missing := sorted(set(names) - set(pickles)):
            raise ValueError(f"it lacks {', '.join(missing)}")
    batches = [_ArrayUnpickler(io.BytesIO(pickles[name]), encoding="bytes").load() for name in names]
    for name, batch in zip(names, batches, strict=True):
        if len(batch[b"data"]) != len(batch[b"labels"]):
            raise ValueError(f"{len(batch[b'data'])} images but {len(batch[b'labels'])} labels in {name}")
    pixels, labels = (np.concatenate([np.asarray(batch[key]) for batch in batches]) for key in (b"data", b"labels"))
    if pixels.shape[1:] != (3 * 32 * 32,):
        raise ValueError(f"pictures of shape {pixels.shape}, not (N, 3072)")
    return pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels
