"""The entropy terms of the generator (articles 6316 and 6331, arXiv 1901.08508)."""

import keras
import numpy as np
import pytest
from keras import ops

from common.models.networks import mlp
from common.training.single_loss import SingleLoss
from energy_gan import entropies, train
from energy_gan.entropies import joint_vs_product_loss
from tests.energy_gan.helpers import plane_flags
from tests.helpers.arrays import numpy64 as numpy
from tests.helpers.autodiff import weight_gradients

LOG2 = np.log(2)


def jensen_shannon(rho, grid):
    """Return the JSD of a correlated normal pair and the product of its marginals.

    Returns:
        (JSD, log(joint/product), probabilities of joint and product on the cells of the grid).
    """
    x, z = np.meshgrid(grid, grid)
    product = np.exp(-(x**2 + z**2) / 2) / (2 * np.pi)
    joint = np.exp(-(x**2 - 2 * rho * x * z + z**2) / (2 * (1 - rho**2))) / (2 * np.pi * np.sqrt(1 - rho**2))
    middle = (joint + product) / 2
    cell = (grid[1] - grid[0]) ** 2
    jsd = np.sum(joint * np.log(joint / middle) + product * np.log(product / middle)) / 2 * cell
    return jsd, np.log(joint / product), joint * cell, product * cell


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_joint_vs_product_loss_bounds_the_jensen_shannon_divergence(rho):
    """log 2 - cross-entropy <= JSD(joint || product), with equality at T = log(joint/product)."""
    jsd, best, joint, product = jensen_shannon(rho, np.linspace(-8, 8, 641))
    as_tensor = lambda x: ops.convert_to_tensor(x.astype("float32"))

    def bound(t):
        joint_part = numpy(joint_vs_product_loss(as_tensor(t), as_tensor(0 * t))) - LOG2 / 2
        product_part = numpy(joint_vs_product_loss(as_tensor(0 * t), as_tensor(t))) - LOG2 / 2
        return LOG2 - np.sum(joint * joint_part + product * product_part)

    assert jsd == pytest.approx(0, abs=1e-12) if rho == 0 else jsd > 0.03
    assert bound(best) == pytest.approx(jsd, abs=2e-5)
    assert bound(0 * best) == pytest.approx(0, abs=1e-6)
    for other in (best + 0.5, 0.5 * best - 0.2, -best + 0.1, best + np.sin(np.arange(len(best)))):
        assert bound(other) < jsd - 1e-3


def test_statistics_network_learns_the_divergence_from_samples():
    """It is trained as in the generator's player, on pairs of z and x = .9 z + .44 n and the next sample's z."""
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


def test_terms_by_hand():
    """The terms from the outputs of their own networks, in numpy."""
    args = plane_flags("--latent-dim", "3")
    z, x = (np.random.default_rng(i).standard_normal((5, n)).astype("float32") for i, n in ((0, 3), (1, 2)))

    def term_of(name):
        inputs = [keras.Input((3,)), keras.Input((2,))]
        term, networks = entropies.ENTROPIES[name](*inputs, args)
        return numpy(keras.Model(inputs, term)([z, x])), networks

    term, (encoder,) = term_of("infogan")
    code = numpy(encoder(x))
    np.testing.assert_allclose(term.ravel(), np.mean((z - code) ** 2, -1), rtol=1e-4)

    term, (encoder,) = term_of("correlation")
    code = numpy(encoder(x))
    expected = [-np.corrcoef(a, b)[0, 1] for a, b in zip(z, code, strict=True)]
    np.testing.assert_allclose(term.ravel(), expected, rtol=1e-3)

    term, (encoder, head) = term_of("jsd")
    code = numpy(encoder(x))
    scores = [numpy(head(np.concatenate([code, pair], -1).astype("float32"))) for pair in (z, np.roll(z, 1, 0))]
    np.testing.assert_allclose(term, (np.log1p(np.exp(-scores[0])) + np.log1p(np.exp(scores[1]))) / 2, rtol=1e-4)

    assert entropies.ENTROPIES["none"](z, x, args) == (None, [])


@pytest.mark.parametrize("entropy", ["infogan", "correlation", "jsd"])
def test_the_term_reaches_the_generator(entropy):
    """By the weights of the term alone: of the loss of both, the energy's gradient would hide a missing one."""
    trainer, _, generator = train.build(plane_flags("--entropy", entropy, "--latent-dim", "3"), (2,))
    batch = ops.convert_to_tensor(np.random.default_rng(0).standard_normal((16, 2)).astype("float32"))
    term = lambda: ops.mean(trainer.generator(batch, training=True)["entropy"])
    for gradient in weight_gradients(term, [w for w in generator.trainable_variables if len(w.shape) == 2]):
        assert abs(gradient).max() > 1e-6


def test_terms_tell_a_faithful_generator_from_a_collapsed_one():
    """Every term is lower if z can be read off the fake than if z is lost, once its networks are trained."""
    for entropy, highest in (("infogan", 0.35), ("correlation", -0.8), ("jsd", 0.45)):
        reached = {}
        for kind in ("faithful", "collapsed"):
            keras.utils.set_random_seed(1)
            flags = ("--entropy", entropy, "--latent-dim", "3", "--width", "32", "--entropy-weight", "1")
            trainer, _, generator = train.build(plane_flags(*flags), (3,))
            # The networks of the term learn, the generator does not.
            trainer.generator._trained_ids -= {id(v) for v in generator.trainable_variables}
            trainer.generator.compile(keras.optimizers.Adam(0.01))
            for weight in generator.trainable_variables:  # without biases, a faithful fake keeps the positive part of z
                keeps_z = kind == "faithful" and len(weight.shape) == 2
                weight.assign(2 * np.eye(*weight.shape) if keeps_z else np.zeros(weight.shape))
            batch = np.zeros((128, 3), "float32")
            trainer.generator.fit(np.tile(batch, (150, 1)), batch_size=128, verbose=0)
            history = trainer.generator.fit(np.tile(batch, (20, 1)), batch_size=128, verbose=0).history
            reached[kind] = history["entropy_term"][0]
        without_information = {"infogan": 1.0, "correlation": 0.0, "jsd": LOG2}[entropy]
        assert reached["collapsed"] == pytest.approx(without_information, abs=0.12), entropy
        assert reached["faithful"] < highest, entropy
