"""The loss of the VAE and the sharpness of images, against closed forms."""

import numpy as np
import pytest
from keras import ops
from scipy import integrate, stats

from glann.experiment import sharpness
from glann.vae import vae_loss
from tests.helpers.arrays import numpy
from tests.helpers.autodiff import gradient

RNG = np.random.default_rng(0)
X, DECODED = (RNG.uniform(-1, 1, (4, 8, 8, 1)).astype("float32") for _ in range(2))


@pytest.mark.parametrize("likelihood", ["cross_entropy", "gaussian"])
def test_kl_is_that_of_two_gaussians(likelihood):
    mean, log_variance = np.float32([[0.7]] * 4), np.float32([[-0.9]] * 4)
    q, p = stats.norm(0.7, np.exp(-0.45)), stats.norm(0, 1)
    expected, _ = integrate.quad(lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), -8, 8)
    np.testing.assert_allclose(numpy(vae_loss(likelihood)(X, DECODED, mean, log_variance)["kl"]), expected, rtol=1e-5)


def test_the_gradient_is_that_of_the_likelihood_with_the_best_variance():
    """Of a Gaussian, the mean of -log p(x|z) with the best variance is d/2 log(mse), up to a constant."""
    zero = np.zeros((4, 1), "float32")
    grad = gradient(lambda y: ops.mean(vae_loss("gaussian")(X, y, zero, zero)["loss"]), DECODED)
    mse = np.mean((X - DECODED) ** 2)
    expected = 64 / 2 / mse * 2 * (DECODED - X) / X.size
    np.testing.assert_allclose(grad, expected, rtol=1e-3, atol=1e-6)


def test_cross_entropy_is_the_log_probability_of_black_and_white_pixels():
    zero = np.zeros((4, 1), "float32")
    bits = X > 0
    loss = vae_loss("cross_entropy")(np.float32(2 * bits - 1), DECODED, zero, zero)["loss"]
    expected = -stats.bernoulli((1 + DECODED) / 2).logpmf(bits).sum((1, 2, 3))
    np.testing.assert_allclose(numpy(loss), expected, rtol=1e-5)


def test_cross_entropy_is_least_where_the_decoded_image_is_the_image():
    zero = np.zeros((4, 1), "float32")
    loss = lambda y: ops.mean(vae_loss("cross_entropy")(X, y, zero, zero)["loss"])
    np.testing.assert_allclose(gradient(loss, X), 0, atol=1e-4)
    assert loss(X) < loss(X * 0.9) and loss(np.float32([1])) < np.inf, "saturated pixels have a finite loss"


def test_sharpness_falls_with_blur(monkeypatch):
    images = RNG.integers(0, 256, (5, 12, 12, 1))
    blurred = (images + np.roll(images, 1, 1) + np.roll(images, 1, 2) + np.roll(images, (1, 1), (1, 2))) / 4
    assert sharpness(np.full((2, 9, 9, 3), 7)) == 0
    assert sharpness(blurred) < 0.5 * sharpness(images)
    monkeypatch.setattr("common.metrics.classifier.CHUNK_IMAGES", 3)
    assert sharpness(images) == pytest.approx(np.mean([sharpness(image[None]) for image in images]))
    y, x = np.mgrid[:9, :9]
    parabola = (x**2 + 3 * y**2)[None, ..., None]
    assert sharpness(parabola) == 8**2, "its Laplacian is 2 + 6 everywhere"
