"""The residual networks of R3GAN: what they are before the first step, and how large their branches are."""

import keras
import numpy as np
import pytest

from common.models.inference import load_model
from rsgan.residual import Basis, normal, residual_block, residual_critic, residual_generator
from tests.helpers.arrays import numpy
from tests.helpers.scripts import error_line

SHAPE = (16, 16, 2)


def draw(*shape):
    return np.random.default_rng(1).normal(size=shape).astype("float32")


def test_both_networks_are_linear_before_the_first_step():
    """Every block is the identity then, and nothing else bends."""
    for network, shape in ((residual_generator(SHAPE, 8, 16), (8,)), (residual_critic(SHAPE, 16), SHAPE)):
        a, b = draw(2, 3, *shape)
        whole, parts = network(a + 2 * b), network(a) + 2 * network(b)
        np.testing.assert_allclose(numpy(whole), numpy(parts), atol=1e-4)
        assert np.std(numpy(whole)) > 0.1


def test_the_critic_is_not_linear_once_its_last_kernels_move():
    critic = residual_critic(SHAPE, 16)
    for layer in critic.layers:
        if isinstance(layer, keras.layers.Conv2D) and not np.any(numpy(layer.kernel)):
            layer.kernel.assign(draw(*layer.kernel.shape) / layer.kernel.shape[2] ** 0.5)
    a, b = draw(2, 3, *SHAPE)
    assert np.abs(numpy(critic(a + b) - critic(a) - critic(b))).max() > 0.01


@pytest.mark.parametrize("blocks", [1, 4, 16])
def test_the_branches_of_all_blocks_add_the_variance_of_the_input_once(blocks):
    h = keras.Input((24, 24, 64))
    block = keras.Model(h, residual_block(h, blocks))
    (last,) = (layer for layer in block.layers if isinstance(layer, keras.layers.Conv2D) and not layer.use_bias)
    last.kernel.assign(normal(1.0)(last.kernel.shape))  # in the place of 0
    x = draw(4, 24, 24, 64)
    branch = (numpy(block(x)) - x)[:, 4:-4, 4:-4]  # the padding of the 3 x 3 convolution takes some at the edge
    # the mean square; a LeakyReLU gives its outputs a mean, so single draws of kernels differ
    np.testing.assert_allclose(np.mean(branch**2), 1 / blocks, rtol=0.35)


def test_the_basis_multiplies_each_channel_by_its_map():
    layer, h = Basis(), draw(3, 5)
    out = numpy(layer(h))
    np.testing.assert_allclose(out, h[:, None, None] * numpy(layer.maps)[None], rtol=1e-6)
    assert abs(np.std(numpy(Basis()(np.ones((1, 400), "float32")))) - 1) < 0.05


def test_stages_and_shapes():
    generator, critic = residual_generator((32, 32, 1), 10, 128), residual_critic((32, 32, 1), 128)
    assert generator.output_shape == (None, 32, 32, 1) and critic.output_shape == (None, 1)
    sides = [layer.output.shape[1:] for layer in generator.layers if isinstance(layer, keras.layers.Add)]
    assert sides == [(4, 4, 128), (8, 8, 64), (16, 16, 32), (32, 32, 16)]
    with pytest.raises(ValueError, match="multiple of 8"):
        residual_critic((32, 32, 1), 12)


def test_a_saved_generator_is_the_same(tmp_path):
    generator, z = residual_generator(SHAPE, 8, 16), draw(2, 8)
    generator.save(tmp_path / "generator.keras")
    again = load_model(tmp_path / "generator.keras", (8,), SHAPE)
    np.testing.assert_array_equal(numpy(generator(z)), numpy(again(z)))


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (["--loss", "tsgan"], "critic of its own form"),
        (["--loss", "ct_gan"], "critic of its own form"),
        (["--loss", "rsgan_sn"], "spectral norm"),
        (["--batch-norm"], "batch norm"),
        (["--dataset", "25gaussians"], "points of the plane"),
        (["--size", "32", "--width", "12"], "--width must be a multiple of 8 for images of 32 pixels"),
    ],
)
def test_what_the_residual_networks_cannot_do(tmp_path, flags, part):
    assert part in error_line("rsgan/train.py", "--network", "residual", *flags, "--out", tmp_path)
