"""The single loss of article 6387: its values, and the gradients that reach critic and generator."""

import keras
import numpy as np
import pytest
from keras import ops

from common.data.batches import EndlessBatches
from common.losses.adversarial import LOSSES, sample_distance
from common.models.layers import Latent
from common.training.single_loss import SingleLoss, generator_only, reverse_gradient
from tests.helpers.arrays import numpy
from tests.helpers.autodiff import weight_gradients


def networks(seed=0, batch_norm=True):
    keras.utils.set_random_seed(seed)
    norm = [keras.layers.BatchNormalization()] if batch_norm else []
    critic = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(8), *norm, keras.layers.LeakyReLU(0.2)]
        + [keras.layers.Dense(1)],
        name="critic",
    )
    generator = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(16, activation="tanh"), keras.layers.Reshape((4, 4, 1))],
        name="generator",
    )
    return critic, generator


def losses(name):
    loss = LOSSES[name]

    def critic_loss(x, x_fake_ng, real, fake, fake_ng):
        context = {"distance": sample_distance(x, x_fake_ng)} if loss.distance_order else {}
        return {"loss": loss.critic(real, fake_ng, **context)}

    def generator_loss(x, x_fake_ng, real, fake, fake_ng):
        return {"loss": generator_only(lambda score: loss.generator(real, score), fake, fake_ng)}

    def single_loss(**tensors):
        loss = critic_loss(**tensors)["loss"] + generator_loss(**tensors)["loss"]
        return {"loss": loss, "gap": tensors["real"] - tensors["fake_ng"]}

    return critic_loss, generator_loss, single_loss


def loss_inputs(critic, generator, x, z):
    """Return the keyword arguments of the functions in `losses`."""
    x_fake = generator(z, training=True)
    x_fake_ng = ops.stop_gradient(x_fake)
    scores = {"real": x, "fake": x_fake, "fake_ng": x_fake_ng}
    return {"x": x, "x_fake_ng": x_fake_ng} | {k: critic(v, training=True) for k, v in scores.items()}


def build_model(loss, optimizer, nets=None, seed=0, batch_norm=False, trains=("critic", "generator")):
    """Return (compiled model, critic, generator); `trains` names the networks that `fit` trains."""
    critic, generator = nets or networks(seed, batch_norm)
    trainable_layers = [net for net in (critic, generator) if net.name in trains]
    x = keras.Input((4, 4, 1))
    x_fake = generator(Latent(3, seed=seed)(x))
    x_fake_ng = ops.stop_gradient(x_fake)
    scores = {"real": critic(x), "fake": critic(x_fake), "fake_ng": critic(x_fake_ng)}
    model = SingleLoss(x, {"x": x, "x_fake_ng": x_fake_ng, **scores}, loss, trainable_layers)
    model.compile(optimizer)
    return model, critic, generator


X = np.random.default_rng(0).normal(size=(6, 4, 4, 1)).astype("float32")
Z = np.random.default_rng(1).normal(size=(6, 3)).astype("float32")
IMAGES = np.random.default_rng(2).integers(0, 256, (40, 4, 4, 1), dtype=np.uint8)


def gradients(loss, nets):
    """Return the gradients of the mean loss: (of the critic's weights, of the generator's weights)."""
    critic, generator = nets
    variables = critic.trainable_variables + generator.trainable_variables
    both = weight_gradients(lambda: ops.mean(loss(**loss_inputs(critic, generator, X, Z))["loss"]), variables)
    n = len(critic.trainable_variables)
    return both[:n], both[n:]


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_each_term_has_a_gradient_in_its_own_network_only(name):
    nets = networks()
    critic_loss, generator_loss, single_loss = losses(name)
    critic_from_critic_loss, generator_from_critic_loss = gradients(critic_loss, nets)
    critic_from_generator_loss, generator_from_generator_loss = gradients(generator_loss, nets)
    for gradient in generator_from_critic_loss:
        np.testing.assert_array_equal(gradient, 0)
    for gradient in critic_from_generator_loss:
        np.testing.assert_allclose(gradient, 0, atol=1e-6)
    assert max(np.abs(g).max() for g in critic_from_critic_loss) > 1e-3
    assert max(np.abs(g).max() for g in generator_from_generator_loss) > 1e-4
    # the gradients of the sum are those of the two terms
    critic_from_sum, generator_from_sum = gradients(single_loss, nets)
    expected = critic_from_critic_loss + generator_from_generator_loss
    for a, b in zip(critic_from_sum + generator_from_sum, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    # the generator's gradient is that of its loss in the usual form
    usual = gradients(lambda real, fake, **_: {"loss": LOSSES[name].generator(real, fake)}, nets)[1]
    for a, b in zip(generator_from_generator_loss, usual, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_generator_term_has_the_value_zero(name):
    critic, generator = networks()
    critic_loss, generator_loss, single_loss = losses(name)
    inputs = loss_inputs(critic, generator, X, Z)
    np.testing.assert_allclose(numpy(generator_loss(**inputs)["loss"]), 0, atol=1e-6)
    np.testing.assert_allclose(numpy(single_loss(**inputs)["loss"]), numpy(critic_loss(**inputs)["loss"]), atol=1e-6)


@pytest.mark.parametrize("name", sorted(name for name in LOSSES if LOSSES[name].zero_sum))
@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_zero_sum_loss_with_reversed_gradient_equals_two_passes(name, weight):
    """With `reverse_gradient` at the fake, one pass gives both networks the gradients of the two-pass form."""
    critic, generator = networks()
    loss = LOSSES[name]
    variables, n = critic.trainable_variables + generator.trainable_variables, len(critic.trainable_variables)

    def one_pass():
        fake = critic(reverse_gradient(generator(Z, training=True), weight), training=True)
        return ops.mean(loss.critic(critic(X, training=True), fake))

    def two_passes():
        inputs = loss_inputs(critic, generator, X, Z)
        real, fake_ng = inputs["real"], inputs["fake_ng"]
        generator_term = generator_only(lambda score: loss.generator(real, score), inputs["fake"], fake_ng)
        return ops.mean(loss.critic(real, fake_ng) + weight * generator_term)

    np.testing.assert_allclose(numpy(one_pass()), numpy(two_passes()), rtol=1e-5)
    one, two = weight_gradients(one_pass, variables), weight_gradients(two_passes, variables)
    assert max(np.abs(g).max() for g in two[n:]) > 1e-4
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_sgd_step_on_the_single_loss_is_the_simultaneous_step_not_the_alternating_one():
    rate = 0.3
    critic_loss, generator_loss, single_loss = losses("hinge")
    model, critic, generator = build_model(single_loss, keras.optimizers.SGD(rate))
    nets = networks(batch_norm=False)  # equal networks for the steps by hand
    start = [numpy(v) for v in critic.trainable_variables + generator.trainable_variables]
    model.fit(EndlessBatches(IMAGES, 6), steps_per_epoch=1, shuffle=False, verbose=0)

    z = Latent(3, seed=0)(X)  # the latents of the model's first step
    x = EndlessBatches(IMAGES, 6)[0]

    def sgd_step(loss, variables):
        """Return the values after a step; the variables stay as they are."""
        grads = weight_gradients(lambda: ops.mean(loss(**loss_inputs(*nets, x, z))["loss"]), variables)
        return [numpy(v) - rate * g for v, g in zip(variables, grads, strict=True)]

    critic_variables, generator_variables = (net.trainable_variables for net in nets)
    critic_after = sgd_step(critic_loss, critic_variables)
    simultaneous = critic_after + sgd_step(generator_loss, generator_variables)
    trained = [numpy(v) for v in critic.trainable_variables + generator.trainable_variables]
    for value, expected in zip(trained, simultaneous, strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-5)
    for variable, value in zip(critic_variables, critic_after, strict=True):
        variable.assign(value)
    alternating = sgd_step(generator_loss, generator_variables)
    generator_after = [numpy(v) for v in generator.trainable_variables]
    assert max(np.abs(a - b).max() for a, b in zip(generator_after, alternating, strict=True)) > 1e-4
    assert max(np.abs(a - b).max() for a, b in zip(start, trained, strict=True)) > 1e-3


@pytest.mark.parametrize(("optimizer", "scales"), [("SGD", True), ("RMSprop", False)])
def test_weight_of_the_generator_term_scales_the_step_of_sgd_but_not_of_rmsprop(optimizer, scales):
    critic_loss, generator_loss, _ = losses("hinge")

    def weighted(lam):
        return lambda **inputs: {"loss": critic_loss(**inputs)["loss"] + lam * generator_loss(**inputs)["loss"]}

    def generator_step(lam):
        make = getattr(keras.optimizers, optimizer)
        model, _, generator = build_model(weighted(lam), make(1e-3, **({} if scales else {"epsilon": 1e-20})))
        before = [numpy(v) for v in generator.trainable_variables]
        model.fit(EndlessBatches(IMAGES, 6), steps_per_epoch=1, shuffle=False, verbose=0)
        after = [numpy(v) for v in generator.trainable_variables]
        return np.concatenate([(a - b).ravel() for a, b in zip(after, before, strict=True)])

    one, ten = generator_step(1.0), generator_step(10.0)
    assert np.abs(one).max() > 1e-6
    np.testing.assert_allclose(ten, 10 * one if scales else one, atol=1e-5, rtol=1e-2)


def test_dropout_in_the_critic_breaks_the_cancellation():
    critic, generator = networks()
    noisy = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Dropout(0.5, seed=1), critic])
    _, generator_loss, _ = losses("wgan")
    value = numpy(generator_loss(**loss_inputs(noisy, generator, X, Z))["loss"])
    assert np.abs(value).max() > 1e-3


def test_fit_needs_no_target_and_logs_the_means_of_loss_and_metrics():
    """With a learning rate of 0 the means over an epoch can be computed again from the batches and latents."""
    _, _, single_loss = losses("sgan")
    model, critic, generator = build_model(single_loss, keras.optimizers.SGD(0.0), batch_norm=True)
    batches = EndlessBatches(IMAGES, 8)
    history = model.fit(batches, steps_per_epoch=5, shuffle=False, epochs=2, verbose=0).history
    assert set(history) == {"loss", "gap"}
    latent = Latent(3, seed=0)  # the stream of the model's layer, from its start
    for epoch in range(2):
        values = [
            single_loss(**loss_inputs(critic, generator, batches[step], latent(batches[step])))
            for step in range(5 * epoch, 5 * epoch + 5)
        ]
        for name in ("loss", "gap"):
            expected = np.mean([numpy(v[name]).mean() for v in values])
            assert history[name][epoch] == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_losses_of_layers_are_added():
    x = keras.Input((2,))
    y = keras.layers.Dense(1, kernel_initializer="ones", kernel_regularizer=keras.regularizers.L2(0.5))(x)
    model = SingleLoss(x, {"y": y}, lambda y: {"loss": 0.0 * y})
    model.compile(keras.optimizers.SGD(0.0))
    assert model.fit(np.ones((4, 2), "float32"), verbose=0).history["loss"][0] == pytest.approx(0.5 * 2)


def test_loss_function_without_the_key_loss_is_refused():
    x = keras.Input((2,))
    with pytest.raises(ValueError, match=r"key 'loss'. Received: \['los'\]"):
        SingleLoss(x, {"x": x}, lambda x: {"los": x})


def test_autoencoder_with_a_metric_on_the_hidden_layer():
    """The example of 6311: 784-100-784, a loss on input and output, the squared norm of the hidden layer as metric."""
    rng = np.random.default_rng(0)
    images = (rng.random((64, 8)) @ rng.random((8, 784)) / 8).astype("float32")
    x = keras.Input((784,))
    hidden = keras.layers.Dense(100, activation="relu")(x)
    decoded = keras.layers.Dense(784, activation="sigmoid")(hidden)

    def loss(x, hidden, decoded):
        return {"loss": ops.mean(ops.square(x - decoded), -1), "hidden_norm": ops.sum(ops.square(hidden), -1)}

    model = SingleLoss(x, {"x": x, "hidden": hidden, "decoded": decoded}, loss)
    model.compile(keras.optimizers.Adam(1e-3))
    before = model.predict(images, verbose=0)  # one batch: the metric of the first step is that of these weights
    logs = model.fit(images, batch_size=64, epochs=5, shuffle=False, verbose=0).history
    assert logs["hidden_norm"][0] == pytest.approx(np.mean(np.sum(before["hidden"] ** 2, -1)), rel=1e-4)
    assert logs["loss"][0] == pytest.approx(np.mean((images - before["decoded"]) ** 2), rel=1e-4)
    assert logs["loss"][-1] < 0.9 * logs["loss"][0]
