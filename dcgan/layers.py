"""Layers of the tricks that stabilise a GAN (Improved Techniques, arXiv 1606.03498), and maxout of the first GAN."""

import keras
from keras import ops

from common.models.layers import PACKAGE, full_precision


@keras.saving.register_keras_serializable(PACKAGE)
class MinibatchDiscrimination(keras.layers.Layer):
    """Layer that tells a critic how near each sample is to the others of its batch (minibatch discrimination).

    A tensor T maps the features f(x_i), of length A, to M_i = f(x_i) T in R^{B x C}. The layer appends

        o(x_i)_b = sum_j exp(-||M_{i,b} - M_{j,b}||_1)

    to the features. j = i counts, so o is 1 for a sample that is far from all others, and n if all n are equal. Call
    it on the real and on the fake batch separately. Under several replicas a batch is the part of one replica.

    Args:
        kernels: int, B (default 16).
        kernel_dim: int, C (default 5).

    Input shape: `(batch, A)`.

    Output shape: `(batch, A + B)`.
    """

    def __init__(self, kernels=16, kernel_dim=5, dtype=None, **kwargs):
        super().__init__(dtype=full_precision(dtype), **kwargs)
        self.kernels, self.kernel_dim = kernels, kernel_dim

    def build(self, input_shape):
        # the distances of two samples with features of unit variance are near 1 at first: neither all equal nor all far
        scale = keras.initializers.VarianceScaling(1 / self.kernel_dim**2, "fan_in", "normal")
        self.tensor = self.add_weight(
            name="tensor", shape=(input_shape[-1], self.kernels * self.kernel_dim), initializer=scale
        )

    def call(self, features):
        m = ops.reshape(ops.matmul(features, self.tensor), (-1, self.kernels, self.kernel_dim))
        distances = ops.sum(ops.abs(m[:, None] - m[None]), axis=-1)
        return ops.concatenate([features, ops.sum(ops.exp(-distances), axis=1)], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + self.kernels)

    def get_config(self):
        return {**super().get_config(), "kernels": self.kernels, "kernel_dim": self.kernel_dim}


@keras.saving.register_keras_serializable(PACKAGE)
class HistoricalAverage(keras.layers.Layer):
    """Layer that returns ||w - mean of w over all steps so far||^2 over the weights w of a network.

    The means are state of the layer. They are updated at each call in training, with the weights of that step.

    Args:
        network: built `keras.Model`; its trainable variables are averaged.

    Call arguments: x, a tensor (batch, ...), of which only the batch size is used.

    Returns:
        Tensor (batch,), float32, the same value for each sample.
    """

    def __init__(self, network, **kwargs):
        super().__init__(dtype="float32", autocast=False, **kwargs)
        self.network = network

    def build(self, input_shape):
        self.count = self.add_weight(name="count", shape=(), initializer="zeros", trainable=False)
        self.means = [
            self.add_weight(name=f"mean_{i}", shape=w.shape, initializer="zeros", trainable=False)
            for i, w in enumerate(self.network.trainable_variables)
        ]

    def call(self, x, training=None):
        count = self.count + 1.0 if training else ops.maximum(self.count, 1.0)
        total = 0.0
        for weight, mean in zip(self.network.trainable_variables, self.means, strict=True):
            new_mean = mean + ops.stop_gradient(weight - mean) / count if training else mean
            total = total + ops.sum(ops.square(weight - new_mean))
            if training:
                mean.assign(new_mean)
        if training:
            self.count.assign(count)
        return total * ops.ones((ops.shape(x)[0],))

    def compute_output_shape(self, input_shape):
        return (input_shape[0],)


@keras.saving.register_keras_serializable(PACKAGE)
class PrependReference(keras.layers.Layer):
    """Layer that puts the rows of a fixed reference batch, drawn once from N(0, I), before those of its input.

    Args:
        rows: int, size of the reference batch.
        seed: int, of the reference batch.

    Input shape: `(batch, latent_dim)`.

    Output shape: `(rows + batch, latent_dim)`.
    """

    def __init__(self, rows, seed=0, dtype=None, **kwargs):
        super().__init__(dtype=full_precision(dtype), **kwargs)
        self.rows, self.seed = rows, seed

    def build(self, input_shape):
        normal = keras.initializers.RandomNormal(stddev=1.0, seed=self.seed)
        self.reference = self.add_weight(
            name="reference", shape=(self.rows, input_shape[-1]), initializer=normal, trainable=False
        )

    def call(self, z):
        return ops.concatenate([self.reference, z], axis=0)

    def compute_output_shape(self, input_shape):
        return (None, *input_shape[1:])

    def get_config(self):
        return {**super().get_config(), "rows": self.rows, "seed": self.seed}


@keras.saving.register_keras_serializable(PACKAGE)
class DropReference(keras.layers.Layer):
    """Layer that removes the first rows of its input, those of the reference batch of `PrependReference`.

    Args:
        rows: int, size of the reference batch.
    """

    def __init__(self, rows, **kwargs):
        super().__init__(**kwargs)
        self.rows = rows

    def call(self, x):
        return x[self.rows :]

    def compute_output_shape(self, input_shape):
        return (None, *input_shape[1:])

    def get_config(self):
        return {**super().get_config(), "rows": self.rows}


@keras.saving.register_keras_serializable(PACKAGE)
class VirtualBatchNormalization(keras.layers.Layer):
    """Layer that normalises each sample by the statistics of a fixed reference batch and of the sample itself.

    The first `rows` rows of its input are those of the reference batch, normalised as in batch norm. Any other sample
    counts like one more row: its mean of x and of x^2 are weighted by 1/(rows + 1), those of the reference batch by
    the rest. So a sample does not depend on the other samples, and training and inference are the same.

    Args:
        rows: int, size of the reference batch.
        epsilon: float, added to the variance (default 1e-3, that of batch norm in Keras).

    Input shape: `(rows + batch, ..., channels)`.
    """

    def __init__(self, rows, epsilon=1e-3, dtype=None, **kwargs):
        super().__init__(dtype=full_precision(dtype), **kwargs)
        self.rows, self.epsilon = rows, epsilon

    def build(self, input_shape):
        self.gamma = self.add_weight(name="gamma", shape=input_shape[-1:], initializer="ones")
        self.beta = self.add_weight(name="beta", shape=input_shape[-1:], initializer="zeros")

    def call(self, h, training=None, mask=None):  # the arguments of batch norm, in whose place it is put
        # about the mean of the reference, which changes no variance: E[x^2] - E[x]^2 loses its digits far from 0
        h = h - ops.mean(h[: self.rows], axis=tuple(range(len(h.shape) - 1)), keepdims=True)
        space = tuple(range(1, len(h.shape) - 1))
        of_sample = (
            [ops.mean(x, axis=space, keepdims=True) for x in (h, ops.square(h))] if space else [h, ops.square(h)]
        )
        of_reference = [ops.mean(x[: self.rows], axis=0, keepdims=True) for x in of_sample]
        share = 1 / (self.rows + 1)
        normalise = lambda x, mean, square: (x - mean) * ops.rsqrt(square - ops.square(mean) + self.epsilon)
        first = normalise(h[: self.rows], *of_reference)
        mixed = [share * a[self.rows :] + (1 - share) * b for a, b in zip(of_sample, of_reference, strict=True)]
        rest = normalise(h[self.rows :], *mixed)
        return ops.concatenate([first, rest], axis=0) * self.gamma + self.beta

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "rows": self.rows, "epsilon": self.epsilon}


@keras.saving.register_keras_serializable(PACKAGE)
class Maxout(keras.layers.Layer):
    """Dense layer whose units are the maximum of several linear pieces (arXiv 1302.4389).

    Args:
        units: int.
        pieces: int, linear pieces per unit (default 5, as in the first GAN).
    """

    def __init__(self, units, pieces=5, **kwargs):
        super().__init__(**kwargs)
        self.units, self.pieces = units, pieces
        self.dense = keras.layers.Dense(units * pieces, dtype=self.dtype_policy)

    def build(self, input_shape):
        self.dense.build(input_shape)

    def call(self, x):
        return ops.max(ops.reshape(self.dense(x), (-1, self.units, self.pieces)), axis=-1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units, "pieces": self.pieces}
