"""The networks in `pretrained/`: small, loaded by name, and what their settings say."""

import json
import shutil
import zipfile

import h5py
import keras
import numpy as np
import pytest

import common.models
from common.errors import UserError
from common.flag_types import PRETRAINED
from common.models import export, pretrained
from common.models.inference import load_model
from tests.helpers.scripts import error_line

ENTRIES = pretrained.names()


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A finished run of one small network with a batch norm and an input of any length."""
    folder = tmp_path_factory.mktemp("run")
    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.BatchNormalization()(keras.layers.Embedding(20, 4)(tokens))
    model = keras.Model(tokens, keras.layers.Dense(3)(x))
    rng = np.random.default_rng(1)
    model.set_weights([rng.random(w.shape).astype("float32") for w in model.get_weights()])
    model.save(folder / "tagger.keras")
    flags = {"out": "/home/me", "data_dir": "/home/me/data", "seed": 0}
    command = "python /home/me/clone/couplet/train.py --out /home/me --seed 0 --data-dir /home/me/data --resume --new"
    (folder / "config.json").write_text(json.dumps({"flags": flags, "command": command}))
    (folder / "results.json").write_text(json.dumps({"metrics": {"steps": 1}, "command": command}))
    return folder


@pytest.fixture
def entry(run_dir, tmp_path):
    """The entry made of that run."""
    export.export(run_dir, tmp_path / "entry")
    return tmp_path / "entry"


def test_the_entries_are_small():
    sizes = {path: path.stat().st_size for path in PRETRAINED.rglob("*") if path.is_file()}
    assert ENTRIES and max(sizes.values()) <= export.MAX_BYTES and sum(sizes.values()) <= 15_000_000


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_is_what_it_says(name):
    assert pretrained.differences(PRETRAINED / name) == []
    assert (PRETRAINED / name / "results.json").is_file()


def test_an_exported_run_holds_its_weights_in_float16_and_no_folders(run_dir, entry):
    before, after = (load_model(folder / "tagger.keras") for folder in (run_dir, entry))
    for a, b in zip(before.get_weights(), after.get_weights(), strict=True):
        np.testing.assert_array_equal(a.astype("float16").astype("float32"), b)
        assert a.size < 4 or not np.array_equal(a, b)
    with zipfile.ZipFile(entry / "tagger.keras") as archive, archive.open("model.weights.h5") as file:
        types = set()
        h5py.File(file).visititems(lambda _, item: types.add(str(getattr(item, "dtype", "float16"))))
    assert types == {"float16"}
    assert "/home/me" not in (entry / "config.json").read_text() + (entry / "results.json").read_text()
    assert json.loads((entry / "config.json").read_text())["command"] == "python couplet/train.py --seed 0"
    assert pretrained.differences(entry) == []


@pytest.mark.parametrize("weight", [0, 6])
def test_a_changed_weight_is_noticed(entry, weight):
    model = load_model(entry / "tagger.keras")
    values = model.get_weights()
    values[weight].flat[0] += 0.01
    model.set_weights(values)
    model.save(entry / "tagger.keras")
    assert "other weights" in pretrained.differences(entry)[0]


def test_other_outputs_are_noticed(entry):
    config = json.loads((entry / "config.json").read_text())
    outputs = config["networks"]["tagger.keras"]["outputs"]
    outputs[0][5] += 0.01 * max(map(abs, outputs[0]))
    (entry / "config.json").write_text(json.dumps(config))
    (line,) = pretrained.differences(entry)
    assert line.startswith("output 0 of tagger.keras differs by")


def test_networks_load_by_name_path_and_address(entry, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "PRETRAINED", tmp_path)
    expected = load_model(entry / "tagger.keras").get_weights()
    (tmp_path / "hub").mkdir()
    with zipfile.ZipFile(entry / "tagger.keras") as archive:
        archive.extractall(tmp_path / "hub")  # as `Model.save("hf://USER/NAME")` lays it out

    class Hub:
        def snapshot_download(self, repo_id, **_):
            assert repo_id == "user/name"
            return str(tmp_path / "hub")

    monkeypatch.setattr("keras.src.saving.saving_lib.huggingface_hub", Hub())
    for name in ("entry", "entry/tagger", entry / "tagger.keras", "hf://user/name"):
        for a, b in zip(common.models.load(name).get_weights(), expected, strict=True):
            np.testing.assert_array_equal(a, b)
    with pytest.raises(UserError, match=r"no network 'entyr': .* one of entry/tagger"):
        common.models.load("entyr")
    monkeypatch.setattr("keras.src.saving.saving_lib.huggingface_hub", None)
    with pytest.raises(UserError, match="needs the package huggingface_hub"):
        common.models.load("hf://user/name")


def test_what_cannot_be_exported_is_one_line(run_dir, tmp_path):
    broken = shutil.copytree(run_dir, tmp_path / "broken")
    model = load_model(broken / "tagger.keras")
    model.set_weights([w + 1e5 for w in model.get_weights()])
    model.save(broken / "tagger.keras")
    with pytest.raises(UserError, match="beyond the range of float16"):
        export.export(broken, tmp_path / "entry")
    (broken / "tagger.keras").unlink()
    assert "holds no network" in error_line("common/models/export.py", broken, "--name", "name")
    assert "give RUN and --name" in error_line("common/models/export.py", broken)
