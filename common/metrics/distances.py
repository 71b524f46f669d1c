"""Distances between two samples of features, in plain numpy: Frechet, kernel, precision and recall.

Features may come from anywhere. With those of the Inception network, the first two distances are the FID and the KID of
the literature; with pixels, codes or 2-D points they are measures of their own. All are biased or noisy for finite
samples. Compare them with their noise floor: the same distance between two samples of the data.
"""

import numpy as np

from common.data.checks import check_finite
from common.errors import UserError

LARGEST = 1e30  # of the values that are compared: the sixth power of it is a float64
CHUNK_ROWS = 512  # rows compared with a whole sample at once: 40 MB of squared distances to 10000 others


def frechet_distance(a, b):
    """Return the squared Frechet distance between the Gaussians fitted to two samples.

    It is |mu_a - mu_b|^2 + tr(A + B - 2 (A B)^(1/2)) with the means mu and the covariances A and B. With Inception
    features this is the FID (Heusel et al., arXiv 1706.08500). With principal components of pixels it is a coarse
    distance between sets of images.

    Args:
        a: features (n, d), n at least 2.
        b: features (m, d), m at least 2.

    Returns:
        float, in squared units of the features.

    Raises:
        ValueError: for other shapes.
        UserError: for values that are not finite.
    """
    a, b = (x.astype("float64") for x in check_samples(a, b, least=2))
    cov_a, cov_b = np.atleast_2d(np.cov(a, rowvar=False)), np.atleast_2d(np.cov(b, rowvar=False))
    values, vectors = np.linalg.eigh(cov_a)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    # tr (A B)^(1/2) = tr (A^(1/2) B A^(1/2))^(1/2), and the latter matrix is symmetric
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov_b @ root), 0)).sum()
    return float(np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(cov_a) + np.trace(cov_b) - 2 * cross)


def kernel_distance(a, b, subset_size=1000, subsets=100, seed=0):
    """Return the squared maximum mean discrepancy between two samples with the kernel k(x, y) = (x.y/d + 1)^3.

    With Inception features this is the KID of Binkowski et al. (arXiv 1801.01401), not multiplied by 1000. It is the
    mean over random subsets of the unbiased estimate

        mean of k(x, x') over x != x'  +  the same of y  -  2 * mean of k(x, y),

    in float64. Between two samples of one distribution it is 0 on average and often negative. In one dimension its
    expectation is sum_r binomial(3, r) (E x^r - E y^r)^2.

    Args:
        a: features (n, d), n at least 2.
        b: features (m, d), m at least 2.
        subset_size: int, rows of each sample in a subset, drawn without replacement: at least 2, cut to min(n, m).
        subsets: int, number of subsets, at least 1. If a subset is the whole of both samples, one is used.
        seed: int, of the subsets.

    Returns:
        float.

    Raises:
        ValueError: for other shapes, `subset_size` or `subsets`.
        UserError: for values that are not finite.
    """
    a, b = check_samples(a, b, least=2)
    if subset_size < 2 or subsets < 1:
        raise ValueError(
            f"subset_size must be at least 2 and subsets at least 1. Received: {subset_size} and {subsets}"
        )
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
    """Return the matrix of (x.y/d + 1)^3 for all pairs of rows."""
    k = x @ y.T / x.shape[1] + 1
    return k * k * k  # k**3 takes ten times as long in numpy


def prdc(real, fake, k=5):
    """Return precision, recall, density and coverage of generated samples.

    The ball of a point reaches to its k-th nearest neighbour in its own sample, without itself; the boundary belongs
    to the ball, as far as rounding can move a point.

    - `precision`: share of fake points in the ball of any real one, 0 to 1 (Kynkaanniemi et al., arXiv 1904.06991).
    - `recall`: share of real points in the ball of any fake one, 0 to 1 (ibid.).
    - `density`: mean number of real balls that a fake point lies in, divided by k; no upper bound (Naeem et al.,
      2002.09797, who prefer density and coverage because one outlier inflates precision and recall).
    - `coverage`: share of real balls that contain any fake point, 0 to 1 (ibid.).

    Between two samples of one distribution the density is 1 on average and the coverage
    1 - (n-1)...(n-k) / ((n+m-1)...(n+m-k)), about 1 - 2^-k for n = m. Precision and recall depend on the distribution.
    For 10000 normal points each in 1000 dimensions and k = 5, Naeem et al. give .4772, .4705, 1.0555 and .9735. Eight
    draws gave .479 (.010), .478 (.011), 1.001 (.053) and .968 (.005) here: mean and standard deviation.

    Distances are Euclidean and computed in float64 about the mean of `real`. In float32, |x|^2 + |y|^2 - 2 x.y would
    lose the neighbours in a dense toy. Memory: about 100 MB beyond the samples for 10000 points.

    Args:
        real: features (n, d).
        fake: features (m, d).
        k: int, from 1 to min(n, m) - 1 (default 5).

    Returns:
        Dict of four floats.

    Raises:
        ValueError: for other shapes or another k.
        UserError: for values that are not finite.
    """
    real, fake = check_samples(real, fake, names=("the real features", "the fake features"))
    if not 1 <= k < min(len(real), len(fake)):
        raise ValueError(f"k must be 1 to {min(len(real), len(fake)) - 1}, less than both sample sizes. Received: {k}")
    # products of integers are exact in float64, so no mean is subtracted from them
    integers = real.dtype.kind in "bui" and fake.dtype.kind in "bui"
    centre = 0.0 if integers else real.mean(0, dtype="float64")
    real_radii = _ball_radii(real, k, centre)  # squared, like all distances here
    fake_radii = _ball_radii(fake, k, centre)
    fake_is_inside = np.zeros(len(fake), bool)  # any real ball
    pairs_inside = covered_balls = recalled = 0
    for start, distances in _squared_distances(real, fake, centre):
        inside_real_ball = distances <= real_radii[start : start + CHUNK_ROWS, None]
        fake_is_inside |= inside_real_ball.any(0)
        pairs_inside += np.count_nonzero(inside_real_ball)
        covered_balls += np.count_nonzero(inside_real_ball.any(1))
        recalled += np.count_nonzero((distances <= fake_radii).any(1))
    return {
        "precision": float(fake_is_inside.mean()),
        "recall": float(recalled / len(real)),
        "density": float(pairs_inside / (k * len(fake))),
        "coverage": float(covered_balls / len(real)),
    }


def _ball_radii(sample, k, centre):
    """Return the squared distance (n,) from each row to its k-th nearest other row, and a little more.

    That much rounding can add to the distance of another point that is as near, such as a copy of the neighbour.
    """
    kth, rounding = np.zeros(len(sample)), 16 * sample.shape[1] * np.finfo("float64").eps
    for start, distances in _squared_distances(sample, sample, centre):
        rows = np.arange(len(distances))
        distances[rows, start + rows] = np.inf  # a row is not its own neighbour
        distances.partition(k - 1, axis=1)
        x = sample[start : start + CHUNK_ROWS].astype("float64") - centre
        radii = np.maximum(distances[:, k - 1], 0)
        kth[start : start + CHUNK_ROWS] = radii + rounding * (np.einsum("nd,nd->n", x, x) + radii)
    return kth


def _squared_distances(a, b, centre):
    """Yield (start, squared distances from `CHUNK_ROWS` rows of `a`, from `start` on, to all rows of `b`).

    The next step overwrites the array.
    """
    buffer = np.empty((CHUNK_ROWS, len(b)))
    for start in range(0, len(a), CHUNK_ROWS):
        x = a[start : start + CHUNK_ROWS].astype("float64") - centre
        square = buffer[: len(x)]
        for column in range(0, len(b), CHUNK_ROWS):  # in pieces, to avoid a float64 copy of all of `b`
            y = b[column : column + CHUNK_ROWS].astype("float64") - centre
            part = square[:, column : column + CHUNK_ROWS]
            np.matmul(x, -2 * y.T, out=part)
            part += np.einsum("nd,nd->n", y, y)
        square += np.einsum("nd,nd->n", x, x)[:, None]  # rounding can make a zero distance slightly negative
        yield start, square


def check_samples(a, b, least=1, names=("the first sample", "the second sample")):
    """Return two samples as arrays, after checking their shapes and values.

    Args:
        a: features (n, d).
        b: features (m, d).
        least: int, smallest n and m (default 1).
        names: what the two samples are, for the message about values that are not finite.

    Raises:
        ValueError: for other shapes.
        UserError: for values that are not finite, or so large that their powers would not be.
    """
    a, b = np.asarray(a), np.asarray(b)
    fits = a.ndim == b.ndim == 2 and a.shape[1] == b.shape[1] > 0
    if not fits or min(len(a), len(b)) < least:
        raise ValueError(
            f"Samples must be (n, d) and (m, d) with n and m at least {least}. Received: shapes {a.shape} and {b.shape}"
        )
    for name, sample in zip(names, (a, b), strict=True):
        largest = np.abs(check_finite(name, sample)).max(initial=0)
        if largest > LARGEST:
            raise UserError(f"{name} must be numbers up to {LARGEST:g} to be compared. Received: {largest:g}")
    return a, b
