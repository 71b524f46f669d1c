"""The energies: their losses and penalties, and the training of both players (articles 6316 and 6331)."""

import keras
import numpy as np
import pytest
from keras import ops

from common.losses.gradient_penalties import SquaredGradientNorm
from common.models.networks import mlp
from energy_gan import energies, entropies, train
from tests.energy_gan.helpers import plane_flags
from tests.helpers.arrays import numpy64 as numpy
from tests.helpers.arrays import state_of
from tests.helpers.autodiff import gradient, weight_gradients


def energy_loss(*flags):
    """Return the critic's loss as a function of floats: U(x), U(G(z)) and the squared gradient norms."""
    loss = train.build(plane_flags(*flags), (2,))[0].critic.loss_function
    column = lambda value: ops.convert_to_tensor(np.array([[value]], "float32"))

    def value_of(real, fake, **squared_norms):
        norms = {name: ops.convert_to_tensor(np.array([value], "float32")) for name, value in squared_norms.items()}
        return float(numpy(loss(column(real), column(fake), **norms)["loss"])[0, 0])

    return value_of


def test_the_flags_take_the_keys_of_the_tables():
    assert list(energies.ENERGIES) == list(train.ENERGIES)
    assert list(entropies.ENTROPIES) == list(train.ENTROPIES)


# losses of the energy


def test_losses_by_hand():
    assert energy_loss("--penalty-weight", "3")(-0.5, 2.0, squared_norm=4.0) == pytest.approx(-2.5 + 12)
    wgan_div = energy_loss("--energy", "wgan_div")
    assert wgan_div(-0.5, 2.0, squared_norm=4.0, squared_norm_fake=1.0) == pytest.approx(-2.5 + 64 + 1)  # k/2 s^3
    assert wgan_div(-0.5, 2.0, squared_norm=1.0, squared_norm_fake=2.0) == pytest.approx(-2.5 + 1 + 8)
    assert energy_loss("--energy", "hinge")(-0.5, 0.2) == pytest.approx(0.5 + 0.8)
    ebgan = energy_loss("--energy", "ebgan", "--margin", "0.7")
    assert ebgan(0.4, 0.2) == pytest.approx(0.4 + 0.5)
    assert ebgan(0.4, 0.9) == pytest.approx(0.4), "a fake beyond the margin"


def test_the_penalty_is_taken_at_its_points():
    """The model's outputs hold ||grad U||^2 of its own critic, at x and, for WGAN-div alone, at the fakes."""
    x = np.random.default_rng(0).standard_normal((5, 2)).astype("float32")
    for energy, names in (("zero_centred", {"squared_norm"}), ("wgan_div", {"squared_norm", "squared_norm_fake"})):
        trainer, critic, _ = train.build(plane_flags("--energy", energy), (2,))
        outputs = trainer.critic(x)
        assert set(outputs) == {"real", "fake", *names}
        slopes = gradient(lambda x, critic=critic: ops.sum(-critic(x)), x)
        np.testing.assert_allclose(numpy(outputs["squared_norm"]), np.sum(slopes**2, -1), rtol=1e-4)
    for energy in ("hinge", "ebgan"):
        trainer, _, _ = train.build(plane_flags("--energy", energy), (2,))
        assert set(trainer.critic(x)) == {"real", "fake"}


@pytest.mark.parametrize("energy", train.ENERGIES)
def test_the_energy_is_minus_the_critic_at_the_data_and_at_the_fakes(energy):
    trainer, critic, generator = train.build(plane_flags("--energy", energy), (2,))
    x = np.random.default_rng(0).standard_normal((5, 2)).astype("float32")
    latent = lambda player: next(layer for layer in player.layers if "latent" in layer.name)(x)
    restore = state_of(trainer.critic)
    outputs = trainer.critic(x)
    restore()
    fake = numpy(generator(latent(trainer.critic))).astype("float32")
    np.testing.assert_allclose(numpy(outputs["real"]), -numpy(critic(x)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(numpy(outputs["fake"]), -numpy(critic(fake)), rtol=1e-4, atol=1e-6)
    if "squared_norm_fake" in outputs:
        slopes = gradient(lambda points: ops.sum(critic(points)), fake)
        np.testing.assert_allclose(numpy(outputs["squared_norm_fake"]), np.sum(slopes**2, -1), rtol=1e-3)
    restore = state_of(trainer.generator)
    outputs = trainer.generator(x)
    restore()
    expected = -numpy(critic(generator(latent(trainer.generator))))
    np.testing.assert_allclose(numpy(outputs["fake"]), expected, rtol=1e-4, atol=1e-6)


def test_the_metrics_of_the_energy():
    loss = train.build(plane_flags(), (2,))[0].critic.loss_function
    column = lambda value: ops.convert_to_tensor(np.array([[value]], "float32"))
    values = loss(column(-0.5), column(2.0), squared_norm=ops.convert_to_tensor(np.array([4.0], "float32")))
    values = {name: float(numpy(value).ravel()[0]) for name, value in values.items() if name != "loss"}
    assert values == {"critic_gap": 2.5, "energy_real": -0.5, "energy_fake": 2.0, "slope": 2.0}


def test_the_generator_pays_the_energy_and_its_entropy_term():
    loss = train.build(plane_flags("--entropy", "jsd", "--entropy-weight", "0.3"), (2,))[0].generator.loss_function
    fake, entropy = (ops.convert_to_tensor(np.array(x, "float32")) for x in ([[1.0], [2.0]], [[0.4], [0.8]]))
    values = loss(fake, entropy)
    assert float(numpy(values["loss"])) == pytest.approx(1.5 + 0.3 * 0.6)
    np.testing.assert_allclose(numpy(values["entropy_term"]), [[0.4], [0.8]], rtol=1e-6)
    plain = train.build(plane_flags("--entropy-weight", "0.3"), (2,))[0].generator.loss_function(fake)
    assert set(plain) == {"loss"} and float(numpy(plain["loss"])) == pytest.approx(1.5)


def test_hinge_has_no_gradient_beyond_its_margins():
    loss = train.build(plane_flags("--energy", "hinge"), (2,))[0].critic.loss_function
    values = np.array([[-3.0], [-1.1], [-0.9], [0.0], [0.9], [1.1], [3.0]], "float32")
    zero = ops.zeros((7, 1))
    gradient_real = gradient(lambda u: ops.sum(loss(u, zero)["loss"]), values)[:, 0]
    gradient_fake = gradient(lambda u: ops.sum(loss(zero, u)["loss"]), values)[:, 0]
    np.testing.assert_array_equal(gradient_real, [0, 0, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(gradient_fake, [-1, -1, -1, -1, -1, 0, 0])


def test_squared_gradient_norm_vanishes_at_the_bottom_of_a_pit_alone():
    """U(x) = ||x - c||^2 / 2 has the gradient norm ||x - c||."""
    points = np.array([[1.0, -2.0], [1.5, -2.0], [4.0, 2.0]], "float32")
    x = keras.Input((2,))
    for centre, expected in (((1.0, -2.0), [0, 0.25, 25]), ((0.0, 0.0), [5, 6.25, 20])):
        energy = keras.Model(x, ops.sum(ops.square(x - np.array(centre, "float32")), -1, keepdims=True) / 2)
        np.testing.assert_allclose(ops.convert_to_numpy(SquaredGradientNorm(energy)(points)), expected, atol=1e-5)


def test_gradient_of_the_likelihood_is_the_positive_minus_the_negative_phase():
    """6331: for q = e^-U / Z the gradient of E_p[-log q] equals that of E_p[U] - E_q[U] with q fixed."""
    grid = np.linspace(-4, 4, 401, dtype="float32")[:, None]
    cell = 8 / 400
    p = np.exp(-((grid - 0.7) ** 2) * 2)
    p = ops.convert_to_tensor(p / (p.sum() * cell))
    energy = mlp(1, 1, 8)
    negative_log_likelihood = lambda: ops.sum(p * energy(grid)) * cell + ops.log(ops.sum(ops.exp(-energy(grid))) * cell)
    q = np.exp(-numpy(energy(grid)))
    q = ops.convert_to_tensor((q / (q.sum() * cell)).astype("float32"))
    phases = lambda: ops.sum((p - q) * energy(grid)) * cell
    actual = weight_gradients(phases, energy.trainable_variables)
    expected = weight_gradients(negative_log_likelihood, energy.trainable_variables)
    assert max(np.abs(g).max() for g in expected) > 0.05
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


# training


def test_ebgan_energy_is_the_reconstruction_error():
    args = plane_flags("--energy", "ebgan")
    critic = energies.build_autoencoder_critic((2,), args)
    encoder, decoder = critic.get_layer("encoder"), critic.get_layer("decoder")
    x = np.random.default_rng(0).standard_normal((6, 2)).astype("float32")
    expected = np.mean((x - numpy(decoder(encoder(x)))) ** 2, -1, keepdims=True)
    np.testing.assert_allclose(numpy(-critic(x)), expected, rtol=1e-5)
    images = np.random.default_rng(0).uniform(-1, 1, (3, 16, 16, 1)).astype("float32")
    args.kernel_size, args.spectral_norm, args.initializer, args.negative_slope = 4, False, "glorot_uniform", 0.3
    critic = energies.build_autoencoder_critic((16, 16, 1), args)
    alone = np.concatenate([numpy(critic(images[i : i + 1], training=True)) for i in range(3)])
    np.testing.assert_allclose(numpy(critic(images, training=True)), alone, rtol=1e-4, err_msg="samples do not mix")


@pytest.mark.parametrize(
    ("energy", "entropy"),
    [*((energy, "none") for energy in train.ENERGIES), *(("zero_centred", entropy) for entropy in train.ENTROPIES[1:])],
)
def test_each_player_trains_its_own_networks(energy, entropy):
    """The first step of Adam moves a weight by the learning rate, wherever its gradient is not 0."""
    flags = ("--energy", energy, "--entropy", entropy, "--learning-rate", "0.01", "--entropy-weight", "1")
    trainer, critic, generator = train.build(plane_flags(*flags), (2,))
    batch = np.random.default_rng(0).standard_normal((16, 2)).astype("float32")
    entropy_networks = [layer for layer in trainer.generator.layers if layer.name in ("encoder", "head")]
    assert len(entropy_networks) == {"none": 0, "infogan": 1, "correlation": 1, "jsd": 2}[entropy]
    networks = [critic, generator, *entropy_networks]
    values = lambda: [[numpy(v) for v in network.trainable_variables] for network in networks]
    before = values()
    trainer.critic.run_eagerly = trainer.generator.run_eagerly = True  # faster for a single step
    trainer.critic.train_on_batch(batch)
    between = values()
    trainer.generator.train_on_batch(batch)
    after = values()

    steps = lambda a, b: [[np.abs(x - y).max() for x, y in zip(*pair, strict=True)] for pair in zip(a, b, strict=True)]
    critic_step, *other_steps = steps(before, between)
    if energy != "ebgan":
        assert critic_step.pop() < 1e-6, "a constant added to U(x) and U(G(z)) changes no loss"
    assert critic_step == pytest.approx([0.01] * len(critic_step), rel=0.01)
    assert not np.any(np.concatenate(other_steps))
    critic_step, *other_steps = steps(between, after)
    assert not np.any(critic_step)
    for step in other_steps:
        assert step == pytest.approx([0.01] * len(step), rel=0.01)


def test_optimizers_have_the_momentum_and_rates_that_fall_to_zero():
    flags = ("--momentum", "0.3", "--n-energy", "3", "--steps", "80", "--learning-rate", "0.01")
    trainer, _, _ = train.build(plane_flags(*flags), (2,))
    assert (trainer.n_d, trainer.n_g) == (3, 1)
    for player, steps in ((trainer.critic, 60), (trainer.generator, 20)):
        assert player.optimizer.beta_1 == 0.3 and player.optimizer.beta_2 == 0.9
        rates = [float(player.optimizer._learning_rate(step)) for step in (0, steps // 2, steps)]
        assert rates == pytest.approx([0.01, 0.005, 0.0], abs=1e-8)
