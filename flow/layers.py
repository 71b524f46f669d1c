"""Invertible layers of NICE, RealNVP and Glow (articles 5776 and 5807).

Every layer keeps one contract, on flat vectors and on images alike:

    y, log_det = layer(x)            # log_det: (batch,), log |det dy/dx|, in nats
    x, log_det = layer.inverse(y)    # the same weights; log_det of this map, so minus the one above

(The author's layers keep -log_det, as a contribution to the loss, and average it over the batch.)
"""

import math

import keras
import numpy as np
from keras import ops

PACKAGE = "kexue"


class FlowLayer(keras.layers.Layer):
    """Base of all invertible layers: a subclass gives `_forward(x)` and `_inverse(y)`, both `(tensor, log_det)`."""

    def call(self, x, inverse=False):
        return self._inverse(x) if inverse else self._forward(x)

    def inverse(self, y):
        """(x, log_det) with y = layer(x); works on tensors and on symbolic `keras.Input`s."""
        if not self.built:
            raise ValueError(f"{self.name} has no weights yet: call it forward, or build it, before its inverse")
        return self(y, inverse=True)

    def start(self, x):
        """Data-dependent start: sets what can be set from a batch, and returns the layer's answer to it. Eager."""
        return self(x)[0]

    def shape_after(self, shape):
        """Shape of y for an x of `shape`, both with their batch axis."""
        return tuple(shape)


def per_sample(x, terms=None):
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


@keras.saving.register_keras_serializable(PACKAGE)
class Reverse(FlowLayer):
    """The last axis backwards: NICE's way to let every dimension change."""

    def _forward(self, x):
        return ops.flip(x, axis=-1), per_sample(x)

    _inverse = _forward


@keras.saving.register_keras_serializable(PACKAGE)
class Shuffle(FlowLayer):
    """A fixed random permutation of the last axis (RealNVP), kept with the weights.

    Args:
        seed: int; layers of one flow should have different ones.
    """

    def __init__(self, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed

    def build(self, input_shape):
        def draw(shape, dtype=None):
            return ops.cast(np.random.default_rng(self.seed).permutation(shape[0]), dtype)

        self.order = self.add_weight((input_shape[-1],), draw, dtype="int32", trainable=False, name="order")

    def _forward(self, x):
        return ops.take(x, self.order, axis=-1), per_sample(x)

    def _inverse(self, y):
        return ops.take(y, ops.argsort(self.order), axis=-1), per_sample(y)

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


class Coupling(FlowLayer):
    """What couplings share: the two parts, and the network that looks at the first one.

    Args:
        net: Keras layer or model.
        split: "halves" or "interleaved" (even and odd positions) of the last axis; "checkerboard" (images): part 1 is
            where row + column is even, the net sees the image with part 2 zeroed and answers for the whole image.
        swap: bool, part 2 is kept and part 1 changed.
    """

    outputs = 1  # of the net, per entry of the part that changes

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
        answer = tuple(self.net.compute_output_shape(part))
        wanted = (*part[:-1], self.outputs * part[-1])
        if answer[1:] != wanted[1:]:
            raise ValueError(f"The net of this coupling must turn {part} into {wanted}. Received: shape {answer}")

    def parts(self, x):
        """(kept, changed); on a checkerboard both have the shape of x, with zeros in the places of the other."""
        if self.split == "checkerboard":
            mask = ops.cast(self.mask, x.dtype)
            return x * mask, x * (1 - mask)
        a, b = ops.split(x, 2, axis=-1) if self.split == "halves" else (x[..., 0::2], x[..., 1::2])
        return (b, a) if self.swap else (a, b)

    def join(self, kept, changed):
        if self.split == "checkerboard":
            return kept + changed
        a, b = (changed, kept) if self.swap else (kept, changed)
        if self.split == "halves":
            return ops.concatenate([a, b], axis=-1)
        return ops.reshape(ops.stack([a, b], axis=-1), (-1, *a.shape[1:-1], 2 * a.shape[-1]))

    def used(self, answer):
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
        kept, changed = self.parts(x)
        return self.join(kept, changed + self.used(self.net(kept))), per_sample(x)

    def _inverse(self, y):
        kept, changed = self.parts(y)
        return self.join(kept, changed - self.used(self.net(kept))), per_sample(y)


@keras.saving.register_keras_serializable(PACKAGE)
class AffineCoupling(Coupling):
    """y1 = x1, y2 = exp(log_s(x1)) x2 + t(x1); log_det = sum of log_s (article 5807). See `Coupling`.

    The net has twice the last axis of the part that changes: log_s, then t.

    Args:
        bound: float, log_s = bound tanh(raw / bound), so that one layer cannot blow up; `None`: as the net says.
    """

    outputs = 2

    def __init__(self, net, split="halves", swap=False, bound=None, **kwargs):
        super().__init__(net, split, swap, **kwargs)
        self.bound = bound

    def _scale_and_shift(self, kept):
        log_scale, shift = ops.split(self.net(kept), 2, axis=-1)
        if self.bound:
            log_scale = self.bound * ops.tanh(log_scale / self.bound)
        return self.used(log_scale), self.used(shift)

    def _forward(self, x):
        kept, changed = self.parts(x)
        log_scale, shift = self._scale_and_shift(kept)
        return self.join(kept, ops.exp(log_scale) * changed + shift), per_sample(log_scale, log_scale)

    def _inverse(self, y):
        kept, changed = self.parts(y)
        log_scale, shift = self._scale_and_shift(kept)
        return self.join(kept, ops.exp(-log_scale) * (changed - shift)), -per_sample(log_scale, log_scale)

    def get_config(self):
        return {**super().get_config(), "bound": self.bound}


@keras.saving.register_keras_serializable(PACKAGE)
class Scale(FlowLayer):
    """y = e^k x: NICE's last layer. A large k squeezes a dimension that carries nothing (article 5776)."""

    def __init__(self, initializer="zeros", **kwargs):
        super().__init__(**kwargs)
        self.initializer = keras.initializers.get(initializer)

    def build(self, input_shape):
        # (1, n), so that initialisers that look at the fan see the author's shape
        self.k = self.add_weight((1, input_shape[-1]), self.initializer, name="k")

    def _forward(self, x):
        return ops.exp(self.k[0]) * x, per_sample(x, self.k[0])

    def _inverse(self, y):
        return ops.exp(-self.k[0]) * y, -per_sample(y, self.k[0])

    def get_config(self):
        return {**super().get_config(), "initializer": keras.initializers.serialize(self.initializer)}


@keras.saving.register_keras_serializable(PACKAGE)
class Actnorm(FlowLayer):
    """y = e^log_scale x + bias per channel: NICE's scale and a shift, under Glow's name (article 5807).

    Starts as the identity, as OpenAI's code does; `start(batch)` is the paper's data-dependent start, after which each
    channel of that batch has mean 0 and standard deviation 1.
    """

    def build(self, input_shape):
        self.log_scale = self.add_weight((input_shape[-1],), "zeros", name="log_scale")
        self.bias = self.add_weight((input_shape[-1],), "zeros", name="bias")

    def _forward(self, x):
        return ops.exp(self.log_scale) * x + self.bias, per_sample(x, self.log_scale)

    def _inverse(self, y):
        return ops.exp(-self.log_scale) * (y - self.bias), -per_sample(y, self.log_scale)

    def start(self, x):
        self(x)
        axes = tuple(range(len(x.shape) - 1))
        mean, std = ops.mean(x, axes), ops.std(x, axes)
        std = ops.where(std < 1e-6, ops.ones_like(std), std)  # a constant channel is only centred
        self.log_scale.assign(-ops.log(std))
        self.bias.assign(-mean / std)
        return self(x)[0]


@keras.saving.register_keras_serializable(PACKAGE)
class ConditionalActnorm(FlowLayer):
    """y = e^log_scale x + bias with both computed from another tensor: Glow's conditional prior p(x | condition).

    `layer(x, condition) -> (y, log_det)` and `layer.inverse(y, condition) -> (x, log_det)`. The computation is one
    zero-initialised 3x3 convolution (images) or Dense (vectors): the identity at the start.
    """

    def build(self, x_shape, condition_shape):
        image = len(x_shape) == 4
        how = {"kernel_initializer": "zeros", "dtype": self.dtype_policy, "name": "parameters"}
        make = keras.layers.Conv2D if image else keras.layers.Dense
        self.parameters = make(2 * x_shape[-1], **({"kernel_size": 3, "padding": "same"} if image else {}), **how)
        self.parameters.build(condition_shape)

    def call(self, x, condition, inverse=False):
        log_scale, bias = ops.split(self.parameters(condition), 2, axis=-1)
        if inverse:
            return ops.exp(-log_scale) * (x - bias), -per_sample(x, log_scale)
        return ops.exp(log_scale) * x + bias, per_sample(x, log_scale)

    def inverse(self, y, condition):
        return self(y, condition, inverse=True)
