"""From a flow's answer to a likelihood: the prior, the dequantisation, and the units."""

import math

import keras
from keras import ops

from flow.layers.base import PACKAGE


def log_normal(z):
    """Log density of N(0, I), (batch,), in nats: the sum over all axes but the first."""
    size = math.prod(z.shape[1:])
    return -0.5 * ops.sum(ops.square(z), axis=tuple(range(1, len(z.shape)))) - 0.5 * size * math.log(2 * math.pi)


def log_logistic(z):
    """Log density of independent standard logistic variables, (batch,), in nats: NICE's prior for digits."""
    return -ops.sum(ops.softplus(z) + ops.softplus(-z), axis=tuple(range(1, len(z.shape))))


PRIORS = {"normal": log_normal, "logistic": log_logistic}


def bits_per_dim(log_prob, dims, levels=256):
    """Bits that a pixel costs: -log p(x) / (dims ln 2) + log2(levels).

    Args:
        log_prob: log density in nats on [0, 1]^dims of the dequantised image (x + u) / levels, u ~ U(0, 1). The
            second term turns it into a bound on the probability of the discrete x: a cell has volume levels^-dims.
        dims: number of pixels times channels.
        levels: number of values a pixel can take.
    """
    return -log_prob / (dims * math.log(2)) + math.log2(levels)


@keras.saving.register_keras_serializable(PACKAGE)
class UniformNoise(keras.layers.Layer):
    """x + u, u ~ U(low, high) drawn afresh for every entry; the layer owns its random state.

    Args:
        training_only: bool; without it x passes unchanged outside training, as in the author's scripts.
        seed: int.
    """

    def __init__(self, low, high, training_only=False, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.low, self.high, self.training_only, self.seed = low, high, training_only, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, x, training=None):
        if self.training_only and not training:
            return x
        return x + keras.random.uniform(ops.shape(x), self.low, self.high, dtype=x.dtype, seed=self.seed_generator)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        own = {"low": self.low, "high": self.high, "training_only": self.training_only, "seed": self.seed}
        return {**super().get_config(), **own}
