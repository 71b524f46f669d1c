"""Penalties on the critic's gradient, and the two layers that bring this gradient into the graph of a model.

    squared_norm = SquaredGradientNorm(critic)(x)  # ||grad D(x)||^2 at every real sample, (batch,)
    loss = ... + zero_centred_penalty(squared_norm)  # R1

Gradients are per sample, so the critic must not mix samples (no batch normalisation). The author's scripts have batch
normalisation; the gradient of one sample's score then includes the other samples' scores.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras
from keras import ops

from common import backend
from common.models.layers import full_precision

# Added under a square root, whose derivative at 0 is infinite. The author's value.
SQUARED_NORM_OFFSET = 1e-9


@keras.saving.register_keras_serializable("kexue")
class SquaredGradientNorm(keras.layers.Layer):
    """Layer that returns ||grad_x critic(x)||^2 of each sample, in float32.

    The sum of squares runs over all axes but the first.

    Args:
        critic: model or layer, (batch, ...) -> (batch, 1).

    Output shape: `(batch,)`.
    """

    def __init__(self, critic, dtype=None, **kwargs):
        super().__init__(dtype=full_precision(dtype), **kwargs)
        self.critic = critic

    def call(self, x):
        gradient = ops.cast(backend.input_gradient(self.critic, x), "float32")
        return ops.sum(ops.square(gradient), axis=tuple(range(1, len(gradient.shape))))

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape[:1], "float32")

    def get_config(self):
        return {**super().get_config(), "critic": keras.saving.serialize_keras_object(self.critic)}

    @classmethod
    def from_config(cls, config):
        """Return the layer that `get_config` describes."""
        return cls(keras.saving.deserialize_keras_object(config.pop("critic")), **config)


@keras.saving.register_keras_serializable("kexue")
class RandomInterpolation(keras.layers.Layer):
    """Layer that returns u x + (1 - u) y with a fresh u ~ U(0, 1) for each pair of samples (arXiv 1704.00028).

    The layer owns its random state, as `common.models.layers.Latent` does.

    Args:
        seed: int, seed of the layer's random stream (default 0).

    Call arguments: `x, y`, two tensors of the same shape.
    """

    def __init__(self, seed=0, dtype=None, **kwargs):
        super().__init__(dtype=full_precision(dtype), **kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, x, y):
        replica, replicas = backend.replica_id_and_count()
        batch = ops.shape(x)[0]
        shape = (batch * replicas, *[1] * (len(x.shape) - 1))
        u = keras.random.uniform(shape, dtype=self.compute_dtype, seed=self.seed_generator)
        if replicas > 1:
            u = u[replica * batch : (replica + 1) * batch]
        return u * x + (1 - u) * y

    def compute_output_shape(self, x_shape, y_shape):
        return x_shape

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


# Penalties as functions of squared_norm = ||grad D||^2, (batch,) -> (batch,), weight included


def gradient_penalty(squared_norm, weight=10.0):
    """Return weight (||grad|| - 1)^2, the two-sided penalty of WGAN-GP (arXiv 1704.00028)."""
    return weight * ops.square(ops.sqrt(squared_norm + SQUARED_NORM_OFFSET) - 1)


def linear_gradient_penalty(squared_norm, weight=10.0):
    """Return weight max(0, ||grad|| - 1), one-sided and not squared (the author's `mnist_gangp.py`)."""
    return weight * ops.relu(ops.sqrt(squared_norm + SQUARED_NORM_OFFSET) - 1)


def wgan_div_penalty(squared_norm, weight=2.0, power=6):
    """Return weight/2 ||grad||^power, the penalty of WGAN-div at real and at fake samples (arXiv 1712.01026).

    Args:
        squared_norm: tensor (batch,), ||grad D||^2.
        weight: float, the paper's k (default 2).
        power: even int, the paper's p (default 6).
    """
    return weight / 2 * squared_norm ** (power // 2)


def zero_centred_penalty(squared_norm, weight=1.0):
    """Return weight/2 ||grad||^2: R1 at real samples, R2 at fakes (arXiv 1801.04406; article 6316)."""
    return weight / 2 * squared_norm


@dataclass(frozen=True)
class Penalty:
    """A gradient penalty: its formula and the samples at which it is evaluated.

    Args:
        evaluated_at: tuple of "real", "fake" and "between" (random interpolations of the two). The penalties at all of
            them are added.
        penalty_fn: function (squared_norm, weight) -> penalty per sample.
        weight: float, the published weight. The right weights of R1 and R2 depend on the data and must be chosen.
    """

    evaluated_at: tuple[str, ...]
    penalty_fn: Callable
    weight: float


PENALTIES = {
    "gp": Penalty(("between",), gradient_penalty, 10.0),
    "gp_linear": Penalty(("between",), linear_gradient_penalty, 10.0),
    "div": Penalty(("real", "fake"), wgan_div_penalty, 2.0),
    "r1": Penalty(("real",), zero_centred_penalty, 1.0),
    "r1_r2": Penalty(("real", "fake"), zero_centred_penalty, 1.0),
}
