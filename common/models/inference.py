"""Load a saved network and predict with it."""

import os
import re
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from common.errors import UserError, one_line

# Older files name their weights by attributes and layers that have other names today: old name -> new name.
RENAMED = {"normalise": "batch_norm"}


def also_saved_as(old_name):
    """Return a class decorator with which networks still load that were saved when the layer class had another name.

    Args:
        old_name: str, the name of the class in those files.
    """
    import keras

    def register(cls):
        keras.saving.get_custom_objects()[f"kexue>{old_name}"] = cls
        snake_case = lambda name: re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
        RENAMED[snake_case(old_name)] = snake_case(cls.__name__)
        return cls

    return register


def load_model(path, input_shape=None, output_shape=None):
    """Return a network that a run saved, not compiled.

    Args:
        path: path of the `.keras` file.
        input_shape: shape of an example that the network must take as its only input; None in it is any length
            (default: any inputs).
        output_shape: shape that its only output must have for an example, in the same way.

    Raises:
        UserError: if the file is missing or damaged, or holds a network of other shapes.
    """
    import keras

    import common.models.layers
    import common.models.spectral_norm  # noqa: F401 - registers layers that a saved network may contain

    if not Path(path).is_file():  # reading a pipe would never end
        raise UserError(f"{path} is missing: give a finished run, or finish this one with --resume")
    try:
        with tempfile.TemporaryDirectory() as folder:
            model = keras.models.load_model(_with_new_names(path, folder), compile=False)
    except Exception as error:  # a damaged archive fails in many ways
        raise UserError(f"{path} is damaged ({one_line(error)[:200]}); train again or restore it") from None
    for kind, expected in (("input", input_shape), ("output", output_shape)):
        received = [tuple(tensor.shape[1:]) for tensor in getattr(model, f"{kind}s", None) or ()]
        if expected is not None and not (len(received) == 1 and _fits(received[0], expected)):
            one = str(tuple(expected)).replace("None", "any")
            raise UserError(
                f"{path} is another network: one {kind} of shape {one} is needed here, not {received}; "
                "give another run, train again or restore it"
            )
    return model


def _fits(shape, expected):
    """Return whether a shape is the expected one, in which None is any length."""
    return len(shape) == len(expected) and all(b in (None, a) for a, b in zip(shape, expected, strict=True))


def _with_new_names(path, folder):
    """Return the path of the same network with today's names: `path` itself, or a copy in `folder`."""
    import h5py

    with zipfile.ZipFile(path) as archive:
        weights = archive.extract("model.weights.h5", folder)
        with h5py.File(weights, "r+") as file:
            names = []
            file.visit(names.append)
            old = [name for name in names if _new_name(name.rpartition("/")[2])]
            for name in reversed(old):  # deeper groups first, so that the paths of the others stay valid
                parent, _, last = name.rpartition("/")
                file.move(name, f"{parent}/{_new_name(last)}")
        if not old:
            return path
        copy = os.path.join(folder, "model.keras")
        with zipfile.ZipFile(copy, "w") as renamed:
            for entry in archive.infolist():
                if entry.filename == "model.weights.h5":
                    renamed.write(weights, entry.filename)
                else:
                    renamed.writestr(entry, archive.read(entry))
    return copy


def _new_name(name):
    """Return today's name of a group of weights such as "exp_mixing_3", or None if it has not changed."""
    stem, number = re.fullmatch(r"(.*?)(_\d+)?", name).groups()
    return RENAMED[stem] + (number or "") if stem in RENAMED else None


def predict(model, array, batch_size=128):
    """Return the output of a model for an array, in inference mode.

    The model sees full batches only (the last one is padded): JAX compiles again for every shape, and of a smaller one
    some devices would get no part.

    Args:
        model: `keras.Model` with one input.
        array: numpy array, (n, ...).
        batch_size: int (default 128).

    Returns:
        Numpy array, (n, ...), or a dict of such arrays if the model returns one.
    """
    missing = -len(array) % batch_size
    padded = np.concatenate([array, array[:1].repeat(missing, 0)]) if missing else array
    outputs = model.predict(padded, batch_size=batch_size, verbose=0)
    if isinstance(outputs, dict):
        return {name: values[: len(array)] for name, values in outputs.items()}
    return outputs[: len(array)]
