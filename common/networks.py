"""The author's convolutional networks, size-generic (the family of O-GAN, GAN-QP, the one-step hinge GAN and IMLE).

An S px image is halved log2(S) - 2 times down to 4 x 4; channels double from 2S... up to 8S (4S at 512 px).
"""

import keras
from keras import layers

from common.layers import SelfModulatedBatchNormalization
from common.spectral import SpectralNormalized


def _channels(image_size):
    """Channel counts from the widest image to the 4 x 4 one, e.g. [64, 128, 256, 512, 1024] at 128 px."""
    steps = image_size.bit_length() - 3
    if image_size < 16 or image_size & (image_size - 1):
        raise ValueError(f"image_size must be a power of 2 and at least 16. Received: image_size={image_size}")
    widest = (4 if image_size >= 512 else 8) * image_size
    return [widest // 2**i for i in reversed(range(steps))]


def _normal(stddev=0.02):
    return keras.initializers.RandomNormal(0.0, stddev)


def dcgan_encoder(image_size, channels, outputs, kernel_size=5, use_bias=True, spectral_norm=False, name="encoder"):
    """Image to vector: stride-2 convolutions, batch norm on all but the first, LeakyReLU 0.2, Flatten, Dense.

    Args:
        image_size: int, a power of 2, at least 16.
        channels: int, colours of the image.
        outputs: int, length of the vector: `latent_dim` for an encoder, 1 for a critic.
        kernel_size: int, the author's 5 or 4.
        use_bias: bool, biases of the convolutions and of the Dense layer (the hinge script has none).
        spectral_norm: bool, divide every kernel by its spectral norm in the forward pass (article 6311).

    Returns:
        `keras.Model`, (batch, image_size, image_size, channels) -> (batch, outputs), no activation at the end.
    """
    wrap = SpectralNormalized if spectral_norm else lambda layer: layer
    x = x_in = keras.Input((image_size, image_size, channels))
    for i, width in enumerate(_channels(image_size)):
        conv = layers.Conv2D(width, kernel_size, 2, "same", use_bias=use_bias, kernel_initializer=_normal())
        x = wrap(conv)(x)
        if i > 0:
            x = layers.BatchNormalization()(x)
        x = layers.LeakyReLU(0.2)(x)
    x = layers.Flatten()(x)
    x = wrap(layers.Dense(outputs, use_bias=use_bias, kernel_initializer=_normal(), dtype="float32"))(x)
    return keras.Model(x_in, x, name=name)


def score_head(inputs, name="head"):
    """The article's T, code to score: a network of its own on top of the encoder (6409 leaves its form open).

    Two layers, because a linear one would claim one direction of the code for the score.

    Returns:
        `keras.Model`, (batch, inputs) -> (batch, 1).
    """
    code = keras.Input((inputs,))
    h = layers.LeakyReLU(0.2, dtype="float32")(
        layers.Dense(inputs, kernel_initializer="he_normal", dtype="float32")(code)
    )
    return keras.Model(code, layers.Dense(1, dtype="float32")(h), name=name)


def dcgan_generator(image_size, channels, latent_dim, kernel_size=5, self_modulated=False, name="generator"):
    """Vector to image: Dense, reshape to 4 x 4, stride-2 transposed convolutions with batch norm and relu, tanh.

    Batch norm is per channel, after the reshape (O-GAN's order; GAN-QP and IMLE normalise the Dense units instead).

    Args:
        self_modulated: bool, compute the scale and shift of every batch norm from z.

    Returns:
        `keras.Model`, (batch, latent_dim) -> (batch, image_size, image_size, channels) in [-1, 1].
    """

    def normalise(h, z):
        if self_modulated:
            return SelfModulatedBatchNormalization(latent_dim)([h, z])
        return layers.BatchNormalization()(h)

    *widths, widest = _channels(image_size)
    z = keras.Input((latent_dim,))
    x = layers.Dense(4 * 4 * widest, kernel_initializer=_normal())(z)
    x = layers.Reshape((4, 4, widest))(x)
    x = layers.ReLU()(normalise(x, z))
    for width in reversed(widths):
        x = layers.Conv2DTranspose(width, kernel_size, 2, "same", kernel_initializer=_normal())(x)
        x = layers.ReLU()(normalise(x, z))
    x = layers.Conv2DTranspose(channels, kernel_size, 2, "same", kernel_initializer=_normal())(x)
    x = layers.Activation("tanh", dtype="float32")(x)
    return keras.Model(z, x, name=name)
