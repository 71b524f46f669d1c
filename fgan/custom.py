"""A divergence from its f alone: derivative and conjugate are found numerically."""

import functools
import math

import keras
import numpy as np
from keras import ops

from common.backend import input_gradient
from fgan.divergences import MAX_LOG_RATIO, Divergence, soft_clip


def numeric_conjugate(f, t):
    """Return g(t) = sup_u {t u - f(u)}, found by a search over log u in [-40, 40].

    Args:
        f: convex function of a float64 array.
        t: array or number. Near the upper end of the range of f', rounding errors hide the maximum.

    Returns:
        float64 in the shape of t, infinite where the largest u is the best.
    """
    t = np.asarray(t, "float64")
    low, high = np.full(t.shape, -MAX_LOG_RATIO), np.full(t.shape, MAX_LOG_RATIO)
    value = lambda v: t * np.exp(v) - f(np.exp(v))
    for _ in range(120):  # ternary search: the value is concave in u, so the third beside the lower value is cut off
        a, b = low + (high - low) / 3, high - (high - low) / 3
        a_is_better = value(a) > value(b)
        low, high = np.where(a_is_better, low, a), np.where(a_is_better, b, high)
    return np.where(low > MAX_LOG_RATIO - 1e-6, np.inf, value((low + high) / 2))[()]


class _Derivative(keras.Operation):
    """f' by automatic differentiation, entry by entry. As an operation it takes symbolic scores too."""

    def __init__(self, f):
        super().__init__()
        self.f = f

    def call(self, u):
        return input_gradient(self.f, u)

    def compute_output_spec(self, u):
        return keras.KerasTensor(u.shape, u.dtype)


def from_f(name, f):
    """Return the divergence of an f that is not in the table.

        triangular = from_f("triangular", lambda u: ops.square(u - 1) / (u + 1))
        loss = f_gan_loss(triangular)
        loss_d, loss_g = loss.critic(real, fake_ng), loss.generator(real, fake)

    The raw score is the log ratio v = log u. So T = f'(e^v) and -g(T) = f(e^v) - e^v f'(e^v), which needs no conjugate
    for training; `conjugate` is found numerically. u = 0 is replaced by e^-40, and the range is that of f' up to e^40.
    On a backend without float64 the numpy functions of the divergence are only as exact as float32.

    Args:
        name: str.
        f: function of a tensor u > 0, made of `keras.ops`, applied entry by entry; convex, with f(1) = 0.

    Returns:
        `Divergence`.
    """
    derivative = _Derivative(f)

    def ratio(v):
        """Return e^v, soft-clipped on both sides so that u^2 and 1/u^2 do not overflow either."""
        return ops.exp(-soft_clip(-soft_clip(v, 15.0), 15.0))

    def on_numpy(function, u):
        positive = np.maximum(u, math.exp(-MAX_LOG_RATIO))
        return ops.convert_to_numpy(function(ops.convert_to_tensor(positive)))

    low, high = on_numpy(derivative, np.exp([-MAX_LOG_RATIO, MAX_LOG_RATIO]))
    return Divergence(
        name,
        f=functools.partial(on_numpy, f),
        derivative=functools.partial(on_numpy, derivative),
        conjugate=lambda t: numeric_conjugate(functools.partial(on_numpy, f), t),
        t_range=(float(low), float(high)),
        activation=lambda v: derivative(ratio(v)),
        negative_conjugate=lambda v: f(ratio(v)) - ratio(v) * derivative(ratio(v)),
        optimal_score=np.log,
    )
