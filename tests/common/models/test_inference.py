"""Saved networks: those of today, and files whose layers have had other names since."""

import zipfile

import numpy as np
import pytest

from common.errors import UserError
from common.models.inference import load_model, predict
from tests.helpers.arrays import numpy
from tests.helpers.scripts import ROOT

SAVED = ROOT / "tests/saved"  # written by the first version of this repository, with what its networks answered
INPUTS = {
    "generator": np.random.default_rng(2).normal(size=(2, 3)).astype("float32"),
    "encoder": np.random.default_rng(3).uniform(-1, 1, (2, 16, 16, 1)).astype("float32"),
}


@pytest.mark.parametrize("name", INPUTS)
def test_a_network_of_the_first_version_loads_and_answers_as_then(name):
    with np.load(SAVED / "outputs.npz") as outputs:
        np.testing.assert_allclose(numpy(load_model(SAVED / f"{name}.keras")(INPUTS[name])), outputs[name], atol=1e-5)


def test_what_is_loaded_under_new_names_is_saved_and_loaded_again(tmp_path):
    model = load_model(SAVED / "generator.keras")
    model.save(tmp_path / "again.keras")
    again = load_model(tmp_path / "again.keras")
    np.testing.assert_array_equal(numpy(again(INPUTS["generator"])), numpy(model(INPUTS["generator"])))


def test_a_missing_or_damaged_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"gone\.keras is missing"):
        load_model(tmp_path / "gone.keras")
    whole = (SAVED / "encoder.keras").read_bytes()
    (tmp_path / "half.keras").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"half\.keras is damaged"):
        load_model(tmp_path / "half.keras")
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("notes.txt", "no network")
    with pytest.raises(UserError, match=r"other\.keras is damaged"):
        load_model(tmp_path / "other.keras")


@pytest.mark.parametrize("n", [1, 127, 128, 129])
def test_predict_gives_a_row_for_each_row(n):
    class Double:
        """Answers full batches alone, as a compiled model that must not be compiled anew."""

        def predict(self, x, batch_size, verbose):
            assert len(x) % batch_size == 0
            return 2 * x

    rows = np.arange(3 * n, dtype="float32").reshape(n, 3)
    np.testing.assert_array_equal(predict(Double(), rows), 2 * rows)
