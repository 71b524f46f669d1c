"""The batch norm of the networks against that of Keras and against the formula."""

from functools import partial

import keras
import numpy as np
import pytest
from keras import ops

from common import backend
from tests.helpers.arrays import numpy
from tests.helpers.autodiff import gradient, weight_gradients
from tests.helpers.layers import fast_and_plain

RNG = np.random.default_rng(0)
SHAPES = [(6, 5), (3, 4, 2, 5), (1, 1, 1, 5), (2, 3, 5)]


def batch_normalization(**kwargs):
    return backend.speed_up(keras.layers.BatchNormalization(**kwargs))


def pair(shape, **kwargs):
    """Return a batch norm of ours and one of Keras, with the same random weights."""
    positive = lambda shape: 1 + 0.3 * RNG.random(shape)
    return fast_and_plain(keras.layers.BatchNormalization, shape, positive, **kwargs)


def weighted_sum(layer, x, training, weights):
    return ops.sum(ops.sin(layer(x, training=training)) * weights)


on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="elsewhere it is Keras's own")


@on_tensorflow
@pytest.mark.parametrize("kwargs", [{}, {"scale": False, "center": False}, {"momentum": 0.7, "epsilon": 1e-2}])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_computes_what_keras_computes(shape, kwargs):
    x, upstream = (3 * RNG.normal(size=shape).astype("float32") + 2 for _ in range(2))
    ours, theirs = pair(shape, **kwargs)
    for training in (True, False):
        y, grads, of_weights = [], [], []
        for layer in (ours, theirs):
            y.append(numpy(layer(x, training=training)))
            total = partial(weighted_sum, layer, training=training, weights=upstream)
            grads.append(gradient(total, x))
            of_weights.append(np.concatenate(weight_gradients(partial(total, x), layer.trainable_variables) or [[0]]))
        np.testing.assert_allclose(*y, atol=2e-5)
        np.testing.assert_allclose(*grads, atol=1e-4)
        np.testing.assert_allclose(*of_weights, atol=2e-4)
        for a, b in zip(ours.weights, theirs.weights, strict=True):
            np.testing.assert_allclose(numpy(a), numpy(b), rtol=1e-5)


def test_statistics_of_a_batch():
    """Mean 3 and variance 4 (not 4 * 4/3): the moving mean goes from 0 to .01 * 3, the moving variance to .99 + .04."""
    layer = batch_normalization(epsilon=1e-8)
    x = np.array([1, 1, 5, 5], "float32").reshape(1, 2, 2, 1)
    np.testing.assert_allclose(numpy(layer(x, training=True)).ravel(), [-1, -1, 1, 1], rtol=1e-5)
    np.testing.assert_allclose(numpy(layer.moving_mean), [0.03], rtol=1e-5)
    np.testing.assert_allclose(numpy(layer.moving_variance), [0.99 + 0.04], rtol=1e-6)


def test_a_frozen_layer_uses_and_keeps_its_statistics():
    layer, theirs = pair((3, 4, 2, 5))
    layer.trainable = theirs.trainable = False
    x = RNG.normal(size=(3, 4, 2, 5)).astype("float32")
    before = [numpy(w) for w in layer.weights]
    np.testing.assert_allclose(numpy(layer(x, training=True)), numpy(theirs(x, training=False)), atol=1e-5)
    np.testing.assert_array_equal(before, [numpy(w) for w in layer.weights])


def test_half_precision_and_saving(tmp_path):
    """The statistics stay float32, and the file is that of Keras's own layer."""
    x = (RNG.normal(size=(8, 4, 4, 3)) * [1, 5, 20] + 7).astype("float32")
    layer = batch_normalization(dtype="mixed_bfloat16")
    y = layer(ops.cast(x, "bfloat16"), training=True)
    assert y.dtype == ops.cast(x, "bfloat16").dtype and layer.moving_mean.dtype == "float32"
    np.testing.assert_allclose(numpy(layer.moving_mean), 0.01 * x.mean((0, 1, 2)), rtol=0.02)
    np.testing.assert_allclose(numpy(ops.cast(y, "float32")), (x - x.mean((0, 1, 2))) / x.std((0, 1, 2)), atol=0.06)
    model = backend.speed_up(keras.Sequential([keras.Input((4, 4, 3)), keras.layers.BatchNormalization()]))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", custom_objects={})
    assert type(loaded.layers[0]) is keras.layers.BatchNormalization


@on_tensorflow
def test_masked_entries_do_not_count():
    ours, theirs = pair((3, 5))
    x, mask = RNG.normal(size=(3, 5)).astype("float32"), np.array([True, False, True])
    y = [numpy(layer(x, training=True, mask=mask)) for layer in (ours, theirs)]
    np.testing.assert_allclose(*y, atol=1e-6)


@on_tensorflow
@pytest.mark.parametrize(
    ("shape", "kwargs", "fused"),
    [
        ((6, 5), {}, 1),
        ((3, 4, 2, 5), {}, 1),
        ((3, 4, 2, 5), {"axis": 3}, 1),
        ((3, 4, 2, 5), {"dtype": "mixed_bfloat16"}, 1),
        ((2, 3, 5), {}, 0),
        ((3, 4, 2, 5), {"axis": 1}, 0),
        ((3, 4, 2, 5), {"renorm": True}, 0),
        ((3, 4, 2, 5), {"dtype": "mixed_float16"}, 0),
        ((3, 4, 2, 5), {"dtype": "bfloat16"}, 0),
        ((3, 4, 2, 5), {"dtype": "float64"}, 0),
    ],
)
def test_training_is_one_operation(shape, kwargs, fused):
    """Where it is not, the layer of Keras goes on to compute what it did."""
    import tensorflow as tf

    layer = batch_normalization(**kwargs)
    layer.build((None, *shape[1:]))
    for training in (True, False):
        step = tf.function(lambda x, training=training: layer(x, training=training), autograph=False)
        operations = step.get_concrete_function(tf.zeros(shape, layer.compute_dtype)).graph.get_operations()
        assert sum(op.type == "FusedBatchNormV3" for op in operations) == (fused if training else 0)
