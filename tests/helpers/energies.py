"""Energies of which the tests know the distribution."""

from keras import ops


def double_well(z):
    """Return (z^2 - 1)^2, summed over the components, (n, 1)."""
    return ops.sum(ops.square(ops.square(z) - 1), -1, keepdims=True)
