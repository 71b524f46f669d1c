"""The flows of article 6261: how fast each lowers the loss, the test curve, and where RMSprop rests."""

import numpy as np
import pytest

from common.ode import alternating_euler, euler, solve
from dynamics import flows
from dynamics.flows import BARRIER, LOCAL_MINIMUM, MINIMUM, curve, curve_slope

EIGENVALUES = np.array([1.0, 10.0, 100.0])
loss = lambda x: (EIGENVALUES * x * x).sum(-1, keepdims=True) / 2
gradient = lambda x: EIGENVALUES * x
POINT = np.array([1.0, 1.0, 0.0])  # its gradient is (1, 10, 0)

# name: (flow, its dL/dt by the article at POINT, where the 1-norm of the gradient is 11 and the squared 2-norm 101)
DECAYS = {
    "gradient": (flows.gradient_flow(gradient), -101.0),
    "sign": (flows.sign_flow(gradient), -11.0),
    "Polyak": (flows.polyak_flow(loss, gradient), -5.5),  # -L
    "capped Polyak": (flows.polyak_flow(loss, gradient, cap=0.01), -5.5 * 0.01 * np.sqrt(101)),
}


@pytest.mark.parametrize("name", DECAYS)
def test_how_fast_a_flow_lowers_the_loss(name):
    field, rate = DECAYS[name]
    assert gradient(POINT) @ field(POINT) == pytest.approx(rate, rel=1e-12)
    before, after = loss(solve(field, POINT, 2e-6, 1e-6)[[0, 2]])
    assert (after - before) / 2e-6 == pytest.approx(rate, rel=1e-3), "the loss itself falls so"


def test_the_loss_of_the_polyak_flow_is_a_pure_exponential():
    """L(3) / L(0) = e^-3 = 0.04979, to four digits by Runge-Kutta, however different the eigenvalues are."""
    start = np.ones(3)
    decay = loss(solve(flows.polyak_flow(loss, gradient), start, 3.0, 1e-2))[:, 0] / loss(start)
    np.testing.assert_allclose(decay, np.exp(-np.linspace(0, 3, 301)), rtol=1e-5)
    by_euler = loss(solve(flows.polyak_flow(loss, gradient), start, 3.0, 1e-3, euler)[-1])[0] / loss(start)[0]
    assert f"{by_euler:.5f}" == "0.04978"


def test_a_known_lowest_loss_is_where_the_polyak_flow_ends():
    raised = lambda x: loss(x) + 7
    path = solve(flows.polyak_flow(raised, gradient, lowest=7), np.ones(3), 3.0, 1e-2)
    np.testing.assert_allclose(path, solve(flows.polyak_flow(loss, gradient), np.ones(3), 3.0, 1e-2), rtol=1e-6)


def test_each_point_of_a_batch_flows_on_its_own():
    points = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0], [-1.0, 0.5, 0.1]])
    for cap in (np.inf, 0.01):
        field = flows.polyak_flow(loss, gradient, cap)
        np.testing.assert_array_equal(field(points), [field(point) for point in points])
        assert field(points)[1].tolist() == [0, 0, 0], "at rest where the gradient is zero"


# the curve


def test_the_curve_of_the_article():
    x = np.linspace(-1, 5, 200)
    np.testing.assert_allclose(curve(x), x * (x - 1) * (x - 3) ** 2 + 1.62276, rtol=1e-12)
    np.testing.assert_allclose(curve_slope(x), (curve(x + 1e-6) - curve(x - 1e-6)) / 2e-6, atol=1e-6)
    places = [MINIMUM, BARRIER, LOCAL_MINIMUM]
    np.testing.assert_allclose(curve_slope(np.array(places)), 0, atol=1e-12)
    np.testing.assert_allclose(places, [0.40693, 1.84307, 3], atol=5e-6)
    np.testing.assert_allclose(curve(np.array(places)), [5.53e-7, 3.70255, 1.62276], atol=5e-6)
    assert 5e-7 < curve(MINIMUM) < 6e-7, "the offset is rounded: the lowest value is not 0"


def test_gradient_descent_stays_in_the_local_minimum_and_sign_descent_does_not_rest():
    start = np.array([[4.0]])
    plain = solve(flows.gradient_flow(curve_slope), start, 25, 0.01, euler)[-1]
    np.testing.assert_allclose(plain, 3, atol=1e-9)
    signs = solve(flows.sign_flow(curve_slope), start, 25, 0.01, euler)[-50:, 0, 0]
    np.testing.assert_allclose(abs(np.diff(signs)), 0.01, rtol=1e-9)


# rest


@pytest.mark.parametrize("epsilon", [0.0, 1e-4, 2e-3, 2.4e-3, 2.6e-3])
@pytest.mark.parametrize("rho", [0.5, 0.9])
def test_rmsprop_rests_only_if_epsilon_is_large_for_the_step(rho, epsilon):
    """On x^2/2 the steps of size h end in a cycle of swing sqrt(h^2 - 4 epsilon), or rest if that is no number."""
    h = 0.1
    field = flows.rmsprop_flow(lambda x: x, h, rho, epsilon)
    x = solve(field, flows.with_memory([1.0], 1), 300, h, alternating_euler)[-100:, -1, 0]
    np.testing.assert_allclose(np.ptp(x), flows.rmsprop_swing(h, epsilon), atol=2e-3 * h)


def test_the_swing_of_rmsprop_by_hand():
    assert flows.rmsprop_swing(0.1, 0) == pytest.approx(0.1)
    assert flows.rmsprop_swing(0.1, 0.0016) == pytest.approx(0.06)
    assert flows.rmsprop_swing(0.1, 0.0026) == flows.rmsprop_swing(0.1, 1) == 0
    assert flows.rmsprop_swing(0.1, 0.0016, curvature=0.5) == 0
