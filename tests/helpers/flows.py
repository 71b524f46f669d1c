"""What the tests of flows share: small layers with random weights, and comparisons."""

import keras
import numpy as np
from keras import layers, ops

from flow.layers.actnorm import Actnorm
from flow.layers.composite import Chain, MultiScale
from flow.layers.coupling import AdditiveCoupling, AffineCoupling
from flow.layers.permutations import Shuffle
from flow.layers.preprocessing import Squeeze

# JAX has float64 only when the whole process is told so
PRECISE, CLOSE = ("float32", 1e-3) if keras.backend.backend() == "jax" else ("float64", 1e-9)
VECTOR, IMAGE, TALL = (6,), (2, 4, 4), (8, 4, 1)


def array(*shape, seed=0, dtype="float32"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def close(got, expected, tolerance=1e-4):
    np.testing.assert_allclose(ops.convert_to_numpy(got), expected, rtol=tolerance, atol=tolerance)


def arrays(pair):
    return [ops.convert_to_numpy(t) for t in pair]


def coupling(cls, shape, split="halves", swap=False, last=None, **kwargs):
    """Its network looks at the neighbours on images; `last` is for its last layer."""
    kind, how = (layers.Dense, {}) if len(shape) == 1 else (layers.Conv2D, {"kernel_size": 3, "padding": "same"})
    size = shape[-1] // (1 if split == "checkerboard" else 2) * (2 if cls is AffineCoupling else 1)
    net = keras.Sequential([kind(7, activation="tanh", **how), kind(size, **how, **(last or {}))])
    return cls(net, split, swap, **kwargs)


def tower(mix=lambda: Shuffle(1), cls=AdditiveCoupling, **kwargs):
    """Three levels for images of 8 x 4 x 1: there they are 4 x 2 x 4, 2 x 1 x 8 and 2 x 1 x 4."""
    level = lambda shape, *first: Chain([*first, Actnorm(), mix(), coupling(cls, shape, **kwargs), Actnorm()])
    return MultiScale([level((4, 2, 4), Squeeze()), level((2, 1, 8), Squeeze()), level((2, 1, 4))])


def perturbed(layer, *args, scale=0.3):
    """The layer built on these arguments, its weights moved off their start, where many a layer is the identity."""
    layer(*args)
    for i, w in enumerate(layer.trainable_weights):
        w.assign(ops.convert_to_numpy(w) + array(*w.shape, seed=100 + i) * scale)
    return layer
