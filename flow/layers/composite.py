"""Flows made of flows: one after another, and over several scales (article 5807)."""

import keras
import numpy as np
from keras import ops

from flow.layers.actnorm import ConditionalActnorm
from flow.layers.base import PACKAGE, InvertibleLayer, log_det_per_sample


class _Composed(InvertibleLayer):
    """A flow that holds flows; they are saved with it."""

    argument = "layers"

    def __init__(self, layers, **kwargs):
        super().__init__(**kwargs)
        if not layers:
            raise ValueError(f"{type(self).__name__} needs at least one layer. Received: {layers}")
        self.layers = list(layers)

    def get_config(self):
        layers = [keras.saving.serialize_keras_object(layer) for layer in self.layers]
        return {**super().get_config(), self.argument: layers}

    @classmethod
    def from_config(cls, config):
        layers = [keras.saving.deserialize_keras_object(layer) for layer in config[cls.argument]]
        return cls(**{**config, cls.argument: layers})


def _build(layer, *shapes):
    """Once: a layer that is restored from a file is built before what holds it."""
    if not layer.built:
        layer.build(*shapes)


@keras.saving.register_keras_serializable(PACKAGE)
class Chain(_Composed):
    """The layers in order; their log-determinants add up.

    Args:
        layers: list of `InvertibleLayer`.
    """

    def build(self, input_shape):
        for layer in self.layers:
            _build(layer, input_shape)
            input_shape = layer.transformed_shape(input_shape)

    def transformed_shape(self, shape):
        for layer in self.layers:
            shape = layer.transformed_shape(shape)
        return shape

    def _forward(self, x):
        total = log_det_per_sample(x)
        for layer in self.layers:
            x, log_det = layer(x)
            total = total + log_det
        return x, total

    def _inverse(self, y):
        total = log_det_per_sample(y)
        for layer in reversed(self.layers):
            y, log_det = layer.inverse(y)
            total = total + log_det
        return y, total

    def initialize_from_data(self, x):
        if not self.built:
            self(x)
        for layer in self.layers:
            x = layer.initialize_from_data(x)
        return x


@keras.saving.register_keras_serializable(PACKAGE)
class MultiScale(_Composed):
    """Level after level, each but the last giving half of its channels away.

    After a level the channels are halved; the second half, normalised by a `ConditionalActnorm` of the first, is part
    of the answer, and the first half goes on to the next level: p(z1 | z2) p(z3 | z4) p(z5), with the conditional
    priors written as part of the map. The answer is one vector, (batch, h w c).

    Args:
        levels: list of `InvertibleLayer`, finest first.
    """

    argument = "levels"

    def __init__(self, levels, **kwargs):
        super().__init__(levels, **kwargs)
        self.priors = [ConditionalActnorm(dtype=self.dtype_policy) for _ in levels[1:]]

    def build(self, input_shape):
        shape, self.shapes = tuple(input_shape), []
        for level, prior in zip(self.layers, [*self.priors, None], strict=True):
            _build(level, shape)
            shape = tuple(level.transformed_shape(shape))
            if prior:
                if shape[-1] % 2:
                    raise ValueError(f"MultiScale halves the last axis after a level. Received there: shape {shape}")
                shape = (*shape[:-1], shape[-1] // 2)
                _build(prior, shape, shape)
            self.shapes.append(shape[1:])

    def transformed_shape(self, shape):
        return (shape[0], int(np.prod(shape[1:])))

    def _forward(self, x):
        total, factored_out = log_det_per_sample(x), []
        for level, prior in zip(self.layers, [*self.priors, None], strict=True):
            x, log_det = level(x)
            total = total + log_det
            if prior:
                x, z = ops.split(x, 2, axis=-1)
                z, log_det = prior(z, x)
                total = total + log_det
                factored_out.append(ops.reshape(z, (-1, int(np.prod(z.shape[1:])))))
        factored_out.append(ops.reshape(x, (-1, int(np.prod(x.shape[1:])))))
        return ops.concatenate(factored_out, axis=-1), total

    def _inverse(self, y):
        sizes = [int(np.prod(shape)) for shape in self.shapes]
        cuts = np.cumsum(sizes)[:-1].tolist()
        parts = ops.split(y, cuts, axis=-1) if cuts else [y]
        total, x = log_det_per_sample(y), None
        scales = list(zip(self.layers, [*self.priors, None], parts, self.shapes, strict=True))
        for level, prior, part, shape in reversed(scales):
            part = ops.reshape(part, (-1, *shape))
            if prior:
                part, log_det = prior.inverse(part, x)
                total = total + log_det
                part = ops.concatenate([x, part], axis=-1)
            x, log_det = level.inverse(part)
            total = total + log_det
        return x, total

    def initialize_from_data(self, x):
        self(x)
        h = x
        for level in self.layers:
            h = level.initialize_from_data(h)
            if level is not self.layers[-1]:
                h = ops.split(h, 2, axis=-1)[0]
        return self(x)[0]
