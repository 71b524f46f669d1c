"""Checkpoints: one file with everything that a training needs to resume exactly.

A checkpoint holds every variable: weights, optimiser slots, random streams, running metrics and averaged weights. The
order of the data is a function of the step (`common.data.batches`). Keras's `BackupAndRestore` restores neither the
random state nor the order of the data, and repeats the interrupted epoch. The file appears complete or not at all.
"""

import numpy as np
from keras import ops

from common.errors import UserError
from common.files import atomic_write


def unique(variables):
    """Return the variables in their order, each once (two models may share networks)."""
    return list({id(v): v for v in variables}.values())


def save(path, variables, step):
    """Write the values of variables and the step number to a file.

    Args:
        path: path of the file (.npz).
        variables: list of Keras variables; repeated ones are stored once.
        step: int, number of training steps so far.

    Raises:
        UserError: if the file cannot be written.
    """
    arrays = {_key(i, v): ops.convert_to_numpy(ops.convert_to_tensor(v)) for i, v in enumerate(unique(variables))}

    def write(temporary):
        np.savez(temporary, step=np.int64(step), **arrays)

    atomic_write(path, write)


def load(path, variables):
    """Assign the values that `save` wrote to the same variables.

    Args:
        path: path of the file.
        variables: list of Keras variables, in the order in which they were saved.

    Returns:
        The step number, or 0 if there is no such file.

    Raises:
        UserError: if the file is damaged or belongs to other networks. Then no variable is changed.
    """
    variables = unique(variables)
    try:
        with open(path, "rb") as file, np.load(file) as stored:
            step = int(stored["step"])
            arrays = [stored[_key(i, v)] for i, v in enumerate(variables)]
            if len(stored.files) != len(variables) + 1:
                raise KeyError("the number of variables")
    except FileNotFoundError:
        return 0
    except KeyError as error:
        raise UserError(f"{path} belongs to other networks ({error}); use another --out or delete it") from None
    except Exception as error:  # a damaged zip or array fails in many ways
        raise UserError(f"{path} is damaged ({error}); delete it to start from step 0") from None
    for array, variable in zip(arrays, variables, strict=True):
        if array.shape != tuple(variable.shape):
            raise UserError(f"{path} belongs to other networks ({variable.path}); use another --out or delete it")
    for array, variable in zip(arrays, variables, strict=True):
        variable.assign(array)
    return step


def _key(index, variable):
    """Return a key of index and shape. Variable names contain counters that differ between processes."""
    return f"v{index:04d}-{'x'.join(map(str, variable.shape))}"
