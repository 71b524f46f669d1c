"""The classifier that is also a discriminator: its layers, its loss, and whose weights the loss reaches."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from common.cli import apply_preset
from common.data.images import load_images
from dcgan import semi_supervised
from dcgan.features import balanced
from dcgan.semi_supervised_layers import LabelledBatch, WeightNormDense, initialize_from_data
from tests.helpers.arrays import numpy, state_of
from tests.helpers.autodiff import weight_gradients
from tests.helpers.datasets import digits, write_idx
from tests.helpers.scripts import error_line, metrics_of, run_here

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(-1, 1, (10, 6, 6, 1)).astype("float32")
LABELS = np.arange(10, dtype="int32") % 3


def build(*flags):
    args = semi_supervised.make_parser().parse_args(["--preset", "smoke", *flags])
    apply_preset(args, semi_supervised.make_parser(), semi_supervised.PRESETS)
    keras.utils.set_random_seed(1)
    return semi_supervised.build(args, IMAGES, LABELS, 3)


def test_weight_norm_by_hand():
    layer, x = WeightNormDense(3, "relu", train_scale=True), RNG.normal(size=(5, 4)).astype("float32")
    layer.build((None, 4))
    layer.scale.assign([1.0, 2.0, 3.0])
    layer.bias.assign([0.1, 0.0, -0.1])
    v = numpy(layer.direction)
    expected = np.maximum(x @ (v / np.linalg.norm(v, axis=0)) * [1, 2, 3] + [0.1, 0, -0.1], 0)
    np.testing.assert_allclose(numpy(layer(x)), expected, rtol=1e-5, atol=1e-6)
    layer.direction.assign(v * [10, 0.1, 5])  # its length plays no part
    np.testing.assert_allclose(numpy(layer(x)), expected, rtol=1e-5, atol=1e-6)
    (gradient,) = weight_gradients(lambda: ops.sum(layer(x)), [layer.direction])
    np.testing.assert_allclose((gradient * numpy(layer.direction)).sum(0), 0, atol=1e-5)
    assert np.abs(gradient).max() > 1e-3 and not WeightNormDense(3).train_scale


def test_weights_from_data_give_outputs_of_mean_0_and_variance_1():
    x = RNG.uniform(0, 1, (200, 20)).astype("float32")
    inputs = keras.Input((20,))
    h = WeightNormDense(8, "relu")(layers.GaussianNoise(1e-4)(inputs))
    network = keras.Model(inputs, WeightNormDense(5)(h))
    initialize_from_data(network, x)
    outputs = numpy(network(x))
    np.testing.assert_allclose(outputs.mean(0), 0, atol=1e-2)
    np.testing.assert_allclose(outputs.std(0), 1, atol=1e-2)
    assert 0.45 < (numpy(keras.Model(inputs, h)(x)) > 0).mean() < 0.6


def test_labelled_batches_keep_images_and_labels_together():
    images = np.arange(10, dtype="float32")[:, None]
    layer = LabelledBatch(images, np.arange(10, dtype="int32"), seed=0)
    drawn, labels = map(numpy, layer(np.zeros((500, 2))))
    np.testing.assert_array_equal(drawn[:, 0], labels)
    assert np.bincount(labels, minlength=10).min() > 20
    again = numpy(layer(np.zeros((500, 2)))[1])
    assert not np.array_equal(labels, again)


def test_the_loss_by_hand():
    """Softmax over K classes and a fake one whose logit is 0: Z/(Z + 1) is the probability of being real."""
    trainer, *_ = build()
    real, fake = RNG.normal(size=(2, 4, 3)).astype("float32")
    labelled, label = RNG.normal(size=(4, 3)).astype("float32"), np.array([0, 2, 1, 1])
    of_fake = lambda logits: 1 / (1 + np.exp(logits.astype("float64")).sum(1))
    f_real, f_fake = RNG.normal(size=(2, 4, 5)).astype("float32")
    values = trainer.loss_function(labelled, label.astype("int32"), real, fake, f_real, f_fake)
    softmax = np.exp(labelled) / np.exp(labelled).sum(1, keepdims=True)
    cross_entropy = -np.log(softmax[np.arange(4), label])
    gan = -(np.log(1 - of_fake(real)) + np.log(of_fake(fake))) / 2
    np.testing.assert_allclose(numpy(values["label_loss"]), cross_entropy, rtol=1e-4)
    np.testing.assert_allclose(numpy(values["gan_loss"]), gan, rtol=1e-4)
    distance = np.mean((f_real.mean(0) - f_fake.mean(0)) ** 2)
    assert float(values["feature_distance"]) == pytest.approx(distance, rel=1e-4)
    assert float(values["loss"]) == pytest.approx(cross_entropy.mean() + gan.mean(), rel=1e-4)
    np.testing.assert_array_equal(numpy(values["label_accuracy"]), labelled.argmax(1) == label)


def test_labels_belong_to_the_labelled_images_and_all_others_have_none():
    trainer, discriminator, _ = build()
    restore = state_of(trainer)
    outputs = {name: numpy(value) for name, value in trainer(IMAGES).items()}
    restore()
    drawn, label = next(layer for layer in trainer.layers if isinstance(layer, LabelledBatch))(IMAGES)
    np.testing.assert_array_equal(outputs["label"], numpy(label))
    np.testing.assert_allclose(outputs["labelled"], numpy(discriminator(drawn)[0]), rtol=1e-4, atol=1e-5)
    logits, features = discriminator((IMAGES.reshape(10, -1) + 1) / 2)
    np.testing.assert_allclose(outputs["real"], numpy(logits), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(outputs["real_features"], numpy(features), rtol=1e-4, atol=1e-5)


def test_the_generator_matches_features_and_the_discriminator_ignores_that():
    trainer, discriminator, generator = build()
    restore, x = state_of(trainer), ops.convert_to_tensor(IMAGES)

    def value(name):
        restore()
        return ops.mean(trainer.loss_function(**trainer(x, training=True))[name])

    gradients = lambda name, network: weight_gradients(lambda: value(name), network.trainable_variables)
    largest = lambda arrays: max(np.abs(a).max() for a in arrays)
    assert largest(gradients("feature_distance", discriminator)) == 0
    for network, own in ((generator, ["feature_distance"]), (discriminator, ["label_loss", "gan_loss"])):
        expected = [sum(parts) for parts in zip(*(gradients(name, network) for name in own), strict=True)]
        for a, b in zip(gradients("loss", network), expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4 * largest(expected))
        assert largest(expected) > 1e-6
    assert sum("scale" in v.path for v in discriminator.trainable_variables) == 1, "that of the last layer"


def test_balanced_labels():
    labels = RNG.integers(0, 4, 100)
    rows = balanced(labels, 12, np.random.default_rng(0))
    np.testing.assert_array_equal(np.bincount(labels[rows]), 3)
    assert len(set(rows)) == 12 and list(rows) == sorted(rows)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The flags of a training on 400 images of noise, of the form of MNIST."""
    folder = tmp_path_factory.mktemp("data")
    write_idx(folder / "mnist", digits(600), digits(100, 1))
    return ["--preset", "smoke", "--data-dir", folder]


@pytest.mark.parametrize("flags", [[], ["--supervised"]], ids=["gan", "supervised"])
def test_it_trains_and_goes_on(home, tmp_path, monkeypatch, data, flags):
    monkeypatch.setenv("KERAS_HOME", str(home / "cache"))
    command = ["dcgan/semi_supervised.py", *data, *flags, "--labels", "20", "--out", tmp_path]
    assert run_here(*command) == 0
    (results,) = tmp_path.rglob("results.json")
    metrics = metrics_of(results.parent)
    assert 70 < metrics["test_errors"] <= 100, "there is nothing to learn from noise"
    assert (results.parent / "figures/samples.png").exists() != bool(flags)
    (results.parent / "errors.json").write_text("")
    assert run_here(*command, "--resume") == 0
    assert metrics_of(results.parent)["test_errors"] == metrics["test_errors"], "measured again"
    if not flags:
        assert run_here(*command, "--resume", "--steps", "6") == 0
        assert metrics_of(results.parent)["steps"] == 6


def test_wrong_labels_of_the_test_images_are_counted(home, tmp_path, monkeypatch, data):
    """With logits that name the right class of all test images but 37."""
    monkeypatch.setenv("KERAS_HOME", str(home / "cache"))
    test = load_images("mnist", 28, "test", data[-1])
    named = test.labels + (np.arange(len(test.labels)) < 37)
    seen = []
    monkeypatch.setattr(
        semi_supervised, "predict_logits", lambda model, x: seen.append(x) or np.eye(10)[named % 10] - 0.5
    )
    flags = [*data, "--labels", "20", "--out", tmp_path]
    semi_supervised.run(semi_supervised.make_parser().parse_args(list(map(str, flags))))
    (results,) = tmp_path.rglob("results.json")
    assert metrics_of(results.parent)["test_errors"] == 37
    np.testing.assert_allclose(seen[0], np.asarray(test.array).reshape(len(test.array), -1) / 255, atol=1 / 255)


def test_wrong_labels_get_one_line(home, tmp_path, monkeypatch, data):
    monkeypatch.setenv("KERAS_HOME", str(home / "cache"))
    line = lambda *flags: error_line("dcgan/semi_supervised.py", *data, *flags, "--out", tmp_path / "runs")
    assert "multiple of the 10 classes" in line("--labels", "15")
    assert "take fewer labels" in line("--labels", "900") and not (tmp_path / "runs").exists()
