"""What article 6407 says about exp(x y^T), and the linear layer made of such matrices."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from keras import ops

from flow.layers import ExpRankOneLinear
from flow.layers.linear import exp_outer, phi
from tests.helpers.autodiff import gradient, weight_gradients
from tests.helpers.flows import DTYPE, TOLERANCE, assert_close, random_array, to_numpy


def expm(a):
    """Return the matrix exponential: the series of a / 1024, squared ten times."""
    term = total = np.eye(len(a))
    for i in range(1, 15):
        term = term @ a / 1024 / i
        total = total + term
    return np.linalg.matrix_power(total, 1024)


def exact_phi(s):
    """Return phi(s) = (e^s - 1) / s and its derivative, computed with 150 digits."""
    if not s:
        return 1, 0.5
    with localcontext(prec=150):
        d, e = Decimal(float(s)), Decimal(float(s)).exp()
        return float((e - 1) / d), float((e * (d - 1) + 1) / d**2)


def test_exp_outer_is_the_matrix_exponential():
    x, y = random_array(5, dtype=DTYPE), random_array(5, seed=1, dtype=DTYPE)
    orthogonal = y - x * (x @ y) / (x @ x)  # so that s = 0: the matrix is a shear
    for u, v in ((x, y), (3 * x, y), (x, orthogonal)):
        matrix, inverse = to_numpy((exp_outer(u, v), exp_outer(-u, v)))
        assert_close(matrix, expm(np.outer(u, v).astype("float64")), TOLERANCE)
        assert_close(matrix @ inverse, np.eye(5), TOLERANCE)
        assert_close(np.linalg.slogdet(matrix), (1, u @ v), TOLERANCE)
    assert_close(matrix, np.eye(5) + np.outer(x, orthogonal), TOLERANCE)


@pytest.mark.parametrize("s", [0] + [a * b for a in (1e-30, 1e-8, 1e-4, 1e-3, 0.3, 1, 20, 80) for b in (1, -1)])
def test_values_and_gradients_of_phi_and_exp_outer(s):
    s = np.float32(s)
    value, derivative = exact_phi(s)
    assert_relative = lambda actual, expected: np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-35)
    np.testing.assert_allclose(ops.convert_to_numpy(phi(ops.convert_to_tensor(s))), value, rtol=1e-6 * (1 + abs(s)))
    assert_relative(gradient(phi, s), derivative)

    x, y = s * np.array([0.5, 0.25, 0.5], "float32"), np.array([1, 2, 0], "float32")  # <x, y> = s exactly
    x_tensor, y_tensor = ops.convert_to_tensor(x), ops.convert_to_tensor(y)
    assert_relative(exp_outer(x_tensor, y_tensor), np.eye(3) + value * np.outer(x, y))

    # of the scalar sum(g * exp_outer(x, y)), with respect to x and to y
    g = np.ones((3, 3), "float32") + np.arange(3, dtype="float32")[:, None]
    x64 = x.astype("float64")
    expected = value * (g @ y) + derivative * (x64 @ g @ y) * y
    assert_relative(gradient(lambda x: ops.sum(g * exp_outer(x, y_tensor)), x), expected)
    expected = value * (x @ g).astype("float64") + derivative * (x64 @ g @ y) * x
    assert_relative(gradient(lambda y: ops.sum(g * exp_outer(x_tensor, y)), y), expected)


@pytest.mark.parametrize("bound", [None, 5.0, 0.5])
@pytest.mark.parametrize("terms", [1, 3, 4])
def test_layer_written_out(terms, bound):
    h, layer = random_array(2, 3, 5, 6), ExpRankOneLinear(terms, bound=bound)
    layer(h)
    layer.set_weights([random_array(terms, 6, seed=1) * 0.7, random_array(terms, 6, seed=2) * 0.7])
    x, y = layer.get_weights()
    s = np.sum(x * y, axis=1)
    a = np.ones(terms) if bound is None else bound * np.tanh(s / bound) / s
    factors = [expm(a[i] * np.outer(x[i], y[i])) for i in range(terms)]
    matrix = np.linalg.multi_dot([np.eye(6), *factors, np.eye(6)])
    assert_close(layer.matrix(), matrix)
    output, log_det = layer(h)
    assert_close(output, h @ matrix)
    assert_close(log_det, np.full(2, 15 * np.sum(a * s)))
    if terms == 1:  # in O(n): h + phi(s) <h, x> y, and back
        t, u = a[0] * s[0], a[0] * x[0]
        assert_close(output, h + (np.expm1(t) / t) * (h @ u)[..., None] * y[0])
        assert_close(layer.inverse(h)[0], h + (np.expm1(-t) / t) * (h @ u)[..., None] * y[0])


def test_layer_at_zero_and_far_from_it():
    layer, g = ExpRankOneLinear(), random_array(6, 6)
    layer(random_array(2, 6))
    assert [weight.shape for weight in layer.trainable_weights] == [(3, 6)] * 2
    gradients = lambda: weight_gradients(lambda: ops.sum(g * layer.matrix()), layer.trainable_weights)

    y = random_array(3, 6)
    layer.set_weights([np.zeros((3, 6)), y])
    assert_close(layer.matrix(), np.eye(6), 1e-6)
    assert_close(gradients()[0], y @ g.T)
    assert_close(gradients()[1], np.zeros((3, 6)))

    for sign in (1, -1):  # three exponents of 60000, bounded at 5
        layer.set_weights([np.full((3, 6), 100.0), np.full((3, 6), sign * 100.0)])
        output, log_det = to_numpy(layer(random_array(2, 6)))
        assert_close(log_det, np.full(2, sign * 15))
        assert all(np.isfinite(values).all() for values in (output, log_det, *gradients()))
