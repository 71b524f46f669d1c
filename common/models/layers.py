"""Layers that several articles use."""

import keras
from keras import ops

from common import backend

PACKAGE = "kexue"


def full_precision(dtype=None):
    """Return the precision of noise, likelihoods and gradient norms under a mixed precision policy: float32.

    Args:
        dtype: dtype or dtype policy of a layer (default: the global policy).

    Returns:
        "float32" if `dtype` computes in half precision, else `dtype` as a policy.
    """
    policy = keras.config.dtype_policy() if dtype is None else keras.dtype_policies.get(dtype)
    return "float32" if policy.compute_dtype in ("float16", "bfloat16") else policy


@keras.saving.register_keras_serializable(PACKAGE)
class Latent(keras.layers.Layer):
    """Layer that draws z ~ N(0, I), one row for each row of its input.

    It uses only the batch size of its input. So `fit` needs no second input, and every step draws new latents. The
    layer owns its random state as a variable, so that a checkpoint can store it. Under several replicas, each takes its
    own rows of one common draw. z is float32 under mixed precision too.

    Args:
        latent_dim: int, length of z.
        seed: int, seed of the layer's random stream (default 0).

    Output shape: `(batch, latent_dim)`.

    Raises:
        ValueError: if `latent_dim` is below 1.
    """

    def __init__(self, latent_dim, seed=0, dtype=None, **kwargs):
        super().__init__(dtype=full_precision(dtype), **kwargs)
        if latent_dim < 1:
            raise ValueError(f"latent_dim must be at least 1. Received: latent_dim={latent_dim}")
        self.latent_dim = latent_dim
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, x):
        draw_kwargs = {"dtype": self.compute_dtype, "seed": self.seed_generator}
        normal = lambda n: keras.random.normal((n, self.latent_dim), **draw_kwargs)
        return backend.rows_of_replica(normal, ops.shape(x)[0])

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.latent_dim)

    def get_config(self):
        return {**super().get_config(), "latent_dim": self.latent_dim, "seed": self.seed}


@keras.saving.register_keras_serializable(PACKAGE)
class SelfModulatedBatchNormalization(keras.layers.Layer):
    """Batch normalisation layer whose scale and shift are computed from the generator's latent z.

    out = BN(h) (1 + gamma(z)) + beta(z). BN has neither a scale nor a centre of its own. beta and gamma are each
    Dense(channels)(relu(Dense(hidden_dim)(z))), broadcast over space. Source: the author's O-GAN scripts (6409) and
    arXiv 1810.01365.

    Args:
        hidden_dim: int, units of the hidden layers of beta and gamma.

    Call arguments: `[h, z]`, h `(batch, ..., channels)` and z `(batch, n)`.
    """

    def __init__(self, hidden_dim, **kwargs):
        super().__init__(**kwargs)
        self.hidden_dim = hidden_dim
        self.batch_norm = keras.layers.BatchNormalization(scale=False, center=False, dtype=self.dtype_policy)

    def build(self, input_shape):
        h_shape, z_shape = input_shape
        self.batch_norm.build(h_shape)

        def modulation(name):
            model = keras.Sequential(
                [
                    keras.layers.Dense(self.hidden_dim, activation="relu", dtype=self.dtype_policy),
                    keras.layers.Dense(h_shape[-1], dtype=self.dtype_policy),
                ],
                name=name,
            )
            model.build(z_shape)
            return model

        self.beta, self.gamma = modulation("beta"), modulation("gamma")

    def call(self, inputs, training=None):
        h, z = inputs
        h = self.batch_norm(h, training=training)
        broadcast = (-1,) + (1,) * (len(h.shape) - 2) + (h.shape[-1],)
        return h * (1 + ops.reshape(self.gamma(z), broadcast)) + ops.reshape(self.beta(z), broadcast)

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return {**super().get_config(), "hidden_dim": self.hidden_dim}


@keras.saving.register_keras_serializable(PACKAGE)
class Positions(keras.layers.Layer):
    """Layer that adds a learned vector to each position of its input (batch, length, width)."""

    def build(self, input_shape):
        self.embeddings = self.add_weight(shape=input_shape[1:], initializer="uniform", name="embeddings")

    def call(self, x):
        return x + self.embeddings
