"""The slope of a critic as a layer, and the penalties on it, against closed forms."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from common.losses.gradient_penalties import (
    PENALTIES,
    RandomInterpolation,
    SquaredGradientNorm,
    gradient_penalty,
    linear_gradient_penalty,
    wgan_div_penalty,
    zero_centred_penalty,
)
from common.training.single_loss import SingleLoss
from tests.helpers.arrays import numpy
from tests.helpers.autodiff import gradient, weight_gradients

X = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
W = np.array([[1.0], [-2.0], [2.0]], "float32")


def linear(weights=W):
    critic = keras.Sequential([keras.Input((len(weights),)), layers.Dense(1, use_bias=False)])
    critic.set_weights([weights])
    return critic


def tanh_critic():
    x = keras.Input((2, 2, 1))
    h = layers.Dense(4, activation="tanh", kernel_initializer=keras.initializers.RandomNormal(0, 1, seed=1))
    out = layers.Dense(1, kernel_initializer=keras.initializers.RandomNormal(0, 1, seed=2))
    return keras.Model(x, out(h(layers.Flatten()(x))))


def test_the_slope_of_a_linear_critic_is_its_weight():
    np.testing.assert_allclose(numpy(SquaredGradientNorm(linear())(X)), np.full(5, 9.0), rtol=1e-6)


def test_the_slope_is_taken_sample_by_sample_over_all_axes():
    critic = tanh_critic()
    a, b, c, _ = (np.asarray(numpy(ops.convert_to_tensor(w)), "float64") for w in critic.weights)
    x = np.random.default_rng(1).normal(size=(6, 2, 2, 1)).astype("float32")
    slopes = ((1 - np.tanh(x.reshape(6, 4) @ a + b) ** 2) * c[:, 0]) @ a.T
    np.testing.assert_allclose(numpy(SquaredGradientNorm(critic)(x)), np.sum(slopes**2, 1), rtol=1e-4)
    assert np.ptp(np.sum(slopes**2, 1)) > 0.1


@pytest.mark.parametrize("name", sorted(PENALTIES))
def test_the_gradient_of_a_penalty_reaches_the_weights(name):
    """Second order: against finite differences of the penalty in every weight."""
    critic = tanh_critic()
    slope = SquaredGradientNorm(critic)
    x = ops.convert_to_tensor(np.random.default_rng(2).normal(size=(4, 2, 2, 1)).astype("float32"))
    penalty = lambda: ops.mean(PENALTIES[name].penalty_fn(slope(x), 0.5))
    found = weight_gradients(penalty, critic.trainable_variables)
    for variable, grad in zip(critic.trainable_variables, found, strict=True):
        values = np.array(numpy(ops.convert_to_tensor(variable)))
        expected, step = np.zeros(values.size), 3e-3
        for i in range(values.size):
            sides = []
            for sign in (1, -1):
                moved = values.copy().ravel()
                moved[i] += sign * step
                variable.assign(moved.reshape(values.shape))
                sides.append(float(numpy(penalty())))
            expected[i] = (sides[0] - sides[1]) / (2 * step)
        variable.assign(values)
        np.testing.assert_allclose(grad.ravel(), expected, rtol=0.02, atol=0.02 * np.abs(expected).max() + 1e-3)
    assert max(np.abs(grad).max() for grad in found) > 0.01


def test_penalties_by_hand():
    s = np.array([0.25, 1.0, 9.0], "float32")  # slopes 1/2, 1, 3
    np.testing.assert_allclose(gradient_penalty(s), [2.5, 0, 40], atol=1e-5)
    np.testing.assert_allclose(linear_gradient_penalty(s), [0, 0, 20], atol=1e-5)
    np.testing.assert_allclose(wgan_div_penalty(s), [0.25**3, 1, 729], rtol=1e-6)
    np.testing.assert_allclose(zero_centred_penalty(s, 10.0), [1.25, 5, 45], rtol=1e-6)
    np.testing.assert_allclose(
        wgan_div_penalty(s, 3.0, power=2), zero_centred_penalty(s, 3.0)
    )  # WGAN-div at p = 2 is R1


@pytest.mark.parametrize("name", sorted(PENALTIES))
def test_a_flat_critic_has_a_finite_gradient(name):
    grad = gradient(lambda s: ops.sum(PENALTIES[name].penalty_fn(s, 1.0)), np.array([0.0, 1e-12, 1e4], "float32"))
    assert np.isfinite(grad).all()


def test_where_each_penalty_looks():
    points = {name: penalty.evaluated_at for name, penalty in PENALTIES.items()}
    assert points == {
        "gp": ("between",),
        "gp_linear": ("between",),
        "div": ("real", "fake"),
        "r1": ("real",),
        "r1_r2": ("real", "fake"),
    }


def test_between_draws_one_place_for_each_pair():
    x, y = np.zeros((2000, 3, 1), "float32"), np.ones((2000, 3, 1), "float32") * [[1.0], [2.0], [-4.0]]
    layer = RandomInterpolation(seed=4)
    points = numpy(layer(x, y.astype("float32")))[..., 0]
    u = points[:, 0]
    np.testing.assert_allclose(points, u[:, None] * [1, 2, -4], atol=1e-6)
    assert 0 <= u.min() < 0.01 and 0.99 < u.max() <= 1
    assert u.mean() == pytest.approx(0.5, abs=0.03) and u.var() == pytest.approx(1 / 12, abs=0.01)
    assert not np.allclose(points, numpy(layer(x, y.astype("float32")))[..., 0]), "the next step draws afresh"
    np.testing.assert_allclose(numpy(RandomInterpolation(seed=4)(x, y.astype("float32")))[..., 0], points)


def test_a_penalty_in_the_graph_of_a_model_is_trained_by_fit():
    """R1 of a linear critic is weight/2 ||w||^2, so one SGD step shrinks w by 1 - rate * weight."""
    critic = linear()
    x = keras.Input((3,))
    loss = lambda penalty, score: {"loss": ops.mean(penalty) + 0 * ops.mean(score), "penalty": penalty}
    model = SingleLoss(
        x, {"penalty": zero_centred_penalty(SquaredGradientNorm(critic)(x), 2.0), "score": critic(x)}, loss
    )
    assert len(model.trainable_variables) == 1, "the layer has no weights of its own"
    model.compile(keras.optimizers.SGD(0.1))
    history = model.fit(X, batch_size=5, verbose=0)
    assert history.history["penalty"] == [pytest.approx(9.0)]
    np.testing.assert_allclose(numpy(ops.convert_to_tensor(critic.weights[0])), 0.8 * W, rtol=1e-5)


def test_the_slope_in_half_precision_is_summed_in_float32():
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        critic = linear(np.full((400, 1), 20.0, "float32"))
        slope = SquaredGradientNorm(critic)(np.zeros((2, 400), "float32"))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert keras.backend.standardize_dtype(slope.dtype) == "float32"
    np.testing.assert_allclose(numpy(slope), [160_000.0] * 2, rtol=1e-3)  # beyond float16's 65,504


def test_a_model_with_a_penalty_can_be_saved(tmp_path):
    critic = linear()
    x = keras.Input((3,))
    keras.Model(x, SquaredGradientNorm(critic)(RandomInterpolation()(x, x + 1))).save(tmp_path / "m.keras")
    model = keras.models.load_model(tmp_path / "m.keras", safe_mode=True)
    np.testing.assert_allclose(numpy(model(X)), np.full(5, 9.0), rtol=1e-6)
