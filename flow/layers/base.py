"""The contract of all invertible layers, on vectors (batch, n) and on images (batch, h, w, c)."""

import math

import keras
from keras import ops

from common.models.layers import full_precision

PACKAGE = "kexue"  # under this name the layers are registered with Keras


class InvertibleLayer(keras.layers.Layer):
    """Base class of all invertible layers: a Keras layer that also has an `inverse`.

    Both directions return the result and its log-determinant, per sample and in nats:

        y, log_det = layer(x)            # log_det: (batch,), log |det dy/dx|
        x, log_det = layer.inverse(y)    # the same weights; log |det dx/dy|, which is minus the one above

    (The author's layers keep -log_det, as a contribution to the loss, and average it over the batch.)

    A subclass defines `_forward(x)` and `_inverse(y)`; both return `(tensor, log_det)`:

        @keras.saving.register_keras_serializable("kexue")
        class Arcsinh(InvertibleLayer):
            def _forward(self, x):
                y = ops.arcsinh(x)
                return y, self._log_det(y)

            def _inverse(self, y):
                return ops.sinh(y), -self._log_det(y)

            def _log_det(self, y):  # dy/dx = 1 / cosh(y), one factor per entry
                return log_det_per_sample(y, -ops.log(ops.cosh(y)))

    Under mixed precision x, y and log_det stay float32; only the nets inside couplings compute in half precision.

    Override what else the layer needs:

    - `build(input_shape)` to make weights, and `get_config()` to save the arguments of `__init__`, as in Keras.
    - `transformed_shape(shape)` if y has another shape than x.
    - `initialize_from_data(x)` if the weights can start from a batch.

    To test a new layer, add one line to `CASES` in `tests/flow/test_layers.py`.
    """

    def __init__(self, dtype=None, **kwargs):
        super().__init__(dtype=full_precision(dtype), **kwargs)

    def call(self, x, inverse=False):
        return self._inverse(x) if inverse else self._forward(x)

    def inverse(self, y):
        """Return (x, log_det) with y = layer(x).

        Args:
            y: tensor or symbolic `keras.Input`, of the shape that the layer returns.

        Raises:
            ValueError: if the layer is not built.
        """
        if not self.built:
            raise ValueError(f"{self.name} has no weights yet: call it forward, or build it, before its inverse")
        return self(y, inverse=True)

    def initialize_from_data(self, x):
        """Set the weights that can start from a batch, and return y for it. Runs eagerly; by default sets nothing.

        Args:
            x: tensor or array, (batch, ...).
        """
        return self(x)[0]

    def transformed_shape(self, shape):
        """Return the shape of y for an x of `shape`, both with their batch axis."""
        return tuple(shape)


def log_det_per_sample(x, terms=None):
    """Return a log-determinant, (batch,), in float32 or the wider dtype of x.

    Args:
        x: tensor that the layer was applied to, (batch, ...).
        terms: what to sum. (batch, ...): one term per entry, summed over all axes but the first. (n,): one term per
            entry of the last axis, summed and multiplied by the number of positions (1 for vectors, h w for images).
            `None`: zeros.
    """
    dtype = keras.backend.result_type(x.dtype, "float32")
    if terms is not None and len(terms.shape) > 1:
        return ops.sum(ops.cast(terms, dtype), axis=tuple(range(1, len(terms.shape))))
    zeros = ops.zeros((ops.shape(x)[0],), dtype=dtype)
    if terms is None:
        return zeros
    positions = math.prod(x.shape[1:-1])
    return zeros + positions * ops.sum(ops.cast(terms, dtype))
