"""Training under float16 and bfloat16: the loss is float32; under float16 it is scaled, as gradients underflow."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from common.training.alternating import Alternating
from common.training.loop import train
from common.training.single_loss import SingleLoss
from tests.helpers.arrays import numpy

X = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")


def linear_player(loss, learning_rate=0.1, **kwargs):
    """Return a compiled model of one linear layer that computes in the precision of the policy."""
    keras.utils.set_random_seed(0)
    x = keras.Input((3,))
    score = layers.Dense(1, use_bias=False, **kwargs)(x)
    model = SingleLoss(x, {"score": score}, loss)
    model.compile(keras.optimizers.SGD(learning_rate))
    return model


def step(model, x):
    """Make one step and return how the kernel moved."""
    before = numpy(model.trainable_variables[0])
    model.train_on_batch(x)
    return numpy(model.trainable_variables[0]) - before


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_loss_sees_its_tensors_in_float32(dtype):
    """The square of 300 is beyond float16, and bfloat16 has three digits."""
    keras.config.set_dtype_policy(f"mixed_{dtype}")
    model = linear_player(lambda score: {"loss": ops.square(score), "root": score}, kernel_initializer="ones")
    assert model.layers[1].compute_dtype == dtype
    logs = model.evaluate(np.full((4, 3), 100, "float32"), verbose=0, return_dict=True)
    assert logs == {"loss": pytest.approx(90_000), "root": pytest.approx(300)}


def test_gradients_that_float16_cannot_hold_reach_the_weights():
    """The mean of 1e-8 score has the gradient 1e-8 mean(x), which float16 rounds to 0."""
    keras.config.set_dtype_policy("mixed_float16")
    model = linear_player(lambda score: {"loss": 1e-8 * score}, learning_rate=1e8)
    np.testing.assert_allclose(step(model, X)[:, 0], -X.mean(0), rtol=0.01)


def test_a_gradient_that_overflows_costs_a_step_and_half_of_the_scale():
    """The gradient 40 times the scale is below float16's 65,504 from 2^10 on; the scale begins with 2^15."""
    keras.config.set_dtype_policy("mixed_float16")
    model = linear_player(lambda score: {"loss": 40 * score})
    moves = [step(model, np.ones((4, 3), "float32")) for _ in range(8)]
    np.testing.assert_allclose(moves[:5], 0)
    np.testing.assert_allclose(moves[5:], -0.1 * 40, rtol=1e-3)
    assert float(numpy(model.optimizer.dynamic_scale)) == 2**10
    assert int(numpy(model.optimizer.iterations)) == 3, "a learning-rate schedule counts the steps that were made"


@pytest.mark.parametrize("kind", ["single", "alternating"])
def test_a_resumed_run_keeps_the_scale(kind, tmp_path):
    """A run in parts equals the run in one piece, and its scale is not the one that a run begins with."""
    keras.config.set_dtype_policy("mixed_float16")

    def fit(run_dir, steps):
        make = lambda: linear_player(lambda score: {"loss": 300 * ops.square(score)}, learning_rate=1e-5)
        trainer = make() if kind == "single" else Alternating(make(), make())
        train_kwargs = {"batch_size": 8, "save_every": 4, "seed": 0, "on_interval": lambda step: None}
        train(trainer, X, run_dir, steps=steps, **train_kwargs)
        players = [trainer] if kind == "single" else [trainer.critic, trainer.generator]
        scales = [float(numpy(player.optimizer.dynamic_scale)) for player in players]
        return [numpy(v) for v in trainer.training_state()], scales

    whole, scales = fit(tmp_path / "whole", 12)
    assert max(scales) < 2**15
    fit(tmp_path / "parts", 4)
    parts, _ = fit(tmp_path / "parts", 12)
    for expected, actual in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(actual, expected)
