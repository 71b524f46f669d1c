"""The networks: the multi-layer perceptrons of the first GAN (2014), and DCGAN with what the tricks change in it."""

import keras
from keras import layers

from common.backend import speed_up
from common.models.networks import build_critic, build_generator
from dcgan.layers import (
    DropReference,
    Maxout,
    MinibatchDiscrimination,
    PrependReference,
    VirtualBatchNormalization,
)


def mlp_generator(shape, latent_dim, width):
    """Return the generator of the first GAN: two layers of ReLU, and tanh.

    Args:
        shape: (size, size, channels) of an image.
        latent_dim: int, length of z.
        width: int, units per hidden layer (1200 in the paper).
    """
    h = z = keras.Input((latent_dim,))
    for _ in range(2):
        h = layers.Dense(width, activation="relu")(h)
    pixels = shape[0] * shape[1] * shape[2]
    x = layers.Reshape(shape)(layers.Dense(pixels, activation="tanh", dtype="float32")(h))
    return keras.Model(z, x, name="generator")


def mlp_critic(shape, width, seed=0):
    """Return the discriminator of the first GAN: two layers of maxout with dropout. It ends without a sigmoid.

    Args:
        shape: (size, size, channels) of an image.
        width: int, linear pieces per hidden layer; five make a unit (1200, 240 units, in the paper).
        seed: int, of the dropout.
    """
    x = keras.Input(shape)
    h = layers.Dropout(0.2, seed=seed)(layers.Flatten()(x))
    for i in range(2):
        h = layers.Dropout(0.5, seed=seed + 1 + i)(Maxout(max(1, width // 5))(h))
    return keras.Model(x, layers.Dense(1, dtype="float32")(h), name="critic")


def with_minibatch_discrimination(critic):
    """Return a critic that sees its last features and how near they are to those of the rest of the batch.

    Args:
        critic: model, (batch, ...) -> (batch, 1), whose last layer is a `Dense`. The new one shares the other layers.
    """
    h = MinibatchDiscrimination()(last_features(critic))
    score = layers.Dense(1, dtype="float32", kernel_initializer=critic.layers[-1].kernel_initializer.clone())(h)
    return keras.Model(critic.input, score, name="critic")


def last_features(critic):
    """Return the symbolic features (batch, n) that the last layer of a critic turns into a score."""
    return critic.layers[-1].input


def with_virtual_batch_norm(generator, rows, seed=0):
    """Return a generator with virtual batch norm in place of its batch norm.

    Args:
        generator: model with layers of `keras.layers.BatchNormalization`.
        rows: int, size of the reference batch.
        seed: int, of the reference batch.
    """

    def virtual(layer):
        if isinstance(layer, layers.BatchNormalization):
            return VirtualBatchNormalization(rows, layer.epsilon)
        return layer.__class__.from_config(layer.get_config())

    network = speed_up(keras.models.clone_model(generator, clone_function=virtual))
    z = keras.Input(generator.input_shape[1:])
    x = DropReference(rows, dtype="float32")(network(PrependReference(rows, seed)(z)))
    return keras.Model(z, x, name="generator")


def build_networks(args, shape):
    """Return the generator and the critic of a run, as flags and tricks want them.

    Args:
        args: flags of `dcgan/train.py`, with the preset applied.
        shape: (size, size, channels) of an image, or (2,) of a point.

    Returns:
        Tuple (generator, critic, features): models from latents to samples, from samples to scores, and from samples to
        [score, features (batch, n)], the latter for feature matching. The last two share their layers.
    """
    if args.network == "mlp":
        generator, critic = mlp_generator(shape, args.latent_dim, args.width), mlp_critic(shape, args.width, args.seed)
    else:
        generator = build_generator(shape, args.latent_dim, args.width, args.kernel_size, initializer=args.initializer)
        critic_kwargs = {"negative_slope": args.negative_slope, "initializer": args.initializer}
        critic = build_critic(shape, args.width, args.kernel_size, batch_norm=True, **critic_kwargs)
    h = last_features(critic)
    if "virtual_batch_norm" in args.trick:
        generator = with_virtual_batch_norm(generator, args.batch_size, args.seed)
    if "minibatch_discrimination" in args.trick:
        critic = with_minibatch_discrimination(critic)
    return generator, critic, keras.Model(critic.input, [critic.output, h], name="features")
