"""The table of energies: the loss, the gradient penalty and the network of each energy U (articles 6316, 6331)."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
from keras import ops

from common.losses.gradient_penalties import wgan_div_penalty
from common.models.networks import build_critic, build_generator


def difference_loss(real, fake, args):
    """Return U(x) - U(G(z))."""
    return real - fake


def hinge_loss(real, fake, args):
    """Return max(0, 1 + U(x)) + max(0, 1 - U(G(z))), which is flat where U(x) < -1 and where U(G(z)) > 1."""
    return ops.relu(1 + real) + ops.relu(1 - fake)


def ebgan_loss(real, fake, args):
    """Return U(x) + max(0, margin - U(G(z))) for an energy U >= 0 (EBGAN, arXiv 1609.03126)."""
    return real + ops.relu(args.margin - fake)


def zero_centred_at_data(squared_norm, args):
    """Return weight ||grad U(x)||^2, which is lowest where x lies at the bottom of its pit."""
    return args.penalty_weight * squared_norm[:, None]


def wgan_div_at_both(squared_norm, squared_norm_fake, args):
    """Return the sum of WGAN-div's penalties at the data and at the fakes."""
    return (wgan_div_penalty(squared_norm) + wgan_div_penalty(squared_norm_fake))[:, None]


def build_energy_critic(shape, args):
    """Return -U as a model, samples -> (batch, 1), so that its score is high at the data."""
    critic_kwargs = {"negative_slope": args.negative_slope, "initializer": args.initializer}
    return build_critic(shape, args.width, args.kernel_size, spectral_norm=args.spectral_norm, **critic_kwargs)


def build_autoencoder_critic(shape, args):
    """Return EBGAN's -U as a model, with U(x) = mean (x - Dec(Enc(x)))^2.

    The networks have no batch norm, so that the energy of a sample does not depend on its batch.
    """
    encoder = build_critic(
        shape, args.width, args.kernel_size, args.latent_dim, args.spectral_norm, name="encoder",
        negative_slope=args.negative_slope, initializer=args.initializer,
    )  # fmt: skip
    decoder = build_generator(
        shape, args.latent_dim, args.width, args.kernel_size, False, args.initializer, name="decoder"
    )
    x = keras.Input(shape)
    error = ops.mean(ops.square(x - decoder(encoder(x))), axis=tuple(range(1, len(x.shape))))  # no layer: float32
    return keras.Model(x, -error[:, None], name="critic")


@dataclass(frozen=True)
class Energy:
    """The loss, the gradient penalty and the network of an energy.

    Args:
        loss: function of (U(x), U(G(z)), args), both (batch, 1), that returns the loss per sample, (batch, 1).
        penalty: function of the squared gradient norms, (batch,), that `penalty_at` names, and of args. It returns
            the penalty per sample, (batch, 1). `None` for no penalty.
        penalty_at: "squared_norm" for ||grad U||^2 at the data, "squared_norm_fake" for ||grad U||^2 at the fakes.
        build_network: function of (shape of a sample, args) that returns -U as a model.
    """

    loss: Callable
    penalty: Callable | None = None
    penalty_at: tuple[str, ...] = ()
    build_network: Callable = build_energy_critic


ENERGIES = {
    "zero_centred": Energy(difference_loss, zero_centred_at_data, ("squared_norm",)),
    "hinge": Energy(hinge_loss),
    "ebgan": Energy(ebgan_loss, build_network=build_autoencoder_critic),
    "wgan_div": Energy(difference_loss, wgan_div_at_both, ("squared_norm", "squared_norm_fake")),
}
