"""GAN-QP: its losses by hand, its optimum, and the distance between samples that it needs."""

import numpy as np
import pytest
from keras import ops

from common.losses.adversarial import LOSSES, sample_distance
from tests.helpers.arrays import numpy
from tests.helpers.autodiff import gradient

critic_loss = LOSSES["gan_qp"].critic


def test_losses_of_one_sample_by_hand():
    # d = 3 - 1 = 2, distance 0.5: -2 + 4 / (2 * 10 * 0.5) = -1.6; the generator minimises d itself
    real, fake = np.array([3.0], "float32"), np.array([1.0], "float32")
    np.testing.assert_allclose(critic_loss(real, fake, distance=np.array([0.5])), [-1.6], atol=1e-6)
    np.testing.assert_allclose(LOSSES["gan_qp"].generator(real, fake), [2.0], atol=1e-6)


def test_best_score_difference():
    """For a fixed pair the best difference is d* = lam * distance, with loss -lam * distance / 2."""
    distance = np.array([0.01, 0.3, 2.0], "float32")
    best = 10 * distance
    fake = ops.zeros(3)
    fn = lambda r: critic_loss(r, fake, distance=distance)
    np.testing.assert_allclose(gradient(lambda r: ops.sum(fn(r)), best), np.zeros(3), atol=1e-6)
    np.testing.assert_allclose(fn(ops.convert_to_tensor(best)), -best / 2, rtol=1e-6)
    for other in (0.9 * best, 1.1 * best):
        assert (numpy(fn(ops.convert_to_tensor(other))) > -best / 2).all()


def test_equal_samples_give_a_finite_loss():
    distance = sample_distance(np.ones((2, 3)), np.ones((2, 3)))
    d = np.array([0.0, 1.0], "float32")
    fn = lambda r: ops.sum(critic_loss(r, ops.zeros(2), distance=distance))
    assert np.isfinite(float(fn(ops.convert_to_tensor(d))))
    assert np.isfinite(gradient(fn, d)).all()


@pytest.mark.parametrize("order, expected", [(1, [2.0, 0.0]), (2, [np.sqrt(5.0), 0.0])])
def test_sample_distance(order, expected):
    x = np.array([[[1.0, 2.0]], [[4.0, 4.0]]], "float32")
    y = np.array([[[4.0, 1.0]], [[4.0, 4.0]]], "float32")  # differences 3 and 1; the second samples are equal
    np.testing.assert_allclose(sample_distance(x, y, order=order), expected, atol=2e-6)
    grad = gradient(lambda v: ops.sum(sample_distance(v, ops.convert_to_tensor(y), order=order)), x)
    assert np.isfinite(grad).all() and (grad[0] != 0).all()


def test_other_orders_of_sample_distance_are_refused():
    with pytest.raises(ValueError, match="Received: order=3"):
        sample_distance(np.ones((2, 3)), np.ones((2, 3)), order=3)
