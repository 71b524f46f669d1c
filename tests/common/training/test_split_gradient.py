"""One pass of the fakes through the critic, whose gradient goes two ways, against the two passes of article 6387."""

import keras
import numpy as np
import pytest
from keras import ops

from common.losses.adversarial import LOSSES
from common.models.layers import Latent
from common.models.spectral_norm import SpectralNormalized
from common.training.single_loss import SingleLoss, SplitGradient, value_zero
from tests.helpers.arrays import numpy
from tests.helpers.autodiff import weight_gradients

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4)).astype("float32")
Z = RNG.normal(size=(6, 3)).astype("float32")


def networks(kind="plain", outputs=1):
    keras.utils.set_random_seed(0)
    layers = keras.layers
    wrap = SpectralNormalized if kind == "spectral norm" else lambda layer: layer
    norm = [layers.BatchNormalization()] if kind == "batch norm" else []
    critic = keras.Sequential(
        [keras.Input((4,)), wrap(layers.Dense(8)), *norm, layers.LeakyReLU(0.2), wrap(layers.Dense(outputs))]
    )
    generator = keras.Sequential([keras.Input((3,)), layers.Dense(4, activation="tanh")])
    return critic, generator


def gradients(critic, generator, losses, split):
    """Return (value, gradients by all weights) of the single loss, with one pass of the fakes or with two.

    Args:
        losses: functions (critic loss of (real, fake_ng), generator loss of (real, fake)).
        split: bool, one pass.
    """
    critic_loss, generator_loss = losses
    start = [numpy(v) for v in critic.non_trainable_variables]

    def loss():
        for variable, value in zip(critic.non_trainable_variables, start, strict=True):
            variable.assign(value)
        x_fake = generator(Z, training=True)
        real = critic(X, training=True)
        if split:
            fake, fake_ng = SplitGradient(critic)(x_fake, training=True)
            return ops.mean(critic_loss(real, fake_ng) + value_zero(generator_loss(ops.stop_gradient(real), fake)))
        fake, fake_ng = critic(x_fake, training=True), critic(ops.stop_gradient(x_fake), training=True)
        return ops.mean(critic_loss(real, fake_ng) + generator_loss(real, fake) - generator_loss(real, fake_ng))

    variables = critic.trainable_variables + generator.trainable_variables
    return numpy(loss()), weight_gradients(loss, variables)


@pytest.mark.parametrize("kind", ["plain", "batch norm", "spectral norm"])
@pytest.mark.parametrize("name", ["sgan", "rasgan", "gan_qp", "hinge"])
def test_it_has_the_value_and_the_gradients_of_two_passes(kind, name):
    distance = {"distance": np.abs(X[:, 0])} if LOSSES[name].distance_order else {}
    losses = (lambda real, fake: LOSSES[name].critic(real, fake, **distance)), LOSSES[name].generator
    one_value, one = gradients(*networks(kind), losses, split=True)
    two_value, two = gradients(*networks(kind), losses, split=False)
    assert one_value == pytest.approx(two_value, abs=1e-6)
    assert min(np.abs(gradient).max() for gradient in (two[0], two[-1])) > 1e-4
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-6)  # two passes leave 1e-6 of what cancels before a batch norm


def test_codes_go_two_ways_as_scores_do():
    """The critic returns a vector, and both losses are unlike: a square for the critic, a cube for the generator."""
    losses = (lambda real, code: ops.square(code) - real), (lambda real, code: code**3)
    _, one = gradients(*networks("batch norm", outputs=5), losses, split=True)
    _, two = gradients(*networks("batch norm", outputs=5), losses, split=False)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=2e-6)


def test_a_network_of_two_inputs_and_two_outputs():
    """D(x, f) = (a x + b f, a x - b f): the first output gives f its gradient, the second one gives a and b theirs."""
    x, f = keras.Input((1,)), keras.Input((1,))
    a, b = (keras.layers.Dense(1, use_bias=False, kernel_initializer=keras.initializers.Constant(v)) for v in (2, 3))
    network = keras.Model([x, f], [a(x) + b(f), a(x) - b(f)])
    make = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    make.build((None, 1))
    data = np.array([[5.0]], "float32")

    def loss():
        (plus, _), (_, minus_ng) = SplitGradient(network)([data, make(data)])
        return ops.sum(10 * plus + minus_ng)

    variables = [a.kernel, b.kernel, make.kernel]
    assert [g.item() for g in weight_gradients(loss, variables)] == [5, -5, 10 * 3 * 5]


def test_the_state_moves_once():
    """Batch norm's running mean moves by (1 - momentum) of the mean of the fakes, once and not twice."""
    norm = keras.layers.BatchNormalization(momentum=0.9)
    critic = keras.Sequential([keras.Input((4,)), norm, keras.layers.Dense(1)])
    SplitGradient(critic)(X, training=True)
    np.testing.assert_allclose(numpy(norm.moving_mean), 0.1 * X.mean(0), atol=1e-6)
    before = numpy(norm.moving_mean)
    SplitGradient(critic)(X, training=False)
    np.testing.assert_array_equal(numpy(norm.moving_mean), before)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_fit_trains_both_networks_as_two_passes_do(jit_compile):
    data = np.random.default_rng(1).normal(size=(20, 4)).astype("float32")
    trained = []
    for split in (True, False):
        critic, generator = networks("plain")
        x = keras.Input((4,))
        x_fake = generator(Latent(3)(x))
        fake, fake_ng = SplitGradient(critic)(x_fake) if split else (critic(x_fake), critic(ops.stop_gradient(x_fake)))

        def loss(real, fake, fake_ng, split=split):
            hinge = ops.relu(1 - real) + ops.relu(1 + fake_ng)
            return {"loss": hinge + (value_zero(-fake) if split else fake_ng - fake)}

        model = SingleLoss(x, {"real": critic(x), "fake": fake, "fake_ng": fake_ng}, loss)
        model.compile(keras.optimizers.SGD(0.1), jit_compile=jit_compile)
        assert len(model.trainable_variables) == 6, "each weight once"
        history = model.fit(data, batch_size=5, shuffle=False, epochs=2, verbose=0).history
        trained.append([history["loss"][0], *map(numpy, model.trainable_variables)])
    for a, b in zip(*trained, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
