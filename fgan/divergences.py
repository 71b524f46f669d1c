"""The table of divergences of f-GAN (article 6016, https://kexue.fm/archives/6016; arXiv 1606.00709).

    D_f(p||q) = int q f(p/q) = max_T E_p[T(x)] - E_q[g(T(x))],   f convex, f(1) = 0, g its conjugate, best T = f'(p/q)

p is the data, q the generator. An activation turns the critic's raw score v into T(v). Its range is the range of f', so
every critic gives a lower bound of the divergence, which the generator minimises.

    divergence = get_divergence("hellinger")
    bound = mean(divergence.activation(v_real)) + mean(divergence.negative_conjugate(v_fake))   # at most D
    loss = f_gan_loss(divergence)      # a `common.losses.adversarial.Loss` for both players

The names follow the article's integrals: Pearson is int (q - p)^2 / p, Neyman is int (p - q)^2 / q. Other texts, arXiv
1606.00709 among them, exchange these two names. JS has a factor 1/2 here that the paper leaves out.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from keras import ops

from common.errors import UserError
from common.losses.adversarial import Loss, wgan_critic

MAX_LOG_RATIO = 40.0  # log(p/q) that stands for infinity in numerical searches
HALLEY_STEPS = 4  # three converge to the last digits of float64, the fourth makes the derivatives exact too
LOG2 = math.log(2)
INF = math.inf


@dataclass(frozen=True)
class Divergence:
    """A divergence: f, its derivative and conjugate, and the functions of the critic's raw score.

    Args:
        name: str.
        f: function of u = p/q >= 0, numpy float64. It may be infinite at u = 0.
        derivative: f', likewise.
        conjugate: g(t) = sup_u {t u - f(u)}, function of t, numpy float64. Below the range of f' it is -f(0), above
            that range infinite.
        t_range: (low, high), the range of f'.
        activation: T(v), function of raw scores of any shape, in float32 under every precision policy.
        negative_conjugate: -g(T(v)), likewise, composed so that it is numerically stable.
        optimal_score: function of u, numpy float64: the raw score v with T(v) = f'(u).
        gaussian_closed_form: function of m that returns D(N(m, 1)||N(0, 1)). `None` if there is no closed form.
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
        extended_g = lambda t: np.where(t > high, np.inf, g(np.clip(t, low, high)))
        wrapped = {name: _in_float64(getattr(self, name)) for name in ("f", "derivative", "optimal_score")}
        wrapped["conjugate"] = _in_float64(extended_g)
        wrapped |= {name: _in_float32(getattr(self, name)) for name in ("activation", "negative_conjugate")}
        for name, function in wrapped.items():
            object.__setattr__(self, name, function)  # the dataclass is frozen

    @property
    def increasing(self):
        """Whether T increases with v, so that reals get the higher raw scores. T = -e^v and T = 1 - e^v decrease."""
        return bool(self.optimal_score(2.0) > self.optimal_score(0.5))

    def from_densities(self, p, q, x):
        """Return D(p||q) = int q f(p/q) dx by the trapezoid rule.

        Where q is 0 and p is not, the integrand is p f'(inf), the limit of q f(p/q). For KL that is infinite, so q must
        not underflow where it is meant to be positive.

        Args:
            p: array (n,), density at the points x.
            q: array (n,), density at the points x.
            x: array (n,). It must cover the mass of both densities.
        """
        p, q = (np.asarray(density, "float64") for density in (p, q))
        with np.errstate(all="ignore"):
            u = p / q
            limit = np.where(p > 0, p * self.t_range[1], 0.0)
            finite = u < 1e290  # so that u log u does not overflow
            integrand = np.where(finite, q * self.f(np.where(finite, u, 1.0)), limit)
        return float(np.trapezoid(integrand, x))


def _in_float64(function):
    """Return a function of numpy arrays or numbers, without warnings: it may be infinite at its edges."""

    @functools.wraps(function)
    def wrapped(u):
        with np.errstate(all="ignore"):
            return np.asarray(function(np.asarray(u, "float64")), "float64")[()]

    return wrapped


def _in_float32(function):
    return functools.wraps(function)(lambda v: function(ops.cast(v, "float32")))


def soft_clip(v, limit=30.0):
    """Return v up to `limit`, and limit + log(1 + v - limit) above it (soft clipping).

    Above `limit` the activation grows logarithmically, so exp(v) becomes linear (its tangent). T and -g(T) share the
    clipped score, so the bound stays valid.

    Without clipping, e^v is infinite for v > 89. The squares of its gradient, which Adam averages, are infinite for
    v > 44. With it, all float16 scores give finite losses and gradients. The gradients still point back to smaller
    scores, which a hard clip would not give.

    In float16 the gradients themselves overflow at 65504, which is e^11. Under a mixed precision policy, let the critic
    end in a layer with dtype float32.
    """
    return ops.minimum(v, limit) + ops.log1p(ops.relu(v - limit))


def _xlogx(u):
    """Return u log u, with 0 log 0 = 0."""
    return np.where(u == 0, 0.0, u * np.log(u))


def log_lambert(a, xp):
    """Return y = log W(e^a) with the Lambert function W, for Jeffrey's conjugate.

    y is the root of e^y + y = a, found by Halley's method, because e^a itself would overflow. The derivative through
    the steps is the right one, 1 / (1 + W). `xp` is `numpy` or `keras.ops`.
    """
    y = xp.minimum(a, xp.log(xp.maximum(a, 1.0)))
    for _ in range(HALLEY_STEPS):
        w = xp.exp(y)
        error = w + y - a
        y = y - 2 * error * (1 + w) / (2 * xp.square(1 + w) - error * w)
    return y


def _jeffrey_conjugate(t, xp):
    """Return g(t) = W + 1/W + t - 2 with W = W(e^(1 - t)), which equals 1/W - 1 - log W, as W + log W = 1 - t."""
    y = log_lambert(1 - t, xp)
    return xp.expm1(-y) - y


_ROWS = (
    # 1/2 int |p - q|. f has a corner at u = 1: the best T jumps from -1/2 to 1/2, which no finite score reaches.
    Divergence(
        "total_variation",
        f=lambda u: np.abs(u - 1) / 2,
        derivative=lambda u: np.sign(u - 1) / 2,
        conjugate=lambda t: t,
        t_range=(-0.5, 0.5),
        activation=lambda v: ops.tanh(v) / 2,
        negative_conjugate=lambda v: -ops.tanh(v) / 2,
        optimal_score=lambda u: np.where(u == 1, 0.0, np.copysign(INF, u - 1)),
        gaussian_closed_form=lambda m: math.erf(abs(m) / 8**0.5),
    ),
    # int p log(p/q)
    Divergence(
        "kl",
        f=_xlogx,
        derivative=lambda u: 1 + np.log(u),
        conjugate=lambda t: np.exp(t - 1),
        t_range=(-INF, INF),
        activation=soft_clip,
        negative_conjugate=lambda v: -ops.exp(soft_clip(v) - 1),
        optimal_score=lambda u: 1 + np.log(u),
        gaussian_closed_form=lambda m: m**2 / 2,
    ),
    # int q log(q/p)
    Divergence(
        "reverse_kl",
        f=lambda u: -np.log(u),
        derivative=lambda u: -1 / u,
        conjugate=lambda t: -1 - np.log(-t),
        t_range=(-INF, 0.0),
        activation=lambda v: -ops.exp(soft_clip(v)),
        negative_conjugate=lambda v: 1 + soft_clip(v),
        optimal_score=lambda u: -np.log(u),
        gaussian_closed_form=lambda m: m**2 / 2,
    ),
    # int (q - p)^2 / p
    Divergence(
        "pearson",
        f=lambda u: (1 - u) ** 2 / u,
        derivative=lambda u: 1 - u**-2,
        conjugate=lambda t: 2 - 2 * np.sqrt(1 - t),
        t_range=(-INF, 1.0),
        activation=lambda v: -ops.expm1(soft_clip(v)),
        negative_conjugate=lambda v: 2 * ops.expm1(soft_clip(v) / 2),
        optimal_score=lambda u: -2 * np.log(u),
        gaussian_closed_form=lambda m: math.expm1(m**2),
    ),
    # int (p - q)^2 / q
    Divergence(
        "neyman",
        f=lambda u: (u - 1) ** 2,
        derivative=lambda u: 2 * (u - 1),
        conjugate=lambda t: t**2 / 4 + t,
        t_range=(-2.0, INF),
        activation=lambda v: ops.exp(soft_clip(v, 15.0)) - 2,
        negative_conjugate=lambda v: 1 - ops.exp(2 * soft_clip(v, 15.0)) / 4,
        optimal_score=lambda u: np.log(2 * u),
        gaussian_closed_form=lambda m: math.expm1(m**2),
    ),
    # int (sqrt p - sqrt q)^2
    Divergence(
        "hellinger",
        f=lambda u: (np.sqrt(u) - 1) ** 2,
        derivative=lambda u: 1 - 1 / np.sqrt(u),
        conjugate=lambda t: 1 / (1 - t) - 1,
        t_range=(-INF, 1.0),
        activation=lambda v: -ops.expm1(-soft_clip(-soft_clip(v))),
        negative_conjugate=lambda v: -ops.expm1(soft_clip(-soft_clip(v))),
        optimal_score=lambda u: -np.log(u) / 2,
        gaussian_closed_form=lambda m: -2 * math.expm1(-(m**2) / 8),
    ),
    # int (p - q) log(p/q)
    Divergence(
        "jeffrey",
        f=lambda u: (u - 1) * np.log(u),
        derivative=lambda u: 1 + np.log(u) - 1 / u,
        conjugate=lambda t: _jeffrey_conjugate(t, np),
        t_range=(-INF, INF),
        activation=soft_clip,
        negative_conjugate=lambda v: -_jeffrey_conjugate(soft_clip(v), ops),
        optimal_score=lambda u: 1 + np.log(u) - 1 / u,
        gaussian_closed_form=lambda m: m**2,
    ),
    # 1/2 int p log(2p / (p + q)) + q log(2q / (p + q)), with g(t) = -1/2 log(2 - e^2t)
    Divergence(
        "js",
        f=lambda u: (_xlogx(u) - (u + 1) * np.log((u + 1) / 2)) / 2,
        derivative=lambda u: (LOG2 - np.log1p(1 / u)) / 2,
        conjugate=lambda t: -(LOG2 + np.log(-np.expm1(2 * t - LOG2))) / 2,
        t_range=(-INF, LOG2 / 2),
        activation=lambda v: (LOG2 - ops.softplus(-v)) / 2,
        negative_conjugate=lambda v: (LOG2 - ops.softplus(v)) / 2,
        optimal_score=np.log,
    ),
    # The first GAN: T = log sigma(v), -g(T) = log(1 - sigma(v)) + log 4. The original has no constant log 4. It makes
    # f(1) = 0 and the divergence 2 JS, and changes no gradient.
    Divergence(
        "gan",
        f=lambda u: _xlogx(u) - (u + 1) * np.log(u + 1) + 2 * LOG2,
        derivative=lambda u: -np.log1p(1 / u),
        conjugate=lambda t: -np.log(-np.expm1(t)) - 2 * LOG2,
        t_range=(-INF, 0.0),
        activation=lambda v: -ops.softplus(-v),
        negative_conjugate=lambda v: 2 * LOG2 - ops.softplus(v),
        optimal_score=np.log,
    ),
)
DIVERGENCES = {row.name: row for row in _ROWS}


def get_divergence(name):
    """Return the `Divergence` of that name.

    Raises:
        UserError: if there is no such divergence.
    """
    if name not in DIVERGENCES:
        raise UserError(f"unknown divergence; choose from {', '.join(DIVERGENCES)}. Received: {name!r}")
    return DIVERGENCES[name]


def f_gan_loss(divergence, swap_roles=False):
    """Return the losses of both players, a zero-sum `common.losses.adversarial.Loss` of raw scores, high for reals.

    f-GAN, estimates D(p||q):            critic -T(r) + g(T(f)),   generator -g(T(f))
    with swapped roles, D(q||p) instead: critic -T(f) + g(T(r)),   generator T(f)

    Where T decreases, the network's score is -v; with swapped roles it is the other way round. So the critic gives high
    scores to reals for every divergence, as everywhere in this repository. A network with a linear last layer loses
    nothing by it.

    Args:
        divergence: `Divergence`.
        swap_roles: bool, exchange the roles of data and samples.
    """
    sign = 1.0 if divergence.increasing != swap_roles else -1.0
    real_term = lambda score: divergence.activation(sign * ops.cast(score, "float32"))
    fake_term = lambda score: divergence.negative_conjugate(sign * ops.cast(score, "float32"))
    if swap_roles:
        real_term, fake_term = fake_term, real_term
    # wgan_critic(a, b) is b - a, the negative sum of both terms. It rejects scores that would broadcast.
    critic = lambda real, fake, **context: wgan_critic(real_term(real), -fake_term(fake))
    return Loss(critic, lambda real, fake, **context: fake_term(fake), zero_sum=True)
