"""The author's convolutional networks, size-generic: an S px image is halved log2(S) - 2 times down to 4 x 4.

Channels double towards the 4 x 4 image, where there are 8S (4S at 512 px) unless `max_channels` says otherwise. What
the articles differ in are arguments; left out, the networks are those of O-GAN and the one-step hinge GAN. Those of the
DCGAN, RSGAN and WGAN scripts have a slope of .3, Keras's own initialiser ("glorot_uniform") and
`batch_norm_before_reshape`.
"""

import keras
from keras import layers

from common.models.layers import SelfModulatedBatchNormalization
from common.models.spectral_norm import SpectralNormalized


def _channels(image_size, max_channels=None):
    """Channel counts from the largest image to the 4 x 4 one, e.g. [64, 128, 256, 512, 1024] at 128 px."""
    steps = image_size.bit_length() - 3
    if image_size < 16 or image_size & (image_size - 1):
        raise ValueError(f"image_size must be a power of 2 and at least 16. Received: image_size={image_size}")
    max_channels = max_channels or (4 if image_size >= 512 else 8) * image_size
    if max_channels % 2 ** (steps - 1):
        raise ValueError(f"max_channels must be halved {steps - 1} times. Received: max_channels={max_channels}")
    return [max_channels // 2**i for i in reversed(range(steps))]


NORMAL = keras.initializers.RandomNormal(0.0, 0.02)


def _fresh_initializer(initializer):
    """A copy that draws anew: one initialiser gives equal kernels to layers of equal shape."""
    return keras.initializers.get(initializer).clone()


def dcgan_encoder(
    image_size,
    channels,
    outputs,
    kernel_size=5,
    use_bias=True,
    spectral_norm=False,
    batch_norm=True,
    max_channels=None,
    negative_slope=0.2,
    initializer=NORMAL,
    name="encoder",
):
    """Image to vector: stride-2 convolutions, batch norm on all but the first, LeakyReLU, Flatten, Dense.

    Args:
        image_size: int, a power of 2, at least 16.
        channels: int, colours of the image.
        outputs: int, length of the vector: `latent_dim` for an encoder, 1 for a critic. `None`: no Dense, the mean over
            the 4 x 4 image (T-GAN), of length `max_channels`.
        kernel_size: int, the author's 5 or 4.
        use_bias: bool, biases of the convolutions and of the Dense layer (the hinge script has none).
        spectral_norm: bool, divide every kernel by its spectral norm in the forward pass (article 6311).
        batch_norm: bool; not under a penalty on the slope at each sample.
        max_channels: int, channels of the 4 x 4 image.
        negative_slope: float, of LeakyReLU below 0.
        initializer: of every kernel.

    Returns:
        `keras.Model`, (batch, image_size, image_size, channels) -> (batch, outputs), no activation at the end.
    """
    wrap = SpectralNormalized if spectral_norm else lambda layer: layer
    x = x_in = keras.Input((image_size, image_size, channels))
    for i, width in enumerate(_channels(image_size, max_channels)):
        how = {"use_bias": use_bias, "kernel_initializer": _fresh_initializer(initializer)}
        x = wrap(layers.Conv2D(width, kernel_size, 2, "same", **how))(x)
        if i > 0 and batch_norm:
            x = layers.BatchNormalization()(x)
        x = layers.LeakyReLU(negative_slope)(x)
    if outputs is None:
        return keras.Model(x_in, layers.GlobalAveragePooling2D()(x), name=name)
    x = layers.Flatten()(x)
    how = {"use_bias": use_bias, "kernel_initializer": _fresh_initializer(initializer)}
    x = wrap(layers.Dense(outputs, dtype="float32", **how))(x)
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


def dcgan_generator(
    image_size,
    channels,
    latent_dim,
    kernel_size=5,
    self_modulated=False,
    batch_norm_before_reshape=False,
    batch_norm=True,
    max_channels=None,
    initializer=NORMAL,
    name="generator",
):
    """Vector to image: Dense, reshape to 4 x 4, stride-2 transposed convolutions with batch norm and relu, tanh.

    Args:
        self_modulated: bool, compute the scale and shift of every batch norm from z.
        batch_norm_before_reshape: bool, the first batch norm is of the Dense layer's units (DCGAN, GAN-QP,
        IMLE), not of the channels after the reshape (O-GAN).
        batch_norm: bool; not in a decoder that has to treat samples one by one.
        max_channels, initializer: as in `dcgan_encoder`.

    Returns:
        `keras.Model`, (batch, latent_dim) -> (batch, image_size, image_size, channels) in [-1, 1].
    """

    def normalise(h, z):
        if self_modulated:
            return SelfModulatedBatchNormalization(latent_dim)([h, z])
        return layers.BatchNormalization()(h) if batch_norm else h

    def expand(width):
        return layers.Conv2DTranspose(width, kernel_size, 2, "same", kernel_initializer=_fresh_initializer(initializer))

    *widths, last = _channels(image_size, max_channels)
    z = keras.Input((latent_dim,))
    x = layers.Dense(4 * 4 * last, kernel_initializer=_fresh_initializer(initializer))(z)
    if batch_norm_before_reshape:
        x = layers.Reshape((4, 4, last))(layers.ReLU()(normalise(x, z)))
    else:
        x = layers.ReLU()(normalise(layers.Reshape((4, 4, last))(x), z))
    for width in reversed(widths):
        x = layers.ReLU()(normalise(expand(width)(x), z))
    x = layers.Activation("tanh", dtype="float32")(expand(channels)(x))
    return keras.Model(z, x, name=name)


def mlp(
    inputs, outputs, width=128, depth=3, negative_slope=0.2, spectral_norm=False, initializer="he_normal", name="mlp"
):
    """Vector to vector: `depth` hidden layers with LeakyReLU, for points of the plane.

    The biases of the hidden layers are drawn too, from +-3/sqrt(inputs of the layer). Were they 0, all kinks of the
    first layer would go through the origin, and fine detail elsewhere would take long to learn.

    Args:
        inputs, outputs: ints, lengths of the vectors. spectral_norm: bool, of every kernel.

    Returns:
        `keras.Model`, (batch, inputs) -> (batch, outputs), no activation at the end.
    """
    wrap = SpectralNormalized if spectral_norm else lambda layer: layer
    x = x_in = keras.Input((inputs,))
    for _ in range(depth):
        limit = 3 / x.shape[-1] ** 0.5
        how = {"kernel_initializer": _fresh_initializer(initializer)}
        how |= {"bias_initializer": keras.initializers.RandomUniform(-limit, limit)}
        x = layers.LeakyReLU(negative_slope)(wrap(layers.Dense(width, **how))(x))
    x = wrap(layers.Dense(outputs, kernel_initializer=_fresh_initializer(initializer), dtype="float32"))(x)
    return keras.Model(x_in, x, name=name)


def build_critic(shape, width, kernel_size=5, outputs=1, spectral_norm=False, batch_norm=False, name="critic"):
    """What looks at samples of that shape: the encoder of the DCGAN scripts, or an `mlp` in the plane.

    Args:
        shape: (size, size, channels), or (n,) of points.
        width: int, channels of the 4 x 4 image, or units of a hidden layer.
        outputs: int; `None`: `width` of them, an encoding to be compared (T-GAN).
        spectral_norm, batch_norm: bools; points have no batch norm.
    """
    if len(shape) == 1:
        return mlp(*shape, outputs or width, width, spectral_norm=spectral_norm, name=name)
    encoder_kwargs = {
        "spectral_norm": spectral_norm,
        "batch_norm": batch_norm,
        "negative_slope": 0.3,
        "initializer": "glorot_uniform",
    }
    return dcgan_encoder(shape[0], shape[-1], outputs, kernel_size, max_channels=width, name=name, **encoder_kwargs)


def build_generator(shape, latent_dim, width, kernel_size=5, batch_norm=True, name="generator"):
    """What makes samples of that shape from latents (n, latent_dim): that of the DCGAN scripts, or an `mlp`."""
    if len(shape) == 1:
        return mlp(latent_dim, *shape, width, negative_slope=0.0, name=name)
    generator_kwargs = {"batch_norm_before_reshape": True, "batch_norm": batch_norm, "initializer": "glorot_uniform"}
    return dcgan_generator(
        shape[0], shape[-1], latent_dim, kernel_size, max_channels=width, name=name, **generator_kwargs
    )
