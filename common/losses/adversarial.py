"""Adversarial losses as functions of raw scores, one `Loss` per name in `LOSSES`.

Sign of a score: the critic gives real samples r a HIGH score and fakes f a LOW one. Articles that speak of energies
(low for real samples: 6316, 6331, 6387) use the same losses with the negated energy. Scores are raw: the critic ends
without a sigmoid.

    loss = get_loss("hinge")
    loss_d = ops.mean(loss.critic(real, fake_ng))
    loss_g = ops.mean(loss.generator(real, fake))

Every function returns one loss per sample in the shape of the scores, (batch,) or (batch, 1). The result is float32
under every precision policy, because a square or a sum of float16 scores overflows early. The logistic losses use
softplus, not log(sigmoid + 1e-9), which is constant above a loss of 20.7 and gives no gradient there.

To add a loss, add a `Loss`. It may use real and fake scores together (relativistic losses) or their batch means; under
several replicas these are the means of one replica's part. Other inputs are keyword arguments. Penalties on the
critic's gradient are not functions of scores; they are in `common.losses.gradient_penalties`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from keras import ops

from common.errors import UserError

# Floor of a distance between two samples. The author has none, but two equal samples would give 0 / 0.
MIN_DISTANCE = 1e-6


@dataclass(frozen=True)
class Loss:
    """The losses of the critic and of the generator.

    Args:
        critic: function (real, fake, **context) -> loss per sample.
        generator: function (real, fake, **context) -> loss per sample.
        zero_sum: bool, the generator's gradient at a fake is minus the critic's. One pass of the fakes through the
            critic then serves both networks. For any other loss that would be wrong (6387 shows it for LSGAN).
        generator_needs_real: bool. If false, `real` may be `None` for the generator.
        distance_order: int, which distance the critic loss needs as its keyword argument `distance`: 1 = L1, 2 = L2,
            0 = none. See `sample_distance`.
        pairwise_critic: bool, the critic scores two samples at once (T-GAN). The real score is then that of
            (real, fake) and the fake score that of (fake, real). The generator influences both.
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
    """Return both scores in float32. Different ranks are an error: they would broadcast to (batch, batch)."""
    real, fake = _float32(real), _float32(fake)
    if len(real.shape) != len(fake.shape):
        raise ValueError(
            "Real and fake scores must have the same rank, (batch,) or (batch, 1). "
            f"Received: real {tuple(real.shape)}, fake {tuple(fake.shape)}"
        )
    return real, fake


def sample_distance(x, y, order=1):
    """Return the distance between each sample of x and the sample of y in the same row, as in GAN-QP.

    It is a mean over the entries of a sample, so it does not grow with the size of an image.

    Args:
        x: tensor, (batch, ...).
        y: tensor of the same shape.
        order: int, 1 for mean |x - y|, 2 for sqrt(mean (x - y)^2).

    Returns:
        Tensor (batch,), float32.

    Raises:
        ValueError: if `order` is neither 1 nor 2.
    """
    if order not in (1, 2):
        raise ValueError(f"The order of a sample distance must be 1 or 2. Received: order={order}")
    difference = ops.abs(_float32(x) - _float32(y))
    axes = tuple(range(1, len(difference.shape)))
    if order == 1:
        return ops.mean(difference, axis=axes)
    # The floor is under the root, because the derivative of the root at 0 is infinite.
    return ops.sqrt(ops.maximum(ops.mean(ops.square(difference), axis=axes), MIN_DISTANCE**2))


# SGAN, the first GAN (arXiv 1406.2661; 6110)


def sgan_critic(real, fake, **context):
    """Return -log sigma(r) - log(1 - sigma(f)) = softplus(-r) + softplus(f)."""
    real, fake = _pair(real, fake)
    return ops.softplus(-real) + ops.softplus(fake)


# The generator's loss h(t) at score t (6110). At the best critic, t = log(p/q) at a fake, E_q[h(t)] is the divergence
# with f(u) = h(log u). So every h works for which f is convex.
GENERATOR_H = {
    "log_sigmoid": lambda t: ops.softplus(-t),  # -log sigma(t), the usual choice: it does not saturate
    "minimax": lambda t: -ops.softplus(t),  # log(1 - sigma(t)): it saturates at a fake that the critic recognises
    "linear": lambda t: -t,  # as in WGAN; E_q[-t] is KL(q||p)
}


def sgan_generator(h):
    """Return the generator's loss h(f).

    Args:
        h: str, key of `GENERATOR_H`.
    """
    return lambda real, fake, **context: GENERATOR_H[h](_float32(fake))


# RSGAN: the critic tells which sample of a pair is real (arXiv 1807.00734; 6110)


def rsgan_critic(real, fake, **context):
    """Return -log sigma(r - f) = softplus(f - r)."""
    real, fake = _pair(real, fake)
    return ops.softplus(fake - real)


def rsgan_generator(h):
    """Return the generator's loss h(f - r).

    The real score does not depend on the generator, but it weights the gradient at the fake.

    Args:
        h: str, key of `GENERATOR_H`.
    """

    def generator(real, fake, **context):
        real, fake = _pair(real, fake)
        return GENERATOR_H[h](fake - real)

    return generator


def average_relativistic(critic):
    """Return the critic's and the generator's relativistic average loss (arXiv 1807.00734).

    Each score is taken relative to the mean score of the other kind: critic(r - mean f, f - mean r). The generator's
    loss is the same with real and fake swapped.

    Args:
        critic: function (relative real, relative fake) -> loss per sample.
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
    """Return ((r - 1)^2 + f^2) / 2."""
    real, fake = _pair(real, fake)
    return (ops.square(real - 1) + ops.square(fake)) / 2


def lsgan_generator(real, fake, **context):
    """Return (f - 1)^2 / 2."""
    return ops.square(_float32(fake) - 1) / 2


def ralsgan_critic(real, fake):
    """Return ((r - 1)^2 + (f + 1)^2) / 2 of relative scores, with targets 1 and -1 (arXiv 1807.00734)."""
    return (ops.square(real - 1) + ops.square(fake + 1)) / 2


# WGAN (arXiv 1701.07875); the network has to meet the Lipschitz constraint


def wgan_critic(real, fake, **context):
    """Return f - r."""
    real, fake = _pair(real, fake)
    return fake - real


def wgan_generator(real, fake, **context):
    """Return -f."""
    return -_float32(fake)


# Hinge (arXiv 1705.02894; 6387, 6316)


def hinge_critic(real, fake, **context):
    """Return max(0, 1 - r) + max(0, 1 + f)."""
    real, fake = _pair(real, fake)
    return ops.relu(1 - real) + ops.relu(1 + fake)


# GAN-QP (arXiv 1811.07296): the best critic has d = lam * distance, a loss of -lam * distance / 2. The network needs no
# constraint.


def gan_qp_critic(real, fake, *, distance, lam=10.0, **context):
    """Return -d + d^2 / (2 lam distance) with d = r - f.

    Args:
        real: scores, (batch,) or (batch, 1).
        fake: scores of the same shape. Row i of `real` and `fake` is one pair of samples.
        distance: distances between the samples of each pair, (batch,) or (batch, 1).
        lam: float, the paper's lambda (default 10).
        **context: ignored.
    """
    real, fake = _pair(real, fake)
    d = real - fake
    distance = ops.reshape(_float32(distance), (-1,) + (1,) * (len(d.shape) - 1))
    return -d + ops.square(d) / (2 * lam * ops.maximum(distance, MIN_DISTANCE))


def gan_qp_generator(real, fake, **context):
    """Return d = r - f."""
    real, fake = _pair(real, fake)
    return real - fake


# T-GAN: the critic scores the difference of two encodings (arXiv 1810.10948; 6110 mentions it)


def tsgan_generator(real, fake, **context):
    """Return the critic's loss with the labels swapped: softplus(s(real, fake)) + softplus(-s(fake, real))."""
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
    """Return the `Loss` of a name in `LOSSES`.

    Raises:
        UserError: if there is no loss of that name.
    """
    if name not in LOSSES:
        raise UserError(f"unknown loss; choose from {', '.join(sorted(LOSSES))}. Received: {name!r}")
    return LOSSES[name]
