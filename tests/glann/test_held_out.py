"""Held-out images: where the descent to their codes begins, the error that is reported, and what judges samples."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from common.data.images import to_float
from common.data.splits import fixed_random_subset
from glann import experiment
from glann.codes import HELD_OUT, held_out_pictures, nearest_codes, unit
from glann.experiment import judge, judges
from glann.representation import l2

SHAPE = (16, 16, 1)


def images(n, seed):
    return np.random.default_rng(seed).integers(0, 200, (n, *SHAPE), np.uint8)


def test_the_descent_begins_at_the_code_of_the_nearest_training_image():
    bank = images(700, 0)  # more than a block of 512
    codes = np.random.default_rng(1).normal(size=(700, 3))
    queries = bank[[3, 650, 90]] + np.uint8(2)
    np.testing.assert_array_equal(nearest_codes(l2(SHAPE), queries, bank, codes), codes[[3, 650, 90]])


def test_the_error_is_a_fraction_of_that_of_the_mean_training_image(tmp_path):
    """A generator that ignores its codes decodes all images to grey."""
    train, test = images(60, 0), images(40, 1) // 2
    z = keras.Input((5,))
    grey = keras.layers.Reshape(SHAPE)(keras.layers.Dense(256, kernel_initializer="zeros")(z))
    space = SimpleNamespace(train=SimpleNamespace(array=train), test=test)
    codes = unit(np.random.default_rng(0).normal(size=(60, 5)))
    metrics = held_out_pictures(tmp_path, keras.Model(z, grey), l2(SHAPE), space, codes, 1)
    real, mean = to_float(np.asarray(fixed_random_subset(test, HELD_OUT))), to_float(train.mean(0))
    assert metrics["held_out_mse"] == pytest.approx((real**2).mean(), rel=1e-4)
    assert metrics["held_out_error"] == pytest.approx((real**2).mean() / ((real - mean) ** 2).mean(), rel=1e-4)


def test_sharpness_is_that_of_the_samples_over_that_of_the_held_out_images():
    space = SimpleNamespace(test=images(20, 1))
    metrics = judge(None, space, {}, lambda n, stream: space.test[:n] // 2)
    assert metrics == {"sharpness": pytest.approx(0.25, abs=0.01)}, "half the contrast, a quarter of its square"


@pytest.mark.parametrize(
    ("dataset", "features", "kinds"),
    [
        (
            "mnist",
            None,
            {"classifier": ("classifier", 0), "other_classifier": ("classifier", 1), "pixels": ("pixels", 0)},
        ),
        ("mnist", "pixels", {"pixels": "of the space"}),
        ("toy_faces", None, {"pixels": ("pixels", 0)}),
    ],
)
def test_samples_are_measured_by_classifiers_where_there_are_classes_unless_pixels_are_wanted(
    monkeypatch, dataset, features, kinds
):
    monkeypatch.setattr(experiment, "extractor", lambda kind, *data_and_seed: lambda x: (kind, data_and_seed[-1]))
    space = SimpleNamespace(train=SimpleNamespace(array=None), test=images(30, 0), extract=lambda x: "of the space")
    judged = judges(SimpleNamespace(dataset=dataset, size=16, features=features, data_dir=None), space)
    assert {name: extract(None) for name, (extract, _) in judged.items()} == kinds
