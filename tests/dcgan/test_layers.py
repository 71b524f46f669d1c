"""The layers of the tricks against their formulas."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from dcgan.layers import (
    HistoricalAverage,
    Maxout,
    MinibatchDiscrimination,
    PrependReference,
    VirtualBatchNormalization,
)
from tests.helpers.arrays import numpy
from tests.helpers.autodiff import weight_gradients

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 7)).astype("float32")


def closeness(layer, x):
    """Return o of the formula, (n, B), sample by sample."""
    m = (x @ numpy(layer.tensor)).reshape(len(x), layer.kernels, layer.kernel_dim)
    c = lambda i, j: np.exp(-np.abs(m[i] - m[j]).sum(-1))
    return np.array([sum(c(i, j) for j in range(len(x))) for i in range(len(x))])


def test_minibatch_discrimination_is_its_formula():
    layer = MinibatchDiscrimination(4, 3)
    y = numpy(layer(X))
    np.testing.assert_array_equal(y[:, :7], X)
    np.testing.assert_allclose(y[:, 7:], closeness(layer, X), rtol=1e-5)
    assert y[:, 7:].std() > 0.05


def test_minibatch_discrimination_does_not_depend_on_the_order():
    layer, order = MinibatchDiscrimination(), RNG.permutation(6)
    np.testing.assert_allclose(numpy(layer(X[order])), numpy(layer(X))[order], rtol=1e-5)


def test_minibatch_discrimination_of_equal_and_of_far_samples():
    """Of n equal samples o is n, of samples that are far apart it is 1: each is near itself."""
    layer = MinibatchDiscrimination(4)
    np.testing.assert_allclose(numpy(layer(X[:1].repeat(6, 0)))[:, 7:], 6, rtol=1e-5)
    np.testing.assert_allclose(numpy(layer(1e4 * X))[:, 7:], 1, rtol=1e-5)


@pytest.mark.parametrize("n", [50, 2000])
def test_minibatch_discrimination_begins_with_distances_near_1(n):
    """Whatever the number of features, if their variance is 1: else all samples look equal, or none is near another."""
    x = RNG.normal(size=(64, n)).astype("float32")
    share = (numpy(MinibatchDiscrimination()(x))[:, n:].mean() - 1) / 63
    assert 0.2 < share < 0.5


def test_historical_average_of_a_walk():
    """||w - mean of w_1 ... w_t||^2, with the gradient 2 (w - mean), for each weight of the network."""
    network = keras.Sequential([keras.Input((2,)), layers.Dense(3)])
    layer, kernel, bias = HistoricalAverage(network), *network.trainable_variables
    x, walk = np.zeros((5, 2)), RNG.normal(size=(4, 2, 3)).astype("float32")
    for t, w in enumerate(walk):
        kernel.assign(w)
        penalty = numpy(layer(x, training=True))
        assert penalty.shape == (5,)
        np.testing.assert_allclose(penalty, np.sum((w - walk[: t + 1].mean(0)) ** 2), rtol=1e-4, atol=1e-6)
    bias.assign([1.0, 2.0, 2.0])  # its average was 0
    difference = walk[-1] - walk.mean(0)
    np.testing.assert_allclose(numpy(layer(x)), 9 + np.sum(difference**2), rtol=1e-5)
    gradients = weight_gradients(lambda: layer(x)[0], [kernel, bias])
    np.testing.assert_allclose(gradients[0], 2 * difference, rtol=1e-4)
    np.testing.assert_allclose(gradients[1], [2, 4, 4], rtol=1e-5)


@pytest.mark.parametrize("shape", [(3,), (2, 2, 3)], ids=["units", "channels"])
def test_virtual_batch_norm_by_hand(shape):
    """A sample counts like one more row beside the reference batch, whose rows are normalised as in batch norm."""
    h, rows = RNG.normal(2, 3, (6, *shape)).astype("float32"), 4
    y = numpy(VirtualBatchNormalization(rows)(h))
    axes = tuple(range(len(shape)))  # of the batch and of space
    plain = lambda x, of: (x - of.mean(axes)) / np.sqrt(of.var(axes) + 1e-3)
    np.testing.assert_allclose(y[:rows], plain(h[:rows], h[:rows]), rtol=1e-3, atol=1e-5)
    for i in (4, 5):
        np.testing.assert_allclose(y[i], plain(h[i], h[[0, 1, 2, 3, i]]), rtol=1e-3, atol=1e-5)


def test_virtual_batch_norm_far_from_zero():
    """In float32 the difference of the mean square and the squared mean has no digits left there."""
    near = RNG.normal(0, 0.05, (6, 3)).astype("float32")
    expected = numpy(VirtualBatchNormalization(4)(near))
    far = numpy(VirtualBatchNormalization(4)(near + np.float32(256)))  # a power of 2 rounds the least
    np.testing.assert_allclose(far, expected, atol=2e-3)


def test_the_reference_batch_is_fixed():
    layer = PrependReference(500, seed=3)
    first, second = (numpy(layer(np.zeros((n, 4), "float32"))) for n in (1, 2))
    assert first.shape == (501, 4) and second.shape == (502, 4)
    np.testing.assert_array_equal(first[:500], second[:500])
    assert abs(first[:500].mean()) < 0.1 and first[:500].std() == pytest.approx(1, abs=0.1)


def test_maxout_is_the_largest_piece():
    layer = Maxout(2, 3)
    y = numpy(layer(X))
    pieces = X @ numpy(layer.dense.kernel)
    np.testing.assert_allclose(y, np.stack([pieces[:, :3].max(1), pieces[:, 3:].max(1)], 1), rtol=1e-5)
    assert numpy(ops.sum(layer.dense.bias)) == 0
