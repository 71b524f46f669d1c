"""A map of pixels to the real line that makes each of them normal by itself."""

import keras
import numpy as np
from keras import ops

from flow.layers.base import PACKAGE, InvertibleLayer, log_det_per_sample
from flow.layers.likelihood import log_normal

MIN_SHARE = 1e-4  # of all levels together; float32 could not invert a share below 1e-7


@keras.saving.register_keras_serializable(PACKAGE)
class MarginalGaussianization(InvertibleLayer):
    """Map pixels from [0, 1] to y = Phi^-1(alpha + (1 - 2 alpha) F(x)), with the distribution function F of the pixels.

    Phi is that of N(0, 1), so every y has about that density (marginal Gaussianization: Chen and Gopinath, NIPS 2000).
    F is linear between the grey levels. Its shares of them are the softmax of weights, which start equal (F(x) = x).
    `initialize_from_data` sets them to the shares in a batch, and the likelihood changes them with all other weights.
    With `Logit` four fifths of a digit's pixels, those of level 0, get a density that no affine coupling makes normal.

    Args:
        levels: int, number of grey levels of equal width in [0, 1].
        alpha: float between 0 and .5. It keeps y finite: |y| <= Phi^-1(1 - alpha).

    Raises:
        ValueError: if `levels` is below 1, or `alpha` not between 0 and .5.
    """

    def __init__(self, levels=256, alpha=1e-5, **kwargs):
        super().__init__(**kwargs)
        if levels < 1 or not 0 < alpha < 0.5:
            raise ValueError(f"levels must be at least 1 and alpha between 0 and .5. Received: {levels=}, {alpha=}")
        self.levels, self.alpha = levels, alpha

    def build(self, input_shape):
        self.logits = self.add_weight((self.levels,), "zeros", name="logits")

    def _shares(self):
        """Return (share of each level, share of all levels below it), (levels,) each."""
        shares = (1 - MIN_SHARE) * ops.softmax(self.logits) + MIN_SHARE / self.levels
        return shares, ops.concatenate([ops.zeros_like(shares[:1]), ops.cumsum(shares)[:-1]])

    def _log_det(self, y, share):
        """Return log dy/dx summed over the entries: F has the slope levels * share, Phi^-1 that of 1/density(y)."""
        return log_det_per_sample(y, ops.log((1 - 2 * self.alpha) * self.levels * share)) - log_normal(y)

    def _forward(self, x):
        shares, below = self._shares()
        scaled = self.levels * x
        level = ops.cast(ops.clip(ops.floor(scaled), 0, self.levels - 1), "int32")
        share = ops.take(shares, level)
        cdf = ops.take(below, level) + share * (scaled - ops.cast(level, x.dtype))
        y = 2**0.5 * ops.erfinv((1 - 2 * self.alpha) * (2 * cdf - 1))
        return y, self._log_det(y, share)

    def _inverse(self, y):
        shares, below = self._shares()
        cdf = ops.erf(y / 2**0.5) / (2 * (1 - 2 * self.alpha)) + 0.5
        level = ops.clip(ops.searchsorted(below, ops.reshape(cdf, (-1,)), side="right") - 1, 0, self.levels - 1)
        level = ops.reshape(level, ops.shape(y))
        share = ops.take(shares, level)
        part = ops.clip((cdf - ops.take(below, level)) / share, 0, 1)
        x = (ops.cast(level, y.dtype) + part) / self.levels
        return x, -self._log_det(y, share)

    def initialize_from_data(self, x):
        """Set the shares to those of a batch, to which every level adds a hundredth of an equal share."""
        if not self.built:
            self(x)
        level = np.clip(np.floor(self.levels * ops.convert_to_numpy(x)), 0, self.levels - 1).astype(int)
        shares = np.bincount(level.ravel(), minlength=self.levels) / level.size
        self.logits.assign(np.log(shares + 0.01 / self.levels))
        return super().initialize_from_data(x)

    def get_config(self):
        return {**super().get_config(), "levels": self.levels, "alpha": self.alpha}
