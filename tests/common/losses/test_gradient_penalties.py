"""The layers for gradient penalties and the penalties themselves, against closed forms."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from common.losses.gradient_penalties import (
    PENALTIES,
    MovingMean,
    RandomInterpolation,
    RandomNeighbour,
    ScoreAndSquaredGradientNorm,
    SquaredGradientNorm,
    consistency_penalty,
    gradient_penalty,
    lecam_penalty,
    linear_gradient_penalty,
    wgan_div_penalty,
    zero_centred_penalty,
)
from common.training.single_loss import SingleLoss
from tests.helpers.arrays import numpy, numpy64
from tests.helpers.autodiff import gradient, weight_gradients

X = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
W = np.array([[1.0], [-2.0], [2.0]], "float32")


def linear_critic(weights=W):
    critic = keras.Sequential([keras.Input((len(weights),)), layers.Dense(1, use_bias=False)])
    critic.set_weights([weights])
    return critic


def tanh_critic():
    x = keras.Input((2, 2, 1))
    h = layers.Dense(4, activation="tanh", kernel_initializer=keras.initializers.RandomNormal(0, 1, seed=1))
    out = layers.Dense(1, kernel_initializer=keras.initializers.RandomNormal(0, 1, seed=2))
    return keras.Model(x, out(h(layers.Flatten()(x))))


def test_gradient_of_a_linear_critic_is_its_weight():
    np.testing.assert_allclose(numpy(SquaredGradientNorm(linear_critic())(X)), np.full(5, 9.0), rtol=1e-6)


def test_gradient_is_per_sample_and_over_all_axes():
    critic = tanh_critic()
    a, b, c, _ = (numpy64(w) for w in critic.weights)
    x = np.random.default_rng(1).normal(size=(6, 2, 2, 1)).astype("float32")
    gradients = ((1 - np.tanh(x.reshape(6, 4) @ a + b) ** 2) * c[:, 0]) @ a.T
    squared_norms = np.sum(gradients**2, 1)
    np.testing.assert_allclose(numpy(SquaredGradientNorm(critic)(x)), squared_norms, rtol=1e-4)
    assert np.ptp(squared_norms) > 0.1


@pytest.mark.parametrize("name", sorted(set(PENALTIES) - {"lecam"}))
def test_weight_gradients_of_a_penalty_match_finite_differences(name):
    """They are second derivatives of the critic."""
    critic = tanh_critic()
    squared_norm = SquaredGradientNorm(critic)
    x = ops.convert_to_tensor(np.random.default_rng(2).normal(size=(4, 2, 2, 1)).astype("float32"))
    penalty = lambda: ops.mean(PENALTIES[name].penalty_fn(squared_norm(x), 0.5))
    gradients = weight_gradients(penalty, critic.trainable_variables)
    for variable, grad in zip(critic.trainable_variables, gradients, strict=True):
        values = numpy(variable)
        expected, step = np.zeros(values.size), 3e-3
        for i in range(values.size):
            sides = []
            for sign in (1, -1):
                shifted = values.copy().ravel()
                shifted[i] += sign * step
                variable.assign(shifted.reshape(values.shape))
                sides.append(float(numpy(penalty())))
            expected[i] = (sides[0] - sides[1]) / (2 * step)
        variable.assign(values)
        np.testing.assert_allclose(grad.ravel(), expected, rtol=0.02, atol=0.02 * np.abs(expected).max() + 1e-3)
    assert max(np.abs(grad).max() for grad in gradients) > 0.01


def test_penalties_by_hand():
    s = np.array([0.25, 1.0, 9.0], "float32")  # gradient norms 1/2, 1, 3
    np.testing.assert_allclose(gradient_penalty(s), [2.5, 0, 40], atol=1e-5)
    np.testing.assert_allclose(linear_gradient_penalty(s), [0, 0, 20], atol=1e-5)
    np.testing.assert_allclose(wgan_div_penalty(s), [0.25**3, 1, 729], rtol=1e-6)
    np.testing.assert_allclose(zero_centred_penalty(s, 10.0), [1.25, 5, 45], rtol=1e-6)
    r1 = zero_centred_penalty(s, 3.0)
    np.testing.assert_allclose(wgan_div_penalty(s, 3.0, power=2), r1)  # WGAN-div with p = 2 is R1


@pytest.mark.parametrize("name", sorted(set(PENALTIES) - {"lecam"}))
def test_penalty_of_a_constant_critic_has_a_finite_gradient(name):
    grad = gradient(lambda s: ops.sum(PENALTIES[name].penalty_fn(s, 1.0)), np.array([0.0, 1e-12, 1e4], "float32"))
    assert np.isfinite(grad).all()


def test_samples_at_which_each_penalty_is_evaluated():
    assert {name: penalty.evaluated_at for name, penalty in PENALTIES.items()} == {
        "gp": ("between",),
        "gp_linear": ("between",),
        "div": ("real", "fake"),
        "r1": ("real",),
        "r1_r2": ("real", "fake"),
        "dragan": ("near",),
        "roth": ("real", "fake"),
        "lecam": (),
    }


def test_dragan_neighbours_by_their_first_and_second_moments():
    """(point - x) / (std / 2) = u v with one u a row: E[u v] = 1/4; two entries of a row share u, so their product has
    the mean E[u^2] / 4 = 1/12, and not (1/4)^2.
    """
    x = np.random.default_rng(0).normal(2, 3, (20_000, 2, 1)).astype("float32")
    layer = RandomNeighbour(seed=1)
    first, second = ((numpy(layer(x)) - x)[..., 0] / (x.std() / 2) for _ in range(2))
    assert first.min() >= -1e-5 and first.max() <= 1 + 1e-5
    np.testing.assert_allclose(first.mean(0), 0.25, atol=0.01)
    assert np.mean(first[:, 0] * first[:, 1]) == pytest.approx(1 / 12, abs=0.004)
    assert np.mean(first[:, 0] * second[:, 0]) == pytest.approx(1 / 16, abs=0.004), "the next call draws anew"


def test_lecam_by_hand_and_its_moving_means():
    """Scores of 3 and -1 with means 1 and 0: max(0, 3 - 0)^2 + max(0, 1 + 1)^2 = 13."""
    score = lambda value: np.array([[value]], "float32")
    np.testing.assert_allclose(lecam_penalty(score(3), score(-1), 1.0, 0.0, 0.5), [6.5])
    np.testing.assert_allclose(lecam_penalty(score(-1), score(3), 1.0, 0.0), [0], err_msg="it only holds back")
    mean = MovingMean(momentum=0.9)
    assert numpy(mean(score(5), training=True)) == pytest.approx(5, rel=1e-5)
    assert numpy(mean(np.array([[1.0], [3.0]], "float32"), training=True)) == pytest.approx((0.9 * 5 + 2) / 1.9)
    assert numpy(mean(score(100))) == pytest.approx((0.9 * 5 + 2) / 1.9), "no call of training"
    assert gradient(lambda x: ops.sum(mean(x, training=True)), score(1)) == 0


def test_roths_factors_are_squared_probabilities_of_a_mistake():
    t = np.array([[-2.0], [0.0], [3.0]], "float32")
    p = 1 / (1 + np.exp(-t))
    np.testing.assert_allclose(PENALTIES["roth"].score_factors["real"](t), (1 - p) ** 2, rtol=1e-5)
    np.testing.assert_allclose(PENALTIES["roth"].score_factors["fake"](t), p**2, rtol=1e-5)


def test_random_interpolation_draws_one_weight_per_pair():
    x, y = np.zeros((2000, 3, 1), "float32"), np.ones((2000, 3, 1), "float32") * [[1.0], [2.0], [-4.0]]
    layer = RandomInterpolation(seed=4)
    points = numpy(layer(x, y.astype("float32")))[..., 0]
    u = points[:, 0]
    np.testing.assert_allclose(points, u[:, None] * [1, 2, -4], atol=1e-6)
    assert 0 <= u.min() < 0.01 and 0.99 < u.max() <= 1
    assert u.mean() == pytest.approx(0.5, abs=0.03) and u.var() == pytest.approx(1 / 12, abs=0.01)
    assert not np.allclose(points, numpy(layer(x, y.astype("float32")))[..., 0]), "the next call must draw new weights"
    np.testing.assert_allclose(numpy(RandomInterpolation(seed=4)(x, y.astype("float32")))[..., 0], points)


def test_fit_trains_a_penalty_in_the_graph_of_a_model():
    """R1 of a linear critic is weight/2 ||w||^2, so one SGD step shrinks w by 1 - rate * weight."""
    critic = linear_critic()
    x = keras.Input((3,))
    loss = lambda penalty, score: {"loss": ops.mean(penalty) + 0 * ops.mean(score), "penalty": penalty}
    penalty = zero_centred_penalty(SquaredGradientNorm(critic)(x), 2.0)
    model = SingleLoss(x, {"penalty": penalty, "score": critic(x)}, loss)
    assert len(model.trainable_variables) == 1, "the penalty layer must not add weights"
    model.compile(keras.optimizers.SGD(0.1))
    history = model.fit(X, batch_size=5, verbose=0)
    assert history.history["penalty"] == [pytest.approx(9.0)]
    np.testing.assert_allclose(numpy(critic.weights[0]), 0.8 * W, rtol=1e-5)


def test_score_and_norm_of_one_pass_are_those_of_two():
    """And so are the gradients of the weights, of a loss that has both."""
    critic, x = tanh_critic(), np.random.default_rng(3).normal(size=(4, 2, 2, 1)).astype("float32")
    both, norm = ScoreAndSquaredGradientNorm(critic), SquaredGradientNorm(critic)
    for one, two in zip(both(x), (critic(x), norm(x)), strict=True):
        np.testing.assert_allclose(numpy(one), numpy(two), rtol=1e-5)
    loss = lambda score, squared_norm: ops.mean(score**3) + ops.mean(squared_norm**2)
    ours = weight_gradients(lambda: loss(*both(x)), critic.trainable_variables)
    theirs = weight_gradients(lambda: loss(critic(x), norm(x)), critic.trainable_variables)
    assert all(abs(g).max() > 0.01 for g in theirs[:-1])
    for one, two in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)
    symbolic = ScoreAndSquaredGradientNorm(critic)(keras.Input((2, 2, 1), batch_size=7))
    assert [(tuple(s.shape), s.dtype) for s in symbolic] == [((7, 1), "float32"), ((7,), "float32")]


def test_squared_norm_under_mixed_precision_is_float32():
    keras.config.set_dtype_policy("mixed_float16")
    critic = linear_critic(np.full((400, 1), 20.0, "float32"))
    squared_norm = SquaredGradientNorm(critic)(np.zeros((2, 400), "float32"))
    score, same_norm = ScoreAndSquaredGradientNorm(critic)(np.zeros((2, 400), "float32"))
    assert keras.backend.standardize_dtype(score.dtype) == "float16"
    np.testing.assert_array_equal(numpy(same_norm), numpy(squared_norm))
    assert keras.backend.standardize_dtype(squared_norm.dtype) == "float32"
    np.testing.assert_allclose(numpy(squared_norm), [160_000.0] * 2, rtol=1e-3)  # beyond float16's 65,504


def test_model_with_a_penalty_can_be_saved(tmp_path):
    x = keras.Input((3,))
    between = SquaredGradientNorm(linear_critic())(RandomInterpolation()(x, x + 1))
    for outputs in ([between], ScoreAndSquaredGradientNorm(linear_critic())(x)):
        keras.Model(x, list(outputs)).save(tmp_path / "m.keras")
        *score, squared_norm = keras.models.load_model(tmp_path / "m.keras", safe_mode=True)(X)
        np.testing.assert_allclose(numpy(squared_norm), np.full(5, 9.0), rtol=1e-6)
    np.testing.assert_allclose(numpy(score[0]), X @ W, rtol=1e-5, atol=1e-6)


def test_consistency_by_hand():
    """2 [(3 - 1)^2 + 0.1 (1 + 9) / 2] and, for equal passes, 0."""
    score, other = np.array([[3.0], [5.0]], "f"), np.array([[1.0], [5.0]], "f")
    features, others = np.array([[1.0, 2.0], [4.0, 0.0]], "f"), np.array([[2.0, -1.0], [4.0, 0.0]], "f")
    np.testing.assert_allclose(consistency_penalty(score, other, features, others), [9.0, 0.0], rtol=1e-6)
    half = [ops.cast(x, "float16") for x in (score, other, 300 + 0 * features, 0 * others)]
    assert np.isfinite(numpy(consistency_penalty(*half))).all(), "300^2 is beyond float16"
