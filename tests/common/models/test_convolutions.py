"""The convolutions next to an image against those of Keras, with their gradients and the gradients of these."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from common import backend
from common.models.networks import dcgan_encoder, dcgan_generator
from common.models.spectral_norm import SpectralNormalized
from common.training.ema import WeightEMA
from tests.helpers.arrays import numpy
from tests.helpers.autodiff import gradient, weight_gradients
from tests.helpers.layers import fast_and_plain

RNG = np.random.default_rng(0)
on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="elsewhere they are Keras's own")
KINDS = [(layers.Conv2D, (3, 8, 6, 2), (3, 4, 3, 7)), (layers.Conv2DTranspose, (3, 4, 3, 7), (3, 8, 6, 2))]


def pair(cls, shape, **kwargs):
    """Return a layer of ours and one of Keras, with the same random weights."""
    return fast_and_plain(cls, shape, lambda shape: RNG.normal(size=shape), **kwargs)


@on_tensorflow
@pytest.mark.parametrize("kernel_size", [3, 4, 5, (3, 5), 2, 6])
@pytest.mark.parametrize(("cls", "shape", "out_shape"), KINDS)
def test_they_compute_what_keras_computes(cls, shape, out_shape, kernel_size):
    kwargs = {"filters": out_shape[-1], "kernel_size": kernel_size, "strides": 2, "padding": "same"}
    x, upstream = (RNG.normal(size=s).astype("float32") for s in (shape, out_shape))
    results = []
    for layer in pair(cls, shape, activation="tanh", **kwargs):
        total = lambda x, layer=layer: ops.sum(layer(x) * upstream)
        slopes = lambda x, total=total: ops.sum(ops.square(backend.input_gradient(total, x)))  # as in a penalty
        first = [numpy(layer(x)), gradient(total, x), *weight_gradients(lambda t=total: t(x), layer.weights)]
        twice = [gradient(slopes, x), *weight_gradients(lambda s=slopes: s(ops.convert_to_tensor(x)), layer.weights)]
        results.append(first + twice)
        assert np.abs(twice[0]).max() > 0.1
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4 * max(1, np.abs(b).max()))


@on_tensorflow
def test_odd_sides_and_many_channels_and_spectral_norm():
    for shape in [(2, 7, 8, 1), (2, 8, 8, 5)]:
        ours, theirs = pair(layers.Conv2D, shape, filters=3, kernel_size=4, strides=2, padding="same")
        x = RNG.normal(size=shape).astype("float32")
        np.testing.assert_allclose(numpy(ours(x)), numpy(theirs(x)), atol=1e-5)
    ours, theirs = pair(layers.Conv2D, (2, 8, 8, 1), filters=3, kernel_size=4, strides=2, padding="same")
    x = RNG.normal(size=(2, 8, 8, 1)).astype("float32")
    normed = [SpectralNormalized(layer) for layer in (ours, theirs)]
    grads = [weight_gradients(lambda n=n: ops.sum(n(x) ** 2), [n.layer.kernel])[0] for n in normed]
    np.testing.assert_allclose(*grads, atol=1e-4)
    np.testing.assert_allclose(numpy(normed[0](x)), numpy(normed[1](x)), atol=1e-5)


@on_tensorflow
@pytest.mark.parametrize(
    ("cls", "kwargs"),
    [
        (layers.Conv2D, {"strides": 1, "padding": "same"}),
        (layers.Conv2D, {"strides": 2, "padding": "valid"}),
        (layers.Conv2D, {"strides": 1, "padding": "same", "dilation_rate": 2}),
        (layers.Conv2D, {"strides": 2, "padding": "same", "groups": 2}),
        (layers.Conv2DTranspose, {"strides": 1, "padding": "same"}),
        (layers.Conv2DTranspose, {"strides": 2, "padding": "valid"}),
        (layers.Conv2DTranspose, {"strides": 1, "padding": "same", "dilation_rate": 2}),
        (layers.Conv2DTranspose, {"strides": 2, "padding": "same", "output_padding": 0}),
    ],
)
def test_other_settings_stay_keras_s_own(cls, kwargs):
    x = RNG.normal(size=(2, 8, 8, 2)).astype("float32")
    ours, theirs = pair(cls, x.shape, filters=2, kernel_size=5, **kwargs)
    np.testing.assert_allclose(numpy(ours(x)), numpy(theirs(x)), atol=1e-5)
    grads = [gradient(lambda x, layer=layer: ops.sum(ops.sin(layer(x))), x) for layer in (ours, theirs)]
    np.testing.assert_allclose(*grads, atol=1e-4)


@on_tensorflow
def test_the_networks_use_them_next_to_the_image_alone():
    """A backward pass to the image has no slow convolution there: those left are of the three other layers."""
    import tensorflow as tf

    critic, generator = dcgan_encoder(64, 3, 1, max_channels=64), dcgan_generator(64, 3, 8, max_channels=64)

    def image_gradient(x):
        return backend.input_gradient(lambda x: critic(x, training=True), x)

    copy, average = keras.models.clone_model(generator), WeightEMA([generator], 0.9).models[0]
    assert "call" not in vars(copy.layers[-2]) and "call" in vars(average.layers[-2])
    slow = []
    for function, shape in [(image_gradient, (2, 64, 64, 3)), (lambda z: generator(z, training=True), (2, 8))]:
        graph = tf.function(function, autograph=False).get_concrete_function(tf.zeros(shape)).graph
        slow.append(sum(op.type == "Conv2DBackpropInput" for op in graph.get_operations()))
    assert slow == [3, 3]


def test_they_are_saved_as_keras_s_own(tmp_path):
    model = dcgan_generator(16, 1, 4, max_channels=8)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", custom_objects={})
    z = RNG.normal(size=(3, 4)).astype("float32")
    np.testing.assert_allclose(numpy(model(z)), numpy(loaded(z)), atol=1e-5)
    assert type(loaded.layers[-2]) is layers.Conv2DTranspose
