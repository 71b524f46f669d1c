"""Penalties on the slope of the critic, and the two layers that bring the slope into the graph of a model.

    s = SquaredGradientNorm(critic)(x)             # ||grad D(x)||^2 at every real sample, (batch,)
    loss = ... + r1(s)

The slope is taken sample by sample, so the critic must treat them one by one: no batch norm (the author's files have
it; then the slope of one sample's score is mixed with the others').
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras
from keras import ops

from common import backend

TINY = 1e-9  # under the square root, whose slope at 0 is infinite; the author's value


@keras.saving.register_keras_serializable("kexue")
class SquaredGradientNorm(keras.layers.Layer):
    """||grad_x critic(x)||^2 of each sample, summed over all axes but the first, float32.

    Args:
        critic: model or layer, (batch, ...) -> (batch, 1).

    Output shape: `(batch,)`.
    """

    def __init__(self, critic, **kwargs):
        super().__init__(**kwargs)
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
        return cls(keras.saving.deserialize_keras_object(config.pop("critic")), **config)


@keras.saving.register_keras_serializable("kexue")
class RandomInterpolation(keras.layers.Layer):
    """u x + (1 - u) y with u ~ U(0, 1) drawn afresh for each pair of samples (arXiv 1704.00028).

    Inputs: `x, y`, two tensors of one shape. Owns its random state, as `Latent` does.
    """

    def __init__(self, seed=0, **kwargs):
        super().__init__(**kwargs)
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


# All of squared slopes s = ||grad D||^2, (batch,) -> (batch,), weights included


def gradient_penalty(s, weight=10.0):
    """weight (||grad|| - 1)^2, two-sided (WGAN-GP, arXiv 1704.00028)."""
    return weight * ops.square(ops.sqrt(s + TINY) - 1)


def linear_gradient_penalty(s, weight=10.0):
    """weight max(0, ||grad|| - 1), one-sided and not squared (the author's `mnist_gangp.py`)."""
    return weight * ops.relu(ops.sqrt(s + TINY) - 1)


def wgan_div_penalty(s, weight=2.0, power=6):
    """weight/2 ||grad||^power, the same at real and fake (WGAN-div, arXiv 1712.01026, k = 2 and p = 6)."""
    return weight / 2 * s ** (power // 2)


def zero_centred_penalty(s, weight=1.0):
    """weight/2 ||grad||^2: R1 at real samples, R2 at fakes (arXiv 1801.04406; the pits of 6316)."""
    return weight / 2 * s


@dataclass(frozen=True)
class Penalty:
    """Where the slope is taken, "real", "fake" or "between", and what is made of it.

    Args:
        points: tuple of those names; the penalties of all are added.
        of: function (s, weight) -> penalty per sample.
        weight: float, the published weight; R1's and R2's depend on the data and must be chosen.
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
