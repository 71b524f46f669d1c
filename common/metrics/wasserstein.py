"""Sliced Wasserstein distances between two samples of features or images, in plain numpy.

They are biased for finite samples. Compare them with their noise floor: the same distance between two samples of the
data.
"""

import numpy as np

from common.metrics.distances import check_samples
from common.streams import stage

CHUNK_VALUES = 2**22  # projections sorted at once, or pixel values filtered at once: 16 or 32 MB
PATCH = 7  # width and height of a patch in pixels
COARSEST = 16  # width in pixels of the last level of a pyramid


def sliced_wasserstein(a, b, projections=512, seed=0):
    """Return the sliced Wasserstein distance of order 1 between two samples of the same size.

    For each random unit direction u, the mean absolute difference of the sorted a.u and the sorted b.u is W1 in one
    dimension. The distance is the mean over directions (Rabin et al., 2011). A shift by v gives |v| E|u_1| with
    E|u_1| = Gamma(d/2) / (sqrt(pi) Gamma((d+1)/2)), about sqrt(2 / (pi d)).

    Args:
        a: features (n, d). Floats keep their precision.
        b: features (n, d).
        projections: int, number of directions (default 512).
        seed: int, of the directions.

    Returns:
        float, in units of the features.

    Raises:
        ValueError: for shapes that differ, empty samples and `projections` below 1.
        UserError: for values that are not finite.
    """
    a, b = check_samples(a, b)
    if len(a) != len(b):
        raise ValueError(f"Both samples must have the same size. Received: shapes {a.shape} and {b.shape}")
    if projections < 1:
        raise ValueError(f"projections must be at least 1. Received: {projections}")
    dtype = np.result_type(a, b, "float32")
    a, b = a.astype(dtype, copy=False), b.astype(dtype, copy=False)
    directions = np.random.default_rng(seed).standard_normal((projections, a.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    total, step = 0.0, max(1, CHUNK_VALUES // len(a))
    for start in range(0, projections, step):
        u = directions[start : start + step].astype(dtype)
        x, y = np.sort(u @ a.T, axis=1), np.sort(u @ b.T, axis=1)
        total += np.sum(np.abs(x - y), dtype="float64")
    return float(total / projections / len(a))


@stage("measuring the sliced Wasserstein distance")
def laplacian_wasserstein(a, b, seed=0, patches_per_image=128, projections=512):
    """Return the sliced Wasserstein distance between two sets of images at each scale of their Laplacian pyramids.

    This is the multi-scale measure of ProGAN (Karras et al., arXiv 1710.10196, section 5):

    1. Build the Laplacian pyramid of every image (Burt and Adelson, 1983), down to 16 pixels. The last level keeps the
       layout and the colours.
    2. Cut patches of 7 x 7 pixels out of each level, at the same random positions for both sets. So the distance of a
       set to itself is 0.
    3. Normalise each colour channel to mean 0 and standard deviation 1 over all patches of a set. So a change of
       brightness or contrast that all images share is not seen.
    4. Take `sliced_wasserstein` of the patches, 49 c numbers each.

    Memory: 200 bytes times n times `patches_per_image` times c for each set, and twice that for a moment.

    Args:
        a: uint8 images (n, size, size, c), size a power of two, at least 16.
        b: uint8 images of the same shape.
        seed: int, of the positions and the directions.
        patches_per_image: int, patches of each image and level (default 128).
        projections: int, number of directions (default 512).

    Returns:
        Dict width of the level in pixels -> float, finest first. Papers quote these values times 1000.

    Raises:
        ValueError: for images of another shape or type, and for `patches_per_image` or `projections` below 1.
    """
    a, b = np.asarray(a), np.asarray(b)
    size = a.shape[1] if a.ndim == 4 else 0
    if a.shape != b.shape or size < COARSEST or size & (size - 1) or a.shape[2] != size or not a.size:
        raise ValueError(
            f"Both sets must have one shape (n, size, size, c), size a power of two and at least {COARSEST}. "
            f"Received: shapes {a.shape} and {b.shape}"
        )
    if a.dtype != np.uint8 or b.dtype != np.uint8:  # the filters are exact on bytes: flat areas stay flat
        raise ValueError(f"Images must be uint8. Received: {a.dtype} and {b.dtype}")
    if patches_per_image < 1:
        raise ValueError(f"patches_per_image must be at least 1. Received: {patches_per_image}")
    distances = {}
    for level in range((size // COARSEST).bit_length()):
        x, y = (_patches(images, level, patches_per_image, seed) for images in (a, b))
        distances[size >> level] = sliced_wasserstein(x, y, projections, seed)
    return distances


def _patches(images, level, count, seed):
    """Return normalised patches of one level of the images' pyramids.

    Args:
        images: uint8 (n, size, size, c).
        level: int, 0 for the finest.
        count: int, patches of each image.
        seed: int, of the positions.

    Returns:
        float32 (n * count, 49 c).
    """
    n, size, _, channels = images.shape
    corners = np.random.default_rng(seed).integers(0, (size >> level) - PATCH + 1, (2, n, count))
    patches = np.empty((n, count, channels, PATCH * PATCH), "float32")
    step = max(1, CHUNK_VALUES // images[0].size)
    for start in range(0, n, step):
        chunk = _level(images[start : start + step].astype("float32"), level)
        windows = np.lib.stride_tricks.sliding_window_view(chunk, (PATCH, PATCH), (1, 2))
        y, x = corners[:, start : start + step]
        chosen = windows[np.arange(len(chunk))[:, None], y, x]  # (images, count, c, 7, 7)
        patches[start : start + step] = chosen.reshape(chosen.shape[:3] + (-1,))
    axes = (0, 1, 3)
    patches -= patches.mean(axes, "float64", keepdims=True).astype("float32")
    std = np.sqrt(np.mean(patches**2, axes, "float64", keepdims=True)).astype("float32")
    patches /= np.where(std > 0, std, 1)  # a flat level stays zero
    return patches.reshape(n * count, -1)


def _level(images, level):
    """Return a level of the Laplacian pyramid of images (n, h, w, c): the detail that the next coarser level lacks."""
    for _ in range(level):
        images = _shrink(images)
    return images if images.shape[1] == COARSEST else images - _grow(_shrink(images))


def _shrink(images):
    """Return images (n, h, w, c) at half their size, blurred first."""
    return _binomial_filter(images)[:, ::2, ::2]


def _grow(images):
    """Return images (n, h, w, c) at twice their size, with blurred values between the pixels."""
    n, h, w, c = images.shape
    sparse = np.zeros((n, 2 * h, 2 * w, c), images.dtype)
    sparse[:, ::2, ::2] = images
    return 4 * _binomial_filter(sparse)


def _binomial_filter(images):
    """Filter images (n, h, w, c) with (1, 4, 6, 4, 1)/16 along both axes, mirrored at the centres of border pixels."""
    for axis in (1, 2):
        x = np.moveaxis(images, axis, 0)
        x = np.concatenate([x[2:0:-1], x, x[-2:-4:-1]])
        images = np.moveaxis((6 * x[2:-2] + 4 * (x[1:-3] + x[3:-1]) + x[:-4] + x[4:]) / 16, 0, axis)
    return images
