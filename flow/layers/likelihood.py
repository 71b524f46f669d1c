"""The likelihood of a flow: priors, dequantisation noise and bits per dimension."""

import math

import keras
from keras import ops

from common import backend
from common.models.layers import full_precision
from flow.layers.base import PACKAGE


def log_normal(z):
    """Return the log density of N(0, I) in nats, (batch,).

    Args:
        z: tensor, (batch, ...); the density is that of all axes but the first together.
    """
    size = math.prod(z.shape[1:])
    return -0.5 * ops.sum(ops.square(z), axis=tuple(range(1, len(z.shape)))) - 0.5 * size * math.log(2 * math.pi)


def log_logistic(z):
    """Return the log density of independent standard logistic variables in nats, (batch,): NICE's prior for digits.

    Args:
        z: tensor, (batch, ...); the density is that of all axes but the first together.
    """
    return -ops.sum(ops.softplus(z) + ops.softplus(-z), axis=tuple(range(1, len(z.shape))))


PRIORS = {"normal": log_normal, "logistic": log_logistic}


def bits_per_dim(log_prob, dims, levels=256):
    """Return the bits that a pixel costs: -log p(x) / (dims ln 2) + log2(levels).

    The second term turns the density into a bound on the probability of the discrete x, whose cell has the volume
    levels^-dims.

    Args:
        log_prob: log density in nats on [0, 1]^dims of the dequantised image (x + u) / levels, u ~ U(0, 1).
        dims: int, number of pixels times channels.
        levels: int, number of values a pixel can take.
    """
    return -log_prob / (dims * math.log(2)) + math.log2(levels)


@keras.saving.register_keras_serializable(PACKAGE)
class UniformNoise(keras.layers.Layer):
    """Add uniform noise: x + u, with u ~ U(low, high) drawn for every entry in every call.

    The layer owns its random state, so a checkpoint holds it. Under several replicas, each takes its own rows of one
    common draw. The sum is float32 under mixed precision too: half precision cannot tell the noise from the pixel.

    Args:
        low: float, lower end of the noise.
        high: float, upper end of the noise.
        training_only: bool. If `True`, x is unchanged outside training, as in the author's scripts.
        seed: int, seed of the random state.
    """

    def __init__(self, low, high, training_only=False, seed=0, dtype=None, **kwargs):
        super().__init__(dtype=full_precision(dtype), **kwargs)
        self.low, self.high, self.training_only, self.seed = low, high, training_only, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, x, training=None):
        if self.training_only and not training:
            return x
        batch, *entries = ops.shape(x)
        draw_kwargs = {"dtype": x.dtype, "seed": self.seed_generator}
        uniform = lambda n: keras.random.uniform((n, *entries), self.low, self.high, **draw_kwargs)
        return x + backend.rows_of_replica(uniform, batch)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = {"low": self.low, "high": self.high, "training_only": self.training_only, "seed": self.seed}
        return {**super().get_config(), **config}
