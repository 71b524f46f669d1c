"""Adversarial losses, one row each: functions of raw scores, nothing else.

Score sign: the critic gives real samples r a HIGH score and fakes f a LOW one. Articles that speak of energies (real
low: 6316, 6331, 6387) use the same rows on the negated energy. Scores are raw: no sigmoid at the end of the critic.

    loss = get_loss("hinge")
    loss_d = ops.mean(loss.critic(real, fake_ng))
    loss_g = ops.mean(loss.generator(real, fake))

Every function returns the loss per sample, in the shape of the scores, (batch,) or (batch, 1), and in float32 whatever
the precision policy, because a square or a sum of float16 scores overflows early. The logistic losses are softplus,
never log(sigmoid + 1e-9): that floors the loss at 20.7, where it gives no gradient any more.

A new loss is a new `Loss`. It may look at real and fake together (relativistic losses) or at their batch means, and
what it needs besides scores it takes as a keyword argument. Penalties on the critic's gradient are not losses of
scores and do not belong here.
"""

from collections.abc import Callable
from dataclasses import dataclass

from keras import ops

from common.errors import UserError

TINY = 1e-6  # floor of a distance between two samples: the author has none, and equal samples would give 0 / 0


@dataclass(frozen=True)
class Loss:
    """What the two players minimise.

    Args:
        critic: function (real, fake, **context) -> loss per sample.
        generator: function (real, fake, **context) -> loss per sample.
        zero_sum: the generator's gradient at the fake is the critic's with the sign turned, so that both can be had
            from one pass through the critic (wrong for any other loss, as 6387 found with LSGAN).
        generator_needs_real: otherwise `real` may be None for the generator.
        needs_distance: the critic needs `distance`, from `sample_distance(x, x_fake)`.
    """

    critic: Callable
    generator: Callable
    zero_sum: bool = False
    generator_needs_real: bool = False
    needs_distance: bool = False


def _float32(scores):
    return ops.cast(scores, "float32")


def _pair(real, fake):
    """Both scores in float32; refuses (batch, 1) beside (batch,), which would broadcast to (batch, batch)."""
    real, fake = _float32(real), _float32(fake)
    if len(real.shape) != len(fake.shape):
        raise ValueError(
            "Real and fake scores must have the same rank. "
            f"Received: real {tuple(real.shape)}, fake {tuple(fake.shape)}"
        )
    return real, fake


def sample_distance(x, y, order=1):
    """Distance of each sample of x from its partner in y, as in GAN-QP: a mean, so it does not grow with the image.

    Args:
        x, y: tensors, (batch, ...).
        order: 1 for mean |x - y|, 2 for sqrt(mean (x - y)^2).

    Returns:
        Tensor (batch,), float32.
    """
    if order not in (1, 2):
        raise ValueError(f"A sample distance is of order 1 or 2. Received: order={order}")
    difference = ops.abs(_float32(x) - _float32(y))
    axes = tuple(range(1, len(difference.shape)))
    if order == 1:
        return ops.mean(difference, axis=axes)
    return ops.sqrt(ops.maximum(ops.mean(ops.square(difference), axis=axes), TINY**2))  # sqrt'(0) is infinite


# SGAN, the first GAN, with the generator's loss that does not saturate (arXiv 1406.2661; 6110)


def sgan_critic(real, fake, **context):
    """-log sigma(r) - log(1 - sigma(f)) = softplus(-r) + softplus(f)."""
    real, fake = _pair(real, fake)
    return ops.softplus(-real) + ops.softplus(fake)


def sgan_generator(real, fake, **context):
    """-log sigma(f) = softplus(-f)."""
    return ops.softplus(-_float32(fake))


# LSGAN (arXiv 1611.04076; a comment under 6387): targets 1 for real, 0 for fake, 1 for the generator


def lsgan_critic(real, fake, **context):
    """((r - 1)^2 + f^2) / 2."""
    real, fake = _pair(real, fake)
    return (ops.square(real - 1) + ops.square(fake)) / 2


def lsgan_generator(real, fake, **context):
    """(f - 1)^2 / 2."""
    return ops.square(_float32(fake) - 1) / 2


# WGAN (arXiv 1701.07875); the Lipschitz constraint is the network's affair


def wgan_critic(real, fake, **context):
    """f - r."""
    real, fake = _pair(real, fake)
    return fake - real


def wgan_generator(real, fake, **context):
    """-f."""
    return -_float32(fake)


# Hinge (arXiv 1705.02894; 6387, 6316)


def hinge_critic(real, fake, **context):
    """max(0, 1 - r) + max(0, 1 + f)."""
    real, fake = _pair(real, fake)
    return ops.relu(1 - real) + ops.relu(1 + fake)


# GAN-QP (arXiv 1811.07296): best d = lam * distance, worth lam * distance / 2, with no constraint on the network


def gan_qp_critic(real, fake, *, distance, lam=10.0, **context):
    """-d + d^2 / (2 lam distance), d = r - f of a pair whose samples lie `distance` apart, (batch,) or (batch, 1)."""
    real, fake = _pair(real, fake)
    d = real - fake
    distance = ops.reshape(_float32(distance), (-1,) + (1,) * (len(d.shape) - 1))
    return -d + ops.square(d) / (2 * lam * ops.maximum(distance, TINY))


def gan_qp_generator(real, fake, **context):
    """d = r - f."""
    real, fake = _pair(real, fake)
    return real - fake


LOSSES = {
    "sgan": Loss(sgan_critic, sgan_generator),
    "lsgan": Loss(lsgan_critic, lsgan_generator),
    "wgan": Loss(wgan_critic, wgan_generator, zero_sum=True),
    "hinge": Loss(hinge_critic, wgan_generator),
    "gan_qp": Loss(gan_qp_critic, gan_qp_generator, generator_needs_real=True, needs_distance=True),
}


def get_loss(name):
    """The row of that name; a name that is not there is the user's to mend (`UserError`)."""
    if name not in LOSSES:
        raise UserError(f"unknown loss; choose from {', '.join(sorted(LOSSES))}. Received: {name!r}")
    return LOSSES[name]
