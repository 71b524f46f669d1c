"""Layers of the semi-supervised classifier of Improved Techniques (arXiv 1606.03498): weight norm, labelled batches."""

import keras
from keras import ops

from common import backend
from common.models.layers import PACKAGE


@keras.saving.register_keras_serializable(PACKAGE)
class WeightNormDense(keras.layers.Layer):
    """Dense layer with weight normalisation: y = activation(x v g/||v|| + b), per unit (arXiv 1602.07868).

    Args:
        units: int.
        activation: name of an activation (default none).
        train_scale: bool, train g. By default g keeps the value of `initialize_from_data`, as in Improved Techniques.
    """

    def __init__(self, units, activation=None, train_scale=False, **kwargs):
        super().__init__(**kwargs)
        self.units, self.train_scale = units, train_scale
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        normal = keras.initializers.RandomNormal(stddev=0.1)
        self.direction = self.add_weight(name="direction", shape=(input_shape[-1], self.units), initializer=normal)
        self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")
        self.scale = self.add_weight(name="scale", shape=(self.units,), initializer="ones", trainable=self.train_scale)

    def linear(self, x):
        """Return x v g/||v||, (batch, units)."""
        norm = ops.sqrt(ops.sum(ops.square(self.direction), axis=0))
        return ops.matmul(x, self.direction) * (self.scale / norm)

    def call(self, x):
        return self.activation(self.linear(x) + self.bias)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        activation = keras.activations.serialize(self.activation)
        return {**super().get_config(), "units": self.units, "activation": activation, "train_scale": self.train_scale}


def initialize_from_data(network, x):
    """Set g and b of each `WeightNormDense`: before the activation, a batch then has the mean 0 and the variance 1.

    Args:
        network: model that is a chain of layers, with one input. Noise is on, as in training.
        x: array (batch, ...).
    """
    for layer in network.layers[1:]:
        if isinstance(layer, WeightNormDense):
            h = ops.convert_to_numpy(layer.linear(x))
            std = h.std(0)
            layer.scale.assign(layer.scale / std)
            layer.bias.assign(-h.mean(0) / std)
        x = layer(x, training=True) if isinstance(layer, keras.layers.GaussianNoise) else layer(x)


@keras.saving.register_keras_serializable(PACKAGE)
class LabelledBatch(keras.layers.Layer):
    """Layer that draws labelled images from a small set, one for each row of its input.

    Args:
        images: float array (n, ...).
        labels: int array (n,).
        seed: int, seed of the layer's random stream.

    Returns:
        Tuple (images (batch, ...), labels (batch,)), drawn with replacement.
    """

    def __init__(self, images, labels, seed=0, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.images, self.labels = images, labels
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, x):
        draw = lambda n: keras.random.randint((n,), 0, len(self.labels), seed=self.seed_generator)
        rows = backend.rows_of_replica(draw, ops.shape(x)[0])
        return ops.take(ops.convert_to_tensor(self.images), rows, axis=0), ops.take(
            ops.convert_to_tensor(self.labels), rows, axis=0
        )

    def compute_output_spec(self, x):
        batch = x.shape[:1]
        images = keras.KerasTensor((*batch, *self.images.shape[1:]), "float32")
        return images, keras.KerasTensor(batch, "int32")
