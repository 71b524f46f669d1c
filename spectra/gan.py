"""A GAN of spectra: the relativistic loss of article 6110 with both gradient penalties, on 1-D convolutions."""

import keras
from keras import layers, ops

from common.losses.adversarial import get_loss
from common.losses.gradient_penalties import (
    ScoreAndSquaredGradientNorm,
    SquaredGradientNorm,
    zero_centred_penalty,
)
from common.models.layers import Latent
from common.training.single_loss import SingleLoss, SplitGradient, value_zero

CODE = 64  # numbers that a spectrum is made of, besides its noise
STRIDE, TAPS, HALVINGS = 4, 9, 3  # each of three convolutions takes a quarter of the length
PENALTY = 1.0  # weight of R1 and of R2


def latent_dim(points):
    """Return the length of z: a code, and one normal number for each wavelength."""
    return CODE + points


def build_generator(points, width):
    """Return the generator, z (batch, 64 + points) -> spectra (batch, points, 1).

    The last convolution sees the second part of z. No code of 64 numbers could make white noise, and every spectrum has
    some.

    Args:
        points: int, wavelengths of a spectrum.
        width: int, channels of the last hidden layer.
    """
    z = keras.Input((latent_dim(points),))
    length = -(-points // STRIDE**HALVINGS)
    h = layers.Dense(length * 4 * width)(z[:, :CODE])
    h = layers.LeakyReLU(0.2)(layers.Reshape((length, 4 * width))(h))
    for factor in (2, 1, 1):
        h = layers.Conv1D(factor * width, TAPS, padding="same")(layers.UpSampling1D(STRIDE)(h))
        h = layers.LeakyReLU(0.2)(h)
    h = ops.concatenate([h[:, :points], z[:, CODE:, None]], -1)
    return keras.Model(z, layers.Conv1D(1, TAPS, padding="same", dtype="float32")(h), name="generator")


def build_critic(points, width):
    """Return the critic, spectra (batch, points, 1) -> scores (batch, 1).

    Args:
        points: int, wavelengths of a spectrum.
        width: int, channels of the first layer.
    """
    h = spectra = keras.Input((points, 1))
    for factor in (1, 2, 4):
        h = layers.LeakyReLU(0.2)(layers.Conv1D(factor * width, TAPS, strides=STRIDE, padding="same")(h))
    return keras.Model(spectra, layers.Dense(1, dtype="float32")(layers.Flatten()(h)), name="critic")


def build(points, width, learning_rate, seed):
    """Build the networks, wire them up and compile the trainer.

    Args:
        points: int, wavelengths of a spectrum.
        width: int, channels.
        learning_rate: float, of Adam.
        seed: int, of z.

    Returns:
        Tuple (compiled `SingleLoss` on spectra (batch, points, 1), generator).
    """
    # networks
    generator, critic = build_generator(points, width), build_critic(points, width)

    # wiring; `_ng`: no gradient reaches the generator
    x = keras.Input((points, 1))
    x_fake = generator(Latent(latent_dim(points), seed=seed)(x))
    real, squared_norm = ScoreAndSquaredGradientNorm(critic)(x)
    fake, fake_ng = SplitGradient(critic)(x_fake)
    squared_norm_fake = SquaredGradientNorm(critic)(ops.stop_gradient(x_fake))
    penalty = zero_centred_penalty(squared_norm, PENALTY) + zero_centred_penalty(squared_norm_fake, PENALTY)  # R1 + R2

    # loss: the critic's, and the generator's with the value 0 (article 6387)
    rsgan = get_loss("rsgan")

    def loss(real, fake, fake_ng, penalty):
        of_critic = rsgan.critic(real, fake_ng)
        of_generator = rsgan.generator(ops.stop_gradient(real), fake)
        value = ops.mean(of_critic) + ops.mean(penalty) + value_zero(ops.mean(of_generator))
        return {"loss": value, "critic_gap": real - fake_ng, "penalty": penalty}

    trainer = SingleLoss(x, {"real": real, "fake": fake, "fake_ng": fake_ng, "penalty": penalty}, loss)
    trainer.compile(keras.optimizers.Adam(learning_rate, beta_1=0.0, beta_2=0.99))
    return trainer, generator
