"""The layer that draws the words of negative sampling."""

import keras
import numpy as np
from keras import ops

from common import backend


class NoiseWords(keras.layers.Layer):
    """Layer that draws k words, independent of its input, for each row of it.

    It owns its random state as a variable, so that a checkpoint can store it. Under several replicas, each takes its
    own rows of one common draw.

    Args:
        probabilities: (n,), of the words.
        k: int, draws for each row.
        seed: int, seed of the layer's random stream.

    Output shape: `(batch, k)`, int32.
    """

    def __init__(self, probabilities, k, seed=0, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.k, self.last = k, len(probabilities) - 1
        self.cumulative = np.cumsum(probabilities).astype("float32")
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, x):
        batch = ops.shape(x)[0]
        draws = backend.rows_of_replica(lambda n: keras.random.uniform((n, self.k), seed=self.seed_generator), batch)
        # the word whose stretch of [0, 1] the number lies in; the last sum may be a little below 1
        words = ops.searchsorted(self.cumulative, ops.reshape(draws, (-1,)), side="right")
        return ops.reshape(ops.minimum(ops.cast(words, "int32"), self.last), (batch, self.k))

    def compute_output_spec(self, x):
        return keras.KerasTensor((x.shape[0], self.k), dtype="int32")
