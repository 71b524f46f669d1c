"""Layers beside the same layers in a faster form."""

from common import backend


def fast_and_plain(cls, shape, draw, **kwargs):
    """Return a layer that `speed_up` has seen and one that it has not, with the same random weights.

    Args:
        cls: class of the layers.
        shape: shape of their input, with the batch axis.
        draw: function of a shape that returns the values of a weight.
        **kwargs: arguments of the class.
    """
    fast, plain = backend.speed_up(cls(**kwargs)), cls(**kwargs)
    for layer in (fast, plain):
        layer.build(shape)
    for a, b in zip(fast.weights, plain.weights, strict=True):
        value = draw(a.shape)
        a.assign(value)
        b.assign(value)
    return fast, plain
