"""Metrics against scikit-learn and SciPy, on random samples and on edge cases."""

import numpy as np
import pytest
from scipy import linalg, stats
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import polynomial_kernel
from sklearn.neighbors import NearestNeighbors

from common.metrics.distances import frechet_distance, kernel_distance, prdc
from common.metrics.pca import pca_codes
from common.metrics.wasserstein import sliced_wasserstein


def pair(n, m, d, seed=0):
    """Return two normal samples (n, d) and (m, d) of different means and covariances."""
    rng = np.random.default_rng([n, m, d, seed])
    a, b = (rng.standard_normal((rows, d)) @ rng.standard_normal((d, d)) for rows in (n, m))
    return a, b + 0.5


def scaled(scale, dtype="float64"):
    return tuple((scale * x).astype(dtype) for x in pair(60, 50, 4))


def with_constant_columns(a, b):
    a[:, 1], b[:, 1], b[:, 2] = 3.7, 3.7, -0.1
    return a, b


def with_copies(a, b):
    return a, np.random.default_rng(0).permutation(np.concatenate([a[::2], b]))


SAMPLES = {
    "plain": pair(90, 70, 5),
    "two rows": pair(2, 2, 3),
    "two and many rows": pair(2, 40, 3),
    "one column": pair(50, 60, 1),
    "more columns than rows": pair(12, 9, 40),
    "ties": tuple((2 * x).round() for x in pair(80, 60, 2, seed=1)),
    "every row six times": tuple(x.repeat(6, 0) for x in pair(12, 9, 3)),
    "copies": with_copies(*pair(600, 30, 64)),
    "copies of what occurs six times": with_copies(pair(100, 30, 80)[0].repeat(6, 0), pair(100, 30, 80)[1]),
    "constant columns": with_constant_columns(*pair(50, 40, 4)),
    "one point many times": (np.full((30, 3), 0.1), np.full((20, 3), 0.1)),
    "a point and a cloud": (np.full((30, 3), 0.1), pair(20, 20, 3)[0]),
    "huge": scaled(1e12),
    "tiny": scaled(1e-12),
    "float32": scaled(1, "float32"),
    "huge float32": scaled(1e12, "float32"),
    "bytes": tuple(np.clip(40 * x + 128, 0, 255).astype("uint8") for x in pair(60, 60, 4)),
}
every_sample = pytest.mark.parametrize("name", SAMPLES)


def both(name):
    """Return two samples, and the same in float64 for the libraries."""
    a, b = SAMPLES[name]
    return a, b, a.astype("float64"), b.astype("float64")


@every_sample
def test_frechet_distance(name):
    """The trace of (A B)^(1/2) is the sum of the singular values of X Y^T, X and Y centred and scaled."""
    a, b, x, y = both(name)
    distance = frechet_distance(a, b)
    covariances = [np.cov(s, rowvar=False).reshape(s.shape[1], -1) for s in (x, y)]
    means = [s.mean(0) for s in (x, y)]
    size = sum(map(np.trace, covariances)) + np.sum((means[0] - means[1]) ** 2) + 1e-300
    centred = [(s - s.mean(0)) / np.sqrt(len(s) - 1) for s in (x, y)]
    exact = size - 2 * linalg.svdvals(centred[0] @ centred[1].T).sum()
    assert distance == pytest.approx(exact, abs=1e-6 * size)


@pytest.mark.parametrize("name", ["plain", "one column", "ties", "bytes"])
def test_frechet_distance_with_the_root_of_a_matrix(name):
    """As published: the trace of the root of A B, which must not be singular."""
    a, b, x, y = both(name)
    covariances = [np.cov(s, rowvar=False).reshape(s.shape[1], -1) for s in (x, y)]
    root = linalg.sqrtm(covariances[0] @ covariances[1])
    expected = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(covariances[0] + covariances[1] - 2 * root.real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


@every_sample
def test_kernel_distance(name):
    a, b, x, y = both(name)
    n = min(len(x), len(y))
    a, b, x, y = a[:n], b[:n], x[:n], y[:n]
    within = [polynomial_kernel(s, degree=3, coef0=1) for s in (x, y)]
    means = [(k.sum() - np.trace(k)) / (n * (n - 1)) for k in within]
    across = polynomial_kernel(x, y, degree=3, coef0=1)
    expected = sum(means) - 2 * across.mean()
    assert kernel_distance(a, b) == pytest.approx(expected, abs=1e-10 * np.abs(across).max())


@pytest.mark.parametrize("k", [1, 5])
@every_sample
def test_precision_recall_density_and_coverage(name, k):
    a, b, x, y = both(name)
    if min(len(x), len(y)) <= k:
        with pytest.raises(ValueError, match="k must be"):
            prdc(a, b, k)
        return
    radii = [NearestNeighbors(n_neighbors=k, algorithm="kd_tree").fit(s).kneighbors()[0][:, -1] for s in (x, y)]
    between = cdist(x, y)
    in_real_ball, in_fake_ball = between <= radii[0][:, None], between <= radii[1]
    expected = {
        "precision": in_real_ball.any(0).mean(),
        "recall": in_fake_ball.any(1).mean(),
        "density": in_real_ball.sum() / (k * len(y)),
        "coverage": in_real_ball.any(1).mean(),
    }
    assert prdc(a, b, k) == pytest.approx(expected)


@every_sample
def test_sliced_wasserstein_distance(name):
    a, b, x, y = both(name)
    n, d = min(len(x), len(y)), x.shape[1]
    directions = np.random.default_rng(3).standard_normal((40, d))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    expected = np.mean([stats.wasserstein_distance(x[:n] @ u, y[:n] @ u) for u in directions])
    assert sliced_wasserstein(a[:n], b[:n], 40, seed=3) == pytest.approx(expected, rel=1e-5, abs=1e-7 * np.abs(x).max())


@every_sample
def test_principal_components(name):
    a, b, x, y = both(name)
    components = min(3, *x.shape)
    codes, other_codes = pca_codes(a, b, components)
    pca = PCA(components, svd_solver="full").fit(x)
    size = np.abs(x).max()
    assert np.sum(codes.var(0)) == pytest.approx(
        np.sum(pca.explained_variance_ratio_) * np.sum(x.var(0)), rel=2e-3, abs=1e-12
    )
    if x.shape[1] > 40:
        return  # many directions of nearly the same variance: any of them will do
    # signs, and directions without variance, are free: compare the products of codes
    for ours, theirs in ((codes, pca.transform(x)), (other_codes, pca.transform(y))):
        np.testing.assert_allclose(ours @ codes.T / size**2, theirs @ pca.transform(x).T / size**2, atol=1e-4)
