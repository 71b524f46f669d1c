"""Roth's penalty for every divergence of the table (arXiv 1705.09367; article 6240).

Noise of variance `weight` on the samples changes the bound of f-GAN, to first order, by this penalty:

    weight/2 E_q[g''(T) ||grad_x T||^2],   which is weight/2 E_q[g''(T(v)) T'(v)^2 ||grad_x v||^2] of the raw score v
"""

from keras import ops

from fgan.divergences import log_lambert, soft_clip


def _jeffrey(v):
    """Return u^2 / (1 + u) with u = 1/W(e^(1 - v))."""
    y = log_lambert(1 - v, ops)
    return ops.exp(-y) / (1 + ops.exp(y))


# g''(T(v)) T'(v)^2 as a function of the raw score
FACTORS = {
    "total_variation": ops.zeros_like,
    "kl": lambda v: ops.exp(v - 1),
    "reverse_kl": ops.ones_like,
    "pearson": lambda v: ops.exp(v / 2) / 2,
    "neyman": lambda v: ops.exp(2 * v) / 2,
    "hellinger": lambda v: 2 * ops.exp(-v),
    "jeffrey": _jeffrey,
    "js": lambda v: ops.sigmoid(v) / 2,
    "gan": ops.sigmoid,
}


def roth_penalty(divergence, squared_gradient_norm, score, weight, swap_roles=False):
    """Return the penalty of samples of the side whose term is g: of fakes, with swapped roles of reals.

    Args:
        divergence: `fgan.divergences.Divergence` of the table.
        squared_gradient_norm: ||grad_x||^2 of the critic's score at the samples, (batch,).
        score: the critic's scores of the samples, high for reals, (batch, 1). Beyond +-15 they are soft-clipped.
        weight: float, the paper's gamma.
        swap_roles: bool, as in `fgan.divergences.f_gan_loss`.

    Returns:
        Tensor (batch,), float32.
    """
    sign = 1.0 if divergence.increasing != swap_roles else -1.0
    v = sign * ops.cast(score, "float32")
    clipped = -soft_clip(-soft_clip(v, 15.0), 15.0)
    return weight / 2 * FACTORS[divergence.name](clipped)[:, 0] * squared_gradient_norm
