"""Scales and shifts per channel: NICE's scale and Glow's Actnorm."""

import keras
from keras import ops

from flow.layers.base import PACKAGE, InvertibleLayer, log_det_per_sample


@keras.saving.register_keras_serializable(PACKAGE)
class Scale(InvertibleLayer):
    """y = e^k x: NICE's last layer. A large k squeezes a dimension that carries nothing (article 5776)."""

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
    """y = e^log_scale x + bias per channel: NICE's scale and a shift, under Glow's name (article 5807).

    Starts as the identity, as OpenAI's code does; `start(batch)` is the paper's data-dependent start, after which each
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
            return ops.exp(-log_scale) * (x - bias), -log_det_per_sample(x, log_scale)
        return ops.exp(log_scale) * x + bias, log_det_per_sample(x, log_scale)

    def inverse(self, y, condition):
        return self(y, condition, inverse=True)
