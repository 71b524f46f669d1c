"""Invertible layers with nothing to learn: they change shapes and ranges (articles 5776 and 5807)."""

import math

import keras
from keras import ops

from flow.layers.base import PACKAGE, InvertibleLayer, log_det_per_sample


@keras.saving.register_keras_serializable(PACKAGE)
class Squeeze(InvertibleLayer):
    """Turn images h x w x c into h/f x w/f x f^2 c: each f x f block of pixels becomes channels (article 5807).

    The pixel (dy, dx) of a block goes to the channels (dy * f + dx) * c + ch.

    Args:
        factor: int, side f of a block.

    Raises:
        ValueError: when built, if the input is no batch of images or if f does not divide height and width.
    """

    def __init__(self, factor=2, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, input_shape):
        self.transformed_shape(input_shape)  # raises if the shape does not fit

    def transformed_shape(self, shape):
        f = self.factor
        if len(shape) != 4 or shape[1] % f or shape[2] % f:
            raise ValueError(f"Squeeze({f}) needs images whose height and width divide by {f}. Received: shape {shape}")
        return (shape[0], shape[1] // f, shape[2] // f, f * f * shape[3])

    def _forward(self, x):
        f, (_, h, w, c) = self.factor, x.shape
        y = ops.transpose(ops.reshape(x, (-1, h // f, f, w // f, f, c)), (0, 1, 3, 2, 4, 5))
        return ops.reshape(y, (-1, h // f, w // f, f * f * c)), log_det_per_sample(x)

    def _inverse(self, y):
        f, (_, h, w, c) = self.factor, y.shape
        x = ops.transpose(ops.reshape(y, (-1, h, w, f, f, c // f**2)), (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (-1, h * f, w * f, c // f**2)), log_det_per_sample(y)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable(PACKAGE)
class Flatten(InvertibleLayer):
    """Flatten (batch, ...) to (batch, n); the inverse restores the shape."""

    def build(self, input_shape):
        self.shape = tuple(input_shape[1:])

    def transformed_shape(self, shape):
        return (shape[0], math.prod(shape[1:]))

    def _forward(self, x):
        return ops.reshape(x, (-1, math.prod(self.shape))), log_det_per_sample(x)

    def _inverse(self, y):
        return ops.reshape(y, (-1, *self.shape)), log_det_per_sample(y)


@keras.saving.register_keras_serializable(PACKAGE)
class Rescale(InvertibleLayer):
    """Rescale by fixed numbers, y = scale x + offset: from pixels in [0, 1] to the range that a script trains on.

    Args:
        scale: float, positive.
        offset: float.

    Raises:
        ValueError: if `scale` is not positive.
    """

    def __init__(self, scale=1.0, offset=0.0, **kwargs):
        super().__init__(**kwargs)
        if not scale > 0:
            raise ValueError(f"scale must be positive. Received: scale={scale}")
        self.scale, self.offset = scale, offset

    def _log_det(self, x):
        return log_det_per_sample(x) + math.prod(x.shape[1:]) * math.log(self.scale)

    def _forward(self, x):
        return self.scale * x + self.offset, self._log_det(x)

    def _inverse(self, y):
        return (y - self.offset) / self.scale, -self._log_det(y)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale, "offset": self.offset}


@keras.saving.register_keras_serializable(PACKAGE)
class Logit(InvertibleLayer):
    """Map pixels from [0, 1] to the real line: y = logit(alpha + (1 - 2 alpha) x) (RealNVP, arXiv 1605.08803, 4.1).

    Args:
        alpha: float between 0 and .5. It keeps y finite: |y| <= logit(1 - alpha).

    Raises:
        ValueError: if `alpha` is not between 0 and .5.
    """

    def __init__(self, alpha=0.05, **kwargs):
        super().__init__(**kwargs)
        if not 0 < alpha < 0.5:
            raise ValueError(f"alpha must lie between 0 and .5. Received: alpha={alpha}")
        self.alpha = alpha

    def _log_det(self, y):
        return log_det_per_sample(y, ops.softplus(y) + ops.softplus(-y) + math.log(1 - 2 * self.alpha))

    def _forward(self, x):
        inside = self.alpha + (1 - 2 * self.alpha) * x
        y = ops.log(inside) - ops.log1p(-inside)
        return y, self._log_det(y)

    def _inverse(self, y):
        return (ops.sigmoid(y) - self.alpha) / (1 - 2 * self.alpha), -self._log_det(y)

    def get_config(self):
        return {**super().get_config(), "alpha": self.alpha}
