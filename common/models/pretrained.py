"""The small trained networks in `pretrained/`: find them, load them, and check that they are what they say."""

import hashlib
from pathlib import Path

import numpy as np

from common.errors import UserError
from common.files import read_json
from common.flag_types import PRETRAINED

EXAMPLES = 4  # inputs of a check
LENGTH = 8  # of an axis that may have any length
VALUES = 16  # numbers of every output that are written down


def names():
    """Return the names of all entries, sorted."""
    return sorted(path.parent.name for path in PRETRAINED.glob("*/config.json"))


def network_path(name):
    """Return the path of a pretrained network.

    Args:
        name: str such as "ogan-lfw-32/generator"; the name of an entry is enough if it has one network.

    Raises:
        UserError: if there is no such network. The message names all.
    """
    entry, _, network = name.partition("/")
    networks = {path.stem: path for path in sorted((PRETRAINED / entry).glob("*.keras"))} if entry in names() else {}
    if not network and len(networks) == 1:
        return next(iter(networks.values()))
    if network not in networks:
        known = [f"{path.parent.name}/{path.stem}" for path in sorted(PRETRAINED.glob("*/*.keras"))]
        raise UserError(
            f"there is no network {name!r}: give the path of a .keras file, hf://USER/NAME, or one of "
            f"{', '.join(known)}"
        )
    return networks[network]


def output_dir(run_dir):
    """Return the folder to write to for a run: itself, or runs/pretrained/NAME for an entry of `pretrained/`."""
    run_dir = Path(run_dir)
    is_entry = run_dir.resolve().parent == PRETRAINED.resolve()
    return Path("runs/pretrained") / run_dir.name if is_entry else run_dir


def check_inputs(model):
    """Return fixed inputs of a network, a list of arrays: normal vectors, images in [0, 1] or small whole numbers."""
    rng = np.random.default_rng(0)
    arrays = []
    for tensor in model.inputs:
        shape = (EXAMPLES, *(length or LENGTH for length in tensor.shape[1:]))
        if "int" in str(tensor.dtype):
            arrays.append(rng.integers(1, 10, shape).astype(tensor.dtype))
        else:
            draw = rng.standard_normal if len(shape) == 2 else rng.random
            arrays.append(draw(shape).astype("float32"))
    return arrays


def fingerprint(model):
    """Return what tells a network from every other one, as `config.json` of an entry has it.

    Returns:
        Dict of "weights", the SHA-256 of all weights in float16, and "outputs", a few numbers of each output for
        `check_inputs`.
    """
    import keras

    digest = hashlib.sha256()
    for weight in model.weights:
        array = np.asarray(weight)
        digest.update(np.ascontiguousarray(array.astype("float16" if array.dtype == "float32" else array.dtype)))
    inputs = check_inputs(model)
    outputs = model(inputs[0] if len(inputs) == 1 else inputs, training=False)
    flat = [np.asarray(output, "float64").reshape(-1) for output in keras.tree.flatten(outputs)]
    chosen = [values[np.linspace(0, len(values) - 1, VALUES).astype(int)].round(6).tolist() for values in flat]
    return {"weights": digest.hexdigest(), "outputs": chosen}


def differences(entry):
    """Return what in an entry is not what its `config.json` says, a list of lines; empty if all is well.

    The weights must be equal to the last bit. An output may differ by 2^-10 of the largest of its numbers, one digit of
    float16, because machines round sums in different ways.

    Args:
        entry: path of the folder.
    """
    from common.models.inference import load_model

    lines = []
    for name, expected in read_json(Path(entry) / "config.json")["networks"].items():
        found = fingerprint(load_model(Path(entry) / name))
        if found["weights"] != expected["weights"]:
            lines.append(f"{name} has other weights")
        for i, (a, b) in enumerate(zip(found["outputs"], expected["outputs"], strict=True)):
            error, largest = np.abs(np.subtract(a, b)).max(), np.abs(b).max()
            if not error <= 2.0**-10 * largest:
                lines.append(f"output {i} of {name} differs by {error:.3g}, its numbers are up to {largest:.3g}")
    return lines
