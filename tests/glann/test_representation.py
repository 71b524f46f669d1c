"""Distances of images as squared distances of vectors, against sums over layers."""

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

from common.errors import UserError
from common.metrics import classifier as classifiers
from glann import representation
from glann.nearest import nearest_distance
from tests.helpers.arrays import numpy

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (6, 16, 16, 1)).astype("uint8")
A, B = (RNG.uniform(-1, 1, (n, 16, 16, 1)).astype("float32") for n in (3, 4))


def test_l2_is_the_mean_square_error_of_the_pixels():
    r = representation.l2((16, 16, 1))
    distances = np.mean((A[:, None] - B) ** 2, (2, 3, 4))
    np.testing.assert_allclose(numpy(nearest_distance(r(A), r(B))), distances.min(1), rtol=1e-5)


def test_a_gram_matrix_holds_the_mean_products_of_channels():
    maps = RNG.normal(size=(2, 3, 4, 5)).astype("float32")
    expected = np.einsum("nhwc,nhwd->ncd", maps, maps) / 12
    np.testing.assert_allclose(numpy(representation.gram(maps)), expected, rtol=1e-4, atol=1e-6)


def test_the_perceptual_distance_is_the_sum_over_maps_and_their_gram_matrices(monkeypatch):
    """All pairs cost one pass per image: the article counts one per pair."""
    network = classifiers._network(16, 1, 10)
    monkeypatch.setattr(representation, "classifier", lambda *args: (network, 0.5))
    r = representation.perceptual("mnist", PIXELS)
    features = representation.classifier_maps(network)
    assert len(features.outputs) > 2

    def parts(x):
        maps = [numpy(m) for m in features(x)]
        blocks = [b for m in maps for b in ((m, numpy(representation.gram(m))) if m.ndim == 4 else (m,))]
        return [b.reshape(len(x), -1) / b[0].size ** 0.5 for b in blocks]

    sizes = [np.mean(np.sum(b**2, 1)) for b in parts(PIXELS / np.float32(127.5) - 1)]
    distances = sum(np.sum((a[:, None] - b) ** 2, -1) / s for a, b, s in zip(parts(A), parts(B), sizes, strict=True))
    np.testing.assert_allclose(numpy(nearest_distance(r(A), r(B))), distances.min(1), rtol=1e-3)


@pytest.fixture(scope="module")
def vgg_file(tmp_path_factory):
    """Return (a VGG-16 with random weights, the file of its weights as Keras publishes them)."""
    network = keras.applications.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
    path = tmp_path_factory.mktemp("vgg") / representation.VGG_FILE
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, network)
    return network, path


def test_vgg_sees_images_as_keras_prepares_them(vgg_file):
    network, path = vgg_file
    grey = RNG.uniform(-1, 1, (2, 32, 32, 1)).astype("float32")
    ours = representation.vgg16((32, 32, 1), path)(grey)
    prepared = keras.applications.vgg16.preprocess_input(np.repeat((grey + 1) * 127.5, 3, -1))
    theirs = keras.Model(network.input, network.get_layer("block4_conv3").output)(prepared)
    assert [m.shape[1] for m in ours] == [8, 4, 2]
    np.testing.assert_allclose(numpy(ours[1]), numpy(theirs), rtol=1e-3, atol=1e-3)


def test_another_file_is_refused_in_one_line(tmp_path):
    (tmp_path / "x.h5").write_bytes(b"nothing")
    with pytest.raises(UserError, match="is not the file vgg16_weights"):
        representation.vgg16((32, 32, 3), tmp_path / "x.h5")
