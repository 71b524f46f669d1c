"""Mean, spread and direction of a code: the three independent parts that O-GAN (article 6409) takes a code apart into.

All functions work on the last axis, per sample, in float32, whatever the precision policy.
"""

from keras import ops

TINY = 1e-12  # floor of a variance: a constant code gets correlation 0 and a zero gradient instead of a NaN


def average(z):
    """avg(z) of 6409, shape (..., 1)."""
    return ops.mean(ops.cast(z, "float32"), axis=-1, keepdims=True)


def std(z):
    """std(z) of 6409, the population standard deviation, shape (..., 1)."""
    z = ops.cast(z, "float32")
    return ops.sqrt(ops.maximum(ops.mean(ops.square(z - average(z)), axis=-1, keepdims=True), TINY))


def standardise(z):
    """N(z) = (z - avg z) / std z of 6409: mean 0 and mean square 1 over the last axis; same shape as z.

    Needs at least 3 dimensions: with 2, N(z) can only be +-(1, -1).
    """
    return (ops.cast(z, "float32") - average(z)) / std(z)


def correlation(z, y):
    """Pearson's rho(z, y) = cos(N(z), N(y)) of 6409 over the last axis: shape (..., 1), in [-1, 1].

    Unchanged by y -> a y + b with a > 0, so it leaves the mean and the spread of y free; and
    ||N(z) - N(y)||^2 = 2 n (1 - rho).
    """
    return ops.mean(standardise(z) * standardise(y), axis=-1, keepdims=True)
