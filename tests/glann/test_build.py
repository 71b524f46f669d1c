"""The wiring of the VAE and of IMLE: what is decoded, and which fakes are told apart."""

from types import SimpleNamespace

import numpy as np
import pytest
from keras import ops

from glann import imle, vae
from tests.helpers.arrays import numpy, state_of

SPACE = SimpleNamespace(shape=(16, 16, 1))
X = np.random.default_rng(0).uniform(-1, 1, (6, 16, 16, 1)).astype("float32")


def args(**more):
    flags = {"seed": 0, "latent_dim": 5, "width": 16, "kernel_size": 4, "learning_rate": 1e-3}
    return SimpleNamespace(**flags | {"likelihood": "cross_entropy", "distance": "l2", "vgg_weights": None} | more)


def latents(model):
    return [layer for layer in model.layers if "latent" in layer.name]


def test_the_vae_decodes_the_mean_plus_noise_of_its_standard_deviation():
    trainer, encoder, generator = vae.build(args(), SPACE)
    for layer in encoder.layers[-1:]:
        layer.set_weights([3 * w for w in layer.get_weights()])  # variances that differ from 1
    restore = state_of(trainer)
    outputs = {name: numpy(value) for name, value in trainer(X).items()}
    restore()
    noise, code = numpy(latents(trainer)[0](X)), numpy(encoder(X))
    np.testing.assert_allclose(outputs["mean"], code[:, :5], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(outputs["log_variance"], code[:, 5:], rtol=1e-4, atol=1e-5)
    expected = numpy(generator(code[:, :5] + np.exp(code[:, 5:] / 2) * noise))
    np.testing.assert_allclose(outputs["decoded"], expected, atol=1e-4)
    assert np.abs(np.exp(code[:, 5:] / 2) - np.exp(code[:, 5:])).max() > 0.01 and np.abs(noise).max() > 0.1


@pytest.mark.parametrize("loss", ["imle", "reverse"])
def test_imle_compares_images_with_fakes_and_fakes_with_others(loss):
    trainer, generator = imle.build(args(loss=loss, margin=0.1), SPACE)
    restore = state_of(trainer)
    outputs = {name: numpy(value) for name, value in trainer(X).items()}
    restore()
    fakes = [numpy(ops.reshape(generator(layer(X)), (6, -1))) for layer in latents(trainer)]
    assert sorted(outputs) == sorted(["real", "fake"] + ["other_fake"] * (loss == "reverse"))
    flat = X.reshape(6, -1)
    scale = np.linalg.norm(outputs["real"]) / np.linalg.norm(flat)
    np.testing.assert_allclose(outputs["real"], scale * flat, rtol=1e-4, atol=1e-5)
    for name in outputs.keys() - {"real"}:
        assert any(np.allclose(outputs[name], scale * fake, atol=1e-4) for fake in fakes)
    if loss == "reverse":
        assert np.abs(outputs["fake"] - outputs["other_fake"]).max(1).min() > 1e-4
