"""The contract of all invertible layers."""

import math

import keras
from keras import ops

PACKAGE = "kexue"


class InvertibleLayer(keras.layers.Layer):
    """Base of all invertible layers: a subclass gives `_forward(x)` and `_inverse(y)`, both `(tensor, log_det)`."""

    def call(self, x, inverse=False):
        return self._inverse(x) if inverse else self._forward(x)

    def inverse(self, y):
        """(x, log_det) with y = layer(x); works on tensors and on symbolic `keras.Input`s."""
        if not self.built:
            raise ValueError(f"{self.name} has no weights yet: call it forward, or build it, before its inverse")
        return self(y, inverse=True)

    def initialize_from_data(self, x):
        """Data-dependent start: sets what can be set from a batch, and returns the layer's answer to it. Eager."""
        return self(x)[0]

    def transformed_shape(self, shape):
        """Shape of y for an x of `shape`, both with their batch axis."""
        return tuple(shape)


def log_det_per_sample(x, terms=None):
    """A log-determinant, (batch,), in float32 or better.

    Args:
        x: what the layer was applied to.
        terms: (batch, ...): summed over all other axes; (n,), one per entry of the last axis: summed, times the
            number of places where the layer acts (1 for vectors, h w for images); `None`: zeros.
    """
    wide = keras.backend.result_type(x.dtype, "float32")
    if terms is not None and len(terms.shape) > 1:
        return ops.sum(ops.cast(terms, wide), axis=tuple(range(1, len(terms.shape))))
    zeros = ops.zeros((ops.shape(x)[0],), dtype=wide)
    if terms is None:
        return zeros
    return zeros + math.prod(x.shape[1:-1]) * ops.sum(ops.cast(terms, wide))
