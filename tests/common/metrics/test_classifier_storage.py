"""The stored classifier: on a full disk it is kept in memory, and a damaged one is trained again."""

import resource

import numpy as np
import pytest

from common.data.catalog import keras_home
from common.data.images import load_images
from common.errors import UserError
from common.metrics import classifier as module
from common.metrics.classifier import classifier, predicted_labels
from tests.helpers.datasets import digits, write_idx


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Return a list that grows with every training; the classifiers are not really trained."""
    (x, y), (x_test, y_test) = digits(20), digits(10, 1)
    np.savez(tmp_path / "mnist.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    trainings = []

    def train(name, images, *settings):
        trainings.append(name)
        return module._network(images.array.shape[2], 1, 10), 0.5

    monkeypatch.setattr(module, "_train", train)
    return trainings


def test_a_classifier_that_cannot_be_stored_is_kept_in_memory(trained, capsys):
    """On a full disk, which a limit on the size of files stands for, it is trained once and the note comes once."""
    images = digits(20, 2)[0][..., None]
    for split in ("train", "test"):  # a run has prepared them
        load_images("mnist", 28, split)
    capsys.readouterr()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        labels = [predicted_labels(images, "mnist", 28) for _ in range(2)]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    np.testing.assert_array_equal(*labels)
    assert trained == ["mnist"]
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("cannot write ") and line.endswith("; going on with the classifier in memory")
    assert not [path for path in keras_home().glob("classifiers/**/*") if path.is_file()]


def test_a_place_that_is_no_folder_does_not_stop_the_measurement(trained, capsys):
    keras_home().mkdir(parents=True, exist_ok=True)
    (keras_home() / "classifiers").write_text("a file")
    assert classifier("mnist", 28)[1] == classifier("mnist", 28)[1] == 0.5
    assert trained == ["mnist"] and capsys.readouterr().out.count("going on with the classifier in memory") == 1


def test_another_seed_gives_another_classifier_beside_the_first(trained):
    for seed in (0, 1, 0, 1):
        classifier("mnist", 28, seed=seed)
    assert trained == ["mnist"] * 2 and len(list(keras_home().glob("classifiers/mnist-28-*"))) == 2
    kernels = [module._network(28, 1, 10, seed).get_weights()[0] for seed in (0, 1)]
    assert np.abs(kernels[0] - kernels[1]).max() > 0.01


def test_the_same_data_in_another_place_and_format_have_the_same_classifier(trained, tmp_path):
    """So a new copy of the data does not change the FIDs of this machine; other labels are other data."""
    (x, y), test = digits(20), digits(10, 1)
    idx = write_idx(tmp_path / "idx", (x, y), test)
    other_labels = write_idx(tmp_path / "other_labels", (x, y[::-1]), test)
    for folder, trainings in ((None, 1), (idx, 1), (other_labels, 2)):
        classifier("mnist", 28, folder)
        assert len(trained) == trainings, folder


@pytest.mark.parametrize("name", ["accuracy.json", "classifier.keras"])
@pytest.mark.parametrize("content", ["[]", "null", "{}", '{"test_accuracy": null}', '{"test_accuracy": "x"}', "{", ""])
def test_a_damaged_classifier_is_trained_again(trained, name, content):
    assert classifier("mnist", 28)[1] == classifier("mnist", 28)[1] == 0.5
    assert trained == ["mnist"]
    (path,) = keras_home().glob(f"classifiers/mnist-28-*/{name}")
    before = path.stat().st_size
    path.write_text(content)
    assert classifier("mnist", 28)[1] == 0.5
    assert trained == ["mnist"] * 2 and path.stat().st_size == pytest.approx(before, abs=100)


def test_other_faults_of_a_training_are_not_hidden(trained, monkeypatch):
    def fail(*_):
        raise UserError("mnist is damaged")

    monkeypatch.setattr(module, "_train", fail)
    with pytest.raises(UserError, match="mnist is damaged"):
        classifier("mnist", 28)
