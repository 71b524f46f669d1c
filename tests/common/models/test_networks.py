"""The author's networks: parameter counts, shapes and initial values; the layers that they use."""

from functools import partial

import keras
import numpy as np
import pytest

from common.models.layers import Latent, SelfModulatedBatchNormalization
from common.models.networks import build_critic, build_generator, dcgan_encoder, dcgan_generator, score_head
from tests.helpers.arrays import numpy


@pytest.mark.parametrize(
    ("build", "count"),
    [
        (partial(dcgan_encoder, 128, 3, 128), 19_519_744),
        (partial(dcgan_generator, 128, 3, 128), 19_535_235),
        (partial(dcgan_encoder, 128, 3, 128, kernel_size=4), 13_251_136),
        (partial(dcgan_generator, 128, 3, 128, kernel_size=4, self_modulated=True), 13_939_651),
        (partial(dcgan_encoder, 256, 3, 256, kernel_size=4), 53_107_392),
        (partial(dcgan_generator, 256, 3, 256, kernel_size=4, self_modulated=True), 55_992_003),
        (partial(dcgan_encoder, 128, 3, 1, use_bias=False), 17_436_864),
    ],
)
def test_parameter_counts_of_the_authors_networks(build, count):
    assert build(initializer="zeros").count_params() == count  # drawing 50 million numbers would take seconds


@pytest.mark.parametrize(("size", "channels"), [(16, 1), (32, 3), (64, 3)])
def test_encoder_and_generator_fit_together(size, channels):
    generator = dcgan_generator(size, channels, 6, self_modulated=size == 32)
    images = generator(np.random.default_rng(0).normal(size=(2, 6)).astype("float32"))
    assert images.shape == (2, size, size, channels)
    assert np.abs(numpy(images)).max() <= 1
    code = dcgan_encoder(size, channels, 6)(images)
    assert code.shape == (2, 6)
    assert score_head(6)(code).shape == (2, 1)
    assert np.ptp(numpy(code)) > 0


def test_kernels_start_normal_with_standard_deviation_002():
    kernels = [w for w in dcgan_encoder(64, 3, 8).trainable_variables if w.path.endswith("kernel")]
    assert len(kernels) == 5
    for kernel in kernels[1:]:  # the first has too few entries
        assert numpy(kernel).std() == pytest.approx(0.02, rel=0.05)
        assert abs(numpy(kernel).mean()) < 0.001


@pytest.mark.parametrize("size", [8, 48, 100])
def test_size_that_cannot_be_halved_to_4_is_refused(size):
    with pytest.raises(ValueError, match=f"Received: image_size={size}"):
        dcgan_encoder(size, 3, 8)


def test_max_channels_that_cannot_be_halved_is_refused():
    with pytest.raises(ValueError, match=r"multiple of 4 for images of 32 pixels\. Received: max_channels=6"):
        dcgan_encoder(32, 3, 8, max_channels=6)


def test_latent_draws_new_standard_normals_from_its_seed():
    layer = Latent(50, seed=3)
    first, second = (numpy(layer(np.zeros((400, 1), "float32"))) for _ in range(2))
    assert first.shape == (400, 50)
    assert abs(first.mean()) < 0.03
    assert first.std() == pytest.approx(1, abs=0.03)
    assert np.abs(first - second).max() > 1
    np.testing.assert_array_equal(numpy(Latent(50, seed=3)(np.zeros((400, 1), "float32"))), first)
    assert len(layer.variables) == 1  # the random state, which a checkpoint stores
    with pytest.raises(ValueError, match="Received: latent_dim=0"):
        Latent(0)


def test_self_modulation_is_batch_norm_with_scale_and_shift_from_z():
    rng = np.random.default_rng(0)
    h, z = rng.normal(2, 3, (8, 5, 5, 4)).astype("float32"), rng.normal(size=(8, 6)).astype("float32")
    layer = SelfModulatedBatchNormalization(6)
    out = numpy(layer([h, z], training=True))
    normal = (h - h.mean((0, 1, 2))) / np.sqrt(h.var((0, 1, 2)) + 1e-3)
    gamma, beta = numpy(layer.gamma(z))[:, None, None], numpy(layer.beta(z))[:, None, None]
    np.testing.assert_allclose(out, normal * (1 + gamma) + beta, atol=1e-4)
    assert np.abs(gamma).max() > 1e-3
    # scale and shift have a hidden layer of 6 units each; batch norm has no trainable weights
    assert sum(int(np.prod(w.shape)) for w in layer.trainable_weights) == 2 * (6 * 6 + 6 + 6 * 4 + 4)


@pytest.mark.parametrize("self_modulated", [False, True])
def test_saved_generator_gives_the_same_images(tmp_path, self_modulated):
    model = dcgan_generator(16, 3, 5, self_modulated=self_modulated)
    model.save(tmp_path / "generator.keras")
    again = keras.models.load_model(tmp_path / "generator.keras")
    z = np.ones((2, 5), "float32")
    np.testing.assert_allclose(numpy(again(z)), numpy(model(z)), atol=1e-6)


@pytest.mark.parametrize(("initializer", "std"), [("dcgan", 0.02), ("glorot_uniform", (2 / (16 * (16 + 32))) ** 0.5)])
def test_a_critic_starts_as_its_initializer_says(initializer, std):
    """Glorot's variance is 2 / (inputs + outputs), here of a 4 x 4 convolution from 16 to 32 channels."""
    critic = build_critic((32, 32, 3), 64, kernel_size=4, initializer=initializer, negative_slope=0.1)
    kernels = [w.numpy() for w in critic.weights if w.path.endswith("kernel")]
    assert kernels[1].shape == (4, 4, 16, 32) and kernels[1].std() == pytest.approx(std, rel=0.05)
    slopes = {layer.negative_slope for layer in critic.layers if isinstance(layer, keras.layers.LeakyReLU)}
    assert slopes == {0.1}
    generator = build_generator((32, 32, 3), 8, 64, kernel_size=4, initializer=initializer)
    (dense,) = [w.numpy() for w in generator.weights if w.path.endswith("dense/kernel") or w.shape == (8, 1024)]
    assert dense.std() == pytest.approx(0.02 if initializer == "dcgan" else (2 / (8 + 1024)) ** 0.5, rel=0.05)
