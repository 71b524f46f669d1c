"""Scales and shifts per channel: NICE's scale layer (article 5776) and Glow's Actnorm (5807)."""

import keras
from keras import ops

from flow.layers.base import PACKAGE, InvertibleLayer, log_det_per_sample


@keras.saving.register_keras_serializable(PACKAGE)
class Scale(InvertibleLayer):
    """NICE's last layer, y = e^k x with one k per entry of the last axis (article 5776).

    A large k marks a dimension that carries nothing: sampling squeezes it to a standard deviation of e^-k.

    Args:
        initializer: Keras initializer of k.
    """

    def __init__(self, initializer="zeros", **kwargs):
        super().__init__(**kwargs)
        self.initializer = keras.initializers.get(initializer)

    def build(self, input_shape):
        # (1, n), so that initialisers that look at the fan see the author's shape
        self.k = self.add_weight((1, input_shape[-1]), self.initializer, name="k")

    def _forward(self, x):
        return ops.exp(self.k[0]) * x, log_det_per_sample(x, self.k[0])

    def _inverse(self, y):
        return ops.exp(-self.k[0]) * y, -log_det_per_sample(y, self.k[0])

    def get_config(self):
        return {**super().get_config(), "initializer": keras.initializers.serialize(self.initializer)}


@keras.saving.register_keras_serializable(PACKAGE)
class Actnorm(InvertibleLayer):
    """Glow's Actnorm, y = e^log_scale x + bias per channel: NICE's scale and a shift (article 5807).

    It starts as the identity, as in OpenAI's code. `initialize_from_data(batch)` is the paper's start: afterwards each
    channel of that batch has mean 0 and standard deviation 1.
    """

    def build(self, input_shape):
        self.log_scale = self.add_weight((input_shape[-1],), "zeros", name="log_scale")
        self.bias = self.add_weight((input_shape[-1],), "zeros", name="bias")

    def _forward(self, x):
        return ops.exp(self.log_scale) * x + self.bias, log_det_per_sample(x, self.log_scale)

    def _inverse(self, y):
        return ops.exp(-self.log_scale) * (y - self.bias), -log_det_per_sample(y, self.log_scale)

    def initialize_from_data(self, x):
        self(x)
        axes = tuple(range(len(x.shape) - 1))
        mean, std = ops.mean(x, axes), ops.std(x, axes)
        std = ops.where(std < 1e-6, ops.ones_like(std), std)  # a constant channel is only centred
        self.log_scale.assign(-ops.log(std))
        self.bias.assign(-mean / std)
        return self(x)[0]


@keras.saving.register_keras_serializable(PACKAGE)
class ConditionalActnorm(InvertibleLayer):
    """Glow's conditional prior p(x | condition): an Actnorm whose log_scale and bias depend on another tensor.

    `layer(x, condition)` returns (y, log_det), `layer.inverse(y, condition)` returns (x, log_det). One zero-initialised
    layer computes log_scale and bias: a 3x3 convolution for images, a Dense for vectors. So it starts as the identity.
    """

    def build(self, x_shape, condition_shape):
        layer_kwargs = {"kernel_initializer": "zeros", "dtype": self.dtype_policy, "name": "parameters"}
        if len(x_shape) == 4:
            self.parameters = keras.layers.Conv2D(2 * x_shape[-1], 3, padding="same", **layer_kwargs)
        else:
            self.parameters = keras.layers.Dense(2 * x_shape[-1], **layer_kwargs)
        self.parameters.build(condition_shape)

    def call(self, x, condition, inverse=False):
        log_scale, bias = ops.split(self.parameters(condition), 2, axis=-1)
        if inverse:
            return ops.exp(-log_scale) * (x - bias), -log_det_per_sample(x, log_scale)
        return ops.exp(log_scale) * x + bias, log_det_per_sample(x, log_scale)

    def inverse(self, y, condition):
        """Return (x, log_det) with y = layer(x, condition)."""
        return self(y, condition, inverse=True)
