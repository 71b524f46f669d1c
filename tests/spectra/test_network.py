"""The article's network, by the numbers that follow from its description; and batches with quotas."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers

from common.errors import UserError
from spectra.batches import QuotaBatches, quota_counts
from spectra.network import LEAST_POINTS, block, build_network, receptive_field
from tests.helpers.arrays import numpy


def multiply_adds(network):
    """Return the multiplications of a forward pass of one spectrum, by the shapes of kernels and outputs."""
    length = lambda layer: layer.output.shape[1] if isinstance(layer, layers.Conv1D) else 1
    return sum(int(np.prod(layer.kernel.shape)) * length(layer) for layer in network.layers if hasattr(layer, "kernel"))


def test_the_article_s_size():
    network = build_network(2600)
    lengths = [layer.output.shape[1] for layer in network.layers if isinstance(layer, layers.MaxPooling1D)]
    assert [2600, *lengths] == [2600, 1300, 650, 325, 162, 81, 40, 20]
    assert network.count_params() == 748_324
    assert multiply_adds(network) == pytest.approx(62.9e6, abs=0.05e6)
    assert multiply_adds(build_network(650, 8)) == pytest.approx(3.93e6, abs=0.01e6)
    assert receptive_field() == 3698
    assert not any(isinstance(layer, layers.BatchNormalization) for layer in network.layers)


def test_a_convolution_is_the_sum_of_two_with_relu_and_the_block_goes_around_them():
    rng = np.random.default_rng(0)
    x = keras.Input((12, 3))
    model = keras.Model(x, block(x, 3))
    values = rng.standard_normal((2, 12, 3)).astype("float32")
    h = values
    for layer in (layer for layer in model.layers if isinstance(layer, layers.Conv1D)):
        kernel, bias = numpy(layer.kernel), rng.standard_normal(6).astype("float32")
        layer.bias.assign(bias)
        halves = []
        for half in (slice(3), slice(3, None)):
            conv = layers.Conv1D(3, 3, padding="same", dilation_rate=layer.dilation_rate, activation="relu")
            conv.build(h.shape)
            conv.kernel.assign(kernel[..., half])
            conv.bias.assign(bias[half])
            halves.append(numpy(conv(h)))
        h = sum(halves)
    np.testing.assert_allclose(numpy(model(values)), values + h, rtol=1e-4, atol=1e-5)
    assert [layer.dilation_rate for layer in model.layers if isinstance(layer, layers.Conv1D)] == [(1,), (2,), (4,)]
    wider = keras.Model(x, block(x, 5))
    assert wider.output.shape == (None, 12, 5) and wider.layers[-2].kernel_size in ((1,), (3,))


def test_dropout_drops_whole_positions():
    (layer,) = (layer for layer in build_network(LEAST_POINTS, 2).layers if isinstance(layer, layers.Dropout))
    dropped = numpy(layer(np.ones((8, 50, 6), "float32"), training=True))
    assert set(np.unique(dropped)) == {0, 2} and (dropped == dropped[..., :1]).all()
    assert 0.35 < (dropped == 0).mean() < 0.65


def test_average_pooling_has_the_same_weights():
    network = build_network(LEAST_POINTS, 2, "average")
    assert network.count_params() == build_network(LEAST_POINTS, 2).count_params()
    assert not any("Max" in type(layer).__name__ for layer in network.layers)


def test_quotas():
    assert list(quota_counts((0.8, 0.1, 0.05, 0.05), 160)) == [128, 16, 8, 8]
    assert list(quota_counts((0.55, 0.15, 0.15, 0.15), 64)) == [35, 10, 10, 9]
    assert list(quota_counts((2, 1, 1), 5)) == [3, 1, 1]
    with pytest.raises(UserError, match="no room for every class"):
        quota_counts((0.98, 0.01, 0.01), 20)


def test_batches_have_their_quotas_and_use_all_of_a_class_alike():
    labels = np.repeat([0, 1, 2], [40, 6, 5])
    rows = np.stack([labels, np.arange(51)], 1).astype("float32")
    make = lambda **kwargs: QuotaBatches(rows, 10, labels=labels, quotas=(6, 2, 2), **{"seed": 1, **kwargs})
    batches = [make()[i] for i in range(30)]
    for batch in batches:
        assert list(np.bincount(batch[:, 0].astype(int))) == [6, 2, 2]
    of_class = [[b[b[:, 0] == c][:, 1] for b in batches] for c in range(3)]
    seen = np.bincount(np.concatenate(of_class[1]).astype(int), minlength=51)
    assert set(seen[40:46]) == {10}, "60 draws of six"
    assert len(set(np.concatenate(of_class[0][:6]))) == 36, "no sample twice before all were"
    assert set(np.bincount(np.concatenate(of_class[0][:20]).astype(int))) == {3}
    assert any(a[0, 0] != b[0, 0] for a, b in itertools.pairwise(batches)), "the classes are mixed"

    resumed = make(start=17)
    np.testing.assert_array_equal(resumed[3], batches[20])
    assert (make(seed=2)[0] != batches[0]).any()
    with pytest.raises(UserError, match="no training spectrum of class 1"):
        QuotaBatches(rows[labels != 1], 10, labels=labels[labels != 1], quotas=(6, 2, 2))
