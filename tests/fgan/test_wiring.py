"""Whose weights the f-GAN loss reaches and with which sign; what an estimate takes from what, and on which split."""

import argparse
from types import SimpleNamespace

import numpy as np
import pytest
from keras import ops

from fgan import estimate, train
from fgan.divergences import DIVERGENCES, f_gan_loss
from tests.helpers.arrays import numpy, state_of
from tests.helpers.autodiff import weight_gradients

IMAGES = np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 1)).astype("float32")


def build(*flags):
    args = train.make_parser().parse_args(["--preset", "smoke", "--divergence", "kl", *flags])
    train.apply_preset(args, train.make_parser(), train.PRESETS)
    return train.build(args, (16, 16, 1))


@pytest.mark.parametrize("swap", [False, True])
def test_the_critic_raises_the_bound_and_the_generator_lowers_it(swap):
    model, critic, generator = build(*(["--swap-roles"] if swap else []))
    loss, restore = f_gan_loss(DIVERGENCES["kl"], swap), state_of(model)
    latent = next(layer for layer in model.layers if "latent" in layer.name)

    def single():
        restore()
        return ops.mean(model.loss_function(**model(IMAGES, training=True))["loss"])

    def bound():
        restore()
        fake = generator(latent(IMAGES), training=True)
        return -ops.mean(loss.critic(critic(IMAGES, training=True), critic(fake, training=True)))

    for network, sign in ((critic, -1), (generator, 1)):  # of the gradient of the bound
        actual = weight_gradients(single, network.trainable_variables)
        expected = weight_gradients(bound, network.trainable_variables)
        scale = max(np.abs(g).max() for g in expected)
        assert scale > 1e-6
        for a, b in zip(actual, expected, strict=True):
            np.testing.assert_allclose(a, sign * b, atol=1e-3 * scale)


def test_the_penalty_does_not_reach_the_generator():
    model, _, generator = build("--roth-weight", "0.5")
    penalty = lambda: ops.mean(model(IMAGES, training=True)["penalty"])
    assert all(np.abs(g).max() == 0 for g in weight_gradients(penalty, generator.trainable_variables))


def test_an_estimate_is_of_the_first_set_from_the_second():
    """The bound of KL is not symmetric: E_p[T] - E_q[g(T)]."""
    _, model = estimate.build(SimpleNamespace(width=8, divergence="kl", learning_rate=1e-3), (2,))
    critic = next(layer for layer in model.layers if layer.name == "critic")
    p, q = np.random.default_rng(0).normal(size=(2, 9, 2)).astype("float32")
    expected = -numpy(f_gan_loss(DIVERGENCES["kl"]).critic(critic(p), critic(q)))
    actual = numpy(model(np.concatenate([p, q], -1)))
    np.testing.assert_allclose(actual.reshape(expected.shape), expected, rtol=1e-4)


def test_the_splits_of_an_estimate_share_nothing(monkeypatch):
    first, *others = estimate.three_splits("two_moons", SimpleNamespace(seed=0), 0)
    for other in others:
        assert not np.array_equal(first, other)
    assert not np.array_equal(*others)
    images = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 1), np.uint8)
    halves = {"train": images[:12], "test": images[12:]}
    load = lambda name, size, split, *args, **kwargs: argparse.Namespace(array=halves[split])
    monkeypatch.setattr("common.data.images.load_images", load)
    args = argparse.Namespace(size=4, data_dir=None, limit=None, crop="square", seed=0)
    rows = [{image.tobytes() for image in split} for split in estimate.three_splits("celeba", args, 0)]
    assert [len(split) for split in rows] == [12, 4, 4] and len(set.union(*rows)) == 20
    assert rows[0] == {image.tobytes() for image in images[:12]}
