"""Refuse values that are not numbers before they are measured, drawn or written."""

import numpy as np

from common.errors import UserError


def check_finite(name, values):
    """Return values as an array, after checking that all of them are finite numbers.

    Args:
        name: str, what the values are, for the message: "the samples".
        values: array of any shape and type, or nested lists.

    Raises:
        UserError: if a value is NaN, infinite, missing, or no number at all.
    """
    try:
        array = np.asarray(values)
        if array.dtype.kind in "biu":
            return array
        finite = np.isfinite(array if array.dtype.kind != "O" else array.astype("float64"))
    except (TypeError, ValueError) as error:
        raise UserError(f"{name} must be numbers: {error}") from None
    if not finite.all():
        bad = np.count_nonzero(~finite)
        row = "" if finite.ndim == 0 else f", the first in row {np.argwhere(~finite)[0][0]}"
        raise UserError(f"{name} must be finite. Received: {bad} of {finite.size} values that are NaN or infinite{row}")
    return array
