"""Penalties on the critic's gradient, and the layers that bring this gradient into the graph of a model.

    real, squared_norm = ScoreAndSquaredGradientNorm(critic)(x)  # D(x) and ||grad D(x)||^2 at every real sample
    loss = ... + zero_centred_penalty(squared_norm)  # R1

Gradients are per sample, so the critic must not mix samples (no batch normalisation). The author's scripts have batch
normalisation; the gradient of one sample's score then includes the other samples' scores. The penalties of LeCam and
CT-GAN, on the scores themselves, are here too.
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
        return self._score_and_norm(x)[1]

    def _score_and_norm(self, x):
        score, gradient = backend.score_and_input_gradient(self.critic, x)
        gradient = ops.cast(gradient, "float32")
        return score, ops.sum(ops.square(gradient), axis=tuple(range(1, len(gradient.shape))))

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape[:1], "float32")

    def get_config(self):
        return {**super().get_config(), "critic": keras.saving.serialize_keras_object(self.critic)}

    @classmethod
    def from_config(cls, config):
        """Return the layer that `get_config` describes."""
        return cls(keras.saving.deserialize_keras_object(config.pop("critic")), **config)


@keras.saving.register_keras_serializable("kexue")
class ScoreAndSquaredGradientNorm(SquaredGradientNorm):
    """Layer that returns critic(x) and ||grad_x critic(x)||^2 of each sample.

    One pass of the critic serves both. A critic that is called beside a `SquaredGradientNorm` computes its scores
    twice, and the gradient of its weights too.

    Args:
        critic: built model or layer, (batch, ...) -> (batch, 1).

    Output shape: `(batch, 1)` and `(batch,)`.
    """

    def call(self, x):
        return self._score_and_norm(x)

    def compute_output_spec(self, x):
        return self.critic.compute_output_spec(x), super().compute_output_spec(x)


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
        ones = [1] * (len(x.shape) - 1)
        uniform = lambda n: keras.random.uniform((n, *ones), dtype=self.compute_dtype, seed=self.seed_generator)
        u = backend.rows_of_replica(uniform, ops.shape(x)[0])
        return u * x + (1 - u) * y

    def compute_output_shape(self, x_shape, y_shape):
        return x_shape

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable("kexue")
class RandomNeighbour(keras.layers.Layer):
    """Layer that returns x + u v std(x) / 2 with fresh u, v ~ U(0, 1), a point near each sample (arXiv 1705.07215).

    There is one u for each sample and one v for each of its entries. std(x) is one number, over the whole batch. The
    paper adds normal noise; this is the form of its authors' code.

    Args:
        seed: int, seed of the layer's random stream (default 0).
    """

    def __init__(self, seed=0, dtype=None, **kwargs):
        super().__init__(dtype=full_precision(dtype), **kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, x):
        def uniform(shape):
            draw = lambda n: keras.random.uniform((n, *shape), dtype=self.compute_dtype, seed=self.seed_generator)
            return backend.rows_of_replica(draw, ops.shape(x)[0])

        entries = x.shape[1:]
        return x + uniform([1] * len(entries)) * uniform(entries) * ops.std(x) / 2

    def compute_output_shape(self, x_shape):
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


# Factors of Roth's penalty at a score t, (batch, 1): with p = sigmoid(t), the square of the probability of a mistake
ROTH = {"real": lambda t: ops.square(ops.sigmoid(-t)), "fake": lambda t: ops.square(ops.sigmoid(t))}


def lecam_penalty(real, fake, mean_real, mean_fake, weight=0.3):
    """Return weight [max(0, real - mean_fake)^2 + max(0, mean_real - fake)^2] of raw scores (LeCam, arXiv 2104.03310).

    The means are moving averages of both kinds of score. So a critic that pulls the scores of real samples and fakes
    apart is held back. The paper has no max; its authors' code has.

    Args:
        real: scores of real samples, (batch, 1).
        fake: scores of fakes, (batch, 1).
        mean_real: moving average of the real scores, a scalar without gradient.
        mean_fake: moving average of the fake scores, a scalar without gradient.
        weight: float.

    Returns:
        Tensor (batch,).
    """
    penalty = ops.square(ops.relu(real - mean_fake)) + ops.square(ops.relu(mean_real - fake))
    return weight * ops.squeeze(penalty, -1)


def consistency_penalty(score, other_score, features, other_features, weight=2.0):
    """Return weight [(D(x') - D(x''))^2 + 0.1 mean (h(x') - h(x''))^2], the consistency term of CT-GAN.

    x' and x'' are two passes of the same real samples through a critic with dropout, h its last hidden layer
    (arXiv 1803.01541). The paper subtracts a margin M' and takes the positive part; here M' = 0.

    Args:
        score: D(x'), (batch, 1).
        other_score: D(x''), (batch, 1).
        features: h(x'), (batch, n).
        other_features: h(x''), (batch, n).
        weight: float, the paper's lambda_2 (default 2).

    Returns:
        Tensor (batch,).
    """
    # float32: the square of a feature of 256 overflows float16
    score, other_score, features, other_features = (
        ops.cast(x, "float32") for x in (score, other_score, features, other_features)
    )
    scores = ops.squeeze(ops.square(score - other_score), -1)
    return weight * (scores + 0.1 * ops.mean(ops.square(features - other_features), -1))


@keras.saving.register_keras_serializable("kexue")
class MovingMean(keras.layers.Layer):
    """Layer that returns the moving average of the mean of its input, a scalar without gradient.

    After n calls in training it is the weighted mean of the n means, with weights momentum^(n - 1), ..., momentum, 1.
    Other calls leave it as it is.

    Args:
        momentum: float (default 0.99).
    """

    def __init__(self, momentum=0.99, dtype=None, **kwargs):
        super().__init__(dtype=full_precision(dtype), **kwargs)
        self.momentum = momentum
        self.total = self.add_weight(shape=(), initializer="zeros", trainable=False, name="total")
        self.mass = self.add_weight(shape=(), initializer="zeros", trainable=False, name="mass")

    def call(self, x, training=None):
        if training:
            keep = self.momentum
            self.total.assign(keep * self.total + (1 - keep) * ops.stop_gradient(ops.mean(x)))
            self.mass.assign(keep * self.mass + (1 - keep))
        return self.total / ops.maximum(self.mass, 1e-12)

    def compute_output_spec(self, x, training=None):
        return keras.KerasTensor((), self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum}


@dataclass(frozen=True)
class Penalty:
    """A penalty on the critic: its formula and the samples at which it is evaluated.

    Args:
        evaluated_at: tuple of "real", "fake", "between" (random interpolations of the two) and "near" (random
            neighbours of real samples). The penalties at all of them are added. Empty for `lecam_penalty`, which is one
            of scores.
        penalty_fn: function (squared_norm, weight) -> penalty per sample.
        weight: float, the published weight; for R1 and R2, whose papers choose one for each data set, 1. The right ones
            of R1, R2 and LeCam depend on the data.
        score_factors: dict from such a sample to a function of its score, which multiplies the penalty there.
    """

    evaluated_at: tuple[str, ...]
    penalty_fn: Callable
    weight: float
    score_factors: dict[str, Callable] | None = None


PENALTIES = {
    "gp": Penalty(("between",), gradient_penalty, 10.0),
    "gp_linear": Penalty(("between",), linear_gradient_penalty, 10.0),
    "div": Penalty(("real", "fake"), wgan_div_penalty, 2.0),
    "r1": Penalty(("real",), zero_centred_penalty, 1.0),
    "r1_r2": Penalty(("real", "fake"), zero_centred_penalty, 1.0),
    "dragan": Penalty(("near",), gradient_penalty, 10.0),
    "roth": Penalty(("real", "fake"), zero_centred_penalty, 0.1, ROTH),  # of SGAN (arXiv 1705.09367)
    "lecam": Penalty((), lecam_penalty, 0.3),
}
