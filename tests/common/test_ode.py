"""The three schemes, on the rotation y' = (-y_1, y_0), whose steps are known in closed form."""

import numpy as np
import pytest

from common.ode import alternating_euler, euler, rk4, solve

ROTATION = lambda y: np.array([-y[1], y[0]])
START = [1.0, 0.0]


@pytest.mark.parametrize(("scheme", "order"), [(euler, 1), (alternating_euler, 1), (rk4, 4)])
def test_the_error_falls_with_the_order_of_the_scheme(scheme, order):
    error = lambda h: np.linalg.norm(solve(ROTATION, START, 2.0, h, scheme)[-1] - [np.cos(2), np.sin(2)])
    assert error(0.05) / error(0.025) == pytest.approx(2**order, rel=0.1)


def test_runge_kutta_is_the_default_and_its_path_has_both_ends():
    path = solve(ROTATION, START, 2.0, 0.1)
    assert path.shape == (21, 2) and path[0].tolist() == START
    np.testing.assert_allclose(path[-1], [np.cos(2), np.sin(2)], atol=1e-5)


def test_steps_by_hand():
    h = 0.5
    np.testing.assert_allclose(euler(ROTATION, np.array([1.0, 2.0]), h), [1 - h * 2, 2 + h * 1])
    y, first = np.array([1.0, 2.0]), 1 - h * 2
    np.testing.assert_allclose(alternating_euler(ROTATION, y, h), [first, 2 + h * first])
    assert y.tolist() == [1.0, 2.0], "the state before the step stays as it was"
