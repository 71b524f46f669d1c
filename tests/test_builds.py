"""What `build` makes of the flags in every script: seeds of the random layers, and the constants of the optimisers."""

import importlib
from types import SimpleNamespace

import keras
import pytest

from common.cli import apply_preset
from common.models.layers import Latent
from flow.layers.likelihood import UniformNoise
from rnn import train as rnn_train
from spectra import gan as spectra_gan
from tests.helpers.arrays import numpy

POINTS, IMAGES = (2,), (16, 16, 1)
# the layer that draws, and the flags of the smallest networks
BUILDS = {
    "rsgan.train": (Latent, POINTS, ["--dataset", "8gaussians", "--loss", "sgan"]),
    "dcgan.train": (Latent, POINTS, ["--dataset", "8gaussians"]),
    "fgan.train": (Latent, POINTS, ["--dataset", "8gaussians"]),
    "energy_gan.train": (Latent, POINTS, ["--dataset", "8gaussians"]),
    "ogan.train": (Latent, (32, 32, 1), ["--size", "32", "--latent-dim", "8"]),
    "glann.imle": (Latent, IMAGES, ["--size", "16", "--width", "16"]),
    "glann.vae": (Latent, IMAGES, ["--size", "16", "--width", "16"]),
    "flow.nice": (UniformNoise, IMAGES, ["--size", "16"]),
    "flow.glow": (UniformNoise, IMAGES, ["--size", "16"]),
    "flow.realnvp": (UniformNoise, IMAGES, ["--dataset", "toy_faces", "--size", "16"]),
}


def built(module, *more):
    """Return the trainer that a script builds, with the weights of one seed whatever its own is."""
    script = importlib.import_module(module)
    _, shape, flags = BUILDS[module]
    parser = script.make_parser()
    in_plane = shape == POINTS
    presets = getattr(script, "PLANE_PRESETS" if in_plane else "IMAGE_PRESETS", None) or script.PRESETS
    args = apply_preset(parser.parse_args(["--preset", "smoke", *flags, *more]), parser, presets)
    keras.utils.set_random_seed(1)
    if module.startswith("glann"):
        trainer, *_ = script.build(args, SimpleNamespace(shape=shape, train=SimpleNamespace(array=None)))
    else:
        trainer, *_ = script.build(args, shape[-1] if module == "ogan.train" else shape)
    return trainer


def random_states(trainer, kind):
    """Return the states of the random layers of a kind in all models of a trainer."""
    models = [trainer.critic, trainer.generator] if hasattr(trainer, "n_d") else [trainer]
    found = [layer for model in models for layer in model._flatten_layers() if isinstance(layer, kind)]
    return [numpy(layer.seed_generator.state).tolist() for layer in dict.fromkeys(found)]


@pytest.mark.parametrize("module", BUILDS)
def test_the_seed_reaches_the_layers_that_draw(module):
    first, second = (random_states(built(module, "--seed", seed), BUILDS[module][0]) for seed in ("0", "1"))
    assert first and len(first) == len(second)
    assert all(a != b for a, b in zip(first, second, strict=True))
    assert random_states(built(module, "--seed", "0"), BUILDS[module][0]) == first


@pytest.mark.parametrize("module", ["rsgan.train", "dcgan.train", "fgan.train"])
def test_adam_of_a_gan_has_the_momentum_of_dcgan(module):
    assert built(module).optimizer.beta_1 == 0.5


def test_both_rates_of_rsgan_have_it_too():
    optimizer = built("rsgan.train", "--generator-learning-rate", "5e-4").optimizer
    assert sorted(float(part.learning_rate) for part in optimizer.optimizers) == pytest.approx([5e-4, 1e-3])
    assert [part.beta_1 for part in optimizer.optimizers] == [0.5, 0.5]


def test_adam_of_the_gan_of_spectra_is_that_of_r3gan_and_that_of_rnn_clips():
    trainer, _ = spectra_gan.build(128, 2, 1e-3, 0)
    assert (trainer.optimizer.beta_1, trainer.optimizer.beta_2) == (0.0, 0.99)
    rnn, _ = rnn_train.build(SimpleNamespace(cell="tanh", units=3, forget_bias=0, delay=4, learning_rate=1e-3))
    assert rnn.optimizer.clipnorm == 1.0
