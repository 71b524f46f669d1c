"""Loading saved networks, including files in which layers have older names; prediction in full batches."""

import zipfile

import numpy as np
import pytest

from common.errors import UserError
from common.models.inference import load_model, predict
from tests.helpers.arrays import numpy
from tests.helpers.scripts import ROOT

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


@pytest.mark.parametrize("n", [1, 127, 128, 129])
def test_predict_returns_one_row_per_row_from_full_batches(n):
    class Double:
        """A model that fails on a batch that is not full."""

        def predict(self, x, batch_size, verbose):
            assert len(x) % batch_size == 0
            return 2 * x

    rows = np.arange(3 * n, dtype="float32").reshape(n, 3)
    np.testing.assert_array_equal(predict(Double(), rows), 2 * rows)
