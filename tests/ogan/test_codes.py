"""Measures of codes against closed forms, known variances, brute force and scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from common.errors import UserError
from ogan.codes import linear_probe_r2, mean_squared_error, nearest_neighbours


def rng(seed=0):
    return np.random.default_rng(seed)


def test_mse_by_hand():
    a = np.array([[0.0, 1.0], [2.0, 3.0]])
    b = np.array([[1.0, 1.0], [0.0, 0.0]])
    assert mean_squared_error(a, b) == (1 + 0 + 4 + 9) / 4
    assert isinstance(mean_squared_error(a, b), float)
    assert mean_squared_error(np.uint8([0, 255]), np.uint8([255, 0])) == 255.0**2  # no wrap-around
    assert mean_squared_error(2.0, 5.0) == 9


def test_mse_sums_in_float64():
    a = np.full((1000, 1000), 0.1, "float32")
    assert mean_squared_error(a, np.zeros_like(a)) == pytest.approx(float(np.float32(0.1)) ** 2, rel=1e-12)


@pytest.mark.parametrize(("a", "b"), [(np.zeros((2, 3)), np.zeros(3)), (np.zeros((0, 3)), np.zeros((0, 3)))])
def test_mse_refuses(a, b):
    with pytest.raises(ValueError, match="Received"):
        mean_squared_error(a, b)


def test_probe_reads_an_exact_linear_map():
    codes = rng().standard_normal((3000, 8)) * [1, 1e3, 1e-3, 1, 5, 1, 2, 1] + 100
    factors = codes @ rng(1).standard_normal((8, 3)) + [4, 5, 6]
    r2 = linear_probe_r2(codes[:2000], factors[:2000], codes[2000:], factors[2000:], ridge=0)
    np.testing.assert_allclose(r2, 1, atol=1e-9)
    r2 = linear_probe_r2(codes[:2000], factors[:2000], codes[2000:], factors[2000:])
    np.testing.assert_allclose(r2, 1, atol=1e-4)


@pytest.mark.parametrize("noise", [0.5, 1.0, 2.0])
def test_probe_with_noise_of_known_variance(noise):
    """factor = code + noise * normal: the code explains 1/(1 + noise^2) of the variance."""
    codes = rng(2).standard_normal((40000, 5))
    factors = codes[:, :2] + noise * rng(3).standard_normal((40000, 2))
    r2 = linear_probe_r2(codes[:20000], factors[:20000], codes[20000:], factors[20000:])
    np.testing.assert_allclose(r2, 1 / (1 + noise**2), atol=0.015)


def test_probe_finds_nothing_in_independent_codes():
    codes, factors = rng(4).standard_normal((12000, 10)), rng(5).standard_normal((12000, 4))
    r2 = linear_probe_r2(codes[:10000], factors[:10000], codes[10000:], factors[10000:])
    assert r2.shape == (4,)
    assert np.all(np.abs(r2) <= 0.02)


def test_probe_is_measured_on_the_test_data():
    """With the sign turned in the test data the prediction is -y: R^2 = 1 - 4 = -3."""
    codes = rng(6).standard_normal((4000, 1))
    r2 = linear_probe_r2(codes[:2000], codes[:2000], codes[2000:], -codes[2000:], ridge=0)
    np.testing.assert_allclose(r2, -3, atol=0.02)


def test_probe_ridge_shrinks():
    """Standardised code, n rows, penalty n: the weight is halved, and R^2 = 1 - 1/4."""
    codes = rng(7).standard_normal((5000, 1))
    r2 = linear_probe_r2(codes, codes, codes, codes, ridge=5000)
    np.testing.assert_allclose(r2, 0.75, atol=1e-9)


def test_probe_takes_constant_and_doubled_codes():
    x = rng(8).standard_normal((500, 1))
    codes = np.concatenate([x, x, np.full((500, 1), 7.0)], 1)
    np.testing.assert_allclose(linear_probe_r2(codes, x, codes, x), 1, atol=1e-5)


@pytest.mark.parametrize(
    "shapes",
    [
        ((5, 2), (4, 1), (5, 2), (5, 1)),
        ((5, 2), (5, 1), (5, 3), (5, 1)),
        ((5, 2), (5, 1), (5, 2), (5, 2)),
        ((5, 2), (5,), (5, 2), (5,)),
        ((0, 2), (0, 1), (5, 2), (5, 1)),
    ],
)
def test_probe_refuses_shapes(shapes):
    with pytest.raises(ValueError, match="Received"):
        linear_probe_r2(*(rng().standard_normal(shape) for shape in shapes))


def test_probe_refuses_a_constant_factor():
    x = rng().standard_normal((5, 2))
    with pytest.raises(ValueError, match="constant"):
        linear_probe_r2(x, x, x, np.ones((5, 2)))


@pytest.mark.parametrize("chunk", [1, 7, 1000])
@pytest.mark.parametrize("k", [1, 3, 40])
def test_neighbours_against_brute_force(chunk, k):
    queries, bank = rng(13).standard_normal((9, 4, 2)), rng(14).standard_normal((40, 4, 2))
    distance = np.sqrt(((queries[:, None] - bank[None]) ** 2).sum((2, 3)))
    np.testing.assert_array_equal(nearest_neighbours(queries, bank, k, chunk), np.argsort(distance, 1)[:, :k])


def test_neighbours_of_bytes_find_themselves():
    bank = rng(15).integers(0, 256, (50, 8, 8, 3)).astype("uint8")
    indices = nearest_neighbours(bank[20:30], bank, 2, chunk=16)
    np.testing.assert_array_equal(indices[:, 0], np.arange(20, 30))
    assert np.all(indices[:, 1] != indices[:, 0])


def test_equal_distances_take_the_lower_index():
    bank = np.array([[1.0], [-1.0], [1.0], [0.5]])
    np.testing.assert_array_equal(nearest_neighbours(np.zeros((1, 1)), bank, 4, chunk=2), [[3, 0, 1, 2]])


def test_neighbours_refuse():
    with pytest.raises(ValueError, match=r"k must be 1 to 3.*Received: 4"):
        nearest_neighbours(np.zeros((2, 5)), np.zeros((3, 5)), 4)
    with pytest.raises(ValueError, match="one shape"):
        nearest_neighbours(np.zeros((2, 5)), np.zeros((3, 4)), 1)


@pytest.mark.parametrize("n", [2, 3, 10, 100])
def test_probe_refuses_a_constant_factor_whose_mean_is_rounded(n):
    """The mean of equal values can differ from them in the last bit: then the sum of squares is not 0."""
    x, constant = rng().standard_normal((n, 2)), np.full((n, 1), 0.1)
    with pytest.raises(ValueError, match="constant"):
        linear_probe_r2(x, x[:, :1], x, constant)


def test_probe_takes_a_constant_code_whose_mean_is_rounded():
    """Divided by a deviation of 1e-17, other values of that code in the test data would become huge."""
    x = rng(16).standard_normal((100, 1))
    train, test = (np.concatenate([x, np.full((100, 1), value)], 1) for value in (0.1, 0.3))
    np.testing.assert_allclose(linear_probe_r2(train, x, test, x), 1, atol=1e-3)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_probe_of_few_images_predicts_at_least_their_mean(n):
    """A single training image has no variance: its factors are the prediction."""
    codes, factors = rng(17).standard_normal((n, 4)), rng(18).standard_normal((n, 2))
    test = rng(19).standard_normal((5, 2))
    r2 = linear_probe_r2(codes, factors, np.zeros((5, 4)) if n == 1 else rng(20).standard_normal((5, 4)), test)
    assert r2.shape == (2,) and np.isfinite(r2).all()
    if n == 1:
        expected = 1 - np.sum((test - factors) ** 2, 0) / np.sum((test - test.mean(0)) ** 2, 0)
        np.testing.assert_allclose(r2, expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_named(value):
    x = rng(21).standard_normal((5, 2))
    bad = x.copy()
    bad[3, 1] = value
    cases = {
        "the first array": lambda: mean_squared_error(bad, x),
        "the second array": lambda: mean_squared_error(x, bad),
        "the training codes": lambda: linear_probe_r2(bad, x, x, x),
        "the training factors": lambda: linear_probe_r2(x, bad, x, x),
        "the test codes": lambda: linear_probe_r2(x, x, bad, x),
        "the test factors": lambda: linear_probe_r2(x, x, x, bad),
        "the queries": lambda: nearest_neighbours(bad, x, 1),
        "the bank": lambda: nearest_neighbours(x, bad, 1),
    }
    for name, measure in cases.items():
        with pytest.raises(UserError, match=f"{name} must be finite.* the first in row 3"):
            measure()


def probe_data(n=60, d=5, factors=2, scale=1.0, dtype="float64"):
    """Return codes and factors, of training and test, related up to noise."""
    random = rng([n, d, factors])
    train, test = (random.standard_normal((rows, d)) for rows in (n, 30))
    weights = random.standard_normal((d, factors))
    read = lambda codes: codes @ weights + random.standard_normal((len(codes), factors))
    return [(scale * x).astype(dtype) for x in (train, read(train), test, read(test))]


def with_codes(change):
    train, factors, test, test_factors = probe_data()
    return [change(train), factors, change(test), test_factors]


PROBES = {
    "plain": probe_data(),
    "two rows": probe_data(n=2),
    "one code, one factor": probe_data(d=1, factors=1),
    "more codes than rows": probe_data(n=20, d=50),
    "huge": probe_data(scale=1e12),
    "tiny": probe_data(scale=1e-12),
    "float32": probe_data(dtype="float32"),
    "a constant code": with_codes(lambda x: np.concatenate([x, np.full((len(x), 1), 0.1)], 1)),
    "a code twice": with_codes(lambda x: np.concatenate([x, x[:, :1]], 1)),
    "codes of other sizes": with_codes(lambda x: x * [1e-6, 1, 1e6, 1, 1] + [0, 0, 0, 1e6, 0]),
    "few values": with_codes(np.sign),
}


@pytest.mark.parametrize("ridge", [None, 0.5, 100])
@pytest.mark.parametrize("name", PROBES)
def test_probe_is_that_of_scikit_learn(name, ridge):
    train, factors, test, test_factors = PROBES[name]
    x, y, x_test, y_test = (a.astype("float64") for a in PROBES[name])
    model = make_pipeline(StandardScaler(), Ridge(1e-3 * len(x) if ridge is None else ridge)).fit(x, y)
    expected = r2_score(y_test, model.predict(x_test).reshape(y_test.shape), multioutput="raw_values")
    np.testing.assert_allclose(
        linear_probe_r2(train, factors, test, test_factors, ridge), expected, rtol=1e-6, atol=1e-8
    )


BANKS = {
    "plain": (rng(30).standard_normal((9, 4)), rng(31).standard_normal((50, 4))),
    "one column": (rng(30).standard_normal((9, 1)), rng(31).standard_normal((50, 1))),
    "two rows": (rng(30).standard_normal((9, 4)), rng(31).standard_normal((2, 4))),
    "more columns than rows": (rng(30).standard_normal((3, 60)), rng(31).standard_normal((9, 60))),
    "ties": (rng(30).integers(0, 4, (20, 2)), rng(31).integers(0, 4, (60, 2))),
    "every row six times": (rng(30).standard_normal((9, 4)), rng(31).standard_normal((10, 4)).repeat(6, 0)),
    "rows of the bank": (rng(31).standard_normal((9, 4)), rng(31).standard_normal((50, 4))),
    "huge": (1e12 * rng(30).standard_normal((9, 4)), 1e12 * rng(31).standard_normal((50, 4))),
    "tiny": (1e-12 * rng(30).standard_normal((9, 4)), 1e-12 * rng(31).standard_normal((50, 4))),
    "float32": (rng(30).standard_normal((9, 4), "float32"), rng(31).standard_normal((50, 4), "float32")),
}


@pytest.mark.parametrize("k", [1, 2, 7])
@pytest.mark.parametrize("name", BANKS)
def test_neighbours_are_those_of_scikit_learn(name, k):
    """Of equal distances the library may take any, so the distances are compared."""
    queries, bank = BANKS[name]
    k = min(k, len(bank))
    indices = nearest_neighbours(queries, bank, k, chunk=16)
    x, y = queries.astype("float64"), bank.astype("float64")
    distances, _ = NearestNeighbors(n_neighbors=k, algorithm="kd_tree").fit(y).kneighbors(x)
    ours = np.linalg.norm(x[:, None] - y[indices], axis=-1)
    np.testing.assert_allclose(ours, distances, rtol=1e-9, atol=1e-12 * np.abs(y).max())
    assert all(len(set(row)) == k for row in indices.tolist())
