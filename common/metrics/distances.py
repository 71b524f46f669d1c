"""Distances between two samples, in plain numpy: features, images or labels in, a number or a few out.

None of them knows what the features are: with those of the Inception network the first two are the FID and the KID of
the literature, with pixels, codes or the points of a toy they are their own measures. All are biased or noisy at a
finite size, so they are to be read beside their floor: the same number between two samples of the data.
"""

import numpy as np

CHUNK_ROWS = 512  # rows compared with a whole sample at once: 40 MB of squared distances to 10000 others
SORTED = 2**22  # projections sorted at once, and images filtered at once counted in values: 16 or 32 MB
PATCH = 7
COARSEST = 16


def frechet_distance(a, b):
    """Squared Frechet distance between the Gaussians fitted to two samples of features, (n, d) and (m, d).

    |mu_a - mu_b|^2 + tr(A + B - 2 (A B)^(1/2)), A and B the covariances. With Inception features this is the FID
    (Heusel et al., arXiv 1706.08500); with principal components of pixels it is a coarse distance between sets of
    images. Raises `ValueError` for shapes that do not fit and for fewer than two rows.
    """
    a, b = (x.astype("float64") for x in _pair(a, b, least=2))
    cov_a, cov_b = np.atleast_2d(np.cov(a, rowvar=False)), np.atleast_2d(np.cov(b, rowvar=False))
    values, vectors = np.linalg.eigh(cov_a)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    # (A B)^(1/2) has the trace of (A^(1/2) B A^(1/2))^(1/2), which is symmetric
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov_b @ root), 0)).sum()
    return float(np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(cov_a) + np.trace(cov_b) - 2 * cross)


def kernel_distance(a, b, subset_size=1000, subsets=100, seed=0):
    """Squared maximum mean discrepancy between two samples, (n, d) and (m, d), with k(x, y) = (x.y/d + 1)^3.

    The KID of Binkowski et al. (arXiv 1801.01401) where the features are Inception's; raw, not times 1000. It is the
    mean over `subsets` random subsets, `subset_size` rows of each sample (at most min(n, m)) drawn without
    replacement, of the unbiased estimate

        mean of k(x, x') over x != x'  +  the same of y  -  2 * mean of k(x, y),

    in float64. Unbiased: of two samples of one distribution it is 0 on average and often negative. In one dimension
    its expectation is sum_r binomial(3, r) (E x^r - E y^r)^2. Where a subset is the whole of both samples, one is
    enough and `subsets` plays no part. Raises `ValueError` for shapes that do not fit, fewer than two rows, a
    `subset_size` below 2 or `subsets` below 1.
    """
    a, b = _pair(a, b, least=2)
    if subset_size < 2 or subsets < 1:
        raise ValueError(f"subset_size must be 2 or more, subsets 1 or more. Received: {subset_size} and {subsets}")
    size = min(subset_size, len(a), len(b))
    if size == len(a) == len(b):
        subsets = 1
    rng = np.random.default_rng(seed)
    total = 0.0
    for _ in range(subsets):
        x, y = (s[rng.choice(len(s), size, replace=False)].astype("float64") for s in (a, b))
        within = _kernel(x, x) + _kernel(y, y)
        np.fill_diagonal(within, 0)
        total += within.sum() / (size * (size - 1)) - 2 * _kernel(x, y).mean()
    return float(total / subsets)


def _kernel(x, y):
    k = x @ y.T / x.shape[1] + 1
    return k * k * k  # numpy's third power is ten times as slow


def prdc(real, fake, k=5):
    """Precision, recall, density and coverage of the sample `fake` (m, d) of what `real` (n, d) was drawn from.

    The ball of a point reaches, boundary included, to its k-th nearest neighbour in its own sample, itself not counted.

    precision: the share of fakes in the ball of any real one;   recall: the share of real ones in the ball of any fake
    (Kynkaanniemi et al., arXiv 1904.06991); density: the mean number of real balls a fake lies in, over k;
    coverage: the share of real balls that hold any fake (Naeem et al., 2002.09797, who prefer these two because one
    outlier inflates the others). All are 0 to 1 but the density, which has no upper bound. Between two samples of one
    distribution the density is 1 on average and the coverage 1 - (n-1)...(n-k) / ((n+m-1)...(n+m-k)), about 1 - 2^-k
    for n = m; precision and recall depend on the distribution. The latter's authors give .4772, .4705, 1.0555 and .9735
    for 10000 normal points each in 1000 dimensions, k = 5; eight draws gave .479 (.010), .478 (.011), 1.001 (.053) and
    .968 (.005) here, mean and standard deviation.

    Distances are Euclidean, in float64 about the mean of `real`: with float32 the neighbours of a crowded toy are lost
    in |x|^2 + |y|^2 - 2 x.y. Of integers they are exact, with ties; of floats a tie is left to the rounding. Memory:
    some 100 MB beyond the samples at 10000 points. Returns a dict of floats. Raises `ValueError` for shapes that do
    not fit, a k that is not 1 to min(n, m) - 1, and values that are not finite.
    """
    real, fake = _pair(real, fake)
    if not 1 <= k < min(len(real), len(fake)):
        raise ValueError(f"k must be 1 to {min(len(real), len(fake)) - 1}, less than either sample. Received: {k}")
    for name, x in (("real", real), ("fake", fake)):
        if not (finite := np.isfinite(x).all(1)).all():
            raise ValueError(f"All values must be finite. Received: {np.sum(~finite)} rows of `{name}` that are not")
    whole = real.dtype.kind in "bui" and fake.dtype.kind in "bui"  # then nothing is rounded, unless a mean is taken off
    centre = 0.0 if whole else real.mean(0, dtype="float64")
    real_reach, fake_reach = _kth_neighbour_distance(real, k, centre), _kth_neighbour_distance(fake, k, centre)
    precise, recalled, pairs, covered = np.zeros(len(fake), bool), 0, 0, 0
    for start, square in _squared_distances(real, fake, centre):
        inside = square <= real_reach[start : start + CHUNK_ROWS, None]
        precise |= inside.any(0)
        pairs += np.count_nonzero(inside)
        covered += np.count_nonzero(inside.any(1))
        recalled += np.count_nonzero((square <= fake_reach).any(1))
    return {
        "precision": float(precise.mean()),
        "recall": float(recalled / len(real)),
        "density": float(pairs / (k * len(fake))),
        "coverage": float(covered / len(real)),
    }


def _kth_neighbour_distance(sample, k, centre):
    """Squared distance (n,) from each row to its k-th nearest other row."""
    reach = np.zeros(len(sample))
    for start, square in _squared_distances(sample, sample, centre):
        rows = np.arange(len(square))
        square[rows, start + rows] = np.inf
        square.partition(k - 1, axis=1)
        reach[start : start + CHUNK_ROWS] = square[:, k - 1]
    return reach


def _squared_distances(a, b, centre):
    """(start, squared distances of `ROWS` rows of `a` from there to all of `b`) in turn; the array is used again."""
    buffer = np.empty((CHUNK_ROWS, len(b)))
    for start in range(0, len(a), CHUNK_ROWS):
        x = a[start : start + CHUNK_ROWS].astype("float64") - centre
        square = buffer[: len(x)]
        for column in range(0, len(b), CHUNK_ROWS):  # so that `b` is never copied whole
            y = b[column : column + CHUNK_ROWS].astype("float64") - centre
            part = square[:, column : column + CHUNK_ROWS]
            np.matmul(x, -2 * y.T, out=part)
            part += np.einsum("nd,nd->n", y, y)
        square += np.einsum("nd,nd->n", x, x)[:, None]  # rounding can make a zero distance slightly negative
        yield start, square


def sliced_wasserstein(a, b, projections=512, seed=0):
    """Sliced Wasserstein distance of order 1 between two samples (n, d) of one size, in units of the features.

    The mean, over `projections` random unit directions u, of the mean |difference| of the sorted a.u and the sorted
    b.u, which is W1 in one dimension (Rabin et al., 2011). A shift by v makes |v| E|u_1|, with E|u_1| =
    Gamma(d/2) / (sqrt(pi) Gamma((d+1)/2)), about sqrt(2 / (pi d)). Floats stay in their precision. Raises
    `ValueError` for shapes that differ, empty samples and `projections` below 1.
    """
    a, b = _pair(a, b)
    if len(a) != len(b):
        raise ValueError(f"Samples of one size are needed. Received: shapes {a.shape} and {b.shape}")
    if projections < 1:
        raise ValueError(f"projections must be 1 or more. Received: {projections}")
    kind = np.result_type(a, b, "float32")
    a, b = a.astype(kind, copy=False), b.astype(kind, copy=False)
    directions = np.random.default_rng(seed).standard_normal((projections, a.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    total, step = 0.0, max(1, SORTED // len(a))
    for start in range(0, projections, step):
        u = directions[start : start + step].astype(kind)
        x, y = np.sort(u @ a.T, axis=1), np.sort(u @ b.T, axis=1)
        total += np.sum(np.abs(x - y), dtype="float64")
    return float(total / projections / len(a))


def laplacian_wasserstein(a, b, seed=0, patches_per_image=128, projections=512):
    """Sliced Wasserstein distance between two sets of images at each scale: {width in pixels: float}, finest first.

    The multi-scale measure of ProGAN (Karras et al., arXiv 1710.10196, section 5): the images' Laplacian pyramid
    (Burt and Adelson, 1983) down to 16 pixels; from each level of each image `patches_per_image` patches of 7x7 at
    random places; each colour channel brought to mean 0 and standard deviation 1 over all patches of its set, so that
    a change of all images' brightness or contrast alike is not seen; `sliced_wasserstein` of the patches, 49 c numbers
    each. The last level holds what is left: layout and colours. The values are raw: papers quote them times 1000.

    Both sets are looked at in the same places, so a set is at 0 from itself. Memory: for each set, 200 bytes times n
    times `patches_per_image` times c, twice that for a moment.

    Args:
        a, b: uint8 (n, size, size, c) of one shape, size a power of two, 16 or more.

    Raises `ValueError` for anything else, and for `patches_per_image` or `projections` below 1.
    """
    a, b = np.asarray(a), np.asarray(b)
    size = a.shape[1] if a.ndim == 4 else 0
    if a.shape != b.shape or size < COARSEST or size & (size - 1) or a.shape[2] != size or not a.size:
        raise ValueError(
            "Two sets (n, size, size, c) of one shape are needed, size a power of two from 16 on. "
            f"Received: shapes {a.shape} and {b.shape}"
        )
    if a.dtype != np.uint8 or b.dtype != np.uint8:  # of bytes the filters are exact: flat areas stay flat
        raise ValueError(f"Images must be uint8. Received: {a.dtype} and {b.dtype}")
    if patches_per_image < 1:
        raise ValueError(f"patches_per_image must be 1 or more. Received: {patches_per_image}")
    distances = {}
    for level in range((size // COARSEST).bit_length()):
        x, y = (_patches(images, level, patches_per_image, seed) for images in (a, b))
        distances[size >> level] = sliced_wasserstein(x, y, projections, seed)
    return distances


def _patches(images, level, count, seed):
    """Normalised patches, float32 (n * count, 49 c), of one level (0 the finest) of the images' pyramids."""
    n, size, _, channels = images.shape
    corners = np.random.default_rng(seed).integers(0, (size >> level) - PATCH + 1, (2, n, count))
    patches = np.empty((n, count, channels, PATCH * PATCH), "float32")
    step = max(1, SORTED // images[0].size)
    for start in range(0, n, step):
        chunk = _level(images[start : start + step].astype("float32"), level)
        windows = np.lib.stride_tricks.sliding_window_view(chunk, (PATCH, PATCH), (1, 2))
        y, x = corners[:, start : start + step]
        found = windows[np.arange(len(chunk))[:, None], y, x]
        patches[start : start + step] = found.reshape(found.shape[:3] + (-1,))
    axes = (0, 1, 3)
    patches -= patches.mean(axes, "float64", keepdims=True).astype("float32")
    std = np.sqrt(np.mean(patches**2, axes, "float64", keepdims=True)).astype("float32")
    patches /= np.where(std > 0, std, 1)  # a flat level stays zero
    return patches.reshape(n * count, -1)


def _level(images, level):
    """A level of the Laplacian pyramid of images (n, h, w, c): what the next coarser one cannot tell of it."""
    for _ in range(level):
        images = _shrink(images)
    return images if images.shape[1] == COARSEST else images - _grow(_shrink(images))


def _shrink(images):
    return _binomial_filter(images)[:, ::2, ::2]


def _grow(images):
    n, h, w, c = images.shape
    sparse = np.zeros((n, 2 * h, 2 * w, c), images.dtype)
    sparse[:, ::2, ::2] = images
    return 4 * _binomial_filter(sparse)


def _binomial_filter(images):
    """With (1, 4, 6, 4, 1)/16 along both axes of images (n, h, w, c), mirrored at the border pixels' centres."""
    for axis in (1, 2):
        x = np.moveaxis(images, axis, 0)
        x = np.concatenate([x[2:0:-1], x, x[-2:-4:-1]])
        images = np.moveaxis((6 * x[2:-2] + 4 * (x[1:-3] + x[3:-1]) + x[:-4] + x[4:]) / 16, 0, axis)
    return images


def _pair(a, b, least=1):
    a, b = np.asarray(a), np.asarray(b)
    fits = a.ndim == b.ndim == 2 and a.shape[1] == b.shape[1] > 0
    if not fits or min(len(a), len(b)) < least:
        raise ValueError(
            f"Two samples (n, d) with n > {least - 1} are compared. Received: shapes {a.shape} and {b.shape}"
        )
    return a, b
