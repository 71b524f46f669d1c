"""The choice of a backend, and the settings in Keras's file `keras.json`."""

import os

from common.errors import UserError
from common.files import read_json


def check_backend(name):
    """Raise `UserError` if the networks here do not run on a backend of Keras.

    Args:
        name: str, the backend.
    """
    if name not in ("tensorflow", "jax", "torch"):
        raise UserError(
            f"the backend must be tensorflow, jax or torch: set KERAS_BACKEND to one of them. Received: {name!r}"
        )


def check_chosen_backend():
    """Return the backend that KERAS_BACKEND, or else `keras.json`, chooses.

    Raises:
        UserError: if the networks do not run on it.
    """
    settings = read_keras_json()
    name = os.environ.get("KERAS_BACKEND") or settings.get("backend", "tensorflow")
    check_backend(name)
    return name


def read_keras_json():
    """Return the settings in `keras.json`, {} if there is none.

    Raises:
        UserError: if the file is damaged, on which Keras would end with a traceback.
    """
    home = os.path.expanduser("~")
    default = os.path.join(home if os.access(home, os.W_OK) else "/tmp", ".keras")  # as Keras chooses it
    path = os.path.expanduser(os.path.join(os.environ.get("KERAS_HOME", default), "keras.json"))
    if not os.path.exists(path):
        return {}
    if not os.path.isfile(path):
        raise UserError(f"{path} is not a file: delete it, and Keras makes a new one")
    settings = read_json(path)
    if not isinstance(settings, dict):
        raise UserError(f"{path} is damaged: delete it, and Keras makes a new one. Received: {settings!r}")
    values = {"floatx": ("float16", "float32", "float64"), "image_data_format": ("channels_last", "channels_first")}
    wrong = [key for key, allowed in values.items() if key in settings and settings[key] not in allowed]
    if not isinstance(settings.get("epsilon", 1e-7), float):
        wrong.append("epsilon")
    if wrong:
        received = ", ".join(f"{key} {settings[key]!r}" for key in wrong)
        raise UserError(f"{path} is damaged: delete it, and Keras makes a new one. Received: {received}")
    return settings
