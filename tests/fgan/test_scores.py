"""The functions of the raw score: values, gradients, and extreme scores (article 6016)."""

import keras
import numpy as np
import pytest
from keras import ops

from fgan.divergences import DIVERGENCES
from tests.fgan.helpers import ACTIVATIONS, U, X, bound, every_divergence, float32, normal
from tests.helpers.arrays import numpy64 as numpy
from tests.helpers.autodiff import gradient

V = np.linspace(-6, 6, 49)


@every_divergence
def test_activation_and_negative_conjugate_are_those_of_the_article(name):
    row = DIVERGENCES[name]
    t = ACTIVATIONS[name](V)
    np.testing.assert_allclose(numpy(row.activation(float32(V))), t, rtol=2e-6, atol=3e-7)
    np.testing.assert_allclose(numpy(row.negative_conjugate(float32(V))), -row.conjugate(t), rtol=5e-6, atol=1e-6)


@every_divergence
def test_activation_of_the_optimal_score_is_the_derivative_of_f(name):
    row = DIVERGENCES[name]
    v, slopes = row.optimal_score(U), row.derivative(U)
    np.testing.assert_allclose(ACTIVATIONS[name](v), slopes, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(numpy(row.activation(float32(v))), slopes, rtol=4e-5, atol=1e-6)


@pytest.mark.parametrize("dtype, size", [("float16", 6e4), ("bfloat16", 6e4), ("float32", 6e4), ("float32", 80.0)])
@every_divergence
def test_extreme_scores_stay_finite_and_in_range(name, dtype, size):
    row = DIVERGENCES[name]
    v = ops.cast(np.array([-size, -size / 2, 0.0, size / 2, size]), dtype)
    gradients_at_size = []
    for function in (row.activation, row.negative_conjugate):
        values = function(v)
        assert keras.backend.standardize_dtype(values.dtype) == "float32"
        assert np.isfinite(numpy(values)).all() and abs(numpy(values)).sum() * 1024 < 3e38, "nor overflows a batch sum"
        slopes = gradient(lambda v, function=function: ops.sum(function(v)), ops.cast(v, "float32"))
        assert np.isfinite(slopes).all()  # in float16 they would overflow at 65504
        gradients_at_size.append(slopes[-1])
    t = numpy(row.activation(v))
    assert (t >= np.float32(row.t_range[0])).all() and (t <= np.float32(row.t_range[1])).all()
    assert (np.diff(t) * np.diff(numpy(row.negative_conjugate(v))) <= 0).all(), "if one term rises the other falls"
    assert np.ptp(t) > 0.4
    assert any(gradients_at_size) or name == "total_variation", "scores that are too high get a gradient back"


@every_divergence
def test_clipped_scores_still_give_a_bound(name):
    """Where e^v goes on as its tangent, T and -g(T) still belong together, so no critic gains by running away."""
    row, (p, q) = DIVERGENCES[name], (normal(0.5), normal(0))
    best = bound(row, np.clip(row.optimal_score(p / q), -1e7, 20), p, q)
    for v in (50 * X, 1000 * X, -100 * X, 70 + 0 * X, 4e4 + 0 * X, -4e4 + 0 * X):
        assert bound(row, v, p, q) < best


@pytest.mark.parametrize("side", ["activation", "negative_conjugate"])
@every_divergence
def test_gradients_match_finite_differences(name, side):
    row = DIVERGENCES[name]
    v, step = np.array([-5.0, -1.3, -0.1, 0.4, 1.7, 4.0]), 1e-5
    value = lambda v: ACTIVATIONS[name](v) if side == "activation" else -row.conjugate(ACTIVATIONS[name](v))
    expected = (value(v + step) - value(v - step)) / (2 * step)
    actual = gradient(lambda v: ops.sum(getattr(row, side)(v)), v.astype("float32"))
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)


@every_divergence
def test_gradient_that_reaches_the_generator(name):
    """|d(-g(T(v)))/dv| at the best critic, for fakes it rejects (u = e^-4), is unsure of, and takes for real (e^4).

    On digits only a divergence trains whose gradient is bounded and does not vanish on both sides (`fgan/compare.py`).
    """
    row = DIVERGENCES[name]
    v = np.clip(row.optimal_score(np.exp([-4.0, 0.0, 4.0])), -30, 30).astype("float32")
    actual = np.abs(gradient(lambda v: ops.sum(row.negative_conjugate(v)), v))
    sigmoid = lambda x: 1 / (1 + np.exp(-np.asarray(x)))
    expected = {
        "total_variation": [0, 0.5, 0],
        "kl": np.exp([-4.0, 0, 4]),  # u
        "reverse_kl": [1, 1, 1],
        "pearson": np.exp([4.0, 0, -4]),  # 1/u
        "neyman": 2 * np.exp([-8.0, 0, 8]),  # 2 u^2
        "hellinger": np.exp([-2.0, 0, 2]),  # sqrt u
        "jeffrey": [1 / lambert(1 - t) for t in v.astype("float64")],
        "js": sigmoid([-4.0, 0, 4]) / 2,
        "gan": sigmoid([-4.0, 0, 4]),
    }[name]
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-6)


def lambert(a):
    """Return W(e^a) by bisection."""
    low, high = -60.0, 60.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.exp(middle) + middle < a else (low, middle)
    return np.exp(low)
