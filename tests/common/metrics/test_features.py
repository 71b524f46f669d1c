"""Features of images: the classifier that is trained once, its labels and features, and distances in features."""

import random
import shutil

import keras
import numpy as np
import pytest

from common.data import downloads
from common.data.images import load_images, to_float
from common.data.splits import fixed_random_subset
from common.errors import UserError
from common.metrics import classifier as classifier_module
from common.metrics import distances, features
from common.metrics.classifier import classifier, predicted_labels, single_output_model
from common.metrics.features import extractor, sample_quality


def patterns(n, seed):
    """Return ten block patterns under noise: images uint8 (n, 28, 28) and their labels (n,)."""
    blocks = np.kron(np.random.default_rng(0).integers(0, 2, (10, 7, 7)), np.ones((4, 4)))
    noise, labels = np.random.default_rng(seed), np.arange(n) % 10
    images = 40 + 150 * blocks[labels] + noise.normal(0, 25, (n, 28, 28))
    return np.clip(images, 0, 255).astype("uint8"), labels.astype("uint8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with those patterns as MNIST; the Keras cache is empty, and there is no other data."""
    folder = tmp_path_factory.mktemp("data")
    (x, y), (x_test, y_test) = patterns(1920, 1), patterns(300, 2)
    np.savez(folder / "mnist.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        patch.delenv("DATA_DIR", raising=False)
        yield folder


@pytest.fixture(scope="module")
def digits(folder):
    """Return the training images, the test images and their trained classifier."""
    trained = classifier("mnist", 28, folder)
    return load_images("mnist", 28, data_dir=folder), load_images("mnist", 28, "test", folder), trained


@pytest.fixture(scope="module")
def extractors(folder, digits):
    """Return the feature extractors of the patterns, by kind."""
    return {kind: extractor(kind, "mnist", 28, digits[0].array, folder) for kind in ("classifier", "pixels")}


def values(model):
    return [keras.ops.convert_to_numpy(w) for w in model.weights]


def test_the_classifier_learns(folder, digits, capsys):
    _, test, (model, accuracy) = digits
    assert accuracy > 0.95
    labels = predicted_labels(test.array, "mnist", 28, folder)
    assert labels.shape == (300,) and np.mean(labels == test.labels) == accuracy
    codes, logits = model.predict(to_float(test.array[:8]), verbose=0)
    assert codes.shape == (8, 128) and codes.min() == 0 and logits.shape == (8, 10) and codes.dtype == np.float32
    assert "training" not in capsys.readouterr().out


def test_the_classifier_is_trained_once(folder, digits, monkeypatch):
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
        classifier("mnist", 28, folder, limit=900)  # other settings are another classifier


def test_every_training_gives_the_same_classifier(folder, tmp_path, monkeypatch, capsys):
    """Neither the caller's seeds and policy nor a damaged file make a difference, and the caller's state is kept."""
    features, weights, accuracies = [], [], []
    for policy in ("float32", "mixed_float16"):
        keras_cache = tmp_path / policy
        if policy == "mixed_float16":  # the classifier is there, but damaged
            shutil.copytree(tmp_path / "float32", keras_cache)
            (model_file,) = keras_cache.glob("classifiers/mnist-28-*/classifier.keras")
            model_file.write_bytes(model_file.read_bytes()[:1000])
        monkeypatch.setenv("KERAS_HOME", str(keras_cache))
        keras.utils.set_random_seed(len(features))
        keras.config.set_dtype_policy(policy)
        before = random.getstate(), np.random.get_state()[1].tolist()
        trained, accuracy = classifier("mnist", 28, folder, limit=300, epochs=1)
        assert (random.getstate(), np.random.get_state()[1].tolist()) == before
        assert keras.config.dtype_policy().name == policy
        loaded, loaded_accuracy = classifier("mnist", 28, folder, limit=300, epochs=1)
        assert loaded_accuracy == accuracy
        for a, b in zip(values(trained), values(loaded), strict=True):
            np.testing.assert_array_equal(a, b)
        images = to_float(patterns(20, 5)[0][..., None])
        features.append(single_output_model(loaded, 0).predict(images, verbose=0))
        weights.append(values(loaded))
        accuracies.append(accuracy)
    assert features[1].dtype == np.float32
    np.testing.assert_array_equal(*features)
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert accuracies[0] == accuracies[1] and model_file.stat().st_size > 1000
    assert capsys.readouterr().out.count("training a classifier of mnist at 28 px once") == 2


@pytest.mark.parametrize(
    ("kind", "dataset", "message"),
    [
        ("vgg", "mnist", "the features must be one of classifier, inception, pixels. Received: 'vgg'"),
        ("classifier", "lfw", "lfw has no classes .*; use the features inception or pixels .*mnist"),
        ("classifier", "toy_faces", "toy_faces has no classes"),
        ("classifier", "folder:x", "folder:x has no classes"),
        ("classifier", "fashion_mnist", "fashion_mnist is not in"),
    ],
)
def test_missing_features_are_an_error_of_one_line(folder, monkeypatch, kind, dataset, message):
    monkeypatch.setattr(downloads, "_fetch", lambda *_: (_ for _ in ()).throw(OSError("no network")))
    with pytest.raises(UserError, match=message) as caught:
        extractor(kind, dataset, 28, None, folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dataset", ["stacked_mnist", "stacked_mnist_2"])
def test_labels_of_a_stack_are_spelled_by_its_digits(folder, digits, dataset):
    images = load_images(dataset, 28, "test", folder, limit=200)
    labels = predicted_labels(images.array, dataset, 28, folder)
    assert labels.dtype == np.int64 and np.mean(labels == images.labels) > 0.9
    x = patterns(10, 3)[0]
    stack = np.stack([x[[3, 0]], x[[0, 9]], x[[7, 4]]], -1)
    expected = [307, 94] if dataset == "stacked_mnist" else [30, 9]  # without blue there is no third digit
    np.testing.assert_array_equal(predicted_labels(stack, dataset, 28, folder), expected)


def test_features_of_a_stack_are_those_of_its_digits(folder, extractors):
    x = patterns(30, 4)[0]
    stack = np.stack([x, x[::-1], np.roll(x, 1, 0)], -1)
    parts = [extractors["classifier"](stack[..., c : c + 1]) for c in range(3)]
    for dataset, k in (("stacked_mnist", 3), ("stacked_mnist_2", 2)):
        features_of_stack = extractor("classifier", dataset, 28, None, folder)(stack)
        np.testing.assert_array_equal(features_of_stack, np.concatenate(parts[:k], 1))


def test_features_tell_the_classes_apart(digits, extractors):
    test = digits[1]
    codes = extractors["classifier"](test.array)
    means = np.stack([codes[test.labels == c].mean(0) for c in range(10)])
    within = np.mean([codes[test.labels == c].std(0) for c in range(10)])
    assert np.linalg.norm(means[:, None] - means, axis=-1)[~np.eye(10, dtype=bool)].min() > 5 * within


@pytest.mark.parametrize("kind", ["classifier", "pixels"])
def test_chunks_give_the_same_features(digits, extractors, monkeypatch, kind):
    test, extract = digits[1], extractors[kind]
    whole = extract(test.array)
    monkeypatch.setattr(classifier_module, "CHUNK_IMAGES", 70)
    for cut in (extract(test.array), np.concatenate([extract(test.array[:7]), extract(test.array[7:])])):
        assert cut.dtype == np.float32 and cut.shape == whole.shape
        np.testing.assert_allclose(cut, whole, rtol=1e-4, atol=1e-4)


def test_pixels_are_components_of_the_training_images(digits, extractors):
    train, test, _ = digits
    codes = extractors["pixels"](test.array)
    flat, mean = to_float(test.array).reshape(300, -1), to_float(train.array).reshape(1920, -1).mean(0)
    assert codes.shape == (300, 64)
    ratio = np.sum(codes**2) / np.sum((flat - mean) ** 2)
    assert 0.7 < ratio < 1  # ten patterns differ in nine directions; the other directions hold only noise
    assert extractor("pixels", "x", 28, train.array[:5])(test.array).shape == (300, 4)


@pytest.mark.parametrize("channels", [1, 3])
def test_inception_sees_large_images_of_three_channels(monkeypatch, channels):
    """A stand-in returns the mean, the maximum and the minimum of each channel that the network would see."""

    def network(include_top, pooling, input_shape):
        assert (include_top, pooling, input_shape) == (False, "avg", (299, 299, 3))
        random.random()  # like the seeds of its layers
        x = keras.Input(input_shape)
        extremes = keras.ops.max(x, (1, 2)), keras.ops.min(x, (1, 2))
        return keras.Model(x, keras.layers.Concatenate()([keras.ops.mean(x, (1, 2)), *extremes]))

    monkeypatch.setattr(keras.applications, "InceptionV3", network)
    before = random.getstate()
    extract = extractor("inception", "folder:x", 16)
    assert random.getstate() == before
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, channels)).astype("uint8")
    images[0], images[1] = 0, 255
    stats = extract(images)
    assert stats.shape == (5, 9)
    np.testing.assert_allclose(stats[:2], np.repeat([[-1.0], [1.0]], 9, 1), atol=1e-5)
    means = to_float(images).mean((1, 2))
    np.testing.assert_allclose(stats[:, :3], np.broadcast_to(means, (5, 3)), atol=0.02)
    assert stats.min() >= -1.00001 and stats.max() <= 1.00001


def test_inception_does_not_see_patterns_that_the_smaller_image_cannot_show(monkeypatch):
    """Without antialiasing, a checkerboard of single pixels at 512 px would keep a standard deviation of a third."""

    def network(input_shape, **_):
        x = keras.Input(input_shape)
        return keras.Model(x, keras.layers.Identity()(x))

    monkeypatch.setattr(keras.applications, "InceptionV3", network)
    pictures = np.zeros((2, 512, 512, 3), "float32")
    pictures[0] = 2 * (np.indices((512, 512)).sum(0) % 2)[..., None] - 1
    pictures[1] = np.where(np.arange(512) < 256, -1, 1)[:, None]
    checkerboard, edge = keras.ops.convert_to_numpy(features._inception(512)(pictures))
    assert np.abs(checkerboard).max() < 0.05 and checkerboard.std() < 0.01
    np.testing.assert_allclose(edge[:, :148], -1, atol=1e-5)  # an edge is not blurred beyond its neighbours
    np.testing.assert_allclose(edge[:, 151:], 1, atol=1e-5)


def test_inception_without_its_weights_names_the_file_that_is_needed(monkeypatch, tmp_path):
    def network(**_):
        raise Exception("URL fetch failure on https://x:\nno network")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.applications, "InceptionV3", network)
    with pytest.raises(UserError, match=r"no network.*inception_v3_weights.*notop\.h5") as caught:
        extractor("inception", "lfw", 32)
    message = str(caught.value)
    assert str(tmp_path / "models" / features.INCEPTION_FILE) in message and "\n" not in message


@pytest.mark.parametrize("kind", ["classifier", "pixels"])
def test_quality_tells_the_data_from_noise(digits, extractors, kind):
    train, test, _ = digits
    extract = extractors[kind]
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


def test_quality_is_measured_on_subsets_of_the_shortest_length(digits, extractors):
    train, test, _ = digits
    extract = extractors["pixels"]
    fakes = patterns(250, 8)[0][..., None]
    quality = sample_quality(fakes, train.array, test.array, extract)
    a, b, c = (extract(fixed_random_subset(x, 250)) for x in (fakes, train.array, test.array))
    assert quality["fid"] == distances.frechet_distance(a, c)
    assert quality["fid_floor"] == distances.frechet_distance(b, c)
    assert quality["kid"] == distances.kernel_distance(a, c)
    assert quality["kid_floor"] == distances.kernel_distance(b, c)
    assert quality.items() >= distances.prdc(c, a).items()
    from_features = sample_quality(fakes, extract(train.array), extract(test.array), extract)
    assert from_features == pytest.approx(quality, rel=1e-3, abs=1e-6)
