"""Invertible layers of NICE, RealNVP and Glow (articles 5776 and 5807).

Every layer keeps one contract, on flat vectors and on images alike:

    y, log_det = layer(x)            # log_det: (batch,), log |det dy/dx|, in nats
    x, log_det = layer.inverse(y)    # the same weights; log_det of this map, so minus the one above

(The author's layers keep -log_det, as a contribution to the loss, and average it over the batch.)
"""

import keras
import numpy as np
from keras import ops

from flow.layers.base import PACKAGE, InvertibleLayer, log_det_per_sample


class Coupling(InvertibleLayer):
    """What couplings share: the two parts, and the network that looks at the first one.

    Args:
        net: Keras layer or model.
        split: "halves" or "interleaved" (even and odd positions) of the last axis; "checkerboard" (images): part 1 is
            where row + column is even, the net sees the image with part 2 zeroed and answers for the whole image.
        swap: bool, part 2 is kept and part 1 changed.
    """

    params_per_dim = 1  # of the net, per entry of the part that changes

    def __init__(self, net, split="halves", swap=False, **kwargs):
        super().__init__(**kwargs)
        if split not in ("halves", "interleaved", "checkerboard"):
            raise ValueError(f"split must be 'halves', 'interleaved' or 'checkerboard'. Received: split={split!r}")
        self.net, self.split, self.swap = net, split, swap

    def build(self, input_shape):
        shape = tuple(input_shape)
        part = shape
        self.mask = None
        if self.split == "checkerboard":
            if len(shape) != 4:
                raise ValueError(f"A checkerboard needs images (batch, h, w, c). Received: shape {shape}")
            self.mask = (np.add.outer(np.arange(shape[1]), np.arange(shape[2])) % 2 == self.swap)[..., None]
        elif shape[-1] % 2:
            raise ValueError(f"A coupling halves the last axis, which must be even. Received: shape {shape}")
        else:
            part = (*shape[:-1], shape[-1] // 2)
        if not self.net.built:
            self.net.build(part)
        output_shape = tuple(self.net.compute_output_shape(part))
        wanted = (*part[:-1], self.params_per_dim * part[-1])
        if output_shape[1:] != wanted[1:]:
            raise ValueError(f"The net of this coupling must turn {part} into {wanted}. Received: shape {output_shape}")

    def split_input(self, x):
        """(kept, changed); on a checkerboard both have the shape of x, with zeros in the places of the other."""
        if self.split == "checkerboard":
            mask = ops.cast(self.mask, x.dtype)
            return x * mask, x * (1 - mask)
        a, b = ops.split(x, 2, axis=-1) if self.split == "halves" else (x[..., 0::2], x[..., 1::2])
        return (b, a) if self.swap else (a, b)

    def merge(self, kept, changed):
        if self.split == "checkerboard":
            return kept + changed
        a, b = (changed, kept) if self.swap else (kept, changed)
        if self.split == "halves":
            return ops.concatenate([a, b], axis=-1)
        return ops.reshape(ops.stack([a, b], axis=-1), (-1, *a.shape[1:-1], 2 * a.shape[-1]))

    def mask_unchanged(self, answer):
        """An answer of the net where it is used: on a checkerboard, not in the places of the part that is kept."""
        return answer * ops.cast(~self.mask, answer.dtype) if self.split == "checkerboard" else answer

    def get_config(self):
        net = keras.saving.serialize_keras_object(self.net)
        return {**super().get_config(), "net": net, "split": self.split, "swap": self.swap}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "net": keras.saving.deserialize_keras_object(config["net"])})


@keras.saving.register_keras_serializable(PACKAGE)
class AdditiveCoupling(Coupling):
    """y1 = x1, y2 = x2 + net(x1) (article 5776, eq. 7); log_det = 0. See `Coupling`."""

    def _forward(self, x):
        kept, changed = self.split_input(x)
        return self.merge(kept, changed + self.mask_unchanged(self.net(kept))), log_det_per_sample(x)

    def _inverse(self, y):
        kept, changed = self.split_input(y)
        return self.merge(kept, changed - self.mask_unchanged(self.net(kept))), log_det_per_sample(y)


@keras.saving.register_keras_serializable(PACKAGE)
class AffineCoupling(Coupling):
    """y1 = x1, y2 = exp(log_s(x1)) x2 + t(x1); log_det = sum of log_s (article 5807). See `Coupling`.

    The net has twice the last axis of the part that changes: log_s, then t.

    Args:
        bound: float, log_s = bound tanh(raw / bound), so that one layer cannot blow up; `None`: as the net says.
    """

    params_per_dim = 2

    def __init__(self, net, split="halves", swap=False, bound=None, **kwargs):
        super().__init__(net, split, swap, **kwargs)
        self.bound = bound

    def _scale_and_shift(self, kept):
        log_scale, shift = ops.split(self.net(kept), 2, axis=-1)
        if self.bound:
            log_scale = self.bound * ops.tanh(log_scale / self.bound)
        return self.mask_unchanged(log_scale), self.mask_unchanged(shift)

    def _forward(self, x):
        kept, changed = self.split_input(x)
        log_scale, shift = self._scale_and_shift(kept)
        return self.merge(kept, ops.exp(log_scale) * changed + shift), log_det_per_sample(log_scale, log_scale)

    def _inverse(self, y):
        kept, changed = self.split_input(y)
        log_scale, shift = self._scale_and_shift(kept)
        return self.merge(kept, ops.exp(-log_scale) * (changed - shift)), -log_det_per_sample(log_scale, log_scale)

    def get_config(self):
        return {**super().get_config(), "bound": self.bound}
