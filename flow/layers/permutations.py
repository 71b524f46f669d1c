"""Fixed permutations of the last axis, which mix the halves between couplings."""

import keras
import numpy as np
from keras import ops

from flow.layers.base import PACKAGE, InvertibleLayer, log_det_per_sample


@keras.saving.register_keras_serializable(PACKAGE)
class Reverse(InvertibleLayer):
    """Reverse the last axis: NICE's way to let every dimension change (article 5776)."""

    def _forward(self, x):
        return ops.flip(x, axis=-1), log_det_per_sample(x)

    _inverse = _forward


@keras.saving.register_keras_serializable(PACKAGE)
class Shuffle(InvertibleLayer):
    """Permute the last axis by a fixed random permutation (RealNVP, article 5807), saved with the weights.

    Args:
        seed: int, seed of the permutation. Layers of one flow should have different seeds.
    """

    def __init__(self, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed

    def build(self, input_shape):
        def random_permutation(shape, dtype=None):
            return ops.cast(np.random.default_rng(self.seed).permutation(shape[0]), dtype)

        self.permutation = self.add_weight(
            (input_shape[-1],), random_permutation, dtype="int32", trainable=False, name="order"
        )

    def _forward(self, x):
        return ops.take(x, self.permutation, axis=-1), log_det_per_sample(x)

    def _inverse(self, y):
        return ops.take(y, ops.argsort(self.permutation), axis=-1), log_det_per_sample(y)

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}
