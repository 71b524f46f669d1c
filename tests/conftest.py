"""Chooses the backend before Keras is imported, and gives every test the same seed."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import pytest


@pytest.fixture(autouse=True)
def _same_seed_and_float32():
    """Same random numbers in every test, and no precision policy left behind by the test before."""
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy("float32")
    yield
    keras.config.set_dtype_policy("float32")


if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    # two devices to test distribution with; must be said before TensorFlow starts
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
