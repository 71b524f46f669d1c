"""Energies, the entropy of the generator, and what the energy knows (articles 6316 and 6331, arXiv 1901.08508)."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from common.data.images import Images
from common.errors import UserError
from common.experiments.sample_space import leave_out
from common.losses.gradient_penalties import SquaredGradientNorm
from common.models.networks import mlp
from common.training.single_loss import SingleLoss
from energy_gan import train
from energy_gan.anomaly import average_precision, energy_and_slope
from energy_gan.energy_maps import maps
from energy_gan.entropies import joint_vs_product_loss
from tests.helpers.arrays import numpy64 as numpy
from tests.helpers.autodiff import gradient, weight_gradients

LOG2 = np.log(2)


def flags(*words):
    args = train.make_parser().parse_args(["--dataset", "8gaussians", "--preset", "smoke", *words])
    return train.apply_preset(args, train.make_parser(), train.PLANE_PRESETS)


def pits(*words):
    """The energy's loss as a function of U(x), U(G(z)) and ||grad U||^2, floats."""
    loss = train.build(flags(*words), (2,))[0].critic.loss_function
    column = lambda value: ops.convert_to_tensor(np.array([[value]], "float32"))
    slopes = lambda **values: {k: ops.convert_to_tensor(np.array([v], "float32")) for k, v in values.items()}
    return lambda real, fake, **more: float(numpy(loss(column(real), column(fake), **slopes(**more))["loss"])[0, 0])


# the energy's losses


def test_the_energies_by_hand():
    assert pits("--penalty-weight", "3")(-0.5, 2.0, slope=4.0) == pytest.approx(-2.5 + 12)
    assert pits("--energy", "wgan_div")(-0.5, 2.0, slope=4.0, slope_fake=1.0) == pytest.approx(-2.5 + 64 + 1)  # k/2 s^3
    assert pits("--energy", "hinge")(-0.5, 0.2) == pytest.approx(0.5 + 0.8)
    assert pits("--energy", "ebgan", "--margin", "0.7")(0.4, 0.2) == pytest.approx(0.4 + 0.5)
    assert pits("--energy", "ebgan", "--margin", "0.7")(0.4, 0.9) == pytest.approx(0.4), "a fake beyond the margin"


def test_the_hinge_leaves_alone_what_lies_deep_or_high_enough():
    loss = train.build(flags("--energy", "hinge"), (2,))[0].critic.loss_function
    energies = np.array([[-3.0], [-1.1], [-0.9], [0.0], [0.9], [1.1], [3.0]], "float32")
    zero = ops.zeros((7, 1))
    of_real = gradient(lambda u: ops.sum(loss(u, zero)["loss"]), energies)[:, 0]
    of_fake = gradient(lambda u: ops.sum(loss(zero, u)["loss"]), energies)[:, 0]
    np.testing.assert_array_equal(of_real, [0, 0, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(of_fake, [-1, -1, -1, -1, -1, 0, 0])


def test_the_zero_centred_wants_the_data_at_the_bottom_of_a_pit():
    """U(x) = ||x - c||^2 / 2: the slope is ||x - c||, nothing at c and there alone."""
    points = np.array([[1.0, -2.0], [1.5, -2.0], [4.0, 2.0]], "float32")
    x = keras.Input((2,))
    for centre, expected in (((1.0, -2.0), [0, 0.25, 25]), ((0.0, 0.0), [5, 6.25, 20])):
        energy = keras.Model(x, ops.sum(ops.square(x - np.array(centre, "float32")), -1, keepdims=True) / 2)
        np.testing.assert_allclose(ops.convert_to_numpy(SquaredGradientNorm(energy)(points)), expected, atol=1e-5)


def test_the_gradient_of_the_likelihood_is_the_positive_minus_the_negative_phase():
    """6331: for q = e^-U / Z the gradient of E_p[-log q] is that of E_p[U] - E_q[U] with q held still."""
    grid = np.linspace(-4, 4, 401, dtype="float32")[:, None]
    cell = 8 / 400
    p = np.exp(-((grid - 0.7) ** 2) * 2)
    p = ops.convert_to_tensor(p / (p.sum() * cell))
    energy = mlp(1, 1, 8)
    negative_log_likelihood = lambda: ops.sum(p * energy(grid)) * cell + ops.log(ops.sum(ops.exp(-energy(grid))) * cell)
    q = np.exp(-numpy(energy(grid)))
    q = ops.convert_to_tensor((q / (q.sum() * cell)).astype("float32"))
    phases = lambda: ops.sum((p - q) * energy(grid)) * cell
    whole = weight_gradients(negative_log_likelihood, energy.trainable_variables)
    both = weight_gradients(phases, energy.trainable_variables)
    assert max(np.abs(g).max() for g in whole) > 0.05
    for a, b in zip(whole, both, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


# the entropy of the generator


def jensen_shannon(rho, grid):
    """JSD of a correlated normal pair and the product of its margins, log(joint/product) and both densities."""
    x, z = np.meshgrid(grid, grid)
    product = np.exp(-(x**2 + z**2) / 2) / (2 * np.pi)
    joint = np.exp(-(x**2 - 2 * rho * x * z + z**2) / (2 * (1 - rho**2))) / (2 * np.pi * np.sqrt(1 - rho**2))
    middle = (joint + product) / 2
    cell = (grid[1] - grid[0]) ** 2
    jsd = np.sum(joint * np.log(joint / middle) + product * np.log(product / middle)) / 2 * cell
    return jsd, np.log(joint / product), joint * cell, product * cell


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_the_statistics_network_bounds_the_jensen_shannon_divergence(rho):
    """log 2 - cross-entropy <= JSD(joint || product), and equal to it at T = log(joint/product)."""
    jsd, best, joint, product = jensen_shannon(rho, np.linspace(-8, 8, 641))
    as_tensor = lambda x: ops.convert_to_tensor(x.astype("float32"))

    def bound(t):
        of_joint = numpy(joint_vs_product_loss(as_tensor(t), as_tensor(0 * t))) - LOG2 / 2
        of_product = numpy(joint_vs_product_loss(as_tensor(0 * t), as_tensor(t))) - LOG2 / 2
        return LOG2 - np.sum(joint * of_joint + product * of_product)

    assert jsd == pytest.approx(0, abs=1e-12) if rho == 0 else jsd > 0.03
    assert bound(best) == pytest.approx(jsd, abs=2e-5)
    assert bound(0 * best) == pytest.approx(0, abs=1e-6)
    for other in (best + 0.5, 0.5 * best - 0.2, -best + 0.1, best + np.sin(np.arange(len(best)))):
        assert bound(other) < jsd - 1e-3


def test_a_statistics_network_learns_the_divergence_from_samples():
    """Trained as the generator's player trains it, on z and on x = .9 z + .44 n; the other's z is the next sample's."""
    rho, rng = 0.9, np.random.default_rng(0)
    jsd = jensen_shannon(rho, np.linspace(-8, 8, 321))[0]
    z = rng.standard_normal((20_000, 1)).astype("float32")
    x = (rho * z + np.sqrt(1 - rho**2) * rng.standard_normal(z.shape)).astype("float32")
    network = mlp(2, 1, 32)
    rows = keras.Input((2,))
    score = lambda x, z: network(ops.concatenate([x, z], -1))
    pairs = score(rows[:, :1], rows[:, 1:]), score(rows[:, :1], ops.roll(rows[:, 1:], 1, axis=0))
    model = SingleLoss(rows, {"pairs": joint_vs_product_loss(*pairs)}, lambda pairs: {"loss": pairs})
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-2, 320)))
    losses = model.fit(np.concatenate([x, z], -1), batch_size=500, epochs=8, verbose=0).history["loss"]
    assert LOG2 - losses[0] < 0.8 * jsd
    assert LOG2 - losses[-1] == pytest.approx(jsd, abs=0.01)


def weights(model):
    return np.concatenate([numpy(ops.convert_to_tensor(v)).ravel() for v in model.trainable_variables])


@pytest.mark.parametrize(
    ("energy", "entropy"),
    [*((energy, "none") for energy in train.ENERGIES), *(("zero_centred", entropy) for entropy in train.ENTROPIES[1:])],
)
def test_each_player_moves_its_own_networks(energy, entropy):
    words = ("--energy", energy, "--entropy", entropy, "--learning-rate", "0.01")
    trainer, critic, generator = train.build(flags(*words), (2,))
    batch = np.random.default_rng(0).standard_normal((16, 2)).astype("float32")
    others = [layer for layer in trainer.generator.layers if layer.name in ("encoder", "head")]
    assert len(others) == {"none": 0, "infogan": 1, "correlation": 1, "jsd": 2}[entropy]
    networks = [critic, generator, *others]
    before = [weights(network) for network in networks]
    trainer.critic.train_on_batch(batch)
    middle = [weights(network) for network in networks]
    trainer.generator.train_on_batch(batch)
    after = [weights(network) for network in networks]
    moved = lambda a, b: [bool(np.abs(x - y).max() > 1e-4) for x, y in zip(a, b, strict=True)]
    assert moved(before, middle) == [True] + [False] * (1 + len(others))
    assert moved(middle, after) == [False] + [True] * (1 + len(others))


def test_the_entropy_terms_tell_generators_apart():
    """z that can be read off the fake costs less than z that is lost, under every term, once the networks know."""
    for entropy, most in (("infogan", 0.35), ("correlation", -0.8), ("jsd", 0.45)):
        reached = {}
        for kind in ("faithful", "collapsed"):
            keras.utils.set_random_seed(1)
            words = ("--entropy", entropy, "--latent-dim", "3", "--width", "32", "--learning-rate", "0.01")
            trainer, _, generator = train.build(flags(*words, "--entropy-weight", "1"), (3,))
            trainer.generator._trained_ids -= {
                id(v) for v in generator.trainable_variables
            }  # what the networks can read
            trainer.generator.compile(keras.optimizers.Adam(0.01))
            for weight in generator.trainable_variables:  # no biases: what is left of z is its positive part
                keeps = kind == "faithful" and len(weight.shape) == 2
                weight.assign(2 * np.eye(*weight.shape) if keeps else np.zeros(weight.shape))
            batch = np.zeros((128, 3), "float32")
            trainer.generator.fit(np.tile(batch, (150, 1)), batch_size=128, verbose=0)
            last = trainer.generator.fit(np.tile(batch, (20, 1)), batch_size=128, verbose=0).history
            reached[kind] = last["entropy_term"][0]
        lost = {"infogan": 1.0, "correlation": 0.0, "jsd": LOG2}[entropy]
        assert reached["collapsed"] == pytest.approx(lost, abs=0.12), entropy
        assert reached["faithful"] < most, entropy


# what the energy knows


def test_the_density_of_a_known_energy():
    """U = ||x||^2 / (2 s^2): e^-U / Z is a normal density, and its integral over the plane 1."""
    x, s = keras.Input((2,)), 0.3
    critic = keras.Model(x, -ops.sum(ops.square(x), -1, keepdims=True) / (2 * s**2) + 5)
    energy, density = maps(critic, (-2, 2, -1.6, 1.6), cells=100)
    assert density.sum() * (4 / 100) * (3.2 / 100) == pytest.approx(1)
    assert density.max() == pytest.approx(1 / (2 * np.pi * s**2), rel=0.01)
    assert energy[50, 99] == pytest.approx((1.98**2 + 0.016**2) / (2 * s**2) - 5, rel=1e-4), "rows are y, columns x"


def test_average_precision():
    assert average_precision([0.9, 0.8, 0.7, 0.6], [True, False, True, False]) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision([3, 2, 1], [True, True, False]) == 1
    assert average_precision([1, 2, 3], [True, False, False]) == pytest.approx(1 / 3)
    assert average_precision(np.zeros(10), np.arange(10) < 3) == pytest.approx(0.3), "ties: all or none of them"
    rng = np.random.default_rng(0)
    positive = rng.random(20_000) < 0.1
    assert average_precision(rng.random(20_000), positive) == pytest.approx(0.1, abs=0.01)
    # positives one standard deviation higher: the integral of the precision over the recall
    scores = rng.standard_normal(20_000) + positive
    t = np.linspace(8, -8, 4001)
    tail = lambda x: np.vectorize(math.erfc)(x / np.sqrt(2)) / 2
    precision = 0.1 * tail(t - 1) / (0.1 * tail(t - 1) + 0.9 * tail(t))
    exact = np.trapezoid(precision, tail(t - 1))
    assert average_precision(scores, positive) == pytest.approx(exact, abs=0.02)


def test_energy_and_slope_of_images():
    """U = w . x + 1 has the slope |w| everywhere."""
    x = keras.Input((16, 16, 1))
    w = np.random.default_rng(0).standard_normal(256).astype("float32")
    critic = keras.Model(x, -ops.sum(ops.reshape(x, (-1, 256)) * w, -1, keepdims=True) - 1)
    images = np.random.default_rng(1).integers(0, 256, (7, 16, 16, 1)).astype("uint8")
    energy, slope = energy_and_slope(critic, images)
    np.testing.assert_allclose(energy, (images.reshape(7, -1) / 127.5 - 1) @ w + 1, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(slope, np.full(7, np.linalg.norm(w)), rtol=1e-5)


def test_a_class_is_left_out():
    labels = np.array([3, 1, 3, 0])
    array = np.arange(4, dtype="uint8").reshape(4, 1, 1, 1)
    images = Images("mnist", array, list("abcd"), labels, tuple("0123"), [])
    left = leave_out(images, 3)
    assert left.array.ravel().tolist() == [1, 3] and left.names == ["b", "d"] and left.labels.tolist() == [1, 0]
    with pytest.raises(UserError, match="no class 4"):
        leave_out(images, 4)
    with pytest.raises(UserError, match="toy_faces has no class"):
        leave_out(Images("toy_faces", array, list("abcd"), np.zeros((4, 7)), tuple("1234567"), []), 0)
