"""The author's convolutional networks for any image size, and a small network for 2-D points.

An image of S pixels is halved log2(S) - 2 times down to 4 x 4. The channels double at each halving. The 4 x 4 feature
map has `max_channels` of them, by default 8S (4S at 512 px).

With default arguments the networks are those of O-GAN and of the one-step hinge GAN. The DCGAN, RSGAN and WGAN scripts
have `negative_slope=0.3`, Keras's own initialiser ("glorot_uniform") and `batch_norm_before_reshape=True`.
`build_critic` and `build_generator` take the slope and the initialiser from the preset of a run.
"""

import keras
from keras import layers

from common.backend import speed_up
from common.models.layers import SelfModulatedBatchNormalization
from common.models.spectral_norm import SpectralNormalized


def _channels(image_size, max_channels=None):
    """Return the channels from the largest feature map to the 4 x 4 one, e.g. [64, 128, 256, 512, 1024] at 128 px."""
    halvings = image_size.bit_length() - 3
    if image_size < 16 or image_size & (image_size - 1):
        raise ValueError(f"image_size must be a power of 2 and at least 16. Received: image_size={image_size}")
    max_channels = max_channels or (4 if image_size >= 512 else 8) * image_size
    if max_channels % 2 ** (halvings - 1):
        raise ValueError(
            f"max_channels must be a multiple of {2 ** (halvings - 1)} for images of {image_size} pixels. "
            f"Received: max_channels={max_channels}"
        )
    return [max_channels // 2**i for i in reversed(range(halvings))]


NORMAL = keras.initializers.RandomNormal(0.0, 0.02)  # of DCGAN, arXiv 1511.06434


def _fresh_initializer(initializer):
    """Return a copy with a new seed: one initialiser object gives layers of equal shape equal kernels.

    Args:
        initializer: what `keras.initializers.get` takes, or "dcgan" for N(0, 0.02).
    """
    return (NORMAL if initializer == "dcgan" else keras.initializers.get(initializer)).clone()


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
    dropout=0.0,
    name="encoder",
):
    """Return a network from images to vectors: an encoder or a critic.

    Layers: stride-2 convolutions with batch norm (except the first) and LeakyReLU, Flatten, Dense.

    Args:
        image_size: int, pixels, a power of 2, at least 16.
        channels: int, channels of the image.
        outputs: int, length of the vector: `latent_dim` for an encoder, 1 for a critic. With `None` there is no Dense
            layer, and the output is the mean over the 4 x 4 feature map (T-GAN), of length `max_channels`.
        kernel_size: int, 5 or 4 in the author's scripts (default 5).
        use_bias: bool, give the convolutions and the Dense layer a bias (the hinge script has none).
        spectral_norm: bool, divide every kernel by its spectral norm in the forward pass (article 6311).
        batch_norm: bool, use batch norm. It must be off under a gradient penalty per sample.
        max_channels: int, channels of the 4 x 4 feature map (default: see the module's docstring).
        negative_slope: float, slope of LeakyReLU below 0.
        initializer: initialiser of every kernel.
        dropout: float, rate of Dropout after every LeakyReLU (default 0, none).
        name: str, name of the model.

    Returns:
        `keras.Model`, (batch, image_size, image_size, channels) -> (batch, outputs), without a last activation.

    Raises:
        ValueError: if `image_size` is no power of 2 of at least 16, or `max_channels` cannot be halved often enough.
    """
    wrap = SpectralNormalized if spectral_norm else lambda layer: layer
    x = x_in = keras.Input((image_size, image_size, channels))
    for i, width in enumerate(_channels(image_size, max_channels)):
        kernel_kwargs = {"use_bias": use_bias, "kernel_initializer": _fresh_initializer(initializer)}
        x = wrap(layers.Conv2D(width, kernel_size, 2, "same", **kernel_kwargs))(x)
        if i > 0 and batch_norm:
            x = layers.BatchNormalization()(x)
        x = layers.LeakyReLU(negative_slope)(x)
        x = layers.Dropout(dropout)(x) if dropout else x
    if outputs is None:
        return speed_up(keras.Model(x_in, layers.GlobalAveragePooling2D(dtype="float32")(x), name=name))
    x = layers.Flatten()(x)
    kernel_kwargs = {"use_bias": use_bias, "kernel_initializer": _fresh_initializer(initializer)}
    x = wrap(layers.Dense(outputs, dtype="float32", **kernel_kwargs))(x)
    return speed_up(keras.Model(x_in, x, name=name))


def score_head(inputs, name="head"):
    """Return T of article 6409, a network from code to score on top of the encoder.

    The article leaves its form open. It has two layers, because a linear one would use up one direction of the code
    for the score.

    Args:
        inputs: int, length of the code, also the units of the hidden layer.
        name: str, name of the model.

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
    """Return a network from vectors to images: a generator or a decoder.

    Layers: Dense, reshape to 4 x 4, stride-2 transposed convolutions with batch norm and ReLU, tanh.

    Args:
        image_size: int, pixels, a power of 2, at least 16.
        channels: int, channels of the image.
        latent_dim: int, length of the vectors.
        kernel_size: int, 5 or 4 in the author's scripts (default 5).
        self_modulated: bool, compute the scale and shift of every batch norm from z.
        batch_norm_before_reshape: bool, apply the first batch norm to the units of the Dense layer (DCGAN, GAN-QP,
            IMLE) instead of to the channels after the reshape (O-GAN).
        batch_norm: bool, use batch norm. It must be off in a decoder that must not mix samples.
        max_channels: int, channels of the 4 x 4 feature map (default: see the module's docstring).
        initializer: initialiser of every kernel.
        name: str, name of the model.

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
    return speed_up(keras.Model(z, x, name=name))


def mlp(
    inputs,
    outputs,
    width=128,
    depth=3,
    negative_slope=0.2,
    spectral_norm=False,
    initializer="he_normal",
    dropout=0.0,
    name="mlp",
):
    """Return a fully connected network with LeakyReLU, for 2-D points.

    The biases of a hidden layer start uniform in +-3/sqrt(inputs of the layer). With biases of 0, all kinks of the
    first layer would pass through the origin. Fine detail elsewhere would then be slow to learn.

    Args:
        inputs: int, length of the input vectors.
        outputs: int, length of the output vectors.
        width: int, units per hidden layer (default 128).
        depth: int, number of hidden layers (default 3).
        negative_slope: float, slope of LeakyReLU below 0.
        spectral_norm: bool, divide every kernel by its spectral norm (article 6311).
        initializer: initialiser of every kernel.
        dropout: float, rate of Dropout after every LeakyReLU (default 0, none).
        name: str, name of the model.

    Returns:
        `keras.Model`, (batch, inputs) -> (batch, outputs), without a last activation.
    """
    wrap = SpectralNormalized if spectral_norm else lambda layer: layer
    x = x_in = keras.Input((inputs,))
    for _ in range(depth):
        limit = 3 / x.shape[-1] ** 0.5
        initializers = {
            "kernel_initializer": _fresh_initializer(initializer),
            "bias_initializer": keras.initializers.RandomUniform(-limit, limit),
        }
        x = layers.LeakyReLU(negative_slope)(wrap(layers.Dense(width, **initializers))(x))
        x = layers.Dropout(dropout)(x) if dropout else x
    x = wrap(layers.Dense(outputs, kernel_initializer=_fresh_initializer(initializer), dtype="float32"))(x)
    return keras.Model(x_in, x, name=name)


def build_critic(
    shape,
    width,
    kernel_size=5,
    outputs=1,
    spectral_norm=False,
    batch_norm=False,
    negative_slope=0.3,
    initializer="glorot_uniform",
    dropout=0.0,
    name="critic",
):
    """Return a critic for samples of a shape: the encoder of the DCGAN scripts for images, an `mlp` for points.

    Args:
        shape: shape of a sample, (size, size, channels) for images or (n,) for points.
        width: int, channels of the 4 x 4 feature map, or units per hidden layer.
        kernel_size: int, of the convolutions (default 5).
        outputs: int, length of the output (default 1, a score). `None` means `width`, an encoding to compare (T-GAN).
        spectral_norm: bool, divide every kernel by its spectral norm (article 6311).
        batch_norm: bool, use batch norm. The network for points never has it.
        negative_slope: float, slope of LeakyReLU below 0 in the network for images (default 0.3).
        initializer: str, initialiser of the kernels in the network for images (default "glorot_uniform"), or "dcgan".
        dropout: float, rate of Dropout after every hidden layer (default 0, none).
        name: str, name of the model.

    Returns:
        `keras.Model`, (batch, *shape) -> (batch, outputs).
    """
    if len(shape) == 1:
        return mlp(*shape, outputs or width, width, spectral_norm=spectral_norm, dropout=dropout, name=name)
    encoder_kwargs = {
        "dropout": dropout,
        "spectral_norm": spectral_norm,
        "batch_norm": batch_norm,
        "negative_slope": negative_slope,
        "initializer": initializer,
    }
    return dcgan_encoder(shape[0], shape[-1], outputs, kernel_size, max_channels=width, name=name, **encoder_kwargs)


def build_generator(
    shape, latent_dim, width, kernel_size=5, batch_norm=True, initializer="glorot_uniform", name="generator"
):
    """Return a generator of samples of a shape: that of the DCGAN scripts for images, an `mlp` for points.

    Args:
        shape: shape of a sample, (size, size, channels) for images or (n,) for points.
        latent_dim: int, length of the latent vectors.
        width: int, channels of the 4 x 4 feature map, or units per hidden layer.
        kernel_size: int, of the convolutions (default 5).
        batch_norm: bool, use batch norm. The network for points never has it.
        initializer: str, initialiser of the kernels in the network for images (default "glorot_uniform"), or "dcgan".
        name: str, name of the model.

    Returns:
        `keras.Model`, (batch, latent_dim) -> (batch, *shape).
    """
    if len(shape) == 1:
        return mlp(latent_dim, *shape, width, negative_slope=0.0, name=name)
    generator_kwargs = {"batch_norm_before_reshape": True, "batch_norm": batch_norm, "initializer": initializer}
    return dcgan_generator(
        shape[0], shape[-1], latent_dim, kernel_size, max_channels=width, name=name, **generator_kwargs
    )
