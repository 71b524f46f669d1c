"""The correlation of O-GAN (article 6409): values, range, gradients and edge cases."""

import numpy as np
import pytest
from keras import ops

from common.losses.correlation import average, correlation, standardise, std
from tests.helpers.arrays import numpy
from tests.helpers.autodiff import gradient

RNG = np.random.default_rng(0)
Z, Y = RNG.normal(size=(5, 12)).astype("float32"), RNG.normal(size=(5, 12)).astype("float32")


def test_mean_std_and_correlation_equal_numpy():
    np.testing.assert_allclose(numpy(average(Y)), Y.mean(-1, keepdims=True), atol=1e-6)
    np.testing.assert_allclose(numpy(std(Y)), Y.std(-1, keepdims=True), atol=1e-6)
    expected = [[np.corrcoef(z, y)[0, 1]] for z, y in zip(Z, Y, strict=True)]
    np.testing.assert_allclose(numpy(correlation(Z, Y)), expected, atol=1e-6)


@pytest.mark.parametrize(("a", "b", "sign"), [(3.0, -2.0, 1), (0.01, 5.0, 1), (-2.0, 1.0, -1)])
def test_affine_maps_of_a_code_change_at_most_the_sign(a, b, sign):
    np.testing.assert_allclose(numpy(correlation(Z, a * Y + b)), sign * numpy(correlation(Z, Y)), atol=1e-4)


def test_range_and_distance_identity():
    np.testing.assert_allclose(numpy(correlation(Z, Z)), np.ones((5, 1)), atol=1e-6)
    distance = np.sum((numpy(standardise(Z)) - numpy(standardise(Y))) ** 2, -1, keepdims=True)
    np.testing.assert_allclose(distance, 2 * 12 * (1 - numpy(correlation(Z, Y))), rtol=1e-5)


def test_only_the_gradient_of_mse_changes_the_mean_and_the_standard_deviation():
    rho = gradient(lambda y: ops.sum(correlation(Z, y)), Y)
    mse = gradient(lambda y: ops.sum(ops.square(ops.subtract(Z, y))), Y)
    centred = Y - Y.mean(-1, keepdims=True)
    assert np.abs(rho).max() > 1e-2
    np.testing.assert_allclose(rho.sum(-1), 0, atol=1e-5)
    np.testing.assert_allclose((rho * centred).sum(-1), 0, atol=1e-5)
    assert np.abs(mse.sum(-1)).min() > 0.1
    assert np.abs((mse * centred).sum(-1)).min() > 0.1


def test_two_dimensions_give_correlation_one_without_gradient():
    z, y = Z[:, :2], Y[:, :2]
    np.testing.assert_allclose(np.abs(numpy(correlation(z, y))), 1, atol=1e-5)
    np.testing.assert_allclose(gradient(lambda v: ops.sum(correlation(z, v)), y), 0, atol=1e-4)


def test_constant_code_has_correlation_zero_and_a_finite_gradient():
    y = np.full((5, 12), 3.0, "float32")
    np.testing.assert_array_equal(numpy(correlation(Z, y)), np.zeros((5, 1)))
    assert np.isfinite(gradient(lambda v: ops.sum(correlation(Z, v)), y)).all()


def test_half_precision_is_computed_in_float32():
    y = ops.cast(300.0 * Y, "float16")  # the squares overflow float16
    assert "float32" in str(correlation(Z, y).dtype)
    np.testing.assert_allclose(numpy(correlation(Z, y)), numpy(correlation(Z, Y)), atol=2e-3)
