"""Choose the backend before Keras is imported, and give every test the same seed."""

import gc
import math
import os
import shutil
import tempfile

from tests.helpers.threads import COMPILE_FASTER, ONE_THREAD

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as `common.backend.import_backend` does
os.environ["KEXUE_LANG"] = "en"  # of the page, whatever the locale
if "PYTEST_XDIST_WORKER" in os.environ:  # the workers share the cores, so that more threads would only wait
    os.environ.update(ONE_THREAD)
# two virtual devices, of JAX, for the tests of --distribute
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {COMPILE_FASTER} --xla_force_host_platform_device_count=2"
# what JAX has compiled: a run that goes on need not compile it again
os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="jax-")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

import numpy as np
import pytest

from common.backend import import_backend
from tests.helpers.scripts import HIDE, write_pngs

import_backend()
gc.set_threshold(100_000, 20, 20)  # the collector need seldom walk what a test builds: a seventh less time


def pytest_unconfigure():
    shutil.rmtree(os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)


def pytest_collection_modifyitems(items):
    """Run whole scripts first: they take longest, and both processes end at the same time if short tests come last."""
    items.sort(key=lambda item: item.path.name not in ("test_scripts.py", "test_kills.py"))


@pytest.fixture(autouse=True)
def _same_seed_and_float32():
    """Give every test the same random numbers and undo a precision policy that a test sets."""
    import keras

    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy("float32")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture(autouse=True)
def _fresh_random_numbers(request):
    """Begin anew the generator RNG of a module, so that no test depends on those before it."""
    if isinstance(getattr(request.module, "RNG", None), np.random.Generator):
        request.module.RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _no_lines_that_depend_on_the_load(monkeypatch):
    """Let scripts be silent for as long as they like: on a busy machine they would show the stage they are at."""
    monkeypatch.setattr("common.streams.SILENCE", math.inf)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder for scripts that run as subprocesses: their Keras cache, and the module that hides packages.

    All tests of a module share it, so that the toy faces are drawn once.
    """
    folder = tmp_path_factory.mktemp("keras")
    (folder / "sitecustomize.py").write_text(HIDE)
    return folder


@pytest.fixture(scope="session")
def small_faces(tmp_path_factory):
    """The flags of a data set that needs no drawing and little compiling: 240 drawn faces at 16 pixels."""
    from common.data import toy_faces

    images = toy_faces.draw(toy_faces.sample_factors(240, seed=0), 32)
    folder = write_pngs(tmp_path_factory.mktemp("data") / "faces", images)
    return ["--dataset", f"folder:{folder}", "--size", "16"]


if os.environ["KERAS_BACKEND"] == "tensorflow":
    import tensorflow as tf

    # two logical devices for the tests of --distribute; TensorFlow accepts them only before its first operation
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    # Keras shuffles arrays by TensorFlow's own seed; setting it for each test drops every kernel: a tenth more time
    tf.random.set_seed(0)
    tf.random.set_seed = lambda seed: None
