"""Small flows with random weights, and comparisons of their outputs."""

import keras
import numpy as np
from keras import layers, ops

from flow.layers import Actnorm, AdditiveCoupling, Chain, MultiScale, Shuffle, SplineCoupling, Squeeze

# JAX has float64 only if the whole process is set to it
DTYPE, TOLERANCE = ("float32", 1e-3) if keras.backend.backend() == "jax" else ("float64", 1e-9)
VECTOR, IMAGE, TALL = (6,), (2, 4, 4), (8, 4, 1)  # shapes of an example


def random_array(*shape, seed=0, dtype="float32"):
    """Return an array of standard normal numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def assert_close(actual, expected, tolerance=1e-4):
    """Fail unless a tensor and an array agree within an absolute plus relative tolerance."""
    np.testing.assert_allclose(ops.convert_to_numpy(actual), expected, rtol=tolerance, atol=tolerance)


def to_numpy(tensors):
    """Return a list of tensors as numpy arrays."""
    return [ops.convert_to_numpy(tensor) for tensor in tensors]


def make_coupling(cls, shape, split="halves", swap=False, last_layer_kwargs=None, **kwargs):
    """Return a coupling for examples of that shape, whose net looks at neighbouring pixels of images.

    Args:
        cls: `AdditiveCoupling`, `AffineCoupling` or `SplineCoupling`.
        shape: tuple, shape of an example.
        split: see `Coupling`.
        swap: see `Coupling`.
        last_layer_kwargs: dict, further arguments of the last layer of the net.
        **kwargs: further arguments of the coupling.
    """
    part_size = shape[-1] if split == "checkerboard" else shape[-1] // 2
    params_per_dim = 3 * kwargs["bins"] - 1 if cls is SplineCoupling else cls.params_per_dim
    if len(shape) == 1:
        layer, layer_kwargs = layers.Dense, {}
    else:
        layer, layer_kwargs = layers.Conv2D, {"kernel_size": 3, "padding": "same"}
    hidden = layer(7, activation="tanh", **layer_kwargs)
    output = layer(params_per_dim * part_size, **layer_kwargs, **(last_layer_kwargs or {}))
    return cls(keras.Sequential([hidden, output]), split, swap, **kwargs)


def three_level_flow(mixing=lambda: Shuffle(1), cls=AdditiveCoupling, **kwargs):
    """Return a `MultiScale` for images of 8 x 4 x 1, which the levels turn into 4 x 2 x 4, 2 x 1 x 8 and 2 x 1 x 4.

    Args:
        mixing: function that returns a layer to mix the channels.
        cls: class of the couplings.
        **kwargs: further arguments of `make_coupling`.
    """

    def level(shape, *first):
        return Chain([*first, Actnorm(), mixing(), make_coupling(cls, shape, **kwargs), Actnorm()])

    return MultiScale([level((4, 2, 4), Squeeze()), level((2, 1, 8), Squeeze()), level((2, 1, 4))])


def with_random_weights(layer, *inputs, scale=0.3):
    """Build a layer on inputs, add random numbers to its weights (many layers start as the identity) and return it."""
    layer(*inputs)
    for i, weight in enumerate(layer.trainable_weights):
        weight.assign(ops.convert_to_numpy(weight) + random_array(*weight.shape, seed=100 + i) * scale)
    return layer
