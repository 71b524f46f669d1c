"""Mean, standard deviation and direction of a code: the three independent parts of a code in O-GAN (article 6409).

All functions work on the last axis of each sample and compute in float32 under every precision policy.
"""

from keras import ops

MIN_VARIANCE = 1e-12  # a constant code gets correlation 0, and a large but finite gradient, instead of NaN


def average(z):
    """Return avg(z) of article 6409, shape (..., 1)."""
    return ops.mean(ops.cast(z, "float32"), axis=-1, keepdims=True)


def std(z):
    """Return std z of article 6409, the population standard deviation over the last axis, shape (..., 1)."""
    z = ops.cast(z, "float32")
    variance = ops.mean(ops.square(z - average(z)), axis=-1, keepdims=True)
    return ops.sqrt(ops.maximum(variance, MIN_VARIANCE))


def standardise(z):
    """Return N(z) = (z - avg z) / std z of article 6409: mean 0 and mean square 1 over the last axis.

    The last axis must have at least 3 entries. With 2, N(z) can only be (1, -1) or (-1, 1).

    Args:
        z: tensor, (..., n).

    Returns:
        Tensor (..., n).
    """
    return (ops.cast(z, "float32") - average(z)) / std(z)


def correlation(z, y):
    """Return Pearson's correlation rho(z, y) = cos(N(z), N(y)) of article 6409 over the last axis.

    It does not change under y -> a y + b with a > 0. So it leaves the mean and the standard deviation of y free. It
    satisfies ||N(z) - N(y)||^2 = 2 n (1 - rho).

    Args:
        z: tensor, (..., n).
        y: tensor, (..., n).

    Returns:
        Tensor (..., 1) with values in [-1, 1].
    """
    return ops.mean(standardise(z) * standardise(y), axis=-1, keepdims=True)
