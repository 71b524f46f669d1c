"""Learned linear mixing of channels: Glow's invertible 1x1 convolution (5807), and products of exp(x y^T) (6407)."""

import keras
import numpy as np
from keras import ops

from common.models.inference import also_saved_as
from flow.layers.base import PACKAGE, InvertibleLayer, log_det_per_sample


@also_saved_as("InvertibleDense")
@keras.saving.register_keras_serializable(PACKAGE)
class InvertibleLinear(InvertibleLayer):
    """y = x W over the last axis, W = P L U: Glow's 1x1 convolution on images (arXiv 1807.03039, 3.2).

    L is unit lower triangular, U upper triangular with sign * exp(log_abs) on its diagonal; P and the signs stay fixed,
    so W stays invertible and log |det W| = sum of log_abs. Starts at the LU decomposition of a random orthogonal W.

    Args:
        seed: int; layers of one flow should have different ones.
    """

    def __init__(self, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed

    def build(self, input_shape):
        n = input_shape[-1]
        orthogonal = np.linalg.qr(np.random.default_rng(self.seed).standard_normal((n, n)))[0]
        order, lower, upper = lu(orthogonal)
        diagonal = np.diag(upper)

        def fixed(name, values, dtype=None):
            return self._weight(name, values, dtype, trainable=False)

        # row i of L U is row order[i] of W
        self.permutation = fixed("order", order, "int32")
        self.signs = fixed("signs", np.sign(diagonal))
        self.log_abs = self._weight("log_abs", np.log(np.abs(diagonal)))
        self.lower = self._weight("lower", np.tril(lower, -1))
        self.upper = self._weight("upper", np.triu(upper, 1))
        self.below = np.tril(np.ones((n, n), "float32"), -1)

    def _weight(self, name, values, dtype=None, trainable=True):
        start = lambda shape, dtype=None: ops.convert_to_tensor(values, dtype)
        return self.add_weight(values.shape, start, dtype=dtype, trainable=trainable, name=name)

    def _factors(self):
        below = ops.cast(self.below, self.lower.dtype)
        lower = self.lower * below + ops.eye(len(self.below), dtype=self.lower.dtype)
        upper = self.upper * ops.transpose(below) + ops.diag(self.signs * ops.exp(self.log_abs))
        return ops.convert_to_tensor(lower), ops.convert_to_tensor(upper)

    def matrix(self):
        """W, (n, n)."""
        lower, upper = self._factors()
        return ops.take(ops.matmul(lower, upper), ops.argsort(self.permutation), axis=0)

    def _log_det(self, x):
        return log_det_per_sample(x, self.log_abs)

    def _forward(self, x):
        return ops.matmul(x, ops.cast(self.matrix(), x.dtype)), self._log_det(x)

    def _inverse(self, y):
        # triangular systems are solved in float32 at least: TensorFlow has no half-precision kernel for them
        wide = keras.backend.result_type(self.compute_dtype, "float32")
        lower, upper = (ops.cast(factor, wide) for factor in self._factors())
        identity = ops.eye(len(self.below), dtype=wide)
        inverse = ops.matmul(
            ops.solve_triangular(upper, identity, lower=False), ops.solve_triangular(lower, identity, lower=True)
        )
        inverse = ops.take(inverse, ops.argsort(self.permutation), axis=1)
        return ops.matmul(y, ops.cast(inverse, y.dtype)), -self._log_det(y)

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


def lu(matrix):
    """(order, lower, upper) with matrix[order] = lower @ upper, by elimination with row exchange; numpy."""
    upper, n = np.array(matrix, "float64"), len(matrix)
    order, lower = np.arange(n), np.zeros((n, n))
    for i in range(n):
        pivot = i + np.argmax(np.abs(upper[i:, i]))
        for rows in (upper, lower, order):
            rows[[i, pivot]] = rows[[pivot, i]]
        lower[i + 1 :, i] = upper[i + 1 :, i] / upper[i, i]
        upper[i + 1 :] -= np.outer(lower[i + 1 :, i], upper[i])
    return order, lower + np.eye(n), np.triu(upper)


def phi(s):
    """(e^s - 1) / s with phi(0) = 1, finite in value and gradient up to the overflow of e^s itself."""
    small = ops.abs(s) < 1e-2
    safe = ops.where(small, ops.ones_like(s), s)  # keeps 0/0 out of the gradient of the branch not taken
    series = 1 + s / 2 * (1 + s / 3 * (1 + s / 4 * (1 + s / 5)))
    return ops.where(small, series, ops.expm1(safe) / safe)


def exp_outer(x, y):
    """exp(x y^T) = I + phi(<x, y>) x y^T, with determinant e^<x, y> and inverse exp(-x y^T) (article 6407).

    Args:
        x, y: (..., n).

    Returns:
        Tensor (..., n, n).
    """
    s = ops.sum(x * y, axis=-1)[..., None, None]
    return ops.eye(x.shape[-1], dtype=x.dtype) + phi(s) * (x[..., :, None] * y[..., None, :])


@also_saved_as("ExpMixing")
@keras.saving.register_keras_serializable(PACKAGE)
class ExpRankOneLinear(InvertibleLayer):
    """y = x W over the last axis, W a product of matrices exp(a_i x_i y_i^T), always invertible (article 6407).

    log_det = positions * sum of a_i s_i with s_i = <x_i, y_i>. Only maps of positive determinant can be had. The
    vectors start at random with norms near 1: a mixing that neither stretches nor squeezes much.

    Args:
        terms: int, factors of the product; `None`: half the channels, which makes as many weights as a full matrix.
        bound: float, the exponent a_i s_i is bound tanh(s_i / bound) instead of the article's s_i (a_i = 1), since
            e^s overflows; `None`: the article's.
        seed: int; layers of one flow should have different ones.
    """

    def __init__(self, terms=None, bound=5.0, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.terms, self.bound, self.seed = terms, bound, seed

    def build(self, input_shape):
        n = input_shape[-1]
        terms = self.terms or max(1, n // 2)
        for i, name in enumerate(("x", "y")):
            start = keras.initializers.RandomNormal(stddev=n**-0.5, seed=2 * self.seed + i)
            setattr(self, name, self.add_weight((terms, n), start, name=name))

    def _exponents(self):
        s = ops.sum(self.x * self.y, axis=-1)
        return s if self.bound is None else self.bound * ops.tanh(s / self.bound)

    def _scaled_x(self):
        """a_i x_i; a = tanh(s / bound) / (s / bound), which is 1 at s = 0."""
        if self.bound is None:
            return ops.convert_to_tensor(self.x)
        r = ops.sum(self.x * self.y, axis=-1, keepdims=True) / self.bound
        small = ops.abs(r) < 1e-2
        safe = ops.where(small, ops.ones_like(r), r)
        return self.x * ops.where(small, 1 - r**2 / 3 + 2 * r**4 / 15, ops.tanh(safe) / safe)

    def matrix(self, inverse=False):
        """W, (n, n), or its inverse: the factors exp(-a_i x_i y_i^T) in reverse order."""
        x, y = self._scaled_x(), ops.convert_to_tensor(self.y)
        factors = exp_outer(ops.flip(-x, axis=0), ops.flip(y, axis=0)) if inverse else exp_outer(x, y)
        while (count := factors.shape[0]) > 1:  # neighbours first: log2(terms) batched products
            pairs = ops.matmul(factors[0 : count - 1 : 2], factors[1::2])
            factors = ops.concatenate([pairs, factors[-1:]]) if count % 2 else pairs
        return factors[0]

    def _log_det(self, x):
        return log_det_per_sample(x, self._exponents())

    def _forward(self, x):
        return ops.matmul(x, ops.cast(self.matrix(), x.dtype)), self._log_det(x)

    def _inverse(self, y):
        return ops.matmul(y, ops.cast(self.matrix(inverse=True), y.dtype)), -self._log_det(y)

    def get_config(self):
        return {**super().get_config(), "terms": self.terms, "bound": self.bound, "seed": self.seed}
