"""Nearest rows by a matrix product, and the losses of IMLE over them (article 6394, https://kexue.fm/archives/6394).

The author's script subtracts every fake from every real image: for 128 of each at 128 pixels an array of 3.2 GB. Here
||a - b||^2 = ||a||^2 + ||b||^2 - 2 a.b finds the nearest rows alone. Their distances are taken by subtraction, so they
are exact and never negative. Only the selected rows get a gradient, and of equally near ones only the first.
"""

from keras import ops

BLOCK = 4096  # rows of b that are compared with all of a at once


def nearest_rows(a, b, block=BLOCK):
    """Return the index of the nearest row of b for every row of a; there is no gradient.

    Args:
        a: (m, d).
        b: (n, d). If n is known it is worked off in blocks.
        block: int, rows of b in a block; the memory is that of m * block numbers (default 4096).

    Returns:
        int32 (m,). Of equally near rows it is the first, as far as rounding can tell.
    """
    a, b = ops.stop_gradient(a), ops.stop_gradient(b)
    n = b.shape[0]
    index, least = None, None
    for start in range(0, n or 1, block):
        rows = b if n is None else b[start : start + block, :]
        # without ||a||^2, which is the same for every row of b
        distances = ops.sum(ops.square(rows), -1) - 2 * ops.matmul(a, ops.transpose(rows))
        found, value = start + ops.cast(ops.argmin(distances, -1), "int32"), ops.min(distances, -1)
        if index is None:
            index, least = found, value
        else:
            index, least = ops.where(value < least, found, index), ops.minimum(value, least)
    return index


def squared_distance(a, b):
    """Return the squared Euclidean distance of each row of a to the same row of b, (m,)."""
    return ops.sum(ops.square(a - b), -1)


def nearest_distance(a, b):
    """Return min_j ||a_i - b_j||^2 for every row a_i, (m,). Its gradient reaches a and the selected rows of b.

    Args:
        a: (m, d).
        b: (n, d).
    """
    return squared_distance(a, ops.take(b, nearest_rows(a, b), axis=0))


def imle_loss(real, fake):
    """Return the loss of IMLE per real sample, (m,): every real sample pulls its nearest fake.

    Its mean is the negative log-likelihood of the mixture of Gaussians about the fakes, times 2 s^2, as their standard
    deviation s tends to 0.

    Args:
        real: (m, d), representations of real samples.
        fake: (n, d), of fakes.
    """
    return nearest_distance(real, fake)


def reverse_loss(real, fake, other_fake, margin):
    """Return the loss of the reverse KL divergence per fake, (n,): it seeks its nearest real sample, and flees fakes.

    The article prints a minus sign before the sum; its own derivation gives a plus.

    Args:
        real: (m, d), representations of real samples.
        fake: (n, d), of fakes.
        other_fake: (k, d), of a second, independent batch of fakes. With the same batch the distance would be 0.
        margin: float, squared distance from which a fake flees no more. Above all distances it is the article's loss
            without a margin, up to a constant.
    """
    return nearest_distance(fake, real) + ops.relu(margin - nearest_distance(fake, other_fake))
