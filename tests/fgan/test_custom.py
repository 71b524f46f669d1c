"""A divergence from its f alone, and the numerical conjugate (article 6016)."""

import keras
import numpy as np
import pytest
from keras import ops

from fgan.custom import from_f, numeric_conjugate
from fgan.divergences import DIVERGENCES, f_gan_loss
from tests.fgan.helpers import U, X, bound, float32, normal
from tests.helpers.arrays import numpy64 as numpy
from tests.helpers.autodiff import gradient

ON_FLOAT64 = keras.backend.backend() != "jax"
TRIANGULAR = from_f("triangular", lambda u: ops.square(u - 1) / (u + 1))
KNOWN = {
    "kl": lambda u: u * ops.log(u),
    "neyman": lambda u: ops.square(u - 1),
    "hellinger": lambda u: ops.square(ops.sqrt(u) - 1),
    "jeffrey": lambda u: (u - 1) * ops.log(u),
}


def test_numeric_conjugate_of_known_functions():
    t = np.array([[-3.0, -0.5], [0.0, 2.0]])
    np.testing.assert_allclose(numeric_conjugate(lambda u: u * np.log(u), t), np.exp(t - 1), rtol=1e-9)
    # u^2/2 on u >= 0 has the conjugate max(t, 0)^2 / 2
    np.testing.assert_allclose(numeric_conjugate(lambda u: u**2 / 2, t), np.maximum(t, 0) ** 2 / 2, atol=1e-9)
    assert numeric_conjugate(lambda u: -np.log(u), 0.5) == np.inf, "t is above the range of f'"
    assert numeric_conjugate(lambda u: -np.log(u), -2.0) == pytest.approx(-1 - np.log(2))


def test_triangular_discrimination():
    """int (p - q)^2 / (p + q): f' = (u - 1)(u + 3) / (u + 1)^2 is at most 1."""
    p, q = normal(1), normal(0)
    divergence = np.trapezoid((p - q) ** 2 / (p + q), X)
    tolerance = 1e-9 if ON_FLOAT64 else 1e-4
    assert TRIANGULAR.from_densities(p, q, X) == pytest.approx(divergence, rel=tolerance)
    np.testing.assert_allclose(TRIANGULAR.derivative(U), (U - 1) * (U + 3) / (U + 1) ** 2, atol=1e-5, rtol=1e-5)
    assert TRIANGULAR.t_range == pytest.approx((-3, 1)) and TRIANGULAR.increasing
    v = np.clip(np.log(p / q), -25, 25)
    assert bound(TRIANGULAR, v, p, q) == pytest.approx(divergence, rel=1e-4)
    for other in (v + 0.3, 0.8 * v, v + np.sin(X)):
        assert bound(TRIANGULAR, other, p, q) < divergence - 1e-3
    if ON_FLOAT64:
        t = np.linspace(-2.9, 0.9, 20)  # g = t u - f at the u with f' = t, where u + 1 = 2 / sqrt(1 - t)
        u = 2 / np.sqrt(1 - t) - 1
        np.testing.assert_allclose(TRIANGULAR.conjugate(t), t * u - (u - 1) ** 2 / (u + 1), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", KNOWN)
def test_from_f_gives_the_bound_of_a_known_divergence(name):
    row, custom = DIVERGENCES[name], from_f(name, KNOWN[name])
    p, q = normal(1), normal(0)
    tolerance = 1e-6 if ON_FLOAT64 else 1e-3
    assert custom.from_densities(p, q, X) == pytest.approx(row.from_densities(p, q, X), rel=tolerance)
    v, slope = np.log(U), row.derivative(U)
    np.testing.assert_allclose(numpy(custom.activation(float32(v))), slope, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        numpy(custom.negative_conjugate(float32(v))), -row.conjugate(slope), rtol=1e-4, atol=1e-4
    )
    # its gradients differentiate f twice
    step = 1e-6
    value = lambda v: -row.conjugate(row.derivative(np.exp(v)))
    expected = (value(v + step) - value(v - step)) / (2 * step)
    actual = gradient(lambda v: ops.sum(custom.negative_conjugate(v)), v.astype("float32"))
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)
    extreme = float32([-6e4, 0, 6e4])
    for function in (custom.activation, custom.negative_conjugate):
        assert np.isfinite(numpy(function(extreme))).all()
        assert np.isfinite(gradient(lambda v, function=function: ops.sum(function(v)), extreme)).all()


def test_from_f_takes_symbolic_scores():
    real, fake = keras.Input((1,)), keras.Input((1,))
    for swap_roles in (False, True):
        loss = f_gan_loss(TRIANGULAR, swap_roles)
        assert loss.critic(real, fake).shape == (None, 1)
        assert loss.generator(real, fake).shape == (None, 1)
