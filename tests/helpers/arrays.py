"""Tensors as numpy arrays, and a check that a picture is not blank."""

import imageio.v3 as iio
import numpy as np
from keras import ops


def numpy(x):
    """Return a copy of a tensor or variable of any backend as a numpy array."""
    return np.array(ops.convert_to_numpy(ops.convert_to_tensor(x)))


def numpy64(x):
    """Return `numpy(x)` in float64."""
    return numpy(x).astype("float64")


def state_of(model):
    """Return a function that puts all variables of a model back to their values of now."""
    state = [numpy(v) for v in model.variables]

    def restore():
        for variable, value in zip(model.variables, state, strict=True):
            variable.assign(value)

    return restore


def assert_not_blank(*paths, least=5):
    """Fail if the standard deviation of a picture's pixels (0 to 255) is not above `least`."""
    for path in paths:
        assert iio.imread(path).std() > least, f"{path} is blank"
