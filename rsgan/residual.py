"""The residual networks of R3GAN (arXiv 2501.05441), small: no normalisation, and every block begins as the identity.

A block has convolutions of 1 x 1, 3 x 3 and 1 x 1. The kernel of the last one begins at 0. The others begin so that all
V blocks of a network together add the variance of their input once. The paper's blocks double the channels inside and
filter them in groups, for a GPU. On a CPU the gradient of a convolution with groups takes ten times as long, so here a
block neither widens nor groups, and a stage has one block.
"""

import keras
from keras import layers

SLOPE = 0.2  # of LeakyReLU below 0
GAIN = (2 / (1 + SLOPE**2)) ** 0.5  # keeps the variance through a LeakyReLU


def normal(gain):
    """Return the initialiser N(0, gain^2/fan_in)."""
    return keras.initializers.VarianceScaling(gain**2, "fan_in", "untruncated_normal")


@keras.saving.register_keras_serializable("kexue")
class Basis(layers.Layer):
    """Multiply every channel by its own learned 4 x 4 map: (batch, channels) -> (batch, 4, 4, channels)."""

    def build(self, shape):
        self.maps = self.add_weight((4, 4, shape[-1]), keras.initializers.RandomNormal(stddev=1.0), name="maps")

    def call(self, h):
        return h[:, None, None] * self.maps

    def compute_output_shape(self, shape):
        return (shape[0], 4, 4, shape[-1])


def residual_block(h, blocks):
    """Return h plus a function of it that is 0 at the start.

    Args:
        h: Keras tensor (batch, side, side, channels).
        blocks: int, V, number of blocks in the network.
    """
    width, gain = h.shape[-1], GAIN * blocks**-0.25
    y = layers.Conv2D(width, 1, kernel_initializer=normal(gain))(h)
    y = layers.Conv2D(width, 3, padding="same", kernel_initializer=normal(gain))(layers.LeakyReLU(SLOPE)(y))
    y = layers.Conv2D(width, 1, use_bias=False, kernel_initializer="zeros")(layers.LeakyReLU(SLOPE)(y))
    return layers.Add()([h, y])


def _mix(channels):
    """Return a 1 x 1 convolution that keeps the variance."""
    return layers.Conv2D(channels, 1, use_bias=False, kernel_initializer=normal(1.0))


def stage_widths(size, width):
    """Return the channels of the stages from 4 x 4 to size x size: `width`, halved at each, e.g. [128, 64, 32, 16].

    Args:
        size: int, pixels, a power of 2, at least 8.
        width: int, channels of the 4 x 4 maps.

    Raises:
        ValueError: if `width` cannot be halved often enough.
    """
    halvings = size.bit_length() - 3
    if width % 2**halvings:
        raise ValueError(f"width must be a multiple of {2**halvings} for images of {size} pixels. Received: {width}")
    return [width // 2**i for i in range(halvings + 1)]


def residual_generator(shape, latent_dim, width, name="generator"):
    """Return a generator: (batch, latent_dim) -> (batch, size, size, channels), with no activation at the end.

    Args:
        shape: (size, size, channels).
        latent_dim: int.
        width: int, channels of the 4 x 4 maps.
        name: str, name of the model.
    """
    widths = stage_widths(shape[0], width)
    h = z = keras.Input((latent_dim,))
    h = Basis()(layers.Dense(width, use_bias=False, kernel_initializer=normal(1.0))(h))
    for i, channels in enumerate(widths):
        if i > 0:
            h = layers.UpSampling2D(2, interpolation="bilinear")(_mix(channels)(h))
        h = residual_block(h, len(widths))
    x = layers.Activation("linear", dtype="float32")(_mix(shape[-1])(h))
    return keras.Model(z, x, name=name)


def residual_critic(shape, width, name="critic"):
    """Return a critic: (batch, size, size, channels) -> scores (batch, 1).

    Args:
        shape: (size, size, channels).
        width: int, channels of the 4 x 4 maps.
        name: str, name of the model.
    """
    widths = stage_widths(shape[0], width)[::-1]
    x = keras.Input(shape)
    h = _mix(widths[0])(x)
    for i, channels in enumerate(widths):
        if i > 0:
            h = _mix(channels)(layers.AveragePooling2D(2)(h))
        h = residual_block(h, len(widths))
    # the fan-in of a depthwise convolution is 16, whatever the number of channels
    h = layers.DepthwiseConv2D(4, use_bias=False, depthwise_initializer=keras.initializers.RandomNormal(stddev=0.25))(h)
    score = layers.Dense(1, use_bias=False, kernel_initializer=normal(1.0), dtype="float32")(layers.Flatten()(h))
    return keras.Model(x, score, name=name)
