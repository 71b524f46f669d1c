import math

import numpy as np
import pytest

from common.metrics import distances
from common.metrics.distances import frechet_distance, kernel_distance, prdc, sliced_wasserstein
from common.metrics.modes import mode_coverage


def rng(seed=0):
    return np.random.default_rng(seed)


def normal(seed, *shape):
    return rng(seed).standard_normal(shape)


def column(*values):
    return np.array(values, "float64")[:, None]


def test_frechet_distance_of_gaussians_is_the_closed_form():
    random = rng()
    spread_a, spread_b, shift = np.array([1.0, 2.0, 0.5]), np.array([3.0, 1.0, 0.5]), np.array([1.0, 0.0, -2.0])
    a, b = (random.normal(size=(200_000, 3)) * s + m for s, m in ((spread_a, 0 * shift), (spread_b, shift)))
    expected = np.sum(shift**2) + np.sum((spread_a - spread_b) ** 2)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=0.01)
    turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
    assert frechet_distance(a @ turn, b @ turn) == pytest.approx(frechet_distance(a, b), rel=1e-9)
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
def test_samples_that_do_not_fit_are_refused(distance, shapes):
    with pytest.raises(ValueError, match="Received: shapes"):
        distance(*(np.zeros(shape) for shape in shapes))


def test_kernel_distance_by_hand():
    """k(0, 1) = 1, k(2, 3) = 343, across 1, 1, 27, 64: 1 + 343 - 2 * 93 / 4."""
    assert kernel_distance(column(0, 1), column(2, 3)) == 297.5
    # in two dimensions the product is halved: within 1 and (34/2 + 1)^3, across 1, (-1/2 + 1)^3, 1, (1/2 + 1)^3
    a, b = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[-1.0, 5.0], [1.0, 7.0]])
    assert kernel_distance(a, b) == pytest.approx(1 + 18**3 - (1 + 0.5**3 + 1 + 1.5**3) / 2, rel=1e-12)


def test_kernel_distance_is_that_of_power_sums():
    """In one dimension sum_r binomial(3, r) of ((sum x^r)^2 - sum x^2r) / n(n-1), + the same of y, - 2 E x^r E y^r."""
    x, y, n, expected = normal(4, 200, 1) + 0.5, 2 * normal(5, 200, 1), 200, 0
    for r, weight in ((1, 3), (2, 3), (3, 1)):
        within = sum((np.sum(s**r) ** 2 - np.sum(s ** (2 * r))) / (n * (n - 1)) for s in (x, y))
        expected += weight * (within - 2 * np.mean(x**r) * np.mean(y**r))
    assert kernel_distance(x, y) == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_of_small_subsets_is_that_of_the_whole():
    """On average, without bias: a subset of 3 with its diagonal, or drawn with replacement, is off by far more."""
    a, b = normal(6, 8, 2), normal(7, 8, 2) + 1
    whole, few = kernel_distance(a, b), kernel_distance(a, b, subset_size=3, subsets=10_000)
    assert few == pytest.approx(whole, rel=0.05)


def test_kernel_distance_follows_its_seed():
    a, b = normal(10, 50, 2), normal(11, 60, 2)
    found = [kernel_distance(a, b, 10, 5, seed) for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]
    for arguments in ({"subset_size": 1}, {"subsets": 0}):
        with pytest.raises(ValueError, match="Received"):
            kernel_distance(a, b, **arguments)


def test_prdc_by_hand():
    """Real reaches 1, 1, 2, 2, 1, 1: balls [-1, 1], [0, 2], [8, 12], [10, 14] and two about -100 and -101. Fakes .5, .6
    and 11 lie in two each, 40 and 47 in none. Fake reaches .1, .1, 10.4, 7, 7: 1, 10 and 12 lie in [.6, 21.4].
    """
    real, fake = column(0, 1, 10, 12, -100, -101), column(0.5, 0.6, 11, 40, 47)
    assert prdc(real, fake, k=1) == {"precision": 3 / 5, "recall": 3 / 6, "density": 6 / 5, "coverage": 4 / 6}


def by_definition(real, fake, k):
    between = lambda a, b: np.sqrt(((a[:, None] - b[None]) ** 2).sum(2))
    inside = between(real, fake) <= np.sort(between(real, real), 1)[:, k, None]
    recalled = between(real, fake) <= np.sort(between(fake, fake), 1)[:, k]
    found = inside.any(0).mean(), recalled.any(1).mean(), inside.sum() / k / len(fake), inside.any(1).mean()
    return dict(zip(("precision", "recall", "density", "coverage"), found, strict=True))


def test_prdc_of_integers_counts_the_boundary():
    """Points of a lattice of 9 x 9 x 9, where many are as far as a ball reaches: all four numbers hang on it."""
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
    # far from the origin, where |x|^2 + |y|^2 - 2 x.y has no digits left
    assert prdc(real + 1e8, fake + 1e8, k) == pytest.approx(by_definition(real + 1e8, fake + 1e8, k), rel=1e-12)


def test_prdc_between_samples_of_one_distribution():
    """Density 1 and coverage 1 - C(n-1, k) / C(n+m-1, k) whatever the distribution, here crowded and in one line."""
    found = [prdc(np.exp(normal([14, i], 400, 1)), np.exp(normal([15, i], 300, 1)), 3) for i in range(40)]
    coverage = 1 - math.prod((400 - i) / (700 - i) for i in (1, 2, 3))
    assert np.mean([f["density"] for f in found]) == pytest.approx(1, abs=0.02)
    assert np.mean([f["coverage"] for f in found]) == pytest.approx(coverage, abs=0.01)


def test_prdc_of_disjoint_and_of_equal_samples():
    real = normal(18, 100, 4)
    assert prdc(real, real[:50] + 1000) == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}
    same = prdc(real, real[::-1])
    assert (same["precision"], same["recall"], same["coverage"]) == (1, 1, 1)


def test_prdc_of_a_dropped_mode():
    """Two thirds of the real points are near 0, the others far away, and the fakes are dense near 0."""
    real, fake = normal(20, 300, 2), normal(21, 1000, 2)
    real[::3] += 1000
    found = prdc(real, fake)
    assert found["precision"] > 0.97
    assert (found["recall"], found["coverage"]) == pytest.approx((2 / 3, 2 / 3), abs=0.02)


def test_density_counts_overlapping_balls():
    """Fakes at the centre of a ring of 20 points, each reaching over the whole ring, lie in 20 balls: density 20/19."""
    angle = np.arange(20) * math.pi / 10
    found = prdc(np.stack([np.cos(angle), np.sin(angle)], 1), 0.01 * normal(22, 50, 2), 19)
    assert (found["precision"], found["density"]) == (1, pytest.approx(20 / 19))


def test_prdc_refuses():
    a, bad = normal(23, 6, 2), np.diag([np.nan] + [1] * 5)[:, :2]
    for k in (0, 5, 6):
        with pytest.raises(ValueError, match=f"k must be 1 to 4.*Received: {k}"):
            prdc(a, a[:5], k)
    for name, pair in (("real", (bad, a)), ("fake", (a, bad))):
        with pytest.raises(ValueError, match=f"Received: 1 rows of `{name}`"):
            prdc(*pair, 1)


@pytest.mark.parametrize(("d", "kind"), [(1, "float64"), (2, "float32"), (3, "float64"), (10, "float32")])
def test_sliced_wasserstein_of_a_shift(d, kind):
    a, shift = normal(24, 64, d).astype(kind), np.arange(1, d + 1).astype(kind)
    mean_cosine = math.gamma(d / 2) / math.sqrt(math.pi) / math.gamma((d + 1) / 2)
    expected = pytest.approx(np.linalg.norm(shift) * mean_cosine, rel=0.02 if d > 1 else 1e-12)
    assert sliced_wasserstein(a, a[::-1] + shift, 20_000) == expected


def test_sliced_wasserstein_by_hand():
    """In one dimension, sorted: |0 - 1| + |2 - 1| + |7 - 11| over 3."""
    assert sliced_wasserstein(column(7, 0, 2), column(1, 11, 1), 5) == pytest.approx(2)
    assert sliced_wasserstein(np.uint8([[7], [0], [2]]), np.uint8([[1], [11], [1]]), 5) == pytest.approx(2)


def test_sliced_wasserstein_of_gaussians():
    a, b = 3 * normal(25, 20_000, 4), normal(26, 20_000, 4)
    assert sliced_wasserstein(a, b, 100) == pytest.approx(2 * math.sqrt(2 / math.pi), rel=0.02)
    assert sliced_wasserstein(a, b, 100) == sliced_wasserstein(b, a, 100)


def test_pieces_make_no_difference(monkeypatch):
    points, images = (normal(27, 100, 3), normal(28, 100, 3)), (scenes(35, 20, 32), scenes(36, 20, 32))
    whole, levels = sliced_wasserstein(*points, 50, seed=1), laplacian(*images)
    assert sliced_wasserstein(*points, 50, seed=2) != pytest.approx(whole, rel=1e-6)
    monkeypatch.setattr(distances, "SORTED", 700)
    assert sliced_wasserstein(*points, 50, seed=1) == pytest.approx(whole, rel=1e-12)
    monkeypatch.setattr(distances, "SORTED", 3 * 32 * 32 * 3)
    assert laplacian(*images) == pytest.approx(levels, rel=1e-6)


def test_sliced_wasserstein_refuses():
    for rows, projections, received in ((6, 5, r"shapes \(5, 2\) and \(6, 2\)"), (5, 0, "0")):
        with pytest.raises(ValueError, match=f"Received: {received}"):
            sliced_wasserstein(np.zeros((5, 2)), np.zeros((rows, 2)), projections)


def scenes(seed, n=80, size=64, vertical=False):
    """Images (n, size, size, 3): a wave along one axis under fine grain, of which the wave is the coarse part."""
    phase, grain = rng(seed).random((n, 1)), 25 * normal(seed, n, size, size, 3)
    wave = np.sin(2 * math.pi * ((np.arange(size) + 0.5) / size + phase))[:, :, None, None]
    return np.clip(128 + 30 * (wave if vertical else wave.swapaxes(1, 2)) + grain, 0, 255).astype("uint8")


def blurred(images):
    x = images.astype("float64")
    for axis in (1, 2):
        x = (np.roll(x, 1, axis) + 2 * x + np.roll(x, -1, axis)) / 4
    return np.rint(x).astype("uint8")


def laplacian(a, b, seed=0):
    return distances.laplacian_wasserstein(a, b, seed, patches_per_image=64, projections=64)


def test_laplacian_wasserstein_tells_the_scales_apart():
    a, other = scenes(29), scenes(30)
    floor, blur, turned = laplacian(a, other), laplacian(a, blurred(other)), laplacian(a, scenes(31, vertical=True))
    assert list(floor) == list(blur) == [64, 32, 16]
    assert blur[64] > 2 * floor[64]
    assert blur[64] - floor[64] > 5 * max(abs(blur[k] - floor[k]) for k in (32, 16))
    assert turned[16] > 4 * floor[16]
    assert turned[16] - floor[16] > 20 * max(abs(turned[k] - floor[k]) for k in (64, 32))


def test_laplacian_wasserstein_of_equal_sets_and_of_other_seeds():
    a, b = scenes(32, 20, 32), scenes(33, 20, 32)
    assert laplacian(a, a) == {32: 0, 16: 0}
    assert laplacian(a, b, seed=1) == laplacian(a, b, seed=1) != laplacian(a, b, seed=2)


def test_laplacian_wasserstein_normalises_each_channel_of_each_set():
    """More contrast in one channel, more light in another: not seen, in any level."""
    a = scenes(34, 20, 32) // 4
    assert laplacian(a, a * np.uint8([1, 2, 3]) + np.uint8([50, 0, 20])) == pytest.approx({32: 0, 16: 0}, abs=1e-5)


def test_patches_are_windows_normalised_over_all_places():
    """In an image of 16 y + x every patch is a corner's value plus 16 i + j; the other channel runs backwards."""
    ramp = np.arange(256, dtype="uint8").reshape(1, 16, 16, 1)
    images = np.concatenate([ramp, 255 - ramp], 3).repeat(5, 0)
    patches, other = (distances._patches(images, 0, 40, seed).reshape(200, 2, 49) for seed in (1, 2))
    assert np.any(patches != other)
    np.testing.assert_allclose([patches.mean((0, 2)), patches.std((0, 2))], [[0, 0], [1, 1]], atol=1e-5)
    unit, steps = patches[0, 0, 1] - patches[0, 0, 0], ramp[0, :7, :7].reshape(1, 49)
    np.testing.assert_allclose(patches[:, 0] - patches[:, 0, :1], unit * steps.repeat(200, 0), atol=1e-4)
    np.testing.assert_allclose(patches[:, 1], -patches[:, 0], atol=1e-4)
    corners = np.rint((patches[:, 0, 0] - patches[:, 0, 0].min()) / unit)
    assert set(corners % 16) == set(corners // 16) == set(range(10))  # to the last row and column
    assert len(set(corners)) > 60


def test_flat_images_have_no_detail():
    """A level without any deviation stays at 0, where a division by it would give noise or NaN."""
    flat = np.broadcast_to(rng(39).integers(0, 256, (30, 1, 1, 3)).astype("uint8"), (30, 32, 32, 3))
    found = laplacian(flat, np.full_like(flat, 7))
    assert found == {32: 0, 16: pytest.approx(0.8, abs=0.2)}
    assert laplacian(flat, np.full_like(flat, 7), seed=1)[16] != found[16]  # by the directions: places are all alike


def test_pyramid_against_the_plain_convolution():
    image, weights = normal(40, 1, 32, 32, 2), np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256

    def convolved(x):
        x = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), "reflect")
        return np.einsum("nhwcij,ij->nhwc", np.lib.stride_tricks.sliding_window_view(x, (5, 5), (1, 2)), weights)

    coarse = convolved(image)[:, ::2, ::2]
    np.testing.assert_allclose(distances._level(image, 1), coarse, atol=1e-12)
    spread = np.kron(coarse, np.array([[1, 0], [0, 0]])[None, :, :, None])
    np.testing.assert_allclose(distances._level(image, 0), image - 4 * convolved(spread), atol=1e-12)


def test_laplacian_wasserstein_refuses():
    shapes = (2, 48, 48, 3), (2, 8, 8, 3), (2, 32, 16, 3), (2, 32, 32), (0, 32, 32, 3)
    a = np.zeros((4, 16, 16, 1), "uint8")
    for pair in ((a, a[:3]), *((np.zeros(shape, "uint8"),) * 2 for shape in shapes)):
        with pytest.raises(ValueError, match=r"one shape.*Received: shapes"):
            laplacian(*pair)
    with pytest.raises(ValueError, match=r"must be uint8.*Received: uint8 and float32"):
        laplacian(a, a.astype("float32"))
    with pytest.raises(ValueError, match="Received: 0"):
        distances.laplacian_wasserstein(a, a, patches_per_image=0)


def test_mode_coverage_in_closed_form():
    """An even spread over m of the modes has log(modes / m), 3/4 and 1/4 of two modes .75 log 1.5 + .25 log .5."""
    even = mode_coverage(np.arange(49).repeat(3), 49)
    assert even["modes"] == 49
    assert 0 <= even["mode_kl"] < 1e-12  # the plain sum rounds below 0 here
    assert mode_coverage([7, 2, 2, 7, 5, 5], 12) == {"modes": 3, "mode_kl": pytest.approx(math.log(4))}
    found = mode_coverage(np.uint8([0, 0, 1, 0]), 2)
    assert found == {"modes": 2, "mode_kl": pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5))}
    assert [type(value) for value in found.values()] == [int, float]
    perfect = mode_coverage(rng(41).integers(0, 1000, 26_000), 1000)
    assert perfect == {"modes": 1000, "mode_kl": pytest.approx(999 / 52_000, rel=0.2)}


@pytest.mark.parametrize("labels", [[0, 3], [-1, 0], [], [0.0, 1.0], [[0, 1]], [True, False]])
def test_mode_coverage_refuses(labels):
    with pytest.raises(ValueError, match="Received"):
        mode_coverage(labels, 3)
