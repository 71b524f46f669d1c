"""Flows made of layers: one after another, and over several scales (article 5807)."""

import keras
import numpy as np
from keras import ops

from flow.layers.actnorm import ConditionalActnorm
from flow.layers.base import PACKAGE, InvertibleLayer, log_det_per_sample


class _Composed(InvertibleLayer):
    """Base class of the flows that hold a list of layers and are saved with them."""

    argument = "layers"  # name of the list among the arguments of __init__

    def __init__(self, layers, **kwargs):
        super().__init__(**kwargs)
        if not layers:
            raise ValueError(f"{type(self).__name__} needs at least one layer. Received: {layers}")
        self.layers = list(layers)

    def compute_output_spec(self, x, inverse=False):
        # all shapes of the size it was built for are known; a pass through the layers of a Glow takes seconds
        given = (x.shape[0], *self.get_build_config()["input_shape"][1:])
        returned = tuple(self.transformed_shape(given))
        if tuple(x.shape) != (returned if inverse else given):
            return super().compute_output_spec(x, inverse=inverse)
        of_float = lambda shape: keras.KerasTensor(shape, dtype=self.compute_dtype)
        return of_float(given if inverse else returned), of_float(x.shape[:1])

    def get_config(self):
        layers = [keras.saving.serialize_keras_object(layer) for layer in self.layers]
        return {**super().get_config(), self.argument: layers}

    @classmethod
    def from_config(cls, config):
        layers = [keras.saving.deserialize_keras_object(layer) for layer in config[cls.argument]]
        return cls(**{**config, cls.argument: layers})


def _build(layer, *shapes):
    """Build a layer unless it is built: on loading, Keras builds the inner layers first."""
    if not layer.built:
        layer.build(*shapes)


@keras.saving.register_keras_serializable(PACKAGE)
class Chain(_Composed):
    """Apply layers in order and add up their log-determinants.

    Args:
        layers: list of `InvertibleLayer`, the first one next to the data.

    Raises:
        ValueError: if the list is empty.
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
    """Glow's multi-scale structure: after every level but the last, half of the channels leave (article 5807).

    The second half of the channels leaves as a part of z, normalised by a `ConditionalActnorm` of the first half. The
    first half goes on to the next level. So the prior is p(z1 | z2) p(z3 | z4) p(z5), and its conditional factors are
    written as part of the map. All parts are concatenated into one vector z, (batch, h w c), finest level first.

    Args:
        levels: list of `InvertibleLayer` for images, finest level first.

    Raises:
        ValueError: if the list is empty or, when built, if a level but the last returns an odd number of channels.
    """

    argument = "levels"

    def __init__(self, levels, **kwargs):
        super().__init__(levels, **kwargs)
        self.priors = [ConditionalActnorm(dtype=self.dtype_policy) for _ in levels[1:]]

    def build(self, input_shape):
        shape = tuple(input_shape)
        self.shapes = []  # of the part of z that each level gives, without the batch axis
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
        split_indices = np.cumsum(sizes)[:-1].tolist()
        parts = ops.split(y, split_indices, axis=-1) if split_indices else [y]
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
