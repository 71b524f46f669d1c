"""Distances between samples of features, against closed forms and plain definitions."""

import math

import numpy as np
import pytest

from common.errors import UserError
from common.metrics import distances
from common.metrics.distances import frechet_distance, kernel_distance, prdc
from common.metrics.wasserstein import sliced_wasserstein


def rng(seed=0):
    return np.random.default_rng(seed)


def normal(seed, *shape):
    return rng(seed).standard_normal(shape)


def column(*values):
    return np.array(values, "float64")[:, None]


def test_frechet_distance_of_gaussians_is_the_closed_form():
    random = rng()
    std_a, std_b, shift = np.array([1.0, 2.0, 0.5]), np.array([3.0, 1.0, 0.5]), np.array([1.0, 0.0, -2.0])
    a, b = (random.normal(size=(200_000, 3)) * std + mean for std, mean in ((std_a, 0 * shift), (std_b, shift)))
    expected = np.sum(shift**2) + np.sum((std_a - std_b) ** 2)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=0.01)
    rotation, _ = np.linalg.qr(random.normal(size=(3, 3)))
    assert frechet_distance(a @ rotation, b @ rotation) == pytest.approx(frechet_distance(a, b), rel=1e-9)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match=r"Received: shapes \(3,\)"):
        frechet_distance(np.zeros(3), b)


def test_frechet_distance_is_exact_where_the_covariances_do_not_commute():
    """Covariances S^2 and L L^T of whitened samples: tr (S L L^T S)^(1/2) is the sum of the singular values of S L."""
    low, stretch, shift = np.tril(normal(1, 4, 4)) + 2 * np.eye(4), np.diag([1.0, 2.0, 3.0, 4.0]), np.arange(4)
    a, b = (x - x.mean(0) for x in (normal(2, 50, 4), normal(3, 70, 4)))
    a, b = (x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T for x in (a, b))
    cross = np.linalg.svd(stretch @ low, compute_uv=False).sum()
    expected = np.sum(shift**2) + np.sum(stretch**2) + np.sum(low**2) - 2 * cross
    assert frechet_distance(a @ stretch, b @ low.T + shift) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance, prdc, sliced_wasserstein])
@pytest.mark.parametrize("shapes", [((9, 2), (9, 3)), ((9,), (9,)), ((0, 2), (9, 2)), ((9, 2, 1), (9, 2, 1))])
def test_samples_of_wrong_shapes_are_refused(distance, shapes):
    with pytest.raises(ValueError, match="Received: shapes"):
        distance(*(np.zeros(shape) for shape in shapes))


def test_kernel_distance_by_hand():
    """k(0, 1) = 1, k(2, 3) = 343, across 1, 1, 27, 64: 1 + 343 - 2 * 93 / 4."""
    assert kernel_distance(column(0, 1), column(2, 3)) == 297.5
    # in two dimensions the product is halved: within 1 and (34/2 + 1)^3, across 1, (-1/2 + 1)^3, 1, (1/2 + 1)^3
    a, b = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[-1.0, 5.0], [1.0, 7.0]])
    assert kernel_distance(a, b) == pytest.approx(1 + 18**3 - (1 + 0.5**3 + 1 + 1.5**3) / 2, rel=1e-12)


def test_kernel_distance_in_one_dimension_follows_from_power_sums():
    """Sum over r of binomial(3, r) times ((sum x^r)^2 - sum x^2r) / n(n-1), + the same of y, - 2 E x^r E y^r."""
    x, y, n, expected = normal(4, 200, 1) + 0.5, 2 * normal(5, 200, 1), 200, 0
    for r, weight in ((1, 3), (2, 3), (3, 1)):
        within = sum((np.sum(s**r) ** 2 - np.sum(s ** (2 * r))) / (n * (n - 1)) for s in (x, y))
        expected += weight * (within - 2 * np.mean(x**r) * np.mean(y**r))
    assert kernel_distance(x, y) == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_of_small_subsets_is_unbiased():
    """Subsets of 3 that keep the diagonal, or are drawn with replacement, would be off by far more."""
    a, b = normal(6, 8, 2), normal(7, 8, 2) + 1
    whole, few = kernel_distance(a, b), kernel_distance(a, b, subset_size=3, subsets=10_000)
    assert few == pytest.approx(whole, rel=0.05)


def test_kernel_distance_follows_its_seed():
    a, b = normal(10, 50, 2), normal(11, 60, 2)
    values = [kernel_distance(a, b, 10, 5, seed) for seed in (1, 1, 2)]
    assert values[0] == values[1] != values[2]
    for arguments in ({"subset_size": 1}, {"subsets": 0}):
        with pytest.raises(ValueError, match="Received"):
            kernel_distance(a, b, **arguments)


def test_prdc_by_hand():
    """Intervals in one dimension.

    The real radii are 1, 1, 2, 2, 1 and 1, so the real balls are [-1, 1], [0, 2], [8, 12], [10, 14] and two about -100
    and -101. The fakes .5, .6 and 11 lie in two each, 40 and 47 in none. The fake radii are .1, .1, 10.4, 7 and 7, so
    the real points 1, 10 and 12 lie in [.6, 21.4].
    """
    real, fake = column(0, 1, 10, 12, -100, -101), column(0.5, 0.6, 11, 40, 47)
    assert prdc(real, fake, k=1) == {"precision": 3 / 5, "recall": 3 / 6, "density": 6 / 5, "coverage": 4 / 6}


def by_definition(real, fake, k):
    """Return `prdc` from all distances at once."""
    between = lambda a, b: np.sqrt(((a[:, None] - b[None]) ** 2).sum(2))
    inside = between(real, fake) <= np.sort(between(real, real), 1)[:, k, None]
    recalled = between(real, fake) <= np.sort(between(fake, fake), 1)[:, k]
    return {
        "precision": inside.any(0).mean(),
        "recall": recalled.any(1).mean(),
        "density": inside.sum() / k / len(fake),
        "coverage": inside.any(1).mean(),
    }


def test_prdc_of_integers_counts_the_boundary():
    """On a lattice of 9 x 9 x 9 many points lie on the boundary of a ball, and all four metrics depend on them."""
    real, fake = (rng(seed).integers(0, 9, (n, 3)).astype("uint8") for seed, n in ((18, 70), (19, 50)))
    assert prdc(real, fake, 2) == pytest.approx(by_definition(real.astype("float64"), fake.astype("float64"), 2))


@pytest.mark.parametrize(("k", "rows"), [(1, 7), (3, 512), (5, 7), (5, 512)])
def test_prdc_against_its_definition(monkeypatch, k, rows):
    monkeypatch.setattr(distances, "CHUNK_ROWS", rows)
    real, fake = normal(12, 60, 3), 1.3 * normal(13, 45, 3) + 0.3
    expected = by_definition(real, fake, k)
    assert len(set(expected.values())) == 4
    assert prdc(real, fake, k) == pytest.approx(expected, rel=1e-12)
    assert {type(value) for value in prdc(real, fake, k).values()} == {float}
    # far from the origin, |x|^2 + |y|^2 - 2 x.y loses all its digits
    assert prdc(real + 1e8, fake + 1e8, k) == pytest.approx(by_definition(real + 1e8, fake + 1e8, k), rel=1e-12)


def test_prdc_between_samples_of_one_distribution():
    """Density 1 and coverage 1 - C(n-1, k) / C(n+m-1, k) for any distribution, here a skewed one on a line."""
    draws = [prdc(np.exp(normal([14, i], 400, 1)), np.exp(normal([15, i], 300, 1)), 3) for i in range(40)]
    coverage = 1 - math.prod((400 - i) / (700 - i) for i in (1, 2, 3))
    assert np.mean([draw["density"] for draw in draws]) == pytest.approx(1, abs=0.02)
    assert np.mean([draw["coverage"] for draw in draws]) == pytest.approx(coverage, abs=0.01)


def test_prdc_of_disjoint_and_of_equal_samples():
    real = normal(18, 100, 4)
    assert prdc(real, real[:50] + 1000) == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}
    same = prdc(real, real[::-1])
    assert (same["precision"], same["recall"], same["coverage"]) == (1, 1, 1)


def test_prdc_of_a_dropped_mode():
    """Two thirds of the real points are near 0, the others far away; all fakes are near 0."""
    real, fake = normal(20, 300, 2), normal(21, 1000, 2)
    real[::3] += 1000
    metrics = prdc(real, fake)
    assert metrics["precision"] > 0.97
    assert (metrics["recall"], metrics["coverage"]) == pytest.approx((2 / 3, 2 / 3), abs=0.02)


def test_density_counts_overlapping_balls():
    """Fakes at the centre of a ring of 20 points, whose balls contain the ring, lie in 20 balls: density 20/19."""
    angle = np.arange(20) * math.pi / 10
    metrics = prdc(np.stack([np.cos(angle), np.sin(angle)], 1), 0.01 * normal(22, 50, 2), 19)
    assert (metrics["precision"], metrics["density"]) == (1, pytest.approx(20 / 19))


def test_prdc_refuses_other_k():
    a = normal(23, 6, 2)
    for k in (0, 5, 6):
        with pytest.raises(ValueError, match=f"k must be 1 to 4.*Received: {k}"):
            prdc(a, a[:5], k)


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance, prdc, sliced_wasserstein])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "must be finite. Received: 1 of 18 values that are NaN or infinite, the first in row 4"),
        (-np.inf, "must be finite"),
        (1e31, "must be numbers up to 1e[+]30 to be compared. Received: 1e[+]31"),
    ],
)
def test_values_that_cannot_be_measured_are_named(distance, value, message):
    bad = normal(24, 9, 2)
    bad[4, 1] = value
    names = (
        ("the real features", "the fake features") if distance is prdc else ("the first sample", "the second sample")
    )
    for name, pair in zip(names, ((bad, normal(25, 9, 2)), (normal(25, 9, 2), bad)), strict=True):
        with pytest.raises(UserError, match=f"^{name} {message}"):
            distance(*pair)


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance, prdc, sliced_wasserstein])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_largest_values_still_have_a_finite_distance(distance, dtype):
    result = distance(*(distances.LARGEST * np.sign(normal(seed, 9, 2)).astype(dtype) for seed in (26, 27)))
    assert np.isfinite(list(result.values()) if isinstance(result, dict) else result).all()
