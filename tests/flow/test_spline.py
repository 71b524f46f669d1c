"""Spline couplings against the formula of Gregory and Delbourgo (1982), written out in numpy."""

import keras
import numpy as np
import pytest
from keras import ops

from flow.layers import SplineCoupling
from flow.layers.networks import conv_net, mlp
from tests.helpers.autodiff import jacobian
from tests.helpers.flows import DTYPE, assert_close, random_array, to_numpy

BINS, BOUND = 6, 3.0


def fixed_curve(raw, bound=BOUND):
    """Return a coupling of points of the plane with one curve for all x1: the net always returns `raw`."""
    constant = keras.initializers.Constant(raw)
    net = keras.Sequential([keras.layers.Dense(len(raw), kernel_initializer="zeros", bias_initializer=constant)])
    return SplineCoupling(net, bins=(len(raw) + 1) // 3, bound=bound)


def knots_of(raw, bound=BOUND):
    """Return x, y and slope at all knots, float64 (bins + 1,) each, made of the net's output as in arXiv 1906.04032."""
    bins = (len(raw) + 1) // 3
    raw = np.asarray(raw, "float64")

    def positions(values):
        shares = np.exp(values - values.max()) / np.exp(values - values.max()).sum()
        return bound * (2 * np.cumsum([0, *(1e-4 + (1 - bins * 1e-4) * shares)]) - 1)

    offset = np.log(np.exp(0.999) - 1)
    slopes = 0.001 + np.logaddexp(0, raw[2 * bins :] + offset)
    return positions(raw[:bins]), positions(raw[bins : 2 * bins]), np.array([1, *slopes, 1])


def gregory_delbourgo(x, knots, values, slopes):
    """Return the rational quadratic interpolant at points x, the identity outside the knots."""
    i = np.clip(np.searchsorted(knots, x) - 1, 0, len(knots) - 2)
    delta = (values[i + 1] - values[i]) / (knots[i + 1] - knots[i])
    u = (x - knots[i]) / (knots[i + 1] - knots[i])
    v, mixed = 1 - u, (values[i + 1] * slopes[i] + values[i] * slopes[i + 1]) / delta
    p = values[i + 1] * u * u + mixed * u * v + values[i] * v * v
    q = u * u + (slopes[i + 1] + slopes[i]) / delta * u * v + v * v
    return np.where((x <= knots[0]) | (x >= knots[-1]), x, p / q)


def on_line(x, dtype="float32"):
    """Return points of the plane whose second coordinates are x."""
    return np.stack([np.zeros_like(x), x], axis=1).astype(dtype)


@pytest.mark.parametrize("seed", range(3))
def test_the_curve_is_the_rational_quadratic_one(seed):
    raw = random_array(3 * BINS - 1, seed=seed, dtype="float64")
    keras.config.set_dtype_policy(DTYPE)
    layer, x = fixed_curve(raw), np.linspace(-4, 4, 801)
    y, log_det = to_numpy(layer(on_line(x, DTYPE)))
    curve = gregory_delbourgo(x, *knots_of(raw))
    assert_close(y[:, 1], curve, 1e-5)
    assert np.abs(curve - x).max() > 0.3
    h = 1e-6
    slope = (gregory_delbourgo(x + h, *knots_of(raw)) - gregory_delbourgo(x - h, *knots_of(raw))) / (2 * h)
    assert_close(np.exp(log_det), slope, 1e-3)


def test_slopes_are_continuous_at_the_knots_and_in_the_tails():
    raw = random_array(3 * BINS - 1, seed=4)
    x, y, slopes = knots_of(raw)
    layer = fixed_curve(raw)
    for side in (-1e-5, 1e-5):
        at_knots, log_det = to_numpy(layer(on_line(x + side)))
        assert_close(at_knots[:, 1], y, 1e-4)
        assert_close(np.exp(log_det), slopes, 1e-3)
    for sign in (-1, 1):
        far, log_det = to_numpy(layer(on_line(sign * np.array([3.5, 100, 1e6]))))
        np.testing.assert_allclose(far[:, 1], sign * np.array([3.5, 100, 1e6]), rtol=1e-6)
        assert_close(log_det, np.zeros(3), 1e-6)


@pytest.mark.parametrize("scale", [1, 30])
def test_the_inverse_at_knots_in_tails_and_of_extreme_parameters(scale):
    """x comes back to 1e-5 and what the rounding of y costs: an error e of y is one of e dx/dy in x."""
    raw = scale * random_array(3 * BINS - 1, seed=5)
    knots, _, _ = knots_of(raw)
    layer = fixed_curve(raw)
    x = np.sort(np.concatenate([np.linspace(-3.5, 3.5, 301), knots, knots - 1e-6, knots + 1e-6, [-1e4, 1e4]]))
    y, log_det = to_numpy(layer(on_line(x)))
    restored, inverse_log_det = to_numpy(layer.inverse(y))
    assert np.isfinite(log_det).all() and np.isfinite(inverse_log_det).all()
    assert (np.diff(y[:, 1]) >= -1e-6).all(), "it rises"
    error_of_y = 1e-6 * np.maximum(1, np.abs(y[:, 1]))
    assert (np.abs(restored[:, 1] - x) <= 1e-5 * np.maximum(1, np.abs(x)) + error_of_y * np.exp(-log_det)).all()
    back, _ = to_numpy(layer(restored))
    assert_close(back[:, 1], y[:, 1], 1e-5)
    if scale == 1:
        assert_close(inverse_log_det, -log_det, 1e-4)


def test_log_det_at_extreme_parameters_is_that_of_the_jacobian():
    layer = fixed_curve(10 * random_array(3 * BINS - 1, seed=6))
    for x in (-2.9, -0.7, 0.4, 2.2):
        point = np.array([0.3, x], "float32")
        _, log_det = to_numpy(layer(point[None]))
        assert_close(np.linalg.slogdet(jacobian(lambda x: layer(x)[0], point))[1], log_det[0], 1e-3)


@pytest.mark.parametrize(
    ("net", "split", "shape"),
    [
        (lambda n: mlp(8, 1, n), "halves", (4,)),
        (lambda n: conv_net(8, n), "halves", (2, 4, 4)),
        (lambda n: conv_net(8, 2 * n), "checkerboard", (2, 4, 4)),
    ],
    ids=["points", "channels", "checkerboard"],
)
def test_a_coupling_starts_as_the_identity_and_every_entry_has_its_own_curve(net, split, shape):
    layer, x = SplineCoupling(net(2 * 17), split, bins=6), random_array(5, *shape) * 2
    y, log_det = to_numpy(layer(x))
    assert_close(y, x, 1e-5)
    assert_close(log_det, np.zeros(5), 1e-4)
    bias = layer.net.layers[-1].bias
    one_curve = np.zeros(bias.shape, "float32")
    one_curve[:17] = random_array(17)  # of the first entry of x2
    bias.assign(one_curve)
    changed = np.abs(to_numpy(layer(x))[0] - x).max(tuple(range(len(shape)))) > 1e-3
    expected = [False] * shape[-1]
    expected[0 if split == "checkerboard" else shape[-1] // 2] = True
    assert changed.tolist() == expected


def test_gradients_are_finite_at_knots_and_far_outside():
    layer = fixed_curve(random_array(3 * BINS - 1, seed=7))
    for x in (*knots_of(random_array(3 * BINS - 1, seed=7))[0], 1e6):
        assert np.isfinite(jacobian(lambda x: ops.stack(layer(x)[1:], -1), np.array([0, x], "float32"))).all()


@pytest.mark.parametrize("wrong", [{"bins": 1}, {"bound": 0.0}])
def test_a_spline_without_bins_or_room_is_refused(wrong):
    with pytest.raises(ValueError, match=r"2 bins or more and a positive bound\. Received: bins="):
        SplineCoupling(mlp(8, 1, 2), **wrong)
