"""Chooses the backend before Keras is imported, and gives every test the same seed."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import pytest

from tests.helpers.scripts import HIDE


@pytest.fixture(autouse=True)
def _same_seed_and_float32():
    """Same random numbers in every test, and no precision policy left behind by the test before."""
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy("float32")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A Keras cache of its own, shared by the module, so that the faces are drawn once."""
    folder = tmp_path_factory.mktemp("keras")
    (folder / "sitecustomize.py").write_text(HIDE)
    return folder


if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    # two devices to test distribution with; must be said before TensorFlow starts
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
