"""Measures of codes and their reconstructions, in plain numpy: mean squared error, linear probe, nearest neighbours."""

import numpy as np

from common.data.checks import check_finite
from common.metrics.pca import flat_chunks


def mean_squared_error(a, b):
    """Return the mean of (a - b)^2 over all axes, summed in float64.

    Args:
        a: array.
        b: array of the same shape.

    Raises:
        ValueError: for different shapes, where broadcasting would hide a mistake, and for empty arrays.
        UserError: for values that are not finite.
    """
    a, b = check_finite("the first array", a), check_finite("the second array", b)
    if a.shape != b.shape or not a.size:
        raise ValueError(f"a and b must be arrays of the same shape, not empty. Received: {a.shape} and {b.shape}")
    row_pairs = zip(np.atleast_1d(a), np.atleast_1d(b), strict=True)  # one row at a time saves memory
    return float(sum(np.sum(np.subtract(x, y, dtype="float64") ** 2) for x, y in row_pairs) / a.size)


def linear_probe_r2(train_codes, train_factors, test_codes, test_factors, ridge=None):
    """Return how much of each known factor a linear map reads from the codes: R^2 on the test data.

    The map is a ridge regression with an intercept on standardised codes, in closed form. R^2 = 1 - SSE/SST about the
    test mean: 1 is perfect, 0 is as good as predicting the mean, and a worse prediction is negative.

    Args:
        train_codes: (n, d).
        train_factors: (n, factors).
        test_codes: (m, d).
        test_factors: (m, factors).
        ridge: float, weight of the penalty. The default, 1e-3 per training row, matters only for codes whose entries
            are nearly copies of each other.

    Returns:
        Array (factors,).

    Raises:
        ValueError: for shapes that do not fit, and for a factor that is constant in the test data.
        UserError: for values that are not finite.
    """
    names = ("the training codes", "the training factors", "the test codes", "the test factors")
    arrays = (train_codes, train_factors, test_codes, test_factors)
    arrays = [check_finite(name, array).astype("float64") for name, array in zip(names, arrays, strict=True)]
    x, y, x_test, y_test = arrays
    shapes = [a.shape for a in arrays]
    fits = all(a.ndim == 2 for a in arrays) and len(x) == len(y) > 0 and len(x_test) == len(y_test) > 0
    if not fits or x.shape[1] != x_test.shape[1] or y.shape[1] != y_test.shape[1]:
        raise ValueError(f"Codes must be (n, d) and factors (n, factors), for training and test. Received: {shapes}")
    total = np.sum((y_test - y_test.mean(0)) ** 2, 0)
    if not np.all(np.ptp(y_test, 0) > 0):  # rounding can make the sum of squares of a constant positive
        raise ValueError(f"A factor is constant in the test data. Received: sums of squares {total}")
    mean, std = x.mean(0), x.std(0)
    std[np.ptp(x, 0) == 0] = 1  # a constant entry then becomes 0
    x, x_test = (x - mean) / std, (x_test - mean) / std
    ridge = 1e-3 * len(x) if ridge is None else ridge
    weights = np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ (y - y.mean(0)))
    error = np.sum((x_test @ weights + y.mean(0) - y_test) ** 2, 0)
    return 1 - error / total


def nearest_neighbours(queries, bank, k, chunk=1024):
    """Return the indices of the k rows of `bank` that are nearest to each query in Euclidean distance.

    Args:
        queries: (q, ...), images or codes.
        bank: (n, ...), rows of the same shape; may be a memory map.
        k: int, number of neighbours.
        chunk: int, rows of the bank read at once (default 1024).

    Returns:
        Array (q, k), the nearest first. Of equal distances the lower index comes first.

    Raises:
        ValueError: for shapes that do not fit, and for a k that is not 1 to n.
        UserError: for values that are not finite.
    """
    check_finite("the queries", queries)
    check_finite("the bank", bank)
    if queries.shape[1:] != bank.shape[1:]:
        raise ValueError(f"Queries and bank must hold items of one shape. Received: {queries.shape}, {bank.shape}")
    if not 1 <= k <= len(bank):
        raise ValueError(f"k must be 1 to {len(bank)}, the number of rows of the bank. Received: {k}")
    queries = np.asarray(queries, "float64").reshape(len(queries), -1)
    # the k nearest so far: squared distances, and rows of the bank
    nearest = np.zeros((len(queries), 0))
    indices = np.zeros((len(queries), 0), "int64")
    for start, rows in zip(range(0, len(bank), chunk), flat_chunks(bank, chunk, "float64"), strict=True):
        squared = np.sum(queries**2, 1)[:, None] + np.sum(rows**2, 1) - 2 * queries @ rows.T
        chunk_indices = np.broadcast_to(start + np.arange(len(rows)), squared.shape)
        nearest = np.concatenate([nearest, np.maximum(squared, 0)], 1)  # rounding can make a zero distance negative
        indices = np.concatenate([indices, chunk_indices], 1)
        order = np.argsort(nearest, 1, kind="stable")[:, :k]
        nearest, indices = np.take_along_axis(nearest, order, 1), np.take_along_axis(indices, order, 1)
    return indices
