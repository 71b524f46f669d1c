"""Adversarial losses, one row each: functions of raw scores, nothing else.

Score sign: the critic gives real samples r a HIGH score and fakes f a LOW one. Articles that speak of energies (real
low: 6316, 6331, 6387) use the same rows on the negated energy. Scores are raw: no sigmoid at the end of the critic.

    loss = get_loss("hinge")
    loss_d = ops.mean(loss.critic(real, fake_ng))
    loss_g = ops.mean(loss.generator(real, fake))

Every function returns the loss per sample, in the shape of the scores, (batch,) or (batch, 1), and in float32 whatever
the precision policy, because a square or a sum of float16 scores overflows early. The logistic losses are softplus,
never log(sigmoid + 1e-9): that floors the loss at 20.7, where it gives no gradient any more.

A new loss is a new `Loss`. It may look at real and fake together (relativistic losses) or at their batch means (under
several replicas: of a replica's share), and what it needs besides scores it takes as a keyword argument. Penalties on
the critic's gradient are not losses of scores; they stand in `common.losses.gradient_penalties`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from keras import ops

from common.errors import UserError

EPS = 1e-6  # floor of a distance between two samples: the author has none, and equal samples would give 0 / 0


@dataclass(frozen=True)
class Loss:
    """What the two players minimise.

    Args:
        critic: function (real, fake, **context) -> loss per sample.
        generator: function (real, fake, **context) -> loss per sample.
        zero_sum: the generator's gradient at the fake is the critic's with the sign turned, so that both can be had
            from one pass through the critic (wrong for any other loss, as 6387 found with LSGAN).
        generator_needs_real: otherwise `real` may be None for the generator.
        distance: order of the `sample_distance(x, x_fake)` that the critic needs as `distance`; 0: none.
        of_pairs: the critic looks at two samples at once (T-GAN): the real score is that of (real, fake), the fake
            score that of (fake, real), and the generator has a part in both.
    """

    critic: Callable
    generator: Callable
    zero_sum: bool = False
    generator_needs_real: bool = False
    distance_order: int = 0
    pairwise_critic: bool = False


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
    return ops.sqrt(ops.maximum(ops.mean(ops.square(difference), axis=axes), EPS**2))  # sqrt'(0) is infinite


# SGAN, the first GAN (arXiv 1406.2661; 6110)


def sgan_critic(real, fake, **context):
    """-log sigma(r) - log(1 - sigma(f)) = softplus(-r) + softplus(f)."""
    real, fake = _pair(real, fake)
    return ops.softplus(-real) + ops.softplus(fake)


# What the generator makes of a score t (6110). At the best critic, t = log(p/q) at a fake, E_q[h(t)] is the divergence
# with f(u) = h(log u), so any h will do for which that is convex in u.
GENERATOR_H = {
    "log_sigmoid": lambda t: ops.softplus(-t),  # -log sigma(t), the usual choice: does not saturate
    "minimax": lambda t: -ops.softplus(t),  # log(1 - sigma(t)): its slope goes to 0 for a fake that is seen through
    "linear": lambda t: -t,  # WGAN's; E_q[-t] is KL(q||p)
}


def sgan_generator(h):
    """The generator's loss h(f)."""
    return lambda real, fake, **context: GENERATOR_H[h](_float32(fake))


# RSGAN: the critic says which of a pair is real (arXiv 1807.00734; 6110)


def rsgan_critic(real, fake, **context):
    """-log sigma(r - f) = softplus(f - r)."""
    real, fake = _pair(real, fake)
    return ops.softplus(fake - real)


def rsgan_generator(h):
    """The generator's loss h(f - r): the real score is no function of the generator, but weighs its gradient."""

    def generator(real, fake, **context):
        real, fake = _pair(real, fake)
        return GENERATOR_H[h](fake - real)

    return generator


def average_relativistic(critic):
    """(critic, generator) of a relativistic average loss: each score against the mean of the other side's (1807.00734).

    critic(r - mean f, f - mean r); the generator's is the same with the sides swapped.
    """

    def relative(real, fake):
        real, fake = _pair(real, fake)
        return real - ops.mean(fake), fake - ops.mean(real)

    def swapped(real, fake, **context):
        real, fake = relative(real, fake)
        return critic(fake, real)

    return lambda real, fake, **context: critic(*relative(real, fake)), swapped


# LSGAN (arXiv 1611.04076; a comment under 6387): targets 1 for real, 0 for fake, 1 for the generator


def lsgan_critic(real, fake, **context):
    """((r - 1)^2 + f^2) / 2."""
    real, fake = _pair(real, fake)
    return (ops.square(real - 1) + ops.square(fake)) / 2


def lsgan_generator(real, fake, **context):
    """(f - 1)^2 / 2."""
    return ops.square(_float32(fake) - 1) / 2


def ralsgan_critic(real, fake):
    """((r - 1)^2 + (f + 1)^2) / 2 of relative scores, whose targets lie on both sides of 0 (1807.00734)."""
    return (ops.square(real - 1) + ops.square(fake + 1)) / 2


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
    return -d + ops.square(d) / (2 * lam * ops.maximum(distance, EPS))


def gan_qp_generator(real, fake, **context):
    """d = r - f."""
    real, fake = _pair(real, fake)
    return real - fake


# T-GAN: the critic looks at the difference of two encodings (arXiv 1810.10948; 6110 names it)


def tsgan_generator(real, fake, **context):
    """The critic's loss with the labels swapped: softplus(s(real, fake)) + softplus(-s(fake, real))."""
    return sgan_critic(fake, real)


NEEDS_REAL = {"generator_needs_real": True}
LOSSES = {
    "sgan": Loss(sgan_critic, sgan_generator("log_sigmoid")),
    "sgan_minimax": Loss(sgan_critic, sgan_generator("minimax"), zero_sum=True),
    "sgan_linear": Loss(sgan_critic, sgan_generator("linear")),
    "rsgan": Loss(rsgan_critic, rsgan_generator("log_sigmoid"), **NEEDS_REAL),
    "rsgan_minimax": Loss(rsgan_critic, rsgan_generator("minimax"), zero_sum=True, **NEEDS_REAL),
    "rsgan_linear": Loss(rsgan_critic, rsgan_generator("linear"), **NEEDS_REAL),
    "rasgan": Loss(*average_relativistic(sgan_critic), **NEEDS_REAL),
    "lsgan": Loss(lsgan_critic, lsgan_generator),
    "ralsgan": Loss(*average_relativistic(ralsgan_critic), **NEEDS_REAL),
    "wgan": Loss(wgan_critic, wgan_generator, zero_sum=True),
    "hinge": Loss(hinge_critic, wgan_generator),
    "rahinge": Loss(*average_relativistic(hinge_critic), **NEEDS_REAL),
    "gan_qp": Loss(gan_qp_critic, gan_qp_generator, distance_order=1, **NEEDS_REAL),
    "gan_qp_l2": Loss(gan_qp_critic, gan_qp_generator, distance_order=2, **NEEDS_REAL),
    "tsgan": Loss(sgan_critic, tsgan_generator, pairwise_critic=True, **NEEDS_REAL),
    "twgan": Loss(wgan_critic, gan_qp_generator, zero_sum=True, pairwise_critic=True, **NEEDS_REAL),
}


def get_loss(name):
    """The row of that name; a name that is not there is the user's to mend (`UserError`)."""
    if name not in LOSSES:
        raise UserError(f"unknown loss; choose from {', '.join(sorted(LOSSES))}. Received: {name!r}")
    return LOSSES[name]
