"""Modes that samples reach: of labels in closed form, of points for samples made by hand."""

import math

import numpy as np
import pytest

from common.data import toy_2d
from common.errors import UserError
from common.metrics.modes import mixture_modes, mode_coverage, modes_of_points

TOY = "8gaussians"
CENTRES, STD = toy_2d.modes(TOY)


def test_mode_coverage_in_closed_form():
    """An even spread over m of the modes has the KL log(modes / m); 3/4 and 1/4 of two: .75 log 1.5 + .25 log .5."""
    even = mode_coverage(np.arange(49).repeat(3), 49)
    assert even["modes"] == 49
    assert 0 <= even["mode_kl"] < 1e-12  # the plain sum is rounded below 0 here
    assert mode_coverage([7, 2, 2, 7, 5, 5], 12) == {"modes": 3, "mode_kl": pytest.approx(math.log(4))}
    uneven = mode_coverage(np.uint8([0, 0, 1, 0]), 2)
    assert uneven == {"modes": 2, "mode_kl": pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5))}
    assert [type(value) for value in uneven.values()] == [int, float]


def test_mode_kl_of_a_perfect_sampler_is_not_zero():
    labels = np.random.default_rng(41).integers(0, 1000, 26_000)
    assert mode_coverage(labels, 1000) == {"modes": 1000, "mode_kl": pytest.approx(999 / 52_000, rel=0.2)}


@pytest.mark.parametrize("labels", [[0, 3], [-1, 0], [], [0.0, 1.0], [[0, 1]], [True, False]])
def test_mode_coverage_refuses_other_labels(labels):
    with pytest.raises(ValueError, match="Received"):
        mode_coverage(labels, 3)


def test_points_of_the_data_reach_all_modes():
    metrics = modes_of_points(TOY, toy_2d.sample(TOY, 20_000, 3))
    assert metrics["near"] == pytest.approx(1 - np.exp(-4.5), abs=0.002)  # 2-D normal within 3 standard deviations
    assert metrics["modes"] == 8 and metrics["mode_kl"] < 2e-3
    variance_of_near = (1 - 5.5 * np.exp(-4.5)) / (1 - np.exp(-4.5))
    assert metrics["mode_width"] == pytest.approx(np.sqrt(variance_of_near), abs=0.01)
    assert np.sqrt(variance_of_near) == pytest.approx(0.974, abs=5e-4)


def test_mode_width_is_about_the_mean_of_the_points_of_a_mode():
    """Points at .3 of their distance to the centre, all shifted by half a standard deviation."""
    points = toy_2d.sample(TOY, 2000, 3)
    centre_of_point = CENTRES[np.square(points[:, None] - CENTRES).sum(-1).argmin(1)]
    narrow = centre_of_point + 0.3 * (points - centre_of_point)
    assert modes_of_points(TOY, narrow + [STD / 2, 0])["mode_width"] == pytest.approx(0.3, abs=0.01)


def test_modes_of_four_points_by_hand():
    """Two points lie on one mode, 2.9 deviations apart; one on a second mode; one 3.1 deviations off a third."""
    points = CENTRES[[0, 0, 1, 2]] + np.array([[0, 0], [0, 2.9 * STD], [0, 0], [3.1 * STD, 0]])
    assert modes_of_points(TOY, points) == {
        "near": 0.75,
        "modes": 2,
        "mode_kl": pytest.approx(np.log(8) + 2 / 3 * np.log(2 / 3) + 1 / 3 * np.log(1 / 3)),
        "mode_width": pytest.approx(1.45 / np.sqrt(3)),  # residuals 1.45, 1.45, 0 over two axes each
    }


def test_points_far_from_all_modes_have_the_worst_values():
    metrics = modes_of_points(TOY, np.full((5, 2), 100.0))
    assert metrics == {"near": 0.0, "modes": 0, "mode_kl": pytest.approx(np.log(8)), "mode_width": 0.0}


def test_a_toy_that_is_no_mixture_has_no_modes():
    assert modes_of_points("two_moons", CENTRES) == {}
    assert mixture_modes("two_moons")[0].shape == (0, 2)
    np.testing.assert_array_equal(mixture_modes(TOY)[0], CENTRES)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_points_that_are_no_numbers_are_named(value):
    points = np.zeros((5, 2), "float32")
    points[3, 0] = value
    with pytest.raises(UserError, match=r"the points must be finite.* the first in row 3"):
        modes_of_points(TOY, points)


@pytest.mark.parametrize("shape", [(0, 2), (5, 3), (5,), (5, 2, 1)])
def test_points_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="Received"):
        modes_of_points(TOY, np.zeros(shape))


@pytest.mark.parametrize("n", [1, 2])
def test_a_few_points_on_one_mode(n):
    """A single point of a mode has no spread about its mean."""
    metrics = modes_of_points(TOY, CENTRES[[0] * n])
    assert metrics == {"near": 1, "modes": 1, "mode_kl": pytest.approx(np.log(8)), "mode_width": 0}
