"""Sample spaces: how samples are compared with the data and shown."""

import argparse

import imageio.v3 as iio
import numpy as np
import pytest

from common.data import toy_2d
from common.experiments import sample_space as module
from common.experiments.sample_space import ImageSpace, PlaneSpace
from common.metrics.wasserstein import laplacian_wasserstein


def test_points_near_the_data_have_a_small_distance():
    space = PlaneSpace(argparse.Namespace(dataset="8gaussians", seed=0, limit=None))
    assert space.modes == 8 and space.train.shape == (50_000, 2)
    fresh = toy_2d.sample("8gaussians", space.n, 77)
    assert space.distance(fresh) == pytest.approx(space.noise_floor, rel=0.8)
    moved = space.reference + np.array([0.5, 0], "float32")
    assert space.distance(moved) == pytest.approx(0.5 * 2 / np.pi, rel=0.1)  # |shift| times the mean of |cos|
    metrics = space.evaluate(lambda n, seed_stream: toy_2d.sample("8gaussians", n, [9, seed_stream]))
    assert metrics["swd"] < 3 * metrics["swd_floor"] and metrics["modes"] == 8


@pytest.fixture(scope="module")
def faces():
    return ImageSpace(
        argparse.Namespace(dataset="toy_faces", size=32, data_dir=None, limit=150, crop="square", features="pixels")
    )


def test_images_are_compared_with_held_out_images(faces):
    assert faces.args.features == "pixels" and faces.n == 150 and faces.shape == (32, 32, 3)
    assert not (faces.test[:, None, :2] == np.asarray(faces.train.array)[None, :, :2]).all((2, 3, 4)).any()
    assert 0 < faces.noise_floor < faces.distance(255 - faces.test[:150]) / 10
    assert faces.distance(faces.test[:150]) == pytest.approx(0, abs=1e-3 * faces.noise_floor)
    np.testing.assert_array_equal(faces.postprocess(np.array([-1.0, 0, 1.2])), [0, 128, 255])


def test_training_images_as_samples_are_at_the_floor(faces):
    metrics = faces.evaluate(lambda n, seed_stream: np.asarray(faces.train.array[:n]))
    assert metrics["fid"] == pytest.approx(metrics["fid_floor"]) and metrics["recall"] > 0.5
    assert set(metrics) >= {"kid", "coverage", "swd_32", "swd_16"} and "modes" not in metrics
    n = len(faces.test)
    for size, value in laplacian_wasserstein(faces.test, np.asarray(faces.train.array[:n])).items():
        assert metrics[f"swd_{size}"] == pytest.approx(1000 * value, rel=1e-5)


def test_small_images_are_shown_nine_by_nine_at_twice_their_size(faces, tmp_path):
    faces.show(tmp_path / "grid.png", faces.test[:100])
    grid = iio.imread(tmp_path / "grid.png")
    assert grid.shape == (9 * 64, 9 * 64, 3)
    pixels = grid[::2, ::2]
    np.testing.assert_array_equal(pixels.repeat(2, 0).repeat(2, 1), grid)
    cells = pixels.reshape(9, 32, 9, 32, 3).swapaxes(1, 2).reshape(81, 32, 32, 3)
    np.testing.assert_array_equal(cells, faces.test[:81])


@pytest.mark.parametrize(("dataset", "modes"), [("stacked_mnist", 1000), ("stacked_mnist_2", 100), ("mnist", 10)])
def test_modes_are_counted_in_26_samples_for_each(tmp_path, monkeypatch, dataset, modes):
    """The classifier is replaced by one that sees the first half of the classes, all equally often."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    images, labels = np.random.default_rng(0).integers(0, 256, (60, 28, 28), np.uint8), np.arange(60) % 10
    np.savez(tmp_path / "mnist.npz", x_train=images[:40], y_train=labels[:40], x_test=images[40:], y_test=labels[40:])
    monkeypatch.setattr(
        module, "extractor", lambda *_: lambda images: images[:, ::8, ::8].reshape(len(images), -1) / 255
    )
    monkeypatch.setattr(module, "predicted_labels", lambda images, *_: np.arange(len(images)) % (modes // 2))
    flags = {"dataset": dataset, "size": 32, "data_dir": tmp_path, "limit": 40, "crop": "square"}
    space = ImageSpace(argparse.Namespace(**flags, features="classifier"))
    assert space.modes == modes
    calls = []
    metrics = space.evaluate(
        lambda n, seed_stream: calls.append((n, seed_stream)) or np.resize(space.train.array, (n, *space.shape))
    )
    assert metrics["modes"] == modes // 2 and metrics["mode_kl"] == pytest.approx(np.log(2))
    assert calls[-1] == (26 * modes, 5), "other samples than those of the distances"


def test_with_pixels_no_classifier_is_trained_and_no_modes_are_counted(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    images, labels = np.random.default_rng(0).integers(0, 256, (60, 28, 28), np.uint8), np.arange(60) % 10
    np.savez(tmp_path / "mnist.npz", x_train=images[:40], y_train=labels[:40], x_test=images[40:], y_test=labels[40:])
    flags = {"dataset": "mnist", "size": 32, "data_dir": tmp_path, "limit": None, "crop": "square"}
    space = ImageSpace(argparse.Namespace(**flags, features="pixels"))
    metrics = space.evaluate(lambda n, seed_stream: space.train.array[:n])
    assert metrics["fid"] > 0 and not space.modes and "modes" not in metrics
    assert not list(tmp_path.rglob("classifier*"))
