"""Values that are not numbers, named with their count and place."""

import numpy as np
import pytest

from common.data.checks import check_finite
from common.errors import UserError


@pytest.mark.parametrize(
    "values",
    [
        [[1, 2]], np.uint8([0, 255]), np.array([True]), np.zeros((0, 3)), np.float16([65504]), 3, 2.5, [1.5, -2],
        np.full(3, 3e38, "float32"), np.full(3, 1e308), np.array([1, 2.5], object), np.complex64([1j]),
    ],
)  # fmt: skip
def test_numbers_come_back(values):
    np.testing.assert_array_equal(check_finite("x", values), np.asarray(values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, np.nan, np.inf], "2 of 3 values that are NaN or infinite, the first in row 1"),
        (np.float16([[1, 2], [-np.inf, 0]]), "1 of 4 values that are NaN or infinite, the first in row 1"),
        (np.nan, "1 of 1 values that are NaN or infinite"),
        ([1, None], "1 of 2 values that are NaN or infinite, the first in row 1"),
        (["a"], "must be numbers"),
        ([[1], [1, 2]], "must be numbers"),
        ([{}], "must be numbers"),
    ],
)
def test_others_are_named_in_one_line(values, message):
    with pytest.raises(UserError, match=message) as caught:
        check_finite("the samples", values)
    assert str(caught.value).startswith("the samples must be ") and "\n" not in str(caught.value)
