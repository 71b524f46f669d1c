"""The 2-D toys: densities against quadrature and closed forms, samples against densities."""

import functools
import math
import tracemalloc

import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import make_moons
from sklearn.neighbors import KernelDensity

from common.data.toy_2d import TOYS, entropy, log_density, modes, sample
from common.errors import UserError
from common.plots.planes import grid_points

CURVES = ("two_moons", "swiss_roll")
MIXTURES = {"8gaussians": (8, 0.02 / 1.414), "25gaussians": (25, 0.05 / 2.828)}
EXTENT = {"two_moons": (-2.5, 2.5, -2.5, 2.5), "swiss_roll": (-1.6, 2, -1.8, 2.2), "checkerboard": (-5, 5, -5, 5)}
GRID_SIDE = {"two_moons": 180, "swiss_roll": 200, "checkerboard": 100}  # cells are at most 0.6 noise widths
N = 40000


@functools.cache
def density_grid(name):
    """Return (points, density, area of a cell) on a square grid that holds all the data."""
    extent, side = EXTENT[name], GRID_SIDE[name]
    points = grid_points(extent, side).astype("float64")
    return points, np.exp(log_density(name, points)), (extent[1] - extent[0]) * (extent[3] - extent[2]) / side**2


@functools.cache
def sample_with_density(name):
    """Return half of N points of a toy and their log densities."""
    points = sample(name, N // 2, seed=11)
    return points, log_density(name, points)


def brute_force(name, points, steps=200000):
    """Return the log density by the midpoint rule along each curve, in the coordinates of the formula."""
    u = (np.arange(steps) + 0.5) / steps
    if name == "two_moons":
        a = math.pi * u
        arcs = [(np.cos(a), np.sin(a)), (1 - np.cos(a), 0.5 - np.sin(a))]
        noise, shift = 0.05, (0.5, 0.25)
        scale = (math.sqrt(0.75 + 0.0025), math.sqrt(9 / 16 - 1 / math.pi + 0.0025))
    else:
        t = 1.5 * math.pi * (1 + 2 * u)
        arcs, noise, shift, scale = [(t * np.cos(t), t * np.sin(t))], 0.25, (0, 0), (7.5, 7.5)
    result = []
    for x, y in points:
        x, y = x * scale[0] + shift[0], y * scale[1] + shift[1]
        exponents = np.concatenate([-((x - p) ** 2 + (y - q) ** 2) / (2 * noise**2) for p, q in arcs])
        top = exponents.max()
        density = np.exp(exponents - top).mean() / (2 * math.pi * noise**2)
        result.append(top + math.log(density * scale[0] * scale[1]))
    return np.array(result)


@pytest.mark.parametrize("name", EXTENT)
def test_density_integrates_to_one(name):
    _, density, cell = density_grid(name)
    assert np.ptp(density) > 0.03
    assert density.sum() * cell == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", MIXTURES)
def test_every_narrow_mode_holds_its_share(name):
    k, std = MIXTURES[name]
    centres, stated = modes(name)
    assert centres.shape == (k, 2)
    assert stated == pytest.approx(std, rel=1e-12)
    box = np.array([-8, 8, -8, 8]) * std
    for centre in centres:
        points = centre + grid_points(box, 40).astype("float64")
        density = np.exp(log_density(name, points))
        assert density.sum() * (16 * std / 40) ** 2 == pytest.approx(1 / k, rel=1e-5)


def test_modes_lie_where_the_definition_says():
    ring, _ = modes("8gaussians")
    np.testing.assert_allclose(np.hypot(*ring.T), 2 / 1.414, rtol=1e-12)
    angles = np.sort(np.degrees(np.arctan2(ring[:, 1], ring[:, 0])).round(6) % 360)
    np.testing.assert_allclose(angles, 45 * np.arange(8), atol=1e-5)
    lattice, _ = modes("25gaussians")
    expected = {(x, y) for x in range(-4, 5, 2) for y in range(-4, 5, 2)}
    assert {tuple(row) for row in (lattice * 2.828).round(9).tolist()} == expected


@pytest.mark.parametrize("name", MIXTURES)
def test_mixture_between_and_at_its_modes(name):
    k, std = MIXTURES[name]
    centres, _ = modes(name)
    peak = -math.log(k * 2 * math.pi * std**2)
    np.testing.assert_allclose(log_density(name, centres), peak, rtol=1e-9)
    np.testing.assert_allclose(log_density(name, centres + [3 * std, -std]), peak - 5, rtol=1e-9)
    distances = np.hypot(*(centres - [0.4, 0.1]).T)  # where even the nearest mode's exponential underflows
    expected = peak - distances.min() ** 2 / (2 * std**2)
    np.testing.assert_allclose(log_density(name, [[0.4, 0.1]]), expected, rtol=1e-6)


@pytest.mark.parametrize("name", CURVES)
def test_curves_against_brute_force(name):
    on = sample(name, 12, seed=3)
    between, far = [[0.0, 0.0], [0.3, -0.2], [-0.6, 0.6], [0.6, -0.55]], [[3.0, 3.0], [-2.5, 1.0]]
    np.testing.assert_allclose(log_density(name, on), brute_force(name, on.astype("float64")), rtol=0, atol=1e-8)
    np.testing.assert_allclose(log_density(name, between), brute_force(name, between), rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(log_density(name, far), brute_force(name, far), rtol=1e-3)


def test_checkerboard_is_flat_on_eight_squares():
    low = np.arange(-4, 4, 2)
    corners = np.array([(x, y) for x in low for y in low])
    values = log_density("checkerboard", corners + 1.0)
    dark = values > -np.inf
    assert dark.sum() == 8
    np.testing.assert_allclose(values[dark], -math.log(32), rtol=1e-12)
    for x, y in corners:  # neighbours differ, the plane around is empty
        assert np.isfinite(log_density("checkerboard", [[x + 0.1, y + 1.9]])) == ((x + y) % 4 == 0)
    rim = [[5, 1], [-5, -1], [1, 5], [-1, -5], [4.001, 3], [-3, -4.001]]
    assert np.all(log_density("checkerboard", rim) == -np.inf)


@pytest.mark.parametrize("name", TOYS)
def test_entropy_is_the_mean_surprise_of_a_sample(name):
    surprise = -sample_with_density(name)[1]
    assert surprise.shape == (N // 2,)
    sample_error = surprise.std() / math.sqrt(N // 2)
    entropy_error = surprise.std() / math.sqrt(50000) if name in CURVES else 0
    assert entropy_error < 0.005
    assert abs(surprise.mean() - entropy(name)) <= 4 * math.hypot(sample_error, entropy_error) + 1e-12


@pytest.mark.parametrize("name", EXTENT)
def test_entropy_by_quadrature(name):
    _, density, cell = density_grid(name)
    density = density[density > 1e-300]
    assert entropy(name) == pytest.approx(-(density * np.log(density)).sum() * cell, abs=4 * 0.004)


@pytest.mark.parametrize(("name", "nats"), [("8gaussians", -3.600), ("25gaussians", -2.014), ("checkerboard", 3.466)])
def test_known_entropies(name, nats):
    assert entropy(name) == pytest.approx(nats, abs=0.0005)


def test_moons_are_standardised_exactly():
    points, density, cell = density_grid("two_moons")
    weights = density * cell
    np.testing.assert_allclose(weights @ points, 0, atol=1e-6)
    np.testing.assert_allclose(weights @ points**2, 1, atol=1e-6)
    drawn = sample("two_moons", N, seed=5).astype("float64")
    for values in (drawn, drawn**2 - 1):
        assert np.all(np.abs(values.mean(0)) < 4 * values.std(0) / math.sqrt(N))


@pytest.mark.parametrize("name", EXTENT)
def test_samples_fall_where_the_density_is(name):
    """Counts in 10 x 10 boxes are binomial around the integrals of the density."""
    _, density, cell = density_grid(name)
    m = math.isqrt(len(density))
    share = (density * cell).reshape(10, m // 10, 10, m // 10).sum((1, 3))
    xmin, xmax, ymin, ymax = EXTENT[name]
    x, y = sample(name, N, seed=7).T
    counts, _, _ = np.histogram2d(y, x, bins=10, range=[(ymin, ymax), (xmin, xmax)])
    assert counts.sum() >= N - 2
    assert np.all(np.abs(counts - N * share) <= 4.5 * np.sqrt(N * share * (1 - share)) + 1)


@pytest.mark.parametrize("name", MIXTURES)
def test_samples_of_a_mixture_have_its_modes(name):
    k, std = MIXTURES[name]
    centres, _ = modes(name)
    points = sample(name, N, seed=9).astype("float64")
    nearest = ((points[:, None] - centres) ** 2).sum(2).argmin(1)
    counts = np.bincount(nearest, minlength=k)
    assert np.all(np.abs(counts - N / k) < 4 * math.sqrt(N / k * (1 - 1 / k)))
    offsets = points - centres[nearest]
    assert np.all(np.abs(offsets.mean(0)) < 4 * std / math.sqrt(N))
    np.testing.assert_allclose(offsets.std(0), std, rtol=4 / math.sqrt(2 * N))
    assert abs(np.corrcoef(offsets.T)[0, 1]) < 4 / math.sqrt(N)


@pytest.mark.parametrize("name", TOYS)
def test_rows_are_independent_and_float32(name):
    points = sample(name, N, seed=1)
    assert points.dtype == np.float32
    assert points.shape == (N, 2)
    for column in points.T.astype("float64"):
        assert column.std() > 0.5
        assert abs(np.corrcoef(column[1:], column[:-1])[0, 1]) < 4 / math.sqrt(N)
    assert np.isfinite(sample_with_density(name)[1]).all()
    assert sample(name, 0, seed=1).shape == (0, 2)
    assert log_density(name, np.zeros((0, 2))).shape == (0,)


@pytest.mark.parametrize("name", TOYS)
def test_seeds_reproduce_and_differ(name):
    first = sample(name, 50, seed=3)
    np.testing.assert_array_equal(first, sample(name, 50, seed=3))
    np.testing.assert_array_equal(sample(name, 50, seed=[3, 1]), sample(name, 50, seed=[3, 1]))
    others = [sample(name, 50, seed) for seed in (4, [3, 1], [3, 2])]
    assert all((first != other).any(1).mean() > 0.9 for other in others)
    assert (others[1] != others[2]).any(1).mean() > 0.9


def test_memory_of_log_density_is_bounded():
    points = sample("swiss_roll", 6000, seed=2)  # in one piece they would take 100 MB an array
    tracemalloc.start()
    values = log_density("swiss_roll", points)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 80e6
    some = [0, 1023, 1024, 1025, 4321, 5999]
    np.testing.assert_allclose(values[some], [log_density("swiss_roll", points[i : i + 1])[0] for i in some], rtol=1e-9)


@pytest.mark.parametrize("name", TOYS)
def test_log_density_of_points_that_are_not_finite_is_nan(name):
    points = np.array([[np.nan, 0], [-1, -1], [0, np.inf], [1, 1]])
    values = log_density(name, points)
    assert np.isnan(values).tolist() == [True, False, True, False]
    np.testing.assert_array_equal(values[[1, 3]], log_density(name, points[[1, 3]]))


@pytest.mark.parametrize("call", [lambda name: sample(name, 3, 0), lambda name: log_density(name, [[0, 0]]), entropy])
def test_unknown_toys_are_refused(call):
    with pytest.raises(UserError, match=r"unknown toy 'moons': allowed are two_moons, 8gaussians, .*checkerboard"):
        call("moons")


def test_only_mixtures_have_modes():
    for name in ("two_moons", "swiss_roll", "checkerboard", "9gaussians"):
        with pytest.raises(UserError, match=rf"'{name}': allowed are 8gaussians, 25gaussians$"):
            modes(name)


@pytest.mark.parametrize("shape", [(2,), (3, 1), (2, 3), (1, 2, 2), ()])
def test_points_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"\(n, 2\)\. Received"):
        log_density("two_moons", np.zeros(shape))


def test_moons_are_those_of_scikit_learn():
    """Its moons without noise, blurred by a kernel as wide as the noise, have this density; the same points occur."""
    noise, shift = 0.05, np.array([0.5, 0.25])
    scale = np.sqrt([0.75 + noise**2, 9 / 16 - 1 / math.pi + noise**2])
    skeleton, _ = make_moons(40_000, noise=None)
    points = sample("two_moons", 300, 5) + np.random.default_rng(6).normal(0, 0.05, (300, 2))
    expected = KernelDensity(bandwidth=noise).fit(skeleton).score_samples(points * scale + shift) + np.log(scale).sum()
    assert expected.min() < -6
    np.testing.assert_allclose(log_density("two_moons", points), expected, atol=0.005)
    theirs = (make_moons(4000, noise=noise, random_state=0)[0] - shift) / scale
    for axis in (0, 1):
        assert stats.ks_2samp(sample("two_moons", 4000, 7)[:, axis], theirs[:, axis]).pvalue > 0.01
