"""Roth's penalty against the noise that it stands for (arXiv 1705.09367)."""

import keras
import numpy as np
import pytest
from keras import ops

from fgan import train
from fgan.divergences import DIVERGENCES
from fgan.roth import FACTORS, roth_penalty
from tests.fgan.helpers import NAMES, every_divergence, float32
from tests.helpers.arrays import numpy64 as numpy
from tests.helpers.arrays import state_of
from tests.helpers.autodiff import gradient


def test_every_divergence_has_a_factor():
    assert list(FACTORS) == NAMES


@every_divergence
def test_factor_is_the_curvature_of_g_along_the_score(name):
    """g''(T) T'^2, because d/dv g'(T(v)) = g''(T) T', and g'(T) = u: so the factor is T'(v) u'(v)."""
    row = DIVERGENCES[name]
    v = np.linspace(-3, 3, 25)
    slope = gradient(lambda score: ops.sum(row.activation(score)), v.astype("float32"))
    t = numpy(row.activation(float32(v))).astype("float64")
    step = 1e-3 * np.minimum(1, np.abs(t - row.t_range[1]))
    g = row.conjugate
    second = (g(t + step) - 2 * g(t) + g(t - step)) / step**2
    np.testing.assert_allclose(numpy(FACTORS[name](float32(v))), second * slope**2, rtol=5e-3, atol=1e-4)


@pytest.mark.parametrize("swap_roles", [False, True])
@pytest.mark.parametrize("name", ["kl", "reverse_kl", "hellinger", "js"])
def test_penalty_is_what_small_noise_does_to_the_term_of_g(name, swap_roles):
    """E[g(T(x + noise))] - g(T(x)), in one dimension, where T is linear in x."""
    row = DIVERGENCES[name]
    sign = 1.0 if row.increasing != swap_roles else -1.0
    t, slope, std = numpy(row.activation(float32(0.3))).astype("float64"), 0.7, 1e-2
    noise = np.sqrt(3) * std * np.array([-1.0, 0.0, 1.0])  # three-point Gauss-Hermite quadrature
    lifted = np.dot([1 / 6, 2 / 3, 1 / 6], row.conjugate(t + slope * noise)) - row.conjugate(t)
    # T'(v) dv/dx = dT/dx
    derivative = gradient(lambda v: ops.sum(row.activation(v)), np.array([0.3], "float32"))
    score = float32(np.array([[sign * 0.3]]))
    penalty = roth_penalty(row, float32((slope / derivative) ** 2), score, std**2, swap_roles)
    assert numpy(penalty)[0] == pytest.approx(lifted, rel=1e-2)


@pytest.mark.parametrize("swap", [[], ["--swap-roles"]])
def test_penalty_in_the_training(swap):
    """It trains the critic alone, is added to the loss, and takes the batch norm off the critic."""
    flags = ["--preset", "smoke", "--divergence", "kl", "--batch-norm", "--roth-weight", "0.5", *swap]
    args = train.make_parser().parse_args(flags)
    train.apply_preset(args, train.make_parser(), train.PRESETS)
    model, critic, generator = train.build(args, (16, 16, 1))
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in critic.layers)
    x = np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 1)).astype("float32")
    restore = state_of(model)
    outputs = {name: numpy(value) for name, value in model(x, training=True).items()}
    restore()
    fake = numpy(generator(next(la for la in model.layers if "latent" in la.name)(x), training=True)).astype("float32")
    samples, scores = (x, outputs["real"]) if swap else (fake, outputs["fake"])
    norms = np.sum(gradient(lambda images: ops.sum(critic(images)), samples) ** 2, axis=(1, 2, 3))
    expected = roth_penalty(DIVERGENCES["kl"], float32(norms), float32(scores), 0.5, bool(swap))
    np.testing.assert_allclose(outputs["penalty"], numpy(expected), rtol=1e-3)
    values = model.loss_function(**{name: float32(value) for name, value in outputs.items()})
    plain = model.loss_function(float32(outputs["real"]), float32(outputs["fake"]))["loss"]
    assert float(values["loss"]) == pytest.approx(float(np.mean(numpy(plain))) + outputs["penalty"].mean(), rel=1e-5)
