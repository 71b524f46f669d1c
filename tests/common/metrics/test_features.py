"""Features of images: the classifier that is trained once, what is read from images with it, and distances in them."""

import random

import keras
import numpy as np
import pytest

from common.data import catalog
from common.data.images import load_images, to_float
from common.errors import UserError
from common.metrics import classifier as classifier_module
from common.metrics import distances, features
from common.metrics.classifier import _single_output_model, classifier, predicted_labels
from common.metrics.features import default_features, extractor, fixed_random_subset, sample_quality


def patterns(n, seed):
    """Ten block patterns under noise: images uint8 (n, 28, 28) and their numbers (n,)."""
    blocks = np.kron(np.random.default_rng(0).integers(0, 2, (10, 7, 7)), np.ones((4, 4)))
    noise, labels = np.random.default_rng(seed), np.arange(n) % 10
    images = 40 + 150 * blocks[labels] + noise.normal(0, 25, (n, 28, 28))
    return np.clip(images, 0, 255).astype("uint8"), labels.astype("uint8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with those patterns as MNIST, an empty Keras cache beside it, and no other data."""
    folder = tmp_path_factory.mktemp("data")
    (x, y), (x_test, y_test) = patterns(1920, 1), patterns(300, 2)
    np.savez(folder / "mnist.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        patch.delenv("DATA_DIR", raising=False)
        yield folder


@pytest.fixture(scope="module")
def digits(folder):
    """The training and test images, and the classifier of them, trained."""
    trained = classifier("mnist", 28, folder)
    return load_images("mnist", 28, data_dir=folder), load_images("mnist", 28, "test", folder), trained


def values(model):
    return [keras.ops.convert_to_numpy(w) for w in model.weights]


def test_the_classifier_learns(folder, digits, capsys):
    _, test, (model, accuracy) = digits
    assert accuracy > 0.95
    found = predicted_labels(test.array, "mnist", 28, folder)
    assert found.shape == (300,) and np.mean(found == test.labels) == accuracy
    codes, logits = model.predict(to_float(test.array[:8]), verbose=0)
    assert codes.shape == (8, 128) and codes.min() == 0 and logits.shape == (8, 10) and codes.dtype == np.float32
    assert "training" not in capsys.readouterr().out


def test_it_is_trained_once(folder, digits, monkeypatch):
    model, accuracy = digits[2]

    def fail(*args, **kwargs):
        raise AssertionError("it is trained again")

    monkeypatch.setattr(keras.Model, "fit", fail)
    for dataset in ("mnist", "stacked_mnist", "stacked_mnist_2"):
        again, same = classifier(dataset, 28, folder)
        assert same == accuracy
        for a, b in zip(values(model), values(again), strict=True):
            np.testing.assert_array_equal(a, b)
    with pytest.raises(AssertionError, match="trained again"):
        classifier("mnist", 28, folder, limit=900)  # another recipe is another classifier


def test_it_is_the_same_whoever_trains_it(folder, tmp_path, monkeypatch, capsys):
    found = []
    for policy in ("float32", "mixed_float16"):
        monkeypatch.setenv("KERAS_HOME", str(tmp_path / policy))
        keras.utils.set_random_seed(len(found))
        keras.config.set_dtype_policy(policy)
        before = random.getstate(), np.random.get_state()[1].tolist()
        classifier("mnist", 28, folder, limit=300, epochs=1)
        assert (random.getstate(), np.random.get_state()[1].tolist()) == before
        assert keras.config.dtype_policy().name == policy
        model, _ = classifier("mnist", 28, folder, limit=300, epochs=1)
        found.append(_single_output_model(model, 0).predict(to_float(patterns(20, 5)[0][..., None]), verbose=0))
    assert found[1].dtype == np.float32
    np.testing.assert_array_equal(*found)
    assert capsys.readouterr().out.count("training a classifier of mnist at 28 px once") == 2


def test_a_damaged_classifier_is_trained_again(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    model, accuracy = classifier("mnist", 28, folder, limit=256, epochs=1)
    (kept,) = tmp_path.glob("classifiers/mnist-28-*/classifier.keras")
    kept.write_bytes(kept.read_bytes()[:1000])
    again, same = classifier("mnist", 28, folder, limit=256, epochs=1)
    assert same == accuracy and kept.stat().st_size > 1000
    np.testing.assert_array_equal(values(model)[0], values(again)[0])


@pytest.mark.parametrize(
    ("kind", "dataset", "message"),
    [
        ("vgg", "mnist", "'vgg': allowed are classifier, inception, pixels"),
        ("classifier", "lfw", "lfw has no classes .*mnist.*: measure in inception or pixels"),
        ("classifier", "toy_faces", "toy_faces has no classes"),
        ("classifier", "folder:x", "folder:x has no classes"),
        ("classifier", "fashion_mnist", "fashion_mnist is not in"),
    ],
)
def test_what_cannot_be_had_is_said_in_one_line(folder, monkeypatch, kind, dataset, message):
    monkeypatch.setattr(catalog, "_fetch", lambda *_: (_ for _ in ()).throw(OSError("no network")))
    with pytest.raises(UserError, match=message) as caught:
        extractor(kind, dataset, 28, None, folder)
    assert "\n" not in str(caught.value)


def test_the_kind_that_suits_a_data_set():
    for name in ("mnist", "fashion_mnist", "stacked_mnist", "stacked_mnist_2"):
        assert default_features(name) == "classifier"
    for name in ("cifar10", "lfw", "toy_faces", "folder:x"):
        assert default_features(name) == "pixels"


@pytest.mark.parametrize("dataset", ["stacked_mnist", "stacked_mnist_2"])
def test_stacked_labels_are_spelled_by_their_digits(folder, digits, dataset):
    images = load_images(dataset, 28, "test", folder, limit=200)
    found = predicted_labels(images.array, dataset, 28, folder)
    assert found.dtype == np.int64 and np.mean(found == images.labels) > 0.9
    x = patterns(10, 3)[0]
    stack = np.stack([x[[3, 0]], x[[0, 9]], x[[7, 4]]], -1)
    expected = [307, 94] if dataset == "stacked_mnist" else [30, 9]  # without blue there is no third digit
    np.testing.assert_array_equal(predicted_labels(stack, dataset, 28, folder), expected)


def test_features_of_a_stack_are_those_of_its_digits(folder, digits):
    x = patterns(30, 4)[0]
    stack = np.stack([x, x[::-1], np.roll(x, 1, 0)], -1)
    single = extractor("classifier", "mnist", 28, None, folder)
    parts = [single(stack[..., c : c + 1]) for c in range(3)]
    for dataset, k in (("stacked_mnist", 3), ("stacked_mnist_2", 2)):
        found = extractor("classifier", dataset, 28, None, folder)(stack)
        np.testing.assert_array_equal(found, np.concatenate(parts[:k], 1))


def test_features_tell_the_classes_apart(folder, digits):
    test = digits[1]
    codes = extractor("classifier", "mnist", 28, None, folder)(test.array)
    means = np.stack([codes[test.labels == c].mean(0) for c in range(10)])
    within = np.mean([codes[test.labels == c].std(0) for c in range(10)])
    assert np.linalg.norm(means[:, None] - means, axis=-1)[~np.eye(10, dtype=bool)].min() > 5 * within


@pytest.mark.parametrize("kind", ["classifier", "pixels"])
def test_how_images_are_cut_into_batches_plays_no_part(folder, digits, monkeypatch, kind):
    train, test, _ = digits
    extract = extractor(kind, "mnist", 28, train.array, folder)
    whole = extract(test.array)
    monkeypatch.setattr(classifier_module, "CHUNK", 70)
    for cut in (extract(test.array), np.concatenate([extract(test.array[:7]), extract(test.array[7:])])):
        assert cut.dtype == np.float32 and cut.shape == whole.shape
        np.testing.assert_allclose(cut, whole, rtol=1e-4, atol=1e-4)


def test_pixels_are_components_of_the_training_images(digits):
    train, test, _ = digits
    codes = extractor("pixels", "mnist", 28, train.array)(test.array)
    flat, mean = to_float(test.array).reshape(300, -1), to_float(train.array).reshape(1920, -1).mean(0)
    assert codes.shape == (300, 64)
    ratio = np.sum(codes**2) / np.sum((flat - mean) ** 2)
    assert 0.7 < ratio < 1  # ten patterns are spread in nine directions; the noise in the others is left out
    assert extractor("pixels", "x", 28, train.array[:5])(test.array).shape == (300, 4)


@pytest.mark.parametrize("channels", [1, 3])
def test_inception_sees_large_pictures_of_three_colours(monkeypatch, channels):
    """A stand-in: the means of the colours, the largest and the least value of what the network would be shown."""

    def network(include_top, pooling, input_shape):
        assert (include_top, pooling, input_shape) == (False, "avg", (299, 299, 3))
        random.random()  # as the seeds of its layers do
        x = keras.Input(input_shape)
        extremes = keras.ops.max(x, (1, 2)), keras.ops.min(x, (1, 2))
        return keras.Model(x, keras.layers.Concatenate()([keras.ops.mean(x, (1, 2)), *extremes]))

    monkeypatch.setattr(keras.applications, "InceptionV3", network)
    before = random.getstate()
    extract = extractor("inception", "folder:x", 16)
    assert random.getstate() == before
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, channels)).astype("uint8")
    images[0], images[1] = 0, 255
    found = extract(images)
    assert found.shape == (5, 9)
    np.testing.assert_allclose(found[:2], np.repeat([[-1.0], [1.0]], 9, 1), atol=1e-5)
    means = to_float(images).mean((1, 2))
    np.testing.assert_allclose(found[:, :3], np.broadcast_to(means, (5, 3)), atol=0.02)
    assert found.min() >= -1.00001 and found.max() <= 1.00001


def test_inception_without_its_weights_says_which_file_is_needed(monkeypatch, tmp_path):
    def network(**_):
        raise Exception("URL fetch failure on https://x:\nno network")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.applications, "InceptionV3", network)
    with pytest.raises(UserError, match=r"no network.*inception_v3_weights.*notop\.h5") as caught:
        extractor("inception", "lfw", 32)
    message = str(caught.value)
    assert str(tmp_path / "models" / features.INCEPTION_FILE) in message and "\n" not in message


@pytest.mark.parametrize("kind", ["classifier", "pixels"])
def test_quality_knows_the_data_from_noise(folder, digits, kind):
    train, test, _ = digits
    extract = extractor(kind, "mnist", 28, train.array, folder)
    same = sample_quality(patterns(290, 7)[0][..., None], train.array, test.array, extract)
    noise = np.random.default_rng(0).integers(0, 256, (290, 28, 28, 1)).astype("uint8")
    other = sample_quality(noise, train.array, test.array, extract)
    assert set(same) == {*("fid", "fid_floor", "kid", "kid_floor"), *("precision", "recall", "density", "coverage")}
    assert all(isinstance(v, float) for v in same.values())
    for name in ("fid", "kid"):
        floor = same[f"{name}_floor"]
        assert floor == other[f"{name}_floor"]
        assert same[name] < abs(floor) * 3 + 1e-3
        assert other[name] > 20 * max(floor, same[name])
    assert same["precision"] > 0.5 > other["precision"] and same["coverage"] > 0.8 > other["coverage"]


def test_a_subset_is_drawn_from_the_whole_once():
    rows = fixed_random_subset(np.arange(1000), 100)
    assert (np.diff(rows) > 0).all() and abs(rows.mean() - 500) < 100 and 30 < np.sum(rows % 2) < 70
    np.testing.assert_array_equal(rows, fixed_random_subset(np.arange(1000), 100))
    assert fixed_random_subset(np.arange(7), 7).tolist() == [*range(7)]


def test_quality_is_that_of_the_distances_at_the_least_length(digits):
    train, test, _ = digits
    extract = extractor("pixels", "mnist", 28, train.array)
    fakes = patterns(250, 8)[0][..., None]
    found = sample_quality(fakes, train.array, test.array, extract)
    a, b, c = (extract(fixed_random_subset(x, 250)) for x in (fakes, train.array, test.array))
    assert found["fid"] == distances.frechet_distance(a, c) and found["fid_floor"] == distances.frechet_distance(b, c)
    assert found["kid"] == distances.kernel_distance(a, c) and found["kid_floor"] == distances.kernel_distance(b, c)
    assert found.items() >= distances.prdc(c, a).items()
    known = sample_quality(fakes, extract(train.array), extract(test.array), extract)
    assert known == pytest.approx(found, rel=1e-3, abs=1e-6)
