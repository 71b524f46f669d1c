"""Input gradients against closed forms, first and second order; what else needs a backend's own name."""

import contextlib

import keras
import numpy as np
import pytest
from keras import ops

from common import backend
from common.data.batches import EndlessBatches
from common.models.layers import Latent
from common.training.single_loss import SingleLoss
from tests.helpers.autodiff import gradient, weight_gradients

X = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")


def test_input_gradient_of_a_cubic_is_its_derivative():
    value = ops.convert_to_numpy(backend.input_gradient(lambda x: ops.sum(x**3, -1), ops.convert_to_tensor(X)))
    np.testing.assert_allclose(value, 3 * X**2, rtol=1e-5)


def test_input_gradient_can_be_differentiated_again():
    penalty = lambda x: ops.sum(backend.input_gradient(lambda v: ops.sum(v**3, -1), x) ** 2)
    np.testing.assert_allclose(gradient(penalty, X), 36 * X**3, rtol=1e-4)


def test_penalty_reaches_the_weights():
    """U(x) = w.x has the input gradient w, so that |grad|^2 has the weight gradient 2 B w."""
    layer = keras.layers.Dense(1, use_bias=False)
    layer.build((None, 3))
    penalty = lambda: ops.sum(backend.input_gradient(layer, ops.convert_to_tensor(X)) ** 2)
    (value,) = weight_gradients(penalty, [layer.kernel])
    np.testing.assert_allclose(value, 2 * len(X) * ops.convert_to_numpy(ops.convert_to_tensor(layer.kernel)), rtol=1e-5)


def test_a_penalty_trains_under_fit():
    """min_w (|w|^2 - 1)^2 over the input gradient of a linear critic ends on the unit sphere."""
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
    model.compile(keras.optimizers.SGD(0.05))
    model.fit(X, epochs=100, verbose=0)
    assert float(np.linalg.norm(ops.convert_to_numpy(ops.convert_to_tensor(dense.kernel)))) == pytest.approx(
        1, abs=1e-3
    )


def test_tensorboard_says_that_it_is_off_where_there_is_no_tensorflow(monkeypatch, capsys):
    monkeypatch.setattr(backend.importlib.util, "find_spec", lambda name: None)
    assert backend.tensorboard("anywhere") == []
    assert "TensorBoard is off" in capsys.readouterr().out


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.distribute is TensorFlow's")
def test_two_replicas_step_like_one_with_the_whole_batch():
    """Same global mean of the loss, same latents, so the same weights after SGD."""
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
        return [ops.convert_to_numpy(ops.convert_to_tensor(w)) for w in generator.weights], logs

    one, logs_one = trained(contextlib.nullcontext())
    two, logs_two = trained(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope())
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    np.testing.assert_allclose(logs_one["size"], logs_two["size"], rtol=1e-5)
    np.testing.assert_allclose(logs_one["loss"], logs_two["loss"], rtol=1e-4)


def test_fed_batches_are_the_same_in_the_same_order():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 4, 4, 3), dtype=np.uint8)
    batches = EndlessBatches(pixels, 8, seed=3, start=11, flip=True)
    fed = backend.to_fast_dataset(batches)
    if fed is batches:
        pytest.skip("only TensorFlow gets another form")
    for i, batch in zip(range(20), fed, strict=False):  # over the end of an epoch
        np.testing.assert_array_equal(ops.convert_to_numpy(batch), batches[i])
