"""A divergence from its f alone: the conjugate is found numerically."""

import functools
import math

import keras
import numpy as np
from keras import ops

from common.backend import input_gradient
from fgan.divergences import MAX_LOG_RATIO, Divergence, _soft_clip


def numeric_conjugate(f, t):
    """g(t) = sup_u {t u - f(u)} found by a search over log u in [-40, 40], which needs nothing but f.

    Args:
        f: function of a float64 array, convex.
        t: array or number; away from the upper end of the range of f', where rounding hides the maximum.

    Returns:
        float64 of the shape of t; infinite where the largest u is the best.
    """
    t = np.asarray(t, "float64")
    low, high = np.full(t.shape, -MAX_LOG_RATIO), np.full(t.shape, MAX_LOG_RATIO)
    value = lambda v: t * np.exp(v) - f(np.exp(v))
    for _ in range(120):  # a third is cut off each time: of something concave in u, the one with the lower value
        a, b = low + (high - low) / 3, high - (high - low) / 3
        left = value(a) > value(b)
        low, high = np.where(left, low, a), np.where(left, b, high)
    return np.where(low > MAX_LOG_RATIO - 1e-6, np.inf, value((low + high) / 2))[()]


class _Slope(keras.Operation):
    """f' by automatic differentiation, entry by entry; an operation, so that it takes symbolic scores too."""

    def __init__(self, f):
        super().__init__()
        self.f = f

    def call(self, u):
        return input_gradient(self.f, u)

    def compute_output_spec(self, u):
        return keras.KerasTensor(u.shape, u.dtype)


def from_f(name, f):
    """A divergence from f alone: v is the log ratio, T = f'(e^v) and -g(T) = f(e^v) - e^v f'(e^v), best v = log u.

        triangular = from_f("triangular", lambda u: ops.square(u - 1) / (u + 1))
        loss = losses(triangular)
        loss_d, loss_g = loss.critic(real, fake_ng), loss.generator(real, fake)

    Args:
        f: function of a tensor u > 0 in `keras.ops`, entry by entry, convex with f(1) = 0.

    Training needs no conjugate; the row's is found numerically. u = 0 is taken for e^-40, and the range is that of
    f' up to e^40. On a backend without float64 the row's numpy functions are as exact as float32.
    """
    slope = _Slope(f)
    u_of = lambda v: ops.exp(-_soft_clip(-_soft_clip(v, 15.0), 15.0))  # u^2 and 1/u^2 have room as well
    on_numpy = lambda function, u: ops.convert_to_numpy(
        function(ops.convert_to_tensor(np.maximum(u, math.exp(-MAX_LOG_RATIO))))
    )
    low, high = on_numpy(slope, np.exp([-MAX_LOG_RATIO, MAX_LOG_RATIO]))
    return Divergence(
        name,
        f=functools.partial(on_numpy, f),
        derivative=functools.partial(on_numpy, slope),
        conjugate=lambda t: numeric_conjugate(functools.partial(on_numpy, f), t),
        t_range=(float(low), float(high)),
        activation=lambda v: slope(u_of(v)),
        negative_conjugate=lambda v: f(u_of(v)) - u_of(v) * slope(u_of(v)),
        optimal_score=np.log,
    )
