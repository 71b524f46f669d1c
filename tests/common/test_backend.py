"""What each backend does in its own way: input gradients, replicas, input pipelines, averaged weights."""

import contextlib
import gc
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from common import backend
from common.data.batches import EndlessBatches
from common.models.layers import Latent
from common.training.single_loss import SingleLoss
from tests.helpers.arrays import numpy
from tests.helpers.autodiff import gradient, weight_gradients
from tests.helpers.scripts import ROOT

X = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")


def test_input_gradient_of_a_cubic_is_its_derivative():
    value = numpy(backend.input_gradient(lambda x: ops.sum(x**3, -1), ops.convert_to_tensor(X)))
    np.testing.assert_allclose(value, 3 * X**2, rtol=1e-5)


def test_the_scores_come_with_their_gradient_from_one_pass():
    calls = []
    scores, gradient = backend.score_and_input_gradient(
        lambda x: calls.append(1) or ops.sum(x**3, -1), ops.convert_to_tensor(X)
    )
    np.testing.assert_allclose(numpy(scores), (X**3).sum(-1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(numpy(gradient), 3 * X**2, rtol=1e-5)
    assert len(calls) == 1


def test_input_gradient_can_be_differentiated_again():
    penalty = lambda x: ops.sum(backend.input_gradient(lambda v: ops.sum(v**3, -1), x) ** 2)
    np.testing.assert_allclose(gradient(penalty, X), 36 * X**3, rtol=1e-4)


def test_weight_gradient_of_a_gradient_penalty():
    """w.x has the input gradient w, so the sum of |gradient|^2 over B samples has the weight gradient 2 B w."""
    layer = keras.layers.Dense(1, use_bias=False)
    layer.build((None, 3))
    penalty = lambda: ops.sum(backend.input_gradient(layer, ops.convert_to_tensor(X)) ** 2)
    (value,) = weight_gradients(penalty, [layer.kernel])
    np.testing.assert_allclose(value, 2 * len(X) * numpy(layer.kernel), rtol=1e-5)


def test_fit_trains_a_gradient_penalty():
    """The input gradient of a linear critic is w, so (|w|^2 - 1)^2 has its minimum on the unit sphere."""
    dense = keras.layers.Dense(1, use_bias=False)

    @keras.saving.register_keras_serializable("test")
    class InputGradient(keras.layers.Layer):
        def call(self, x):
            return backend.input_gradient(dense, x)

    x = keras.Input((3,))
    score = dense(x)
    model = SingleLoss(
        x,
        {"g": InputGradient()(x), "score": score},
        lambda g, score: {"loss": (ops.sum(g**2, -1) - 1) ** 2 + 0 * score},
    )
    dense.kernel.assign(np.array([[1.0], [0.4], [-0.5]]))
    model.compile(keras.optimizers.SGD(0.1))
    model.fit(X, epochs=20, verbose=0)
    assert np.linalg.norm(numpy(dense.kernel)) == pytest.approx(1, abs=1e-3)


def test_tensorboard_is_off_without_tensorflow(monkeypatch, capsys):
    monkeypatch.setattr(backend.importlib.util, "find_spec", lambda name: None)
    assert backend.tensorboard("anywhere") is None
    assert "TensorBoard is off" in capsys.readouterr().out


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.distribute is TensorFlow's")
def test_two_replicas_train_as_one_with_the_whole_batch():
    """The mean of the loss and the latents are the same, so the weights after SGD are too."""
    import tensorflow as tf

    def trained(scope):
        keras.utils.set_random_seed(0)
        with scope:
            generator = keras.layers.Dense(3)
            x = keras.Input((4, 4, 1))
            z = Latent(2, seed=5)(x)
            outputs = {"fake": generator(z), "x": x, "z": z}

            def loss(fake, x, z):
                error = ops.square(ops.mean(x, axis=(1, 2)) - fake)
                return {"loss": ops.mean(error, -1), "size": ops.sum(z**2, -1)}

            model = SingleLoss(x, outputs, loss)
            model.compile(keras.optimizers.SGD(0.5))
        images = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 1), dtype=np.uint8)
        logs = model.fit(EndlessBatches(images, 8), steps_per_epoch=1, epochs=3, shuffle=False, verbose=0).history
        return [numpy(w) for w in generator.weights], logs

    one, logs_one = trained(contextlib.nullcontext())
    two, logs_two = trained(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope())
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    np.testing.assert_allclose(logs_one["size"], logs_two["size"], rtol=1e-5)
    np.testing.assert_allclose(logs_one["loss"], logs_two["loss"], rtol=1e-4)


def test_fast_dataset_has_the_same_batches_in_the_same_order():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 4, 4, 3), dtype=np.uint8)
    batches = EndlessBatches(pixels, 8, seed=3, start=11, flip=True)
    dataset = backend.to_fast_dataset(batches, keras.Sequential())
    if dataset is batches:
        pytest.skip("only TensorFlow gets another form")
    for i, batch in zip(range(20), dataset, strict=False):  # beyond the end of an epoch
        np.testing.assert_array_equal(numpy(batch), batches[i])


def test_ema_update_moves_only_the_shadows():
    shadows, weights = ([keras.Variable(values) for values in pair] for pair in ([[1.0, 2.0], 3.0], [[5.0, 0.0], 1.0]))
    update = backend.make_ema_update(shadows, weights)
    update(0.75)
    update(0.5)  # the momentum may differ from step to step
    np.testing.assert_allclose(numpy(shadows[0]), [1 * 0.375 + 5 * 0.625, 2 * 0.375], rtol=1e-6)
    np.testing.assert_allclose(numpy(shadows[1]), 3 * 0.375 + 1 * 0.625, rtol=1e-6)
    np.testing.assert_array_equal(numpy(weights[0]), [5, 0])


@pytest.mark.parametrize("n", [1, 8, 20])
def test_predict_is_that_of_keras(n):
    x = keras.Input((3,))
    h = keras.layers.BatchNormalization()(keras.layers.Dense(4, activation="tanh")(x))
    model = keras.Model(x, {"code": h, "parts": [h[:, :1], keras.layers.Dropout(0.5)(h)]})
    rows = np.random.default_rng(n).normal(size=(n, 3)).astype("float32")
    ours, theirs = backend.predict(model, rows, 8), model.predict(rows, batch_size=8, verbose=0)
    assert ours.keys() == theirs.keys()
    np.testing.assert_array_equal(ours["code"], theirs["code"])
    for a, b in zip(ours["parts"], theirs["parts"], strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_hidden_package_is_there_again_after_the_start(monkeypatch):
    monkeypatch.delitem(sys.modules, "sklearn", raising=False)
    with backend.without(["sklearn", "jax"]), pytest.raises(ImportError):
        import sklearn
    import sklearn

    assert sklearn.__version__
    with backend.without(["sklearn"]):  # what was imported before stays
        import sklearn


@pytest.mark.parametrize(("chosen", "unused"), [("tensorflow", {"sklearn", "jax"}), ("jax", {"sklearn"})])
def test_a_start_imports_neither_scikit_learn_nor_the_other_backend(chosen, unused):
    code = """
import gc, sys
from common.backend import import_backend
passes = []
gc.callbacks.append(lambda phase, info: passes.append(phase))
import_backend()
assert gc.isenabled() and gc.get_freeze_count() > 100_000 and not passes, "garbage was looked for"
print(*sys.modules)
import jax
"""
    env = os.environ | {"KERAS_BACKEND": chosen}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert {"keras", chosen} <= set(done.stdout.split()) and not unused & set(done.stdout.split())


def test_a_second_start_leaves_what_was_made_since_to_the_garbage_collector():
    frozen = gc.get_freeze_count()
    backend.import_backend()
    assert gc.get_freeze_count() == frozen and gc.isenabled()


@pytest.mark.parametrize("chosen", [None, "0"])
def test_fast_convolutions_are_chosen_unless_the_user_chose(monkeypatch, chosen):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", chosen or "")
    if chosen is None:
        monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    backend.import_backend()
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == (chosen or "1")
