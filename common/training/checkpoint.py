"""Checkpoints: one file with everything that a training needs to resume exactly.

A checkpoint holds every variable: weights, optimiser slots, random streams and averaged weights. It also holds what
belongs to the step beside them, such as the sums of an interval that was interrupted. The order of the data is a
function of the step (`common.data.batches`). Keras's `BackupAndRestore` restores neither the random state nor the
order of the data, and repeats the interrupted epoch. The file appears complete or not at all.
"""

import os

import numpy as np
from keras import ops

from common.errors import UserError
from common.files import atomic_write


def unique(variables):
    """Return the variables in their order, each once (two models may share networks)."""
    return list({id(v): v for v in variables}.values())


EXTRA = "extra-"  # prefix of the keys of what belongs to the step beside the variables


def save(path, variables, step, extra=None):
    """Write the values of variables and the step number to a file.

    Args:
        path: path of the file (.npz).
        variables: list of Keras variables; repeated ones are stored once.
        step: int, number of training steps so far.
        extra: dict name -> array or number, stored beside the variables.

    Raises:
        UserError: if the file cannot be written.
    """
    arrays = {_key(i, v): ops.convert_to_numpy(ops.convert_to_tensor(v)) for i, v in enumerate(unique(variables))}
    arrays |= {EXTRA + name: np.asarray(value) for name, value in (extra or {}).items()}

    def write(temporary):
        np.savez(temporary, step=np.int64(step), **arrays)
        with open(temporary, "rb") as file:  # on the disk before it takes the place of the last one
            os.fsync(file.fileno())

    atomic_write(path, write)


def load(path, variables):
    """Assign the values that `save` wrote to the same variables.

    Args:
        path: path of the file.
        variables: list of Keras variables, in the order in which they were saved.

    Returns:
        (step number, dict of the extra arrays), or (0, {}) if there is no such file.

    Raises:
        UserError: if the file is damaged or belongs to other networks. Then no variable is changed.
    """
    variables = unique(variables)
    try:
        with open(path, "rb") as file, np.load(file) as stored:
            step, arrays = stored["step"], [stored[_key(i, v)] for i, v in enumerate(variables)]
            extra = {name.removeprefix(EXTRA): stored[name] for name in stored.files if name.startswith(EXTRA)}
            if len(stored.files) != len(variables) + len(extra) + 1:
                raise KeyError("the number of variables")
            if step.shape or step.dtype.kind not in "iu" or step < 0:
                raise ValueError(f"its step is {step!r}")
    except FileNotFoundError:
        return 0, {}
    except KeyError as error:
        raise UserError(f"{path} belongs to other networks ({error}); use another --out or delete it") from None
    except Exception as error:  # a damaged zip or array fails in many ways
        raise UserError(f"{path} is damaged ({error}); delete it to start from step 0") from None
    for array, variable in zip(arrays, variables, strict=True):
        if array.shape != tuple(variable.shape) or array.dtype.kind not in "biufV":
            raise UserError(f"{path} belongs to other networks ({variable.path}); use another --out or delete it")
    for array, variable in zip(arrays, variables, strict=True):
        variable.assign(array)
    return int(step), extra


def step_of(path):
    """Return the step number of a file that `save` wrote, or -1 if it cannot be read."""
    try:
        with np.load(path) as stored:
            return int(stored["step"])
    except Exception:  # a damaged zip or array fails in many ways
        return -1


def _key(index, variable):
    """Return a key of index and shape. Variable names contain counters that differ between processes."""
    return f"v{index:04d}-{'x'.join(map(str, variable.shape))}"
