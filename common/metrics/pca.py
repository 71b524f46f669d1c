"""Principal components of images, and the Frechet distance over them, in plain numpy."""

import numpy as np

from common.data.checks import check_finite
from common.metrics.distances import frechet_distance
from common.metrics.sample_size import is_enough
from common.streams import stage


def pca_codes(train_images, test_images, components, chunk=1024):
    """Project two sets of images on the leading principal components of the first: a linear encoder as a baseline.

    Args:
        train_images: (n, ...) of any number type, see `pca_basis`.
        test_images: (m, ...), images of the same shape.
        components: int, length of a code.
        chunk: int, number of images read at once.

    Returns:
        The codes of both sets, (n, components) and (m, components) float32.

    Raises:
        ValueError: for images of different shapes, and for more components than `pca_basis` allows.
        UserError: for values that are not finite.
    """
    if train_images.shape[1:] != test_images.shape[1:]:
        raise ValueError(
            f"Both sets must hold images of one shape. Received: {train_images.shape}, {test_images.shape}"
        )
    check_finite("the test images", test_images)
    mean, basis = pca_basis(train_images, components, chunk)

    def project(images):
        none = np.zeros((0, components), "float32")  # the result for an empty set
        return np.concatenate([none, *((rows - mean) @ basis for rows in flat_chunks(images, chunk))])

    return project(train_images), project(test_images)


def pca_basis(images, components, chunk=1024):
    """Return the mean and the leading principal components of images of d values each.

    The code of an image x is (x - mean) @ basis. The algorithm is block power iteration with spare directions and a
    fixed start, so the same input gives the same components. The trailing ones are approximate where the spectrum is
    flat. Signs are chosen so that the largest weight of a component is positive.

    Args:
        images: (n, ...) of any number type; may be a memory map.
        components: int, number of components.
        chunk: int, number of images read at once.

    Returns:
        (mean (d,), basis (d, components)), float32.

    Raises:
        ValueError: for more components than there are images or values, or fewer than 1.
        UserError: for values that are not finite.
    """
    check_finite("the images", images)
    n, size = len(images), int(np.prod(images.shape[1:]))
    if not 1 <= components <= min(n, size):
        raise ValueError(f"components must be 1 to {min(n, size)} for {n} images. Received: {components}")

    mean = sum(rows.sum(0, dtype="float64") for rows in flat_chunks(images, chunk)) / n
    mean = mean.astype("float32")

    def covariance_times(basis):
        centred_chunks = (rows - mean for rows in flat_chunks(images, chunk))
        return sum(rows.T @ (rows @ basis) for rows in centred_chunks) / n

    directions = min(size, components + max(16, components // 2))
    basis = np.random.default_rng(0).standard_normal((size, directions), dtype="float32")
    for _ in range(6):
        basis = np.linalg.qr(covariance_times(basis))[0]
    _, rotation = np.linalg.eigh(basis.T @ covariance_times(basis))
    basis = basis @ rotation[:, ::-1][:, :components]
    basis *= np.sign(basis[np.abs(basis).argmax(0), np.arange(components)])
    return mean, basis


def flat_chunks(array, chunk, dtype="float32"):
    """Yield an array (n, ...) in pieces of `chunk` rows, flattened to (rows, d) and cast to `dtype`."""
    for start in range(0, len(array), chunk):
        rows = np.asarray(array[start : start + chunk], dtype)
        yield rows.reshape(len(rows), -1)


@stage("measuring the Frechet distance over principal components")
def pca_frechet(fakes, train, test, components=64):
    """Return the Frechet distance of samples to held-out images over principal components of the training images.

    It sees colour, layout and lack of variety, but not sharpness.

    Args:
        fakes: uint8 (n, h, w, c), the samples.
        train: uint8 (n, h, w, c), training images.
        test: uint8 (n, h, w, c), held-out images. The three sets should have the same n.
        components: int, greatest number of components (default 64).

    Returns:
        Dict of floats in squared units of [-1, 1]: `pca_frechet`, and `pca_frechet_floor`, the distance of the training
        images to the held-out ones. With fewer than 2 images in a set: {}, and a printed line.
    """
    counts = {"samples": len(fakes), "training images": len(train), "held-out images": len(test)}
    if not is_enough("pca_frechet", 2, counts):
        return {}
    components = min(components, len(train) - 1, len(test) - 1, int(np.prod(train.shape[1:])))
    train_codes, other_codes = pca_codes(train, np.concatenate([test, fakes]), components)
    train_codes, other_codes = train_codes / 127.5, other_codes / 127.5  # from 0..255 to a range of 2
    test_codes, fake_codes = other_codes[: len(test)], other_codes[len(test) :]
    return {
        "pca_frechet": frechet_distance(fake_codes, test_codes),
        "pca_frechet_floor": frechet_distance(train_codes, test_codes),
    }
