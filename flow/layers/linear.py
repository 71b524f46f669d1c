"""Learned linear maps that mix channels: Glow's invertible 1x1 convolution (5807), products of exp(x y^T) (6407)."""

import keras
import numpy as np
from keras import ops

from common.models.inference import also_saved_as
from flow.layers.base import PACKAGE, InvertibleLayer, log_det_per_sample


@also_saved_as("InvertibleDense")
@keras.saving.register_keras_serializable(PACKAGE)
class InvertibleLinear(InvertibleLayer):
    """Glow's invertible 1x1 convolution: y = x W over the last axis, W = P L U (article 5807; arXiv 1807.03039, 3.2).

    P is a permutation, L is unit lower triangular, U is upper triangular with sign * exp(log_abs) on its diagonal. P
    and the signs stay fixed, so W stays invertible and log |det W| = sum of log_abs. W starts as a random orthogonal
    matrix.

    Args:
        seed: int, seed of the first W. Layers of one flow should have different seeds.
    """

    def __init__(self, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed

    def build(self, input_shape):
        n = input_shape[-1]
        orthogonal = np.linalg.qr(np.random.default_rng(self.seed).standard_normal((n, n)))[0]
        permutation, lower, upper = lu(orthogonal)
        diagonal = np.diag(upper)

        # row i of L U is row permutation[i] of W
        self.permutation = self._weight("order", permutation, "int32", trainable=False)
        self.signs = self._weight("signs", np.sign(diagonal), trainable=False)
        self.log_abs = self._weight("log_abs", np.log(np.abs(diagonal)))
        self.lower = self._weight("lower", np.tril(lower, -1))
        self.upper = self._weight("upper", np.triu(upper, 1))
        self.below_diagonal = np.tril(np.ones((n, n), "float32"), -1)

    def _weight(self, name, values, dtype=None, trainable=True):
        initializer = lambda shape, dtype=None: ops.convert_to_tensor(values, dtype)
        return self.add_weight(values.shape, initializer, dtype=dtype, trainable=trainable, name=name)

    def _factors(self):
        mask = ops.cast(self.below_diagonal, self.lower.dtype)
        lower = self.lower * mask + ops.eye(len(self.below_diagonal), dtype=self.lower.dtype)
        upper = self.upper * ops.transpose(mask) + ops.diag(self.signs * ops.exp(self.log_abs))
        return ops.convert_to_tensor(lower), ops.convert_to_tensor(upper)

    def matrix(self):
        """Return W, (n, n)."""
        lower, upper = self._factors()
        return ops.take(ops.matmul(lower, upper), ops.argsort(self.permutation), axis=0)

    def _log_det(self, x):
        return log_det_per_sample(x, self.log_abs)

    def _forward(self, x):
        return ops.matmul(x, ops.cast(self.matrix(), x.dtype)), self._log_det(x)

    def _inverse(self, y):
        # float32 at least: TensorFlow has no half-precision kernel for triangular systems
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        lower, upper = (ops.cast(factor, dtype) for factor in self._factors())
        identity = ops.eye(len(self.below_diagonal), dtype=dtype)
        inverse_upper = ops.solve_triangular(upper, identity, lower=False)
        inverse_lower = ops.solve_triangular(lower, identity, lower=True)
        inverse = ops.matmul(inverse_upper, inverse_lower)
        inverse = ops.take(inverse, ops.argsort(self.permutation), axis=1)
        return ops.matmul(y, ops.cast(inverse, y.dtype)), -self._log_det(y)

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


def lu(matrix):
    """Return the LU decomposition of a square numpy array, by elimination with row exchange.

    Args:
        matrix: array, (n, n), invertible.

    Returns:
        (permutation, lower, upper), float64 but for the permutation, with matrix[permutation] = lower @ upper.
    """
    upper, n = np.array(matrix, "float64"), len(matrix)
    permutation, lower = np.arange(n), np.zeros((n, n))
    for i in range(n):
        pivot = i + np.argmax(np.abs(upper[i:, i]))
        for rows in (upper, lower, permutation):
            rows[[i, pivot]] = rows[[pivot, i]]
        lower[i + 1 :, i] = upper[i + 1 :, i] / upper[i, i]
        upper[i + 1 :] -= np.outer(lower[i + 1 :, i], upper[i])
    return permutation, lower + np.eye(n), np.triu(upper)


def phi(s):
    """Return (e^s - 1) / s, that is expm1(s) / s, and 1 at s = 0 (article 6407).

    Value and gradient are finite until e^s itself overflows.
    """
    small = ops.abs(s) < 1e-2
    safe = ops.where(small, ops.ones_like(s), s)  # else 0/0 enters the gradient of the branch not taken
    series = 1 + s / 2 * (1 + s / 3 * (1 + s / 4 * (1 + s / 5)))
    return ops.where(small, series, ops.expm1(safe) / safe)


def exp_outer(x, y):
    """Return exp(x y^T) = I + phi(<x, y>) x y^T, with determinant e^<x, y> and inverse exp(-x y^T) (article 6407).

    Args:
        x: tensor, (..., n).
        y: tensor, (..., n).

    Returns:
        Tensor (..., n, n).
    """
    s = ops.sum(x * y, axis=-1)[..., None, None]
    return ops.eye(x.shape[-1], dtype=x.dtype) + phi(s) * (x[..., :, None] * y[..., None, :])


@also_saved_as("ExpMixing")
@keras.saving.register_keras_serializable(PACKAGE)
class ExpRankOneLinear(InvertibleLayer):
    """Linear map y = x W over the last axis, W a product of matrices exp(a_i x_i y_i^T) (article 6407).

    W is always invertible, with log |det W| = sum of a_i s_i, s_i = <x_i, y_i>. Its determinant is always positive. The
    vectors start at random with norms near 1, so W neither stretches nor squeezes much at first.

    Args:
        terms: int, number of factors. `None`: half the channels, which makes as many weights as a full matrix.
        bound: float, largest exponent: a_i s_i = bound tanh(s_i / bound), because e^s overflows. `None`: the article's
            exponent s_i, without a bound (a_i = 1).
        seed: int, seed of the first vectors. Layers of one flow should have different seeds.
    """

    def __init__(self, terms=None, bound=5.0, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.terms, self.bound, self.seed = terms, bound, seed

    def build(self, input_shape):
        n = input_shape[-1]
        terms = self.terms or max(1, n // 2)
        for i, name in enumerate(("x", "y")):
            initializer = keras.initializers.RandomNormal(stddev=n**-0.5, seed=2 * self.seed + i)
            setattr(self, name, self.add_weight((terms, n), initializer, name=name))

    def _exponents(self):
        s = ops.sum(self.x * self.y, axis=-1)
        return s if self.bound is None else self.bound * ops.tanh(s / self.bound)

    def _scaled_x(self):
        """Return a_i x_i, (terms, n), with a_i = tanh(r_i) / r_i and r_i = s_i / bound; a_i = 1 at s_i = 0."""
        if self.bound is None:
            return ops.convert_to_tensor(self.x)
        r = ops.sum(self.x * self.y, axis=-1, keepdims=True) / self.bound
        small = ops.abs(r) < 1e-2
        safe = ops.where(small, ops.ones_like(r), r)  # else 0/0 enters the gradient of the branch not taken
        series = 1 - r**2 / 3 + 2 * r**4 / 15
        return self.x * ops.where(small, series, ops.tanh(safe) / safe)

    def matrix(self, inverse=False):
        """Return W, (n, n), or its inverse: the factors exp(-a_i x_i y_i^T) in reverse order."""
        x, y = self._scaled_x(), ops.convert_to_tensor(self.y)
        if inverse:
            x, y = ops.flip(-x, axis=0), ops.flip(y, axis=0)
        factors = exp_outer(x, y)
        # multiply neighbours in pairs until one matrix is left: log2(terms) batched products
        while (count := factors.shape[0]) > 1:
            products = ops.matmul(factors[0 : count - 1 : 2], factors[1::2])
            factors = ops.concatenate([products, factors[-1:]]) if count % 2 else products
        return factors[0]

    def _log_det(self, x):
        return log_det_per_sample(x, self._exponents())

    def _forward(self, x):
        return ops.matmul(x, ops.cast(self.matrix(), x.dtype)), self._log_det(x)

    def _inverse(self, y):
        return ops.matmul(y, ops.cast(self.matrix(inverse=True), y.dtype)), -self._log_det(y)

    def get_config(self):
        return {**super().get_config(), "terms": self.terms, "bound": self.bound, "seed": self.seed}
