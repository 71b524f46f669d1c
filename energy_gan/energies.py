"""Four ways to dig pits at the data: what each energy U minimises, and the network that it is (6316, 6331)."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
from keras import layers, ops

from common.losses.gradient_penalties import wgan_div_penalty
from common.models.networks import build_critic, build_generator


def difference(real, fake, args):
    """U(x) - U(G(z))."""
    return real - fake


def hinge(real, fake, args):
    """max(0, 1 + U(x)) + max(0, 1 - U(G(z))): what lies deep enough, or high enough, is left alone."""
    return ops.relu(1 + real) + ops.relu(1 - fake)


def ebgan(real, fake, args):
    """U(x) + max(0, margin - U(G(z))), of an energy U >= 0 (EBGAN, arXiv 1609.03126)."""
    return real + ops.relu(args.margin - fake)


def zero_centred(slope, args):
    """weight ||grad U||^2 at the data: x lies at the bottom of its pit."""
    return args.penalty_weight * slope[:, None]


def wgan_div(slope, slope_fake, args):
    """WGAN-div's penalty at the data and at the fakes."""
    return (wgan_div_penalty(slope) + wgan_div_penalty(slope_fake))[:, None]


def critic(shape, args):
    """Return -U as a model, samples -> (batch, 1), high at the data."""
    return build_critic(shape, args.width, args.kernel_size, spectral_norm=args.spectral_norm)


def autoencoder(shape, args):
    """Return -U of EBGAN: U(x) = mean (x - Dec(Enc(x)))^2, sample by sample, so without batch norm."""
    encoder = build_critic(shape, args.width, args.kernel_size, args.latent_dim, args.spectral_norm, name="encoder")
    decoder = build_generator(shape, args.latent_dim, args.width, args.kernel_size, batch_norm=False, name="decoder")
    x = keras.Input(shape)
    error = ops.square(ops.cast(x, "float32") - ops.cast(decoder(encoder(x)), "float32"))
    return keras.Model(x, -ops.mean(layers.Flatten()(error), axis=-1, keepdims=True), name="critic")


@dataclass(frozen=True)
class Energy:
    """One way to dig.

    Args:
        loss: function of (U(x), U(G(z)), args), (batch, 1).
        penalty: function of the squared gradient norms, (batch,), at the points of `penalty_at`, and of args; or None.
        penalty_at: "slope" for ||grad U||^2 at the data, "slope_fake" for that at the fakes.
        network: function of (shape, args) that returns -U as a model.
    """

    loss: Callable
    penalty: Callable | None = None
    penalty_at: tuple[str, ...] = ()
    network: Callable = critic


ENERGIES = {
    "zero_centred": Energy(difference, zero_centred, ("slope",)),
    "hinge": Energy(hinge),
    "ebgan": Energy(ebgan, network=autoencoder),
    "wgan_div": Energy(difference, wgan_div, ("slope", "slope_fake")),
}
