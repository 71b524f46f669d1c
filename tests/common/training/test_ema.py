"""Averaged weights and their batch statistics."""

import keras
import numpy as np
from keras import layers

from common import backend
from common.models.layers import SelfModulatedBatchNormalization
from common.training.ema import WeightEMA, measured_network, recalibrate_batch_norm
from tests.helpers.arrays import numpy


def small_network():
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((3,)), layers.Dense(4), layers.BatchNormalization(), layers.Dense(1)])


def fit(model, callbacks, steps=4):
    """Train for one epoch on 32 rows."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(1, 2, (32, 3)).astype("float32"), rng.normal(size=(32, 1)).astype("float32")
    model.compile(keras.optimizers.SGD(0.1), loss="mse")
    model.fit(x, y, batch_size=32 // steps, verbose=0, shuffle=False, callbacks=callbacks)


def test_averages_follow_the_formula_over_all_weights():
    """The batch statistics are averaged too."""
    model = small_network()
    averages = WeightEMA([model], 0.9)
    expected = [numpy(w) for w in model.weights]
    weights_per_step = []

    class RecordWeights(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            backend.sync_jax_state(self.model)
            weights_per_step.append([numpy(w) for w in model.weights])

    fit(model, [RecordWeights(), averages])
    assert len(weights_per_step) == 4
    for t, weights in enumerate(weights_per_step):
        m = min(0.9, (1 + t) / (10 + t))  # the warm-up: .1, 2/11, 3/12, 4/13
        expected = [m * s + (1 - m) * w for s, w in zip(expected, weights, strict=True)]
    shadows = averages.models[0].weights
    for shadow, value, weight in zip(shadows, expected, weights_per_step[-1], strict=True):
        np.testing.assert_allclose(numpy(shadow), value, atol=1e-6)
        if shadow.path.endswith(("kernel", "moving_mean", "moving_variance")):
            assert np.abs(numpy(shadow) - weight).max() > 1e-3, f"{shadow.path} is not averaged"


def test_averages_are_the_same_when_no_callback_copies_the_weights(monkeypatch):
    """JAX keeps the weights apart while it trains, and the averages are made of those."""
    copied, bare = small_network(), small_network()
    averages = [WeightEMA([model], 0.9) for model in (copied, bare)]
    copy = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: backend.sync_jax_state(copied))
    fit(copied, [copy, averages[0]], steps=16)
    copies = []
    monkeypatch.setattr(backend, "sync_jax_state", lambda model: copies.append(model))
    if backend.backend_name() == "jax":
        sync = bare.jax_state_sync
        monkeypatch.setattr(bare, "jax_state_sync", lambda: (copies.append(bare), sync()))
    fit(bare, [averages[1]], steps=16)
    assert len(copies) < 8  # Keras's own, at the ends of the epoch
    for a, b in zip(averages[0].models[0].weights, averages[1].models[0].weights, strict=True):
        np.testing.assert_allclose(numpy(a), numpy(b), rtol=1e-6, atol=1e-7)


def test_momentum_warms_up_to_its_value():
    """A short training must not hold on to its untrained weights."""
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1, use_bias=False)])
    averages = WeightEMA([model], 0.75)
    (shadow,) = averages.models[0].weights
    model.layers[0].kernel.assign([[1.0]])
    for t in range(40):
        shadow.assign([[0.0]])
        averages.update()
        np.testing.assert_allclose(numpy(shadow), [[1 - min(0.75, (1 + t) / (10 + t))]], rtol=1e-6, err_msg=str(t))
    assert averages.updates == 40


def test_integer_weights_are_not_averaged():
    """An integer weight such as a permutation keeps its value."""

    class Permutation(layers.Layer):
        def build(self, input_shape):
            self.order = self.add_weight(shape=(3,), dtype="int32", initializer="zeros", trainable=False)

        def call(self, x):
            return x

        def compute_output_shape(self, input_shape):
            return input_shape

    model = keras.Sequential([keras.Input((3,)), Permutation(), layers.Dense(1)])
    model.layers[0].order.assign([2, 0, 1])
    averages = WeightEMA([model], 0.5)
    averages.set_model(model)
    kernel = numpy(model.layers[1].kernel)
    model.layers[1].kernel.assign(kernel + 1)
    averages.update()
    np.testing.assert_array_equal(numpy(averages.models[0].layers[0].order), [2, 0, 1])
    np.testing.assert_allclose(numpy(averages.models[0].layers[1].kernel), kernel + 0.9, atol=1e-6)  # m = .1 at step 0


def test_recalibrated_statistics_are_the_means_over_the_batches():
    model = keras.Sequential([keras.Input((3,)), layers.BatchNormalization()])
    batches = list(np.random.default_rng(0).normal([1, 2, 3], [1, 2, 3], (4, 50, 3)).astype("float32"))
    recalibrate_batch_norm(model, [*batches, np.zeros((0, 3), "float32")])
    norm = model.layers[0]
    np.testing.assert_allclose(numpy(norm.moving_mean), np.mean(batches, (0, 1)), rtol=1e-4)
    np.testing.assert_allclose(numpy(norm.moving_variance), np.mean(np.var(batches, 1), 0), rtol=1e-4)
    assert norm.momentum == 0.99


def test_statistics_inside_self_modulation_are_recalibrated():
    z = keras.Input((3,))
    h = layers.Reshape((2, 2, 4))(layers.Dense(16, name="dense")(z))
    model = keras.Model(z, SelfModulatedBatchNormalization(5, name="self_modulation")([h, z]))
    norm = model.get_layer("self_modulation").batch_norm
    norm.moving_mean.assign(np.full(4, 7.0))
    batches = list(np.random.default_rng(0).normal([1, 2, 3], [1, 2, 3], (4, 50, 3)).astype("float32"))
    recalibrate_batch_norm(model, batches)

    kernel, bias = (numpy(w) for w in model.get_layer("dense").weights)
    features = (np.array(batches) @ kernel + bias).reshape(4, -1, 4)  # per batch: samples and pixels, channels
    np.testing.assert_allclose(numpy(norm.moving_mean), features.mean((0, 1)), rtol=1e-4)
    np.testing.assert_allclose(numpy(norm.moving_variance), features.var(1).mean(0), rtol=1e-4)
    assert norm.momentum == 0.99


def test_the_measured_network_is_said_in_words():
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
    assert measured_network(WeightEMA([model], 0.75)) == "average over the steps, momentum 0.75 after warm-up"
    assert measured_network(None) == "last step"
