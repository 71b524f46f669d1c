"""One pass of the fakes through the critic, whose gradient goes two ways, against the two passes of article 6387."""

import keras
import numpy as np
import pytest
from keras import ops

from common import backend
from common.losses.adversarial import LOSSES
from common.models.layers import Latent
from common.models.networks import build_critic
from common.models.spectral_norm import SpectralNormalized
from common.training.single_loss import SingleLoss, SplitGradient, scores_samples_alone, value_zero
from rsgan.residual import residual_critic
from tests.helpers.arrays import numpy
from tests.helpers.autodiff import weight_gradients

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4)).astype("float32")
Z = RNG.normal(size=(6, 3)).astype("float32")


def networks(kind="plain", outputs=1):
    keras.utils.set_random_seed(0)
    layers = keras.layers
    wrap = SpectralNormalized if kind == "spectral norm" else lambda layer: layer
    norm = [backend.speed_up(layers.BatchNormalization())] if kind == "batch norm" else []
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


@pytest.mark.parametrize("weights_get", [np.zeros(6), [0, 1e-9, -1e-30, 0.5, -3, 1e-20], np.ones(6)])
@pytest.mark.parametrize(
    "inputs_get", [np.zeros(6), [1, -1, 2, 1e-9, 0, 1e-30], [1, 1e17, 0, 0, 0, 1], np.full(6, 1e-25)]
)
def test_each_side_gets_its_own_gradient_however_unequal_they_are(weights_get, inputs_get):
    """s = w . x_i, so w gets sum_i a_i x_i and x_i gets b_i w. Hinge and saturated sigmoids have a_i of 0 and 1e-30."""
    a, b = (np.asarray(values, "float32")[:, None] for values in (weights_get, inputs_get))
    dense = keras.layers.Dense(1, use_bias=False)
    critic = keras.Sequential([keras.Input((4,)), dense])
    shift = keras.Variable(np.zeros_like(X))

    def loss():
        for_input, for_weights = SplitGradient(critic)(shift + X)
        return ops.sum(ops.multiply(for_weights, a)) + ops.sum(ops.multiply(for_input, b))

    of_w, of_x = weight_gradients(loss, [dense.kernel, shift])
    np.testing.assert_allclose(of_w, X.T @ a, rtol=1e-5, atol=1e-13)
    np.testing.assert_allclose(of_x, b * numpy(dense.kernel).T, rtol=1e-5, atol=1e-37)


@keras.saving.register_keras_serializable("tests")
class Centred(keras.layers.Dense):
    """A layer that mixes samples without a name that says so."""

    def call(self, x):
        y = super().call(x)
        return y - ops.mean(y, axis=0)


def mixing_critic(kind):
    """Return a critic whose score of a sample depends on the others."""
    layers, x = keras.layers, keras.Input((4,))
    h = layers.Dense(3, activation="tanh")(x)
    if kind == "operation":
        h = h - ops.mean(h, axis=0)
    elif kind == "activation":
        h = layers.Activation(lambda h: ops.softmax(h, axis=0))(h)
    elif kind == "normalisation":
        h = layers.LayerNormalization(axis=[0, 1])(ops.reshape(h, (6, 3)))
    else:
        h = Centred(3)(h)
    return keras.Model(x, layers.Dense(1)(h))


@pytest.mark.parametrize("kind", ["layer", "operation", "activation", "normalisation"])
def test_samples_that_a_network_mixes_keep_their_gradients(kind):
    trained = []
    for split in (True, False):
        keras.utils.set_random_seed(0)
        critic = mixing_critic(kind)
        generator = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, activation="tanh")])
        losses = (lambda real, fake: ops.softplus(fake) - real), (lambda real, fake: ops.softplus(-fake))
        trained.append(gradients(critic, generator, losses, split)[1])
    for one, two in zip(*trained, strict=True):
        np.testing.assert_allclose(one, two, atol=2e-6)


def test_which_networks_go_backward_once():
    layers = keras.layers
    outputs = [layers.Dense(1), layers.Dense(2), layers.Dense(1, dtype="float16"), Centred(1)]
    for layer, alone in zip(outputs, [True, False, False, False], strict=True):
        inner = keras.Sequential([keras.Input((4,)), layers.Dense(3), layer])
        assert scores_samples_alone(inner) == alone
        assert scores_samples_alone(keras.Sequential([keras.Input((4,)), layers.Dense(4), inner])) == alone
    assert scores_samples_alone(networks("spectral norm")[0]) and not scores_samples_alone(networks("batch norm")[0])
    for n in (1, 2):
        assert scores_samples_alone(build_critic((32, 32, 1), 64, 4, outputs=n, batch_norm=False)) == (n == 1)
    assert scores_samples_alone(residual_critic((32, 32, 1), 64))

    class Whitened(type(keras.Model(*[keras.Input((1,))] * 2))):
        def call(self, x, **kwargs):
            y = super().call(x, **kwargs)
            return y - ops.mean(y)

    x = keras.Input((4,))
    assert not scores_samples_alone(Whitened(x, layers.Dense(1)(x)))


def test_a_network_whose_output_has_no_known_size_is_split_too():
    """A score map of images of any size, and a model that is written as a class."""

    class Written(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, x, training=None):
            return self.dense(x)

    written = Written()
    written(X)
    maps = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(1, 3, 2, "same")])
    for network, x in [(written, X), (maps, RNG.normal(size=(2, 8, 6, 3)).astype("float32"))]:
        a, b = SplitGradient(network)(x)
        np.testing.assert_allclose(numpy(a), numpy(network(x)), atol=1e-6)
        np.testing.assert_array_equal(numpy(a), numpy(b))


def test_several_inputs_go_backward_once():
    """s = w (x_i + 2 y_i): x_i gets b_i w, y_i gets 2 b_i w, and w gets sum_i a_i (x_i + 2 y_i)."""
    x, y, dense = keras.Input((4,)), keras.Input((4,)), keras.layers.Dense(1, use_bias=False)
    network = keras.Model([x, y], dense(keras.layers.Add()([x, keras.layers.Add()([y, y])])))
    assert scores_samples_alone(network)
    a, b = RNG.normal(size=(2, 6, 1)).astype("float32")
    shifts = [keras.Variable(np.zeros_like(X)) for _ in range(2)]

    def loss():
        for_input, for_weights = SplitGradient(network)([shifts[0] + X, shifts[1] + 3 * X])
        return ops.sum(ops.multiply(for_weights, a)) + ops.sum(ops.multiply(for_input, b))

    of_w, of_x, of_y = weight_gradients(loss, [dense.kernel, *shifts])
    np.testing.assert_allclose(of_w, 7 * X.T @ a, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(of_x, b * numpy(dense.kernel).T, rtol=1e-5)
    np.testing.assert_allclose(of_y, 2 * of_x, rtol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="counts the operations of a TensorFlow graph")
@pytest.mark.parametrize(("kind", "products"), [("plain", 13), ("batch norm", 14)])
def test_matrix_products_of_a_step(kind, products):
    """Forward 2 + 2 + 1. Backward: real 2 + 1, as x needs none; the fakes 2 + 2, and 1 more in two passes; G 1."""
    import tensorflow as tf

    critic, generator = networks(kind)

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            fake, fake_ng = SplitGradient(critic)(generator(Z), training=True)
            loss = ops.mean(ops.softplus(-critic(X)) + ops.softplus(fake_ng) + ops.softplus(-fake))
        return tape.gradient(loss, [v.value for v in critic.trainable_variables + generator.trainable_variables])

    used, ahead = set(), [tensor.op for tensor in step.get_concrete_function().outputs]
    while ahead:
        operation = ahead.pop()
        if operation not in used:
            used.add(operation)
            ahead += [tensor.op for tensor in operation.inputs]
    assert sum(operation.type == "MatMul" for operation in used) == products


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
