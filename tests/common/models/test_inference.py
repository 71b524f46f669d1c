"""Loading saved networks, including files in which layers have older names; prediction in full batches."""

import errno
import os
import subprocess
import sys
import tempfile
import zipfile

import keras
import numpy as np
import pytest
from keras import layers, ops

from common.errors import UserError
from common.models import load
from common.models.inference import check_outputs, load_model, predict
from tests.helpers.arrays import numpy
from tests.helpers.scripts import ROOT
from tests.helpers.tiny_trainers import tiny

SAVED = ROOT / "tests/saved"  # networks and their outputs, written by the first version of this repository
INPUTS = {
    "generator": np.random.default_rng(2).normal(size=(2, 3)).astype("float32"),
    "encoder": np.random.default_rng(3).uniform(-1, 1, (2, 16, 16, 1)).astype("float32"),
}


@pytest.mark.parametrize("name", INPUTS)
def test_network_of_the_first_version_loads_and_gives_the_same_outputs(name):
    model = load_model(SAVED / f"{name}.keras")
    with np.load(SAVED / "outputs.npz") as outputs:
        np.testing.assert_allclose(numpy(model(INPUTS[name])), outputs[name], atol=1e-5)


def test_network_with_old_names_can_be_saved_and_loaded_again(tmp_path):
    model = load_model(SAVED / "generator.keras")
    model.save(tmp_path / "again.keras")
    again = load_model(tmp_path / "again.keras")
    np.testing.assert_array_equal(numpy(again(INPUTS["generator"])), numpy(model(INPUTS["generator"])))


def test_a_full_temporary_folder_is_no_damage(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", full)
    with pytest.raises(UserError, match=r"cannot unpack .*encoder\.keras \(No space left on device\): set TMPDIR"):
        load_model(SAVED / "encoder.keras")


def test_error_names_the_missing_or_damaged_file(tmp_path):
    with pytest.raises(UserError, match=r"gone\.keras is missing"):
        load_model(tmp_path / "gone.keras")
    content = (SAVED / "encoder.keras").read_bytes()
    (tmp_path / "half.keras").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"half\.keras is damaged"):
        load_model(tmp_path / "half.keras")
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("notes.txt", "no network")
    with pytest.raises(UserError, match=r"other\.keras is damaged"):
        load_model(tmp_path / "other.keras")


# finds the layers of the networks that the arguments name, in a process that has imported nothing else
FIND_LAYERS = """
import sys
from common.models.inference import _register_layers
for path in sys.argv[1:]:
    assert not _register_layers(path), path
"""


def test_saved_networks_of_every_article_load_without_further_imports(tmp_path):
    paths = sorted(SAVED.glob("*.keras"))
    for name in ("ogan", "rsgan-tsgan", "fgan", "energy-ebgan-jsd", "glow", "realnvp-plane"):
        trained = tiny(name)
        networks = {layer for player in trained.players() for layer in player.layers if isinstance(layer, keras.Model)}
        if name in ("glow", "realnvp-plane"):
            x = keras.Input(trained.samples.shape[1:])
            networks = {keras.Model(x, trained.network(x), name="flow")}
        for network in networks:
            paths.append(tmp_path / f"{name}-{network.name}.keras")
            network.save(paths[-1])
            assert load(paths[-1]).output_shape == network.output_shape
    assert len(paths) > 12
    env = os.environ | {"KERAS_BACKEND": "numpy", "PYTHONPATH": str(ROOT)}  # it starts in a second
    words = [sys.executable, "-c", FIND_LAYERS, *map(str, paths)]
    done = subprocess.run(words, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_error_names_the_layers_that_must_be_imported(tmp_path):
    @keras.saving.register_keras_serializable("mine")
    class Halved(layers.Layer):
        def call(self, x):
            return x / 2

    x = keras.Input((2,))
    keras.Model(x, Halved()(x)).save(tmp_path / "mine.keras")
    assert load_model(tmp_path / "mine.keras").output_shape == (None, 2)
    del keras.saving.get_custom_objects()["mine>Halved"]
    with pytest.raises(UserError, match=r"mine\.keras contains mine>Halved \(of .*\): import what defines that first"):
        load_model(tmp_path / "mine.keras")


@pytest.mark.parametrize("n", [1, 127, 128, 129])
def test_predict_returns_one_row_per_row_from_full_batches(n):
    class Double(keras.Model):
        """A model that fails on a batch that is not full."""

        def predict_on_batch(self, x):
            assert len(x) == 128
            return 2 * x

    rows = np.arange(3 * n, dtype="float32").reshape(n, 3)
    np.testing.assert_array_equal(predict(Double(), rows), 2 * rows)


def small_generator():
    """Return a generator z (n, 3) -> (n, 4, 4, 1), and the layer in its middle."""
    middle = layers.Dense(5, "relu", name="middle")
    sizes = [layers.Dense(6, "tanh", name="first"), middle, layers.BatchNormalization(), layers.Dense(16, name="last")]
    return keras.Sequential([keras.Input((3,)), *sizes, layers.Reshape((4, 4, 1))], name="generator"), middle


Z = np.random.default_rng(0).normal(size=(7, 3)).astype("float32")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_error_names_a_weight_that_is_not_finite(value):
    """TensorFlow's relu returns 0 for NaN, so that the outputs alone would not show it."""
    model, middle = small_generator()
    z = keras.Input((3,))
    energy = keras.Model(z, ops.sum(ops.square(model(z)), (1, 2)), name="energy")
    assert np.isfinite(predict(energy, Z)).all()
    kernel = numpy(middle.kernel)
    kernel[2, 1] = value
    middle.kernel.assign(kernel)
    for network in (model, energy):
        with pytest.raises(UserError, match=f"the weight .*middle/kernel of the {network.name} is NaN or infinite;"):
            predict(network, Z)


def test_error_names_the_layer_in_which_the_outputs_overflowed():
    model, middle = small_generator()
    middle.kernel.assign(np.full((6, 5), 3e38))
    middle.bias.assign(np.full(5, 3e38))
    ones = np.ones((2, 3), "float32")
    model.layers[0].kernel.assign(np.ones((3, 6)))
    with pytest.raises(UserError, match=r"2 of the 2 outputs of the generator .* first in row 0, .* layer middle;"):
        predict(model, ones)
    z = keras.Input((3,))
    energy = keras.Model(z, ops.sum(ops.square(model(ops.exp(z))), (1, 2)), name="energy")
    with pytest.raises(UserError, match=r"outputs of the energy .* layer generator/middle;"):
        predict(energy, ones)
    middle.bias.assign(np.zeros(5))
    middle.kernel.assign(np.ones((6, 5)))
    huge = np.where(np.arange(7) == 4, 1e3, 1.0)[:, None].astype("float32") * np.ones((7, 3), "float32")
    square = keras.Model(z, ops.square(model(z)) + ops.exp(z)[:, None, None, :1], name="square")
    with pytest.raises(UserError, match=r"1 of the 7 outputs of the square .* first in row 4, .* layer exp"):
        predict(square, huge)


def test_error_names_the_latent_that_is_not_finite():
    model, _ = small_generator()
    for value in (np.nan, np.inf):  # tanh(inf) = 1: the outputs alone would not show it
        z = Z.copy()
        z[3] = value
        with pytest.raises(UserError, match=r"the inputs of the generator must be finite.* the first in row 3"):
            predict(model, z)


def test_outputs_that_are_not_reproduced_are_an_error_too():
    model, _ = small_generator()
    with pytest.raises(UserError, match="1 of the 7 outputs of the generator are NaN or infinite, the first in row 6;"):
        check_outputs(model, Z, np.where(np.arange(7) < 6, 0, np.inf))
    with pytest.raises(UserError, match="1 of the 7 outputs of the generator are NaN or infinite, the first in row 2;"):
        check_outputs(model, Z, {"loss": np.arange(7), "bound": np.where(np.arange(7) == 2, np.nan, 0)})
    assert check_outputs(model, Z, np.arange(7)) is None
