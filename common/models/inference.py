"""Load a saved network and predict with it."""

import contextlib
import errno
import importlib
import json
import os
import re
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from common import backend
from common.data.checks import check_finite
from common.errors import DIVERGED, UserError, one_line
from common.streams import stage

# Older files name their weights by attributes and layers that have other names today: old name -> new name.
RENAMED = {"normalise": "batch_norm"}
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)  # in the folder of temporary files
AUTOMATIC_NAME = re.compile(r"(functional|sequential)(_\d+)?")  # of a network that was given none


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


@stage("loading a network")
def load_model(path, input_shape=None, output_shape=None):
    """Return a network that a run saved, not compiled.

    The layers of this repository need no import of yours. Layers of your own do: import their module first.

    Args:
        path: path of the `.keras` file, or "hf://USER/NAME" of the Hugging Face Hub.
        input_shape: shape of an example that the network must take as its only input; None in it is any length
            (default: any inputs).
        output_shape: shape that its only output must have for an example, in the same way.

    Raises:
        UserError: if the file is missing or damaged, contains layers that are not known here, or holds a network of
            other shapes.
    """
    import keras

    if str(path).startswith("hf://"):
        return _load_from_hub(str(path))
    if not Path(path).is_file():  # reading a pipe would never end
        raise UserError(f"{path} is missing: give a finished run, or finish the training of this one")
    try:
        unknown = _register_layers(path)
        if unknown:
            raise UserError(f"{path} contains {', '.join(unknown)}: import what defines that first, then load it")
        with tempfile.TemporaryDirectory() as folder:
            model = keras.models.load_model(_with_new_names(path, folder), compile=False)
    except UserError:
        raise
    except Exception as error:  # a damaged archive fails in many ways
        if getattr(error, "errno", None) in NO_ROOM:
            raise UserError(f"cannot unpack {path} ({error.strerror}): set TMPDIR to a folder with room") from None
        raise UserError(f"{path} is damaged ({one_line(error)[:200]}); train again or restore it") from None
    for kind, expected in (("input", input_shape), ("output", output_shape)):
        received = [tuple(tensor.shape[1:]) for tensor in getattr(model, f"{kind}s", None) or ()]
        if expected is not None and not (len(received) == 1 and _fits(received[0], expected)):
            one = str(tuple(expected)).replace("None", "any")
            raise UserError(
                f"{path} is another network: one {kind} of shape {one} is needed here, not {received}; "
                "give another run, train again or restore it"
            )
    return backend.speed_up(model)


def _load_from_hub(path):
    import keras

    import common.models.layers
    import common.models.spectral_norm  # noqa: F401 - registers its layer

    try:
        return keras.saving.load_model(path, compile=False)
    except ImportError:
        raise UserError(f"{path} needs the package huggingface_hub: install it with pip, or give a path") from None
    except Exception as error:  # no network, no such name, or another kind of file
        raise UserError(f"cannot load {path} ({one_line(error)[:200]}): check the name and the network") from None


def _register_layers(path):
    """Import the modules that define the layers of a saved network, and return the names of layers still unknown.

    Keras finds a layer only after the module that registers it is imported; the file names that module.
    """
    import keras

    import common.models.spectral_norm  # noqa: F401 - files of earlier versions name other modules than these two
    from common.models.layers import PACKAGE

    layers = {}  # registered name -> module

    def add_layers(node):
        if isinstance(node, dict) and node.get("registered_name") and node.get("module"):
            layers[node["registered_name"]] = node["module"]
        for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            add_layers(child)

    with zipfile.ZipFile(path) as archive:
        add_layers(json.loads(archive.read("config.json")))
    root = Path(__file__).parents[2]
    for name, module in layers.items():
        package = module.split(".")[0]
        if name.startswith(f"{PACKAGE}>") and (root / package / "__init__.py").is_file():
            for candidate in (module, f"{package}.layers"):  # the second one if the module has moved since
                with contextlib.suppress(ModuleNotFoundError):
                    importlib.import_module(candidate)
    return [
        f"{name} (of {module})"
        for name, module in layers.items()
        if module.split(".")[0] not in ("keras", "builtins") and keras.saving.get_registered_object(name) is None
    ]


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

    Raises:
        UserError: if an input, a weight or an output is not finite, see `check_outputs`.
    """
    missing = -len(array) % batch_size
    padded = np.concatenate([array, array[:1].repeat(missing, 0)]) if missing else array
    outputs = backend.predict(model, padded, batch_size)
    if isinstance(outputs, dict):
        outputs = {name: values[: len(array)] for name, values in outputs.items()}
    else:
        outputs = outputs[: len(array)]
    check_outputs(model, array, outputs)
    return outputs


def check_outputs(model, inputs, outputs):
    """Refuse inputs, weights and outputs of a model that are not finite.

    The error names the first such row or weight and, of outputs, the first layer that returned such a value. Weights
    are checked by themselves, because the relu of some backends returns 0 for NaN.

    Args:
        model: `keras.Model`, or a function that calls one. A name that you gave it stands in the error.
        inputs: array (n, ...).
        outputs: array (n, ...), or dict of such arrays, what the model returned for them.

    Raises:
        UserError: if a value is NaN or infinite.
    """
    from keras import ops

    name = getattr(model, "name", None) or "network"
    name = "network" if AUTOMATIC_NAME.fullmatch(name) else name
    check_finite(f"the inputs of the {name}", inputs)
    for weight in getattr(model, "weights", ()):
        if "float" in weight.dtype and not ops.all(ops.isfinite(weight)):
            raise UserError(f"the weight {weight.path} of the {name} is NaN or infinite; {DIVERGED}", topic="nan")
    for values in outputs.values() if isinstance(outputs, dict) else [outputs]:
        finite = _finite(values)
        bad = np.flatnonzero(~finite.all(axis=tuple(range(1, finite.ndim))))
        if len(bad):
            layer = _first_layer_not_finite(model, inputs[bad[0] : bad[0] + 1])
            origin = f", which began in layer {layer}" if layer else ""
            raise UserError(
                f"{len(bad)} of the {len(values)} outputs of the {name} are NaN or infinite, the first in row "
                f"{bad[0]}{origin}; {DIVERGED}",
                topic="nan",
            )


def _finite(values):
    """Return whether each entry of an array is finite; integers are."""
    values = np.asarray(values)
    return np.ones(values.shape, bool) if values.dtype.kind in "biu" else np.isfinite(values)


def _first_layer_not_finite(model, inputs):
    """Run a model and return the name of the first layer that returns a value that is not finite, or None.

    Args:
        model: `keras.Model`, or a function that calls one.
        inputs: array (n, ...).

    Returns:
        Names from the outermost to the innermost layer, "generator/dense_2".
    """
    import keras
    from keras import ops

    call, path, found = keras.Operation.__call__, [], []

    def is_broken(output):
        try:
            return not _finite(ops.convert_to_numpy(output)).all()
        except Exception:  # inside a transformation of JAX a tensor has no value
            return False

    def watched_call(operation, *args, **kwargs):
        path.append(operation.name)
        try:
            outputs = call(operation, *args, **kwargs)
            if not found and any(map(is_broken, keras.tree.flatten(outputs))):
                found.append("/".join(path[isinstance(model, keras.Operation) :]))
            return outputs
        finally:
            path.pop()

    keras.Operation.__call__ = watched_call  # a layer inside a layer is seen only here
    try:
        model(inputs)
    finally:
        keras.Operation.__call__ = call
    return found[0] if found else None
