"""The divergences behind f-GAN, one row each (article 6016, https://kexue.fm/archives/6016; arXiv 1606.00709).

    D_f(p||q) = int q f(p/q) = max_T E_p[T(x)] - E_q[g(T(x))],   f convex, f(1) = 0, g its conjugate, best T = f'(p/q)

p is the data, q the generator. The critic's raw score v becomes T(v) by an activation whose range is that of f', so
every critic gives a lower bound of the divergence; the generator lowers it.

    row = get_divergence("hellinger")
    bound = mean(row.activation(v_real)) + mean(row.negative_conjugate(v_fake)) # at most D
    loss = f_gan_loss(row)      # for the two players, a `common.losses.adversarial.Loss`

Names go with the article's integrals: Pearson is int (q - p)^2 / p and Neyman int (p - q)^2 / q, which other texts
(arXiv 1606.00709 too) name the other way round; JS carries the factor 1/2, which that paper's does not.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from keras import ops

from common.errors import UserError
from common.losses.adversarial import Loss, wgan_critic

MAX_LOG_RATIO = 40.0  # a log ratio log(p/q) that stands for infinity in what is found numerically
HALLEY = 4  # steps: three reach float64's last digits, the fourth is for the derivatives


@dataclass(frozen=True)
class Divergence:
    """One row of the article's table.

    Args:
        name: its name.
        f, slope: functions of u = p/q >= 0: f and f', numpy float64; infinite where they are at u = 0.
        conjugate: function of t: g(t) = sup_u {t u - f(u)}, numpy float64; below the range -f(0), above it infinite.
        range: (low, high), that of f'.
        activation: T(v) of raw scores v, any shape, in float32 whatever the precision policy.
        negative_conjugate: -g(T(v)), likewise, composed so that it is stable.
        best: function of u: the raw score v at which T(v) = f'(u), numpy float64.
        gaussians: function of m: D(N(m, 1), N(0, 1)) in closed form; `None` if there is none.
    """

    name: str
    f: Callable
    derivative: Callable
    conjugate: Callable
    t_range: tuple[float, float]
    activation: Callable
    negative_conjugate: Callable
    optimal_score: Callable
    gaussian_closed_form: Callable | None = None

    def __post_init__(self):
        g, (low, high) = self.conjugate, self.t_range
        wrapped = {"conjugate": lambda t: np.where(t > high, np.inf, g(np.clip(t, low, high)))}
        for name in ("f", "derivative", "conjugate", "optimal_score"):
            object.__setattr__(self, name, _in_float64(wrapped.get(name, getattr(self, name))))
        for name in ("activation", "negative_conjugate"):
            object.__setattr__(self, name, _in_float32(getattr(self, name)))

    @property
    def increasing(self):
        """Whether T rises with v: then reals get the higher raw scores (T = -e^v and 1 - e^v fall)."""
        return bool(self.optimal_score(2.0) > self.optimal_score(0.5))

    def from_densities(self, p, q, x):
        """D(p||q) = int q f(p/q) dx by the trapezoid rule.

        Args:
            p, q: arrays (n,), densities at the points `x` (n,), which must reach as far as there is mass.

        Returns:
            float. Where q is 0 and p is not, p f'(inf) is counted, the limit of q f(p/q): infinite for KL, so let q
            not underflow where it is meant to be positive.
        """
        p, q = (np.asarray(density, "float64") for density in (p, q))
        with np.errstate(all="ignore"):
            u = p / q
            alone = np.where(p > 0, p * self.t_range[1], 0.0)
            integrand = np.where(u < 1e290, q * self.f(np.where(u < 1e290, u, 1.0)), alone)  # u log u has to fit
        return float(np.trapezoid(integrand, x))


def _in_float64(function):
    """Of numpy arrays or numbers; infinities at the edges are meant, and no cause for a warning."""

    @functools.wraps(function)
    def wrapped(u):
        with np.errstate(all="ignore"):
            return np.asarray(function(np.asarray(u, "float64")), "float64")[()]

    return wrapped


def _in_float32(function):
    return functools.wraps(function)(lambda v: function(ops.cast(v, "float32")))


def _soft_clip(v, limit=30.0):
    """v; above the limit it goes on as limit + log(1 + v - limit), so that e^v goes on as its tangent.

    It is the activation that bends there, T and -g(T) alike, so the bound stays one. e^v of a plain score would be
    infinite from 89 on, and the squares of its gradient, which Adam averages, from 44 on: the training would be lost.
    This way all scores of float16 give finite losses and gradients, which still point home, as those of a clipped
    score would not. (In float16 the gradients themselves end at 65504, which is e^11: under a mixed precision policy
    let the critic end in a layer of dtype float32.)
    """
    return ops.minimum(v, limit) + ops.log1p(ops.relu(v - limit))


def _xlogx(u):
    return np.where(u == 0, 0.0, u * np.log(u))


def _log_lambert(a, xp):
    """y = log W(e^a) for Jeffrey's conjugate: the root of e^y + y = a by Halley's steps. e^a itself would overflow.

    `xp` is numpy or keras.ops. Differentiating through the steps gives the right slope, 1 / (1 + W).
    """
    y = xp.minimum(a, xp.log(xp.maximum(a, 1.0)))
    for _ in range(HALLEY):
        w = xp.exp(y)
        error = w + y - a
        y = y - 2 * error * (1 + w) / (2 * xp.square(1 + w) - error * w)
    return y


def _jeffrey_conjugate(t, xp):
    """W + 1/W + t - 2 with W the Lambert function of e^(1 - t), which is 1/W - 1 - log W, as W + log W = 1 - t."""
    y = _log_lambert(1 - t, xp)
    return xp.expm1(-y) - y


LOG2 = math.log(2)
INF = math.inf
# fmt: off
ROWS = [
    # 1/2 int |p - q|. f has a corner at u = 1: the best T jumps from -1/2 to 1/2, where no finite score takes it.
    Divergence(
        "total_variation", f=lambda u: np.abs(u - 1) / 2, derivative=lambda u: np.sign(u - 1) / 2,
        conjugate=lambda t: t, t_range=(-0.5, 0.5),
        activation=lambda v: ops.tanh(v) / 2, negative_conjugate=lambda v: -ops.tanh(v) / 2,
        optimal_score=lambda u: np.where(u == 1, 0.0, np.copysign(INF, u - 1)),
        gaussian_closed_form=lambda m: math.erf(abs(m) / 8**0.5),
    ),
    # int p log(p/q)
    Divergence(
        "kl", f=_xlogx, derivative=lambda u: 1 + np.log(u), conjugate=lambda t: np.exp(t - 1), t_range=(-INF, INF),
        activation=_soft_clip, negative_conjugate=lambda v: -ops.exp(_soft_clip(v) - 1),
        optimal_score=lambda u: 1 + np.log(u), gaussian_closed_form=lambda m: m**2 / 2,
    ),
    # int q log(q/p)
    Divergence(
        "reverse_kl", f=lambda u: -np.log(u), derivative=lambda u: -1 / u,
        conjugate=lambda t: -1 - np.log(-t), t_range=(-INF, 0.0),
        activation=lambda v: -ops.exp(_soft_clip(v)), negative_conjugate=lambda v: 1 + _soft_clip(v),
        optimal_score=lambda u: -np.log(u), gaussian_closed_form=lambda m: m**2 / 2,
    ),
    # int (q - p)^2 / p
    Divergence(
        "pearson", f=lambda u: (1 - u) ** 2 / u, derivative=lambda u: 1 - u**-2,
        conjugate=lambda t: 2 - 2 * np.sqrt(1 - t), t_range=(-INF, 1.0),
        activation=lambda v: -ops.expm1(_soft_clip(v)), negative_conjugate=lambda v: 2 * ops.expm1(_soft_clip(v) / 2),
        optimal_score=lambda u: -2 * np.log(u), gaussian_closed_form=lambda m: math.expm1(m**2),
    ),
    # int (p - q)^2 / q
    Divergence(
        "neyman", f=lambda u: (u - 1) ** 2, derivative=lambda u: 2 * (u - 1),
        conjugate=lambda t: t**2 / 4 + t, t_range=(-2.0, INF),
        activation=lambda v: ops.exp(_soft_clip(v, 15.0)) - 2,
        negative_conjugate=lambda v: 1 - ops.exp(2 * _soft_clip(v, 15.0)) / 4,
        optimal_score=lambda u: np.log(2 * u), gaussian_closed_form=lambda m: math.expm1(m**2),
    ),
    # int (sqrt p - sqrt q)^2
    Divergence(
        "hellinger", f=lambda u: (np.sqrt(u) - 1) ** 2, derivative=lambda u: 1 - 1 / np.sqrt(u),
        conjugate=lambda t: 1 / (1 - t) - 1, t_range=(-INF, 1.0),
        activation=lambda v: -ops.expm1(-_soft_clip(-_soft_clip(v))),
        negative_conjugate=lambda v: -ops.expm1(_soft_clip(-_soft_clip(v))),
        optimal_score=lambda u: -np.log(u) / 2, gaussian_closed_form=lambda m: -2 * math.expm1(-(m**2) / 8),
    ),
    # int (p - q) log(p/q)
    Divergence(
        "jeffrey", f=lambda u: (u - 1) * np.log(u), derivative=lambda u: 1 + np.log(u) - 1 / u,
        conjugate=lambda t: _jeffrey_conjugate(t, np), t_range=(-INF, INF),
        activation=_soft_clip, negative_conjugate=lambda v: -_jeffrey_conjugate(_soft_clip(v), ops),
        optimal_score=lambda u: 1 + np.log(u) - 1 / u, gaussian_closed_form=lambda m: m**2,
    ),
    # 1/2 int p log(2p / (p + q)) + q log(2q / (p + q)); g(t) = -1/2 log(2 - e^2t)
    Divergence(
        "js", f=lambda u: (_xlogx(u) - (u + 1) * np.log((u + 1) / 2)) / 2,
        derivative=lambda u: (LOG2 - np.log1p(1 / u)) / 2,
        conjugate=lambda t: -(LOG2 + np.log(-np.expm1(2 * t - LOG2))) / 2, t_range=(-INF, LOG2 / 2),
        activation=lambda v: (LOG2 - ops.softplus(-v)) / 2, negative_conjugate=lambda v: (LOG2 - ops.softplus(v)) / 2,
        optimal_score=np.log,
    ),
    # The first GAN: T = log sigma(v), -g(T) = log(1 - sigma(v)) + log 4. The constant log 4, which the original has
    # not, makes f(1) = 0 and the divergence 2 JS; gradients do not see it.
    Divergence(
        "gan", f=lambda u: _xlogx(u) - (u + 1) * np.log(u + 1) + 2 * LOG2, derivative=lambda u: -np.log1p(1 / u),
        conjugate=lambda t: -np.log(-np.expm1(t)) - 2 * LOG2, t_range=(-INF, 0.0),
        activation=lambda v: -ops.softplus(-v), negative_conjugate=lambda v: 2 * LOG2 - ops.softplus(v),
        optimal_score=np.log,
    ),
]
# fmt: on
DIVERGENCES = {row.name: row for row in ROWS}


def get_divergence(name):
    """The row of that name; a name that is not there is the user's to mend (`UserError`)."""
    if name not in DIVERGENCES:
        raise UserError(f"unknown divergence; choose from {', '.join(DIVERGENCES)}. Received: {name!r}")
    return DIVERGENCES[name]


def f_gan_loss(divergence, swap_roles=False):
    """What the two players minimise, a zero-sum `common.losses.Loss` of raw scores, real high (article 6016).

    f-GAN, estimates D(p||q):        critic -T(r) + g(T(f)),   generator -g(T(f))
    roles swapped, D(q||p) instead:  critic -T(f) + g(T(r)),   generator T(f)

    Where T falls with v, the network's score is -v, and with swapped roles the other way round, so that the critic
    ends up with high scores on reals in every row, as everywhere in this repository. A network whose last layer is
    linear loses nothing by it.
    """
    sign = 1.0 if divergence.increasing != swap_roles else -1.0
    first = lambda score: divergence.activation(sign * ops.cast(score, "float32"))
    second = lambda score: divergence.negative_conjugate(sign * ops.cast(score, "float32"))
    if swap_roles:
        first, second = second, first
    # in the sum both roles look alike; wgan_critic(a, b) = b - a, and refuses scores that would broadcast
    critic = lambda real, fake, **context: wgan_critic(first(real), -second(fake))
    return Loss(critic, lambda real, fake, **context: second(fake), zero_sum=True)
