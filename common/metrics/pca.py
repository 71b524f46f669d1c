"""Principal components of images, and the Frechet distance over them, in plain numpy."""

import numpy as np

from common.metrics.distances import frechet_distance


def pca_codes(train_images, test_images, components, chunk=1024):
    """The leading principal components of the training images, as codes (n, components) float32 of both sets.

    The baseline of a linear encoder: what `pca_basis` finds, applied. Raises `ValueError` as it does, and for sets of
    different shapes.
    """
    if train_images.shape[1:] != test_images.shape[1:]:
        raise ValueError(
            f"Both sets must hold images of one shape. Received: {train_images.shape}, {test_images.shape}"
        )
    mean, basis = pca_basis(train_images, components, chunk)
    return tuple(
        np.concatenate(
            [np.zeros((0, components), "float32"), *((r - mean) @ basis for r in flat_chunks(images, chunk))]
        )
        for images in (train_images, test_images)
    )


def pca_basis(images, components, chunk=1024):
    """Mean (d,) and leading principal components (d, components), float32, of images of d values each.

    The code of an image x is (x - mean) @ components. Images are (n, ...) of any number type and may be memory maps:
    they are read `chunk` rows at a time. Block power iteration with spare directions and a fixed start: same input,
    same components; the trailing ones are approximate where the spectrum is flat. The sign makes the largest weight of
    a component positive. Raises `ValueError` for more components than there are rows or pixels.
    """
    n, size = len(images), int(np.prod(images.shape[1:]))
    if not 1 <= components <= min(n, size):
        raise ValueError(f"Components must be 1 to {min(n, size)} for {n} images. Received: {components}")

    mean = sum(rows.sum(0, dtype="float64") for rows in flat_chunks(images, chunk)) / n
    mean = mean.astype("float32")

    def covariance_times(basis):
        return sum(rows.T @ (rows @ basis) for rows in (r - mean for r in flat_chunks(images, chunk))) / n

    spare = min(size, components + max(16, components // 2))
    basis = np.random.default_rng(0).standard_normal((size, spare), dtype="float32")
    for _ in range(6):
        basis = np.linalg.qr(covariance_times(basis))[0]
    _, rotation = np.linalg.eigh(basis.T @ covariance_times(basis))
    basis = basis @ rotation[:, ::-1][:, :components]
    basis *= np.sign(basis[np.abs(basis).argmax(0), np.arange(components)])
    return mean, basis


def flat_chunks(array, chunk, dtype="float32"):
    """Yield `chunk` rows of an array (n, ...) at a time, as (rows, d) of `dtype`."""
    for start in range(0, len(array), chunk):
        rows = np.asarray(array[start : start + chunk], dtype)
        yield rows.reshape(len(rows), -1)


def pca_frechet(fakes, train, test, components=64):
    """`pca_frechet`: how far samples are from held-out images, and its floor, how far as many training images are.

    The Frechet distance over 64 principal components of the training images' pixels: it sees colour, layout and lack
    of variety, not sharpness. In units of [-1, 1] squared.

    Args:
        fakes, train, test: uint8 (n, h, w, c), best all of one n.
    """
    components = min(components, len(train) - 1, len(test) - 1)
    a, b = pca_codes(train, np.concatenate([test, fakes]), components)
    a, test, fakes = a / 127.5, b[: len(test)] / 127.5, b[len(test) :] / 127.5
    return {"pca_frechet": frechet_distance(fakes, test), "pca_frechet_floor": frechet_distance(a, test)}
