"""Coupling layers of NICE, RealNVP and Glow (articles 5776 and 5807).

A coupling splits its input into x1 and x2, keeps x1 and changes x2 by what a network computes from x1. So it is easy to
invert, and its Jacobian is triangular, whatever the network is.
"""

import keras
import numpy as np
from keras import ops

from flow.layers.base import PACKAGE, InvertibleLayer, log_det_per_sample


class Coupling(InvertibleLayer):
    """Base class of the couplings: the split into x1 and x2, and the network that reads x1.

    Args:
        net: Keras layer or model. It maps x1 to `params_per_dim` times as many channels as x2 has.
        split: "halves" or "interleaved" (even and odd positions) of the last axis, or "checkerboard" (images). On a
            checkerboard, x1 is where row + column is even. The net sees the whole image with zeros in place of x2, and
            only its output at the positions of x2 is used.
        swap: bool. If `True`, x1 and x2 change places: the first part changes and the second is kept.

    Raises:
        ValueError: if `split` is unknown or, when built, if the input or the output of the net has a wrong shape.
    """

    params_per_dim = 1  # outputs of the net per entry of x2

    def __init__(self, net, split="halves", swap=False, **kwargs):
        super().__init__(**kwargs)
        if split not in ("halves", "interleaved", "checkerboard"):
            raise ValueError(f"split must be 'halves', 'interleaved' or 'checkerboard'. Received: split={split!r}")
        self.net, self.split, self.swap = net, split, swap

    def build(self, input_shape):
        shape = tuple(input_shape)
        part_shape = shape
        self.mask = None  # on a checkerboard: True at the positions of x1
        if self.split == "checkerboard":
            if len(shape) != 4:
                raise ValueError(f"A checkerboard needs images (batch, h, w, c). Received: shape {shape}")
            parity = np.add.outer(np.arange(shape[1]), np.arange(shape[2])) % 2  # of row + column
            self.mask = (parity == self.swap)[..., None]
        elif shape[-1] % 2:
            raise ValueError(f"A coupling halves the last axis, which must be even. Received: shape {shape}")
        else:
            part_shape = (*shape[:-1], shape[-1] // 2)
        if not self.net.built:
            self.net.build(part_shape)
        output_shape = tuple(self.net.compute_output_shape(part_shape))
        expected = (*part_shape[:-1], self.params_per_dim * part_shape[-1])
        if output_shape[1:] != expected[1:]:
            raise ValueError(
                f"The net of this coupling must map {part_shape} to {expected}. Received: output shape {output_shape}"
            )

    def split_input(self, x):
        """Return (x1, x2). On a checkerboard both have the shape of x, with zeros at the positions of the other."""
        if self.split == "checkerboard":
            mask = ops.cast(self.mask, x.dtype)
            return x * mask, x * (1 - mask)
        first, second = ops.split(x, 2, axis=-1) if self.split == "halves" else (x[..., 0::2], x[..., 1::2])
        return (second, first) if self.swap else (first, second)

    def merge(self, x1, x2):
        """Return x of the two parts that `split_input` returns."""
        if self.split == "checkerboard":
            return x1 + x2
        first, second = (x2, x1) if self.swap else (x1, x2)
        if self.split == "halves":
            return ops.concatenate([first, second], axis=-1)
        pairs = ops.stack([first, second], axis=-1)
        return ops.reshape(pairs, (-1, *first.shape[1:-1], 2 * first.shape[-1]))

    def _net_output(self, x1):
        """Return net(x1) in the precision of x1, with zeros at the unchanged positions of a checkerboard."""
        return self._at_x2(ops.cast(self.net(x1), x1.dtype))

    def _at_x2(self, tensor):
        """Return the tensor with zeros at the positions of x1 on a checkerboard. Otherwise x2 has its own tensor."""
        return tensor * ops.cast(~self.mask, tensor.dtype) if self.split == "checkerboard" else tensor

    def get_config(self):
        net = keras.saving.serialize_keras_object(self.net)
        return {**super().get_config(), "net": net, "split": self.split, "swap": self.swap}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "net": keras.saving.deserialize_keras_object(config["net"])})


@keras.saving.register_keras_serializable(PACKAGE)
class AdditiveCoupling(Coupling):
    """NICE's coupling: y1 = x1, y2 = x2 + net(x1), log_det = 0 (article 5776, eq. 7). Args: see `Coupling`."""

    def _forward(self, x):
        x1, x2 = self.split_input(x)
        return self.merge(x1, x2 + self._net_output(x1)), log_det_per_sample(x)

    def _inverse(self, y):
        y1, y2 = self.split_input(y)
        return self.merge(y1, y2 - self._net_output(y1)), log_det_per_sample(y)


@keras.saving.register_keras_serializable(PACKAGE)
class AffineCoupling(Coupling):
    """RealNVP's coupling: y1 = x1, y2 = exp(log_s(x1)) x2 + t(x1), log_det = sum of log_s (article 5807).

    The net returns log_s and t, one after the other along the last axis.

    Args:
        net: see `Coupling`.
        split: see `Coupling`.
        swap: see `Coupling`.
        bound: float, largest |log_s|: log_s = bound tanh(raw / bound), so that one layer cannot blow up. `None`: no
            bound.
    """

    params_per_dim = 2

    def __init__(self, net, split="halves", swap=False, bound=None, **kwargs):
        super().__init__(net, split, swap, **kwargs)
        self.bound = bound

    def _scale_and_shift(self, x1):
        log_scale, shift = ops.split(self._net_output(x1), 2, axis=-1)
        if self.bound:
            log_scale = self.bound * ops.tanh(log_scale / self.bound)
        return log_scale, shift

    def _forward(self, x):
        x1, x2 = self.split_input(x)
        log_scale, shift = self._scale_and_shift(x1)
        return self.merge(x1, ops.exp(log_scale) * x2 + shift), log_det_per_sample(log_scale, log_scale)

    def _inverse(self, y):
        y1, y2 = self.split_input(y)
        log_scale, shift = self._scale_and_shift(y1)
        return self.merge(y1, ops.exp(-log_scale) * (y2 - shift)), -log_det_per_sample(log_scale, log_scale)

    def get_config(self):
        return {**super().get_config(), "bound": self.bound}
