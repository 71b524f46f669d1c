"""Measures of codes and their reconstructions, in plain numpy: mean squared error, linear probe, nearest neighbours."""

import numpy as np

from common.metrics.pca import flat_chunks


def mean_squared_error(a, b):
    """Mean of (a - b)^2 over all axes as a float, summed in float64. `a` and `b` are arrays of one shape.

    Raises `ValueError` for different shapes, where broadcasting would hide a mistake, and for empty arrays.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or not a.size:
        raise ValueError(f"Two arrays of the same shape are needed, not empty. Received: {a.shape} and {b.shape}")
    pairs = zip(np.atleast_1d(a), np.atleast_1d(b), strict=True)  # one row at a time spares memory
    return float(sum(np.sum(np.subtract(x, y, dtype="float64") ** 2) for x, y in pairs) / a.size)


def linear_probe_r2(train_codes, train_factors, test_codes, test_factors, ridge=None):
    """How much of each known factor a linear map can read from the codes: R^2 on the test data, shape (F,).

    Codes are (n, d) and factors (n, F). The map is a ridge regression with an intercept on standardised codes, in
    closed form; the penalty `ridge` defaults to 1e-3 per training row, too small to matter but for codes that are
    nearly copies of one another. R^2 = 1 - SSE/SST about the test mean: 1 is perfect, 0 is what the mean can do, and it
    may be negative. Raises `ValueError` for shapes that do not fit and for a factor that is constant in the test data.
    """
    arrays = [np.asarray(a, "float64") for a in (train_codes, train_factors, test_codes, test_factors)]
    x, y, x_test, y_test = arrays
    shapes = [a.shape for a in arrays]
    fits = all(a.ndim == 2 for a in arrays) and len(x) == len(y) > 0 and len(x_test) == len(y_test) > 0
    if not fits or x.shape[1] != x_test.shape[1] or y.shape[1] != y_test.shape[1]:
        raise ValueError(f"Codes must be (n, d) and factors (n, F), for training and test. Received: {shapes}")
    total = np.sum((y_test - y_test.mean(0)) ** 2, 0)
    if not np.all(total > 0):
        raise ValueError(f"A factor is constant in the test data. Received: sums of squares {total}")
    mean, std = x.mean(0), x.std(0)
    std[std == 0] = 1  # a constant code then stays zero
    x, x_test = (x - mean) / std, (x_test - mean) / std
    ridge = 1e-3 * len(x) if ridge is None else ridge
    weights = np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ (y - y.mean(0)))
    error = np.sum((x_test @ weights + y.mean(0) - y_test) ** 2, 0)
    return 1 - error / total


def nearest_neighbours(queries, bank, k, chunk=1024):
    """Indices (q, k) of the k rows of `bank` nearest to each query, the nearest first.

    Euclidean distance between `queries` (q, ...) and `bank` (n, ...), images or codes; of equal distances the lower
    index comes first. The bank may be a memory map: it is read `chunk` rows at a time. Raises `ValueError` for shapes
    that do not fit and for a k that is not 1 to n.
    """
    if queries.shape[1:] != bank.shape[1:]:
        raise ValueError(f"Queries and bank must hold items of one shape. Received: {queries.shape}, {bank.shape}")
    if not 1 <= k <= len(bank):
        raise ValueError(f"k must be 1 to {len(bank)}, the size of the bank. Received: {k}")
    queries = np.asarray(queries, "float64").reshape(len(queries), -1)
    best = np.zeros((len(queries), 0))
    where = np.zeros((len(queries), 0), "int64")
    for start, rows in zip(range(0, len(bank), chunk), flat_chunks(bank, chunk, "float64"), strict=True):
        square = np.sum(queries**2, 1)[:, None] + np.sum(rows**2, 1) - 2 * queries @ rows.T
        index = np.broadcast_to(start + np.arange(len(rows)), square.shape)
        best = np.concatenate([best, np.maximum(square, 0)], 1)  # rounding can make a zero distance negative
        where = np.concatenate([where, index], 1)
        order = np.argsort(best, 1, kind="stable")[:, :k]
        best, where = np.take_along_axis(best, order, 1), np.take_along_axis(where, order, 1)
    return where
