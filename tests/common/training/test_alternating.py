"""Alternating training of two models that share their networks."""

import keras
import numpy as np
import pytest
from keras import ops

from common.data.batches import EndlessBatches
from common.models.layers import Latent
from common.training.alternating import Alternating
from common.training.single_loss import SingleLoss
from tests.helpers.arrays import numpy

IMAGES = np.random.default_rng(2).integers(0, 256, (40, 4, 4, 1), dtype=np.uint8)


def build(n_d, n_g, rates=(1e-2, 1e-2)):
    """Return (trainer, critic, generator) of a WGAN with linear networks."""
    layers = keras.layers
    critic = keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(1)])
    generator = keras.Sequential([keras.Input((3,)), layers.Dense(16), layers.Reshape((4, 4, 1))])
    x = keras.Input((4, 4, 1))
    x_fake = generator(Latent(3)(x))

    def compile_model(outputs, loss, net, rate):
        model = SingleLoss(x, outputs, loss, [net])
        model.compile(keras.optimizers.SGD(rate))
        return model

    critic_outputs = {"real": critic(x), "fake": critic(ops.stop_gradient(x_fake))}
    critic_model = compile_model(critic_outputs, lambda real, fake: {"loss": fake - real}, critic, rates[0])
    generator_model = compile_model({"fake": critic(x_fake)}, lambda fake: {"loss": -fake}, generator, rates[1])
    return Alternating(critic_model, generator_model, n_d, n_g), critic, generator


def test_each_step_changes_one_network_in_the_given_ratio():
    trainer, critic, generator = build(2, 1)
    kernels = [net.trainable_variables[0] for net in (critic, generator)]
    changes = []

    class RecordChanges(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.before = [numpy(kernel) for kernel in kernels]

        def on_train_batch_end(self, batch, logs=None):
            after = [numpy(kernel) for kernel in kernels]
            changes.append(tuple(np.abs(a - b).max() for a, b in zip(self.before, after, strict=True)))

    trainer.fit(EndlessBatches(IMAGES, 6), steps_per_epoch=6, callbacks=[RecordChanges()], verbose=0)
    assert [tuple(change > 1e-4 for change in step) for step in changes] == [
        (True, False), (True, False), (False, True),
    ] * 2  # fmt: skip
    assert all(min(step) == 0 for step in changes), "the other network must not change at all"


def test_round_continues_at_the_global_step_of_the_data():
    trainer, critic, _ = build(2, 1)
    before = [numpy(v) for v in critic.trainable_variables]
    trainer.fit(EndlessBatches(IMAGES, 6, start=2), steps_per_epoch=1, verbose=0)  # step 2 is the generator's
    for value, variable in zip(before, critic.trainable_variables, strict=True):
        np.testing.assert_array_equal(numpy(variable), value)


def test_each_network_has_its_own_learning_rate():
    """The critic's loss is linear, so its steps with SGD are known: each adds rate * (mean real - mean fake)."""
    trainer, critic, generator = build(1, 1, rates=(1e-2, 0.0))
    critic_before, *generator_before = [numpy(v) for v in [critic.layers[-1].kernel, *generator.trainable_variables]]
    batches = EndlessBatches(IMAGES, 6)
    trainer.fit(batches, steps_per_epoch=4, epochs=1, verbose=0)
    for value, variable in zip(generator_before, generator.trainable_variables, strict=True):
        np.testing.assert_array_equal(numpy(variable), value)
    latent = Latent(3)  # the layer of both models draws once per step
    fakes = [numpy(generator(latent(batches[step]))).mean(0).ravel() for step in range(4)]
    reals = [batches[step].mean(0).ravel() for step in range(4)]
    expected = critic_before[:, 0] + 1e-2 * sum(reals[step] - fakes[step] for step in (0, 2))
    np.testing.assert_allclose(numpy(critic.layers[-1].kernel)[:, 0], expected, atol=1e-6)


def test_rounds_without_steps_of_both_networks_are_refused():
    with pytest.raises(ValueError, match="n_d=0"):
        Alternating(None, None, 0, 1)
    with pytest.raises(ValueError, match="n_g=0"):
        Alternating(None, None, 1, 0)
