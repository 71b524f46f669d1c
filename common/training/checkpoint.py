"""All that a training needs to go on as if it had never stopped, in one file that appears whole or not at all.

Keras's `BackupAndRestore` restores weights and optimiser but neither the random state nor the order of the data, and
begins the interrupted epoch again. Here every variable is kept: weights, optimiser slots, random streams, running
metrics, averaged weights; the data's order is a function of the step (`common.data.batches`).
"""

import numpy as np
from keras import ops

from common.errors import UserError
from common.files import atomic_write


def unique(variables):
    """The variables in their order, each once (two models may share networks)."""
    return list({id(v): v for v in variables}.values())


def save(path, variables, step):
    """Writes the values of `variables` and the step number to `path` (.npz)."""
    arrays = {_key(i, v): ops.convert_to_numpy(ops.convert_to_tensor(v)) for i, v in enumerate(unique(variables))}

    def write(temporary):
        np.savez(temporary, step=np.int64(step), **arrays)

    atomic_write(path, write)


def load(path, variables):
    """Assigns what `save` wrote to the same variables, and returns the step; 0 if there is no such file.

    Raises:
        UserError: if the file is damaged, or belongs to other networks. Nothing is assigned then.
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
        raise UserError(f"{path} is damaged ({error}); delete it to begin again") from None
    for array, variable in zip(arrays, variables, strict=True):
        if array.shape != tuple(variable.shape):
            raise UserError(f"{path} belongs to other networks ({variable.path}); use another --out or delete it")
    for array, variable in zip(arrays, variables, strict=True):
        variable.assign(array)
    return step


def _key(index, variable):
    """Index and shape: names alone carry counters that differ from process to process."""
    return f"v{index:04d}-{'x'.join(map(str, variable.shape))}"
