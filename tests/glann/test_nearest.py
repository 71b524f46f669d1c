"""Nearest rows and the losses of IMLE, against brute force and the formulas of article 6394."""

import keras
import numpy as np
import pytest
from keras import ops

from common.training.single_loss import SingleLoss
from glann.nearest import imle_loss, nearest_distance, nearest_rows, reverse_loss
from tests.helpers.arrays import numpy
from tests.helpers.autodiff import gradient

RNG = np.random.default_rng(0)
REAL, FAKE = (RNG.normal(size=(n, 5)).astype("float32") for n in (7, 11))


def all_distances(a, b):
    """Return the squared distances of all pairs of rows, float64 (m, n)."""
    return np.sum((np.float64(a)[:, None] - np.float64(b)) ** 2, -1)


@pytest.mark.parametrize("block", [1, 4, 11, 4096])
def test_the_nearest_rows_are_those_of_brute_force(block):
    np.testing.assert_array_equal(numpy(nearest_rows(REAL, FAKE, block)), all_distances(REAL, FAKE).argmin(1))


def test_they_are_found_when_the_number_of_rows_is_unknown():
    a, b = keras.Input((5,)), keras.Input((5,))
    model = keras.Model([a, b], nearest_distance(a, b))
    np.testing.assert_allclose(numpy(model([REAL, FAKE])), all_distances(REAL, FAKE).min(1), rtol=1e-5)


def test_distances_are_exact_and_never_negative():
    """In float32 ||a||^2 + ||b||^2 - 2 a.b would be negative here."""
    a = np.float32(1000) + np.float32([[0.0, 0.25, 0.5]])
    assert numpy(nearest_distance(a, np.concatenate([a + 1, a])))[0] == 0
    assert numpy(nearest_distance(a, a + np.float32(0.0625)))[0] == 3 * 0.0625**2


def test_it_is_the_limit_of_the_likelihood_of_gaussians_about_the_fakes():
    """-2 s^2 log sum_j exp(-d_j / (2 s^2)) tends to min_j d_j as s tends to 0, with an error of at most 2 s^2 log n."""
    d = all_distances(REAL, FAKE)
    for s in (1.0, 0.1, 0.01):
        soft = -2 * s**2 * (np.log(np.sum(np.exp(-(d - d.min(1, keepdims=True)) / (2 * s**2)), 1))) + d.min(1)
        error = numpy(imle_loss(REAL, FAKE)) - soft
        assert np.all(error < 2 * s**2 * np.log(11) + 1e-5) and np.all(error > -1e-5)


def test_only_selected_fakes_get_a_gradient():
    index = all_distances(REAL, FAKE).argmin(1)
    expected = np.zeros_like(FAKE)
    for i, j in enumerate(index):
        expected[j] += 2 * (FAKE[j] - REAL[i])
    assert 0 < len(set(index)) < 11
    np.testing.assert_allclose(gradient(lambda fake: ops.sum(imle_loss(REAL, fake)), FAKE), expected, atol=1e-5)


def test_of_equally_near_fakes_one_gets_the_gradient():
    fake = np.float32([[1.0, 0], [0, 1], [-1, 0], [0, -1]])
    grad = gradient(lambda fake: ops.sum(imle_loss(np.zeros((1, 2), "float32"), fake)), fake)
    np.testing.assert_allclose(grad, [[2, 0], [0, 0], [0, 0], [0, 0]])


def test_more_fakes_never_raise_the_loss():
    """In expectation it falls; with the same first fakes it falls always."""
    fakes = RNG.normal(size=(64, 5)).astype("float32")
    losses = [numpy(imle_loss(REAL, fakes[:n])).mean() for n in (1, 4, 16, 64)]
    assert losses == sorted(losses, reverse=True) and losses[0] > 2 * losses[-1]


def test_the_reverse_loss_is_that_of_the_formula():
    """It is the mean of min_i d(G(z_j), x_i) + relu(m - min_k d(G(z_j), G(z'_k)))."""
    other = FAKE + RNG.normal(size=(11, 5)).astype("float32")
    to_real, to_fake = all_distances(FAKE, REAL).min(1), all_distances(FAKE, other).min(1)
    margin = float(np.median(to_fake))
    expected = to_real + np.maximum(margin - to_fake, 0)
    np.testing.assert_allclose(numpy(reverse_loss(REAL, FAKE, other, margin)), expected, rtol=1e-4)


def test_with_the_same_batch_twice_fakes_flee_nothing():
    to_real = all_distances(FAKE, REAL).min(1)
    np.testing.assert_allclose(numpy(reverse_loss(REAL, FAKE, FAKE, 0.5)), to_real + 0.5, rtol=1e-5)


def test_a_margin_above_all_distances_is_the_loss_without_one():
    other = FAKE[::-1] + np.float32(0.5)
    with_margin = gradient(lambda fake: ops.sum(reverse_loss(REAL, fake, other, 1e3)), FAKE)
    without = lambda fake: ops.sum(nearest_distance(fake, REAL) - nearest_distance(fake, other))
    np.testing.assert_allclose(with_margin, gradient(without, FAKE), atol=1e-5)


def test_imle_pulls_a_fake_to_every_mode():
    """A generator of points learns three points: none is left out, though a GAN may leave one out."""
    modes = np.float32([[0, 2], [2, -1], [-2, -1]])
    points = keras.layers.Embedding(16, 2, embeddings_initializer=keras.initializers.RandomNormal(seed=1))
    x = keras.Input((2,))
    fake = points(ops.arange(16) + 0 * ops.cast(ops.sum(x), "int32"))
    trainer = SingleLoss(x, {"real": x, "fake": fake}, lambda real, fake: {"loss": imle_loss(real, fake)})
    trainer.compile(keras.optimizers.SGD(0.3))
    trainer.fit(np.tile(modes, (40, 1)), batch_size=12, epochs=8, verbose=0)
    nearest = all_distances(modes, points.get_weights()[0]).min(1)
    assert nearest.max() < 0.01
