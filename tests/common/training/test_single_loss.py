"""6387: values and gradients of the single loss go where the article says, on every backend."""

import keras
import numpy as np
import pytest
from keras import ops

from common.data.batches import EndlessBatches
from common.losses.adversarial import LOSSES, sample_distance
from common.models.layers import Latent
from common.training.alternating import Alternating
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

    def single(**t):
        return {"loss": critic_loss(**t)["loss"] + generator_loss(**t)["loss"], "gap": t["real"] - t["fake_ng"]}

    return critic_loss, generator_loss, single


def tensors(critic, generator, x, z):
    x_fake = generator(z, training=True)
    x_fake_ng = ops.stop_gradient(x_fake)
    scores = {"real": x, "fake": x_fake, "fake_ng": x_fake_ng}
    return {"x": x, "x_fake_ng": x_fake_ng} | {k: critic(v, training=True) for k, v in scores.items()}


def wired(loss, optimizer, seed=0, batch_norm=False, nets=None, trains=None):
    critic, generator = nets or networks(seed, batch_norm)
    x = keras.Input((4, 4, 1))
    x_fake = generator(Latent(3, seed=seed)(x))
    x_fake_ng = ops.stop_gradient(x_fake)
    scores = {"real": critic(x), "fake": critic(x_fake), "fake_ng": critic(x_fake_ng)}
    model = SingleLoss(x, {"x": x, "x_fake_ng": x_fake_ng, **scores}, loss, trains and [nets[trains == "generator"]])
    model.compile(optimizer)
    return model, critic, generator


X = np.random.default_rng(0).normal(size=(6, 4, 4, 1)).astype("float32")
Z = np.random.default_rng(1).normal(size=(6, 3)).astype("float32")
IMAGES = np.random.default_rng(2).integers(0, 256, (40, 4, 4, 1), dtype=np.uint8)


def gradients(loss, nets):
    critic, generator = nets
    variables = critic.trainable_variables + generator.trainable_variables
    both = weight_gradients(lambda: ops.mean(loss(**tensors(critic, generator, X, Z))["loss"]), variables)
    both = [np.zeros(v.shape) if g is None else np.asarray(g) for g, v in zip(both, variables, strict=True)]
    return both[: len(critic.trainable_variables)], both[len(critic.trainable_variables) :]


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_each_part_reaches_its_own_player_alone(name):
    nets = networks()
    critic_loss, generator_loss, single = losses(name)
    d_of_d, g_of_d = gradients(critic_loss, nets)
    d_of_g, g_of_g = gradients(generator_loss, nets)
    d_of_both, g_of_both = gradients(single, nets)
    for g in g_of_d:
        np.testing.assert_array_equal(g, 0)
    for g in d_of_g:
        np.testing.assert_allclose(g, 0, atol=1e-6)
    assert max(np.abs(g).max() for g in d_of_d) > 1e-3
    assert max(np.abs(g).max() for g in g_of_g) > 1e-4
    for a, b in zip(d_of_both + g_of_both, d_of_d + g_of_g, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    # and the generator's gradient is that of its plain loss
    plain = gradients(lambda real, fake, **_: {"loss": LOSSES[name].generator(real, fake)}, nets)[1]
    for a, b in zip(g_of_g, plain, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_the_generators_part_is_worth_nothing(name):
    critic, generator = networks()
    critic_loss, generator_loss, single = losses(name)
    t = tensors(critic, generator, X, Z)
    np.testing.assert_allclose(ops.convert_to_numpy(generator_loss(**t)["loss"]), 0, atol=1e-6)
    np.testing.assert_allclose(
        ops.convert_to_numpy(single(**t)["loss"]), ops.convert_to_numpy(critic_loss(**t)["loss"]), atol=1e-6
    )


@pytest.mark.parametrize("name", sorted(name for name in LOSSES if LOSSES[name].zero_sum))
@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_a_zero_sum_loss_needs_one_pass_over_the_fakes(name, weight):
    """Turned at the fake, the critic's loss gives both players the gradients of the two-pass form."""
    critic, generator = networks()
    loss = LOSSES[name]
    judges, painter = critic.trainable_variables, generator.trainable_variables

    def one_pass():
        fake = critic(reverse_gradient(generator(Z, training=True), weight), training=True)
        return ops.mean(loss.critic(critic(X, training=True), fake))

    def two_passes():
        t = tensors(critic, generator, X, Z)
        part = generator_only(lambda s: loss.generator(t["real"], s), t["fake"], t["fake_ng"])
        return ops.mean(loss.critic(t["real"], t["fake_ng"]) + weight * part)

    np.testing.assert_allclose(*(ops.convert_to_numpy(value()) for value in (one_pass, two_passes)), rtol=1e-5)
    one, two = (weight_gradients(fn, judges + painter) for fn in (one_pass, two_passes))
    assert max(np.abs(g).max() for g in two[len(judges) :]) > 1e-4
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_one_sgd_step_is_the_simultaneous_step_of_both_players_and_not_the_alternating_one():
    rate = 0.3
    critic_loss, generator_loss, single = losses("hinge")
    model, critic, generator = wired(single, keras.optimizers.SGD(rate))
    twin_d, twin_g = networks(batch_norm=False)
    start = [numpy(v) for v in critic.weights + generator.weights]
    model.fit(EndlessBatches(IMAGES, 6), steps_per_epoch=1, shuffle=False, verbose=0)

    z = Latent(3, seed=0)(X)  # the same stream from its start
    x = EndlessBatches(IMAGES, 6)[0]

    def step(loss, nets, player):
        variables = nets[player].trainable_variables
        grads = weight_gradients(lambda: ops.mean(loss(**tensors(*nets, x, z))["loss"]), variables)
        return [(v, numpy(v) - rate * np.asarray(g)) for v, g in zip(variables, grads, strict=True)]

    nets = (twin_d, twin_g)
    jacobi = step(critic_loss, nets, 0) + step(generator_loss, nets, 1)
    trained = [numpy(v) for v in critic.trainable_variables + generator.trainable_variables]
    for value, (_, expected) in zip(trained, jacobi, strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-5)
    for variable, value in step(critic_loss, nets, 0):
        variable.assign(value)
    alternating = [value for _, value in step(generator_loss, nets, 1)]
    moved = [numpy(v) for v in generator.trainable_variables]
    assert max(np.abs(a - b).max() for a, b in zip(moved, alternating, strict=True)) > 1e-4
    assert max(np.abs(a - b).max() for a, b in zip(start, trained, strict=False) if a.shape == b.shape) > 1e-3


@pytest.mark.parametrize(("optimizer", "scales"), [("SGD", True), ("RMSprop", False)])
def test_lam_is_a_ratio_of_learning_rates_for_sgd_and_nothing_for_rmsprop(optimizer, scales):
    critic_loss, generator_loss, _ = losses("hinge")

    def weighted(lam):
        return lambda **t: {"loss": critic_loss(**t)["loss"] + lam * generator_loss(**t)["loss"]}

    def generator_moves(lam):
        make = getattr(keras.optimizers, optimizer)
        model, _, generator = wired(weighted(lam), make(1e-3, **({} if scales else {"epsilon": 1e-20})))
        before = [numpy(v) for v in generator.trainable_variables]
        model.fit(EndlessBatches(IMAGES, 6), steps_per_epoch=1, shuffle=False, verbose=0)
        after = [numpy(v) for v in generator.trainable_variables]
        return np.concatenate([(a - b).ravel() for a, b in zip(after, before, strict=True)])

    one, ten = generator_moves(1.0), generator_moves(10.0)
    assert np.abs(one).max() > 1e-6
    np.testing.assert_allclose(ten, 10 * one if scales else one, atol=1e-5, rtol=1e-2)


def test_a_critic_that_answers_differently_breaks_the_cancellation():
    critic, generator = networks()
    noisy = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Dropout(0.5, seed=1), critic])
    _, generator_loss, _ = losses("wgan")
    value = ops.convert_to_numpy(generator_loss(**tensors(noisy, generator, X, Z))["loss"])
    assert np.abs(value).max() > 1e-3


def test_fit_needs_no_target_and_averages_the_named_parts():
    _, _, single = losses("sgan")
    model, _, _ = wired(single, keras.optimizers.Adam(1e-3), batch_norm=True)
    history = model.fit(EndlessBatches(IMAGES, 8), steps_per_epoch=5, shuffle=False, epochs=2, verbose=0).history
    assert set(history) == {"loss", "gap"}
    assert history["loss"][0] != history["loss"][1]


def test_a_layers_own_losses_are_added():
    x = keras.Input((2,))
    y = keras.layers.Dense(1, kernel_initializer="ones", kernel_regularizer=keras.regularizers.L2(0.5))(x)
    model = SingleLoss(x, {"y": y}, lambda y: {"loss": 0.0 * y})
    model.compile(keras.optimizers.SGD(0.0))
    assert model.fit(np.ones((4, 2), "float32"), verbose=0).history["loss"][0] == pytest.approx(0.5 * 2)


def test_a_loss_without_a_loss_is_refused():
    x = keras.Input((2,))
    with pytest.raises(ValueError, match=r"key 'loss'. Received: \['los'\]"):
        SingleLoss(x, {"x": x}, lambda x: {"los": x})


def alternating(n_d, n_g, rates=(1e-2, 1e-2)):
    critic_loss, generator_loss, _ = losses("hinge")
    nets = networks(batch_norm=False)
    a, critic, generator = wired(critic_loss, keras.optimizers.SGD(rates[0]), nets=nets, trains="critic")
    b, _, _ = wired(generator_loss, keras.optimizers.SGD(rates[1]), nets=nets, seed=1, trains="generator")
    return Alternating(a, b, n_d, n_g), critic, generator


def test_alternating_steps_move_one_player_at_a_time_in_the_given_ratio():
    trainer, critic, generator = alternating(2, 1)
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.before = [numpy(n.trainable_variables[0]) for n in (critic, generator)]

        def on_train_batch_end(self, batch, logs=None):
            now = [numpy(n.trainable_variables[0]) for n in (critic, generator)]
            seen.append(tuple(bool(np.any(a != b)) for a, b in zip(self.before, now, strict=True)))

    trainer.fit(EndlessBatches(IMAGES, 6), steps_per_epoch=6, callbacks=[Watch()], verbose=0)
    assert seen == [(True, False), (True, False), (False, True)] * 2


def test_alternating_players_have_learning_rates_of_their_own():
    trainer, critic, generator = alternating(1, 1, rates=(1e-2, 0.0))
    before = [numpy(n.trainable_variables[0]) for n in (critic, generator)]
    trainer.fit(EndlessBatches(IMAGES, 6), steps_per_epoch=4, epochs=1, verbose=0)
    after = [numpy(n.trainable_variables[0]) for n in (critic, generator)]
    assert np.any(after[0] != before[0])
    np.testing.assert_array_equal(after[1], before[1])


def test_alternating_needs_steps_of_both():
    with pytest.raises(ValueError, match="n_d=0"):
        Alternating(None, None, 0, 1)


def test_an_autoencoder_trains_with_no_target_and_shows_a_metric_of_its_own():
    """6311's example: 784-100-784 with the loss on input and output, and the hidden layer's mean squared norm shown."""
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
