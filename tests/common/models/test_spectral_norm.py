"""Spectral normalisation: the power iteration, its gradient, and the wrapper layer."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from common.models.spectral_norm import SpectralNormalized, spectral_norm, spectral_normalize
from tests.helpers.arrays import numpy
from tests.helpers.autodiff import gradient, weight_gradients

CASES = {
    "dense": (lambda **k: layers.Dense(6, activation="tanh", bias_initializer="normal", **k), (5,)),
    "conv": (
        lambda **k: layers.Conv2D(6, 3, strides=2, padding="same", bias_initializer="normal", **k),
        (8, 8, 3),
    ),
    "conv_dilated": (
        lambda **k: layers.Conv2D(6, 3, dilation_rate=2, groups=2, activation="relu", use_bias=False, **k),
        (8, 8, 4),
    ),
    "conv_transpose": (
        lambda **k: layers.Conv2DTranspose(6, 5, strides=2, padding="same", bias_initializer="normal", **k),
        (4, 4, 3),
    ),
}


def matrix(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def largest_singular_value(w):
    return np.linalg.svd(np.reshape(w, (-1, w.shape[-1])), compute_uv=False)[0]


# the estimate


@pytest.mark.parametrize("shape", [(7, 5), (5, 7), (3, 3, 4, 6)])
def test_many_iterations_reach_the_largest_singular_value(shape):
    w = matrix(*shape)
    np.testing.assert_allclose(spectral_norm(w, power_iterations=100), largest_singular_value(w), rtol=1e-5)


def test_rank_one_is_exact_after_one_iteration():
    w = np.outer(matrix(9), matrix(4, seed=1)).astype("float32")
    np.testing.assert_allclose(spectral_norm(w, power_iterations=1), largest_singular_value(w), rtol=1e-5)


def test_estimate_equals_the_iteration_in_numpy():
    w = matrix(6, 4).astype("float64")
    u = np.ones((1, 6))
    for _ in range(5):
        v = u @ w / np.linalg.norm(u @ w)
        u = v @ w.T / np.linalg.norm(v @ w.T)
    np.testing.assert_allclose(spectral_norm(w), (u @ w @ v.T).item(), rtol=1e-5)
    assert spectral_norm(w).shape == ()


@pytest.mark.parametrize("iterations", [1, 2, 5, 20])
def test_estimate_grows_with_the_iterations_and_never_exceeds_the_true_value(iterations):
    for seed in range(5):
        w = matrix(20, 16, seed=seed)
        sigma, true_value = float(spectral_norm(w, iterations)), largest_singular_value(w)
        assert 0.3 * true_value < sigma <= true_value * (1 + 1e-6)
        assert sigma <= float(spectral_norm(w, iterations + 1)) * (1 + 1e-6)
        assert largest_singular_value(numpy(spectral_normalize(w, iterations))) >= 1 - 1e-6


def test_five_iterations_on_a_gaussian_kernel():
    """From a vector of ones, five steps reach about 95 % of the largest singular value of a 5x5x3 -> 64 kernel."""
    kernels = [0.02 * matrix(5, 5, 3, 64, seed=seed) for seed in range(10)]
    ratios = [float(spectral_norm(w)) / largest_singular_value(w) for w in kernels]
    assert 0.9 < np.mean(ratios) < 0.99


def test_norm_of_a_vector_is_euclidean():
    """The author normalised the gamma of batch norm too: 512 ones become 1/sqrt(512) each."""
    np.testing.assert_allclose(spectral_norm(np.ones(512)), np.sqrt(512), rtol=1e-5)


@pytest.mark.parametrize("c", [1e-4, 0.1, 1e4])
def test_norm_scales_with_the_kernel_and_the_normalised_kernel_does_not(c):
    w = matrix(6, 4)
    np.testing.assert_allclose(spectral_norm(c * w), c * float(spectral_norm(w)), rtol=1e-5)
    np.testing.assert_allclose(spectral_normalize(c * w), spectral_normalize(w), rtol=1e-4, atol=1e-6)


def test_zero_iterations_are_refused():
    with pytest.raises(ValueError, match="Received: power_iterations=0"):
        spectral_norm(np.ones((2, 2)), 0)


# the gradient


def test_gradient_at_convergence_is_the_closed_form():
    """d sigma = u v^T, so d f(w / sigma) = (g - <g, w / sigma> u v^T) / sigma with g = df/d(w / sigma)."""
    w, g = matrix(6, 4) + 2, matrix(6, 4, seed=1)  # + 2 gives one large singular value, so few iterations are enough
    u, s, vt = np.linalg.svd(w)
    uv = np.outer(u[:, 0], vt[0])
    np.testing.assert_allclose(gradient(lambda w: spectral_norm(w, 20), w), uv, atol=1e-4)
    got = gradient(lambda w: ops.sum(ops.multiply(g, spectral_normalize(w, 20))), w)
    np.testing.assert_allclose(got, (g - np.sum(g * w / s[0]) * uv) / s[0], atol=1e-4)


def test_gradient_flows_through_all_five_iterations():
    w = matrix(6, 4)
    grad = gradient(spectral_norm, w)
    step = 1e-2
    for index in np.ndindex(w.shape):
        e = np.zeros_like(w)
        e[index] = step
        expected = (float(spectral_norm(w + e)) - float(spectral_norm(w - e))) / (2 * step)
        np.testing.assert_allclose(grad[index], expected, atol=1e-3)


def test_gradient_is_orthogonal_to_the_raw_kernel():
    w, g = matrix(6, 4), matrix(6, 4, seed=1)
    grad = gradient(lambda w: ops.sum(ops.multiply(g, spectral_normalize(w))), w)
    assert np.abs(grad).max() > 0.01
    assert abs(np.sum(grad * w)) < 1e-5


def test_zero_kernel_is_unchanged():
    zeros, g = np.zeros((6, 4), "float32"), matrix(6, 4)
    assert float(spectral_norm(zeros)) == 0
    assert (numpy(spectral_normalize(zeros)) == 0).all()
    np.testing.assert_allclose(gradient(lambda w: ops.sum(ops.multiply(g, spectral_normalize(w))), zeros), g)


# the layer


@pytest.mark.parametrize("case", CASES)
def test_wrapper_equals_the_layer_with_a_divided_kernel(case):
    make, shape = CASES[case]
    x = matrix(2, *shape)
    plain = make()
    layer = SpectralNormalized(plain)
    y = numpy(layer(x))
    raw = [numpy(w) for w in plain.weights]
    assert len(layer.weights) == len(plain.weights)
    assert tuple(layer.compute_output_shape((2, *shape))) == y.shape

    manual = make()
    manual.build((2, *shape))
    kernel = raw[0] / float(spectral_norm(raw[0]))
    manual.set_weights([kernel, *raw[1:]])
    np.testing.assert_allclose(y, numpy(manual(x)), atol=1e-5)
    assert np.abs(y - numpy(plain(x))).max() > 1e-3  # the division has an effect

    # no state: the same outputs in training and inference, alone and in a model; the raw weights do not change
    for training in (True, False, True):
        np.testing.assert_array_equal(numpy(keras.Sequential([layer])(x, training=training)), y)
    for before, after in zip(raw, plain.weights, strict=True):
        np.testing.assert_array_equal(before, numpy(after))


def test_two_calls_use_the_same_normalised_kernel():
    layer = SpectralNormalized(layers.Dense(3))
    a, b = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([a, b], [layer(a), layer(b)])
    x = matrix(2, 4)
    ya, yb = model([x, 2 * x])
    assert model.count_params() == 4 * 3 + 3
    np.testing.assert_allclose(numpy(yb), 2 * numpy(ya), rtol=1e-5)
    kernel = numpy(layer.layer.kernel)
    np.testing.assert_allclose(numpy(ya), x @ kernel / float(spectral_norm(kernel)), atol=1e-6)


@pytest.mark.parametrize("run_eagerly", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_one_step_of_fit_is_the_gradient_step(case, run_eagerly):
    """`fit` changes raw kernel and bias by the gradient through the division, in graph mode too."""
    make, shape = CASES[case]
    x = matrix(4, *shape)
    layer = SpectralNormalized(make())
    inputs = keras.Input(shape)
    model = keras.Model(inputs, layers.Flatten()(layer(inputs)))
    y = matrix(*model(x).shape, seed=1)
    before = [numpy(w) for w in model.trainable_weights]
    grads = weight_gradients(lambda: ops.mean(ops.square(ops.subtract(model(x), y))), model.trainable_weights)
    model.compile(keras.optimizers.SGD(1.0), loss="mse", run_eagerly=run_eagerly)
    model.fit(x, y, batch_size=4, epochs=1, verbose=0)
    for w0, grad, w1 in zip(before, grads, model.trainable_weights, strict=True):
        assert np.abs(grad).max() > 1e-4
        np.testing.assert_allclose(numpy(w1), w0 - grad, atol=1e-5)
    assert abs(np.sum(grads[0] * before[0])) < 1e-5


def test_save_and_load(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            SpectralNormalized(layers.Conv2D(4, 3, strides=2), power_iterations=2, name="sn"),
            layers.Flatten(),
            SpectralNormalized(layers.Dense(1, use_bias=False)),
        ]
    )
    x = matrix(2, 8, 8, 3)
    model.save(tmp_path / "critic.keras")
    again = keras.saving.load_model(tmp_path / "critic.keras")
    assert again.get_layer("sn").power_iterations == 2
    np.testing.assert_array_equal(numpy(again(x)), numpy(model(x)))
    assert np.std(numpy(model(x))) > 0


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_divides_in_float32(policy):
    keras.config.set_dtype_policy(policy)
    layer = SpectralNormalized(layers.Dense(6, use_bias=False))
    y = layer(np.eye(5, dtype="float32"))  # the identity matrix as input gives the normalised kernel
    raw = numpy(layer.layer.kernel)
    assert keras.backend.standardize_dtype(y.dtype) == policy.removeprefix("mixed_")
    assert layer(keras.Input((5,))).dtype == policy.removeprefix("mixed_")
    assert raw.dtype == "float32"
    used = ops.cast(raw / float(spectral_norm(raw)), y.dtype)
    np.testing.assert_array_equal(numpy(ops.cast(y, "float32")), numpy(ops.cast(used, "float32")))


@pytest.mark.parametrize("case", CASES)
def test_mixed_precision_trains(case):
    """One case runs in graph mode, the others eagerly, because compiling takes seconds."""
    make, shape = CASES[case]
    keras.config.set_dtype_policy("mixed_float16")
    head = SpectralNormalized(layers.Dense(1, dtype="float32"))
    model = keras.Sequential([keras.Input(shape), SpectralNormalized(make()), layers.Flatten(), head])
    before = [numpy(w) for w in model.trainable_weights]
    model.compile(keras.optimizers.SGD(0.1), loss="mse", run_eagerly=case != "conv")
    history = model.fit(matrix(4, *shape), np.ones((4, 1)), epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert keras.backend.standardize_dtype(model.outputs[0].dtype) == "float32"
    for weight, value in zip(model.trainable_weights, before, strict=True):
        assert np.abs(numpy(weight) - value).max() > 1e-4, f"{weight.path} was not trained"


def test_regularizers_of_the_layer_are_kept():
    layer = SpectralNormalized(layers.Dense(3, kernel_regularizer="l2", activity_regularizer="l2"))
    y = numpy(layer(matrix(2, 4)))
    losses = sorted(float(numpy(loss)) for loss in layer.losses)
    expected = [0.01 * np.sum(numpy(layer.layer.kernel) ** 2), 0.01 * np.sum(y**2) / 2]
    np.testing.assert_allclose(losses, sorted(expected), rtol=1e-5)


def test_layer_without_a_kernel_is_refused():
    with pytest.raises(ValueError, match=r"kernel.*Received: layer=<LayerNormalization"):
        SpectralNormalized(layers.LayerNormalization())(matrix(2, 4))
