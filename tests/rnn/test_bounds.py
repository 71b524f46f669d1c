"""The bounds of article 7888 on the step Jacobians: on grids, and where they are reached."""

import numpy as np
import pytest

from rnn import bounds, jacobians
from rnn.jacobians import STEPS, sigmoid

UNIT = np.linspace(0, 1, 41)
SIGNED = np.linspace(-1, 1, 41)


@pytest.mark.parametrize(("a", "expected"), [(0, 0.4477), (0.5, 0.787), (1, 1.199), (2, 2.116), (5, 5.05)])
def test_the_bound_of_tanh_over_all_u(a, expected):
    assert bounds.tanh_bound(a) == pytest.approx(expected, abs=6e-4 if a != 5 else 6e-3)
    assert bounds.tanh_bound(-a) == pytest.approx(bounds.tanh_bound(a))


@pytest.mark.parametrize("h", [-0.9, 0.3])
@pytest.mark.parametrize("a", [0.0, -1.0, 2.0])
def test_no_u_exceeds_the_bound_of_tanh_and_one_reaches_it(a, h):
    """By the Jacobian itself: x is 1, W is a, b is 0."""
    U = np.linspace(-60, 60, 24001)[:, None, None]
    weights = {"h": (np.full_like(U, a), U, np.zeros(1))}
    _, J, _ = jacobians.tanh_step(weights, np.ones(1), (np.full((len(U), 1), h),))
    assert abs(J).max() == pytest.approx(bounds.tanh_bound(a) / abs(h), rel=1e-4)
    _, J, _ = jacobians.relu_step(weights, np.ones(1), (np.full((len(U), 1), h),))
    assert abs(J).max() == 60, "ReLU has no bound over U"


def test_the_bound_of_tanh_grows_with_the_rest_of_the_input():
    a = np.linspace(0, 30, 61)
    bound = np.array([bounds.tanh_bound(value) for value in a])
    assert (bound > a).all() and (np.diff(bound) > 0).all() and bound[-1] - a[-1] < 0.01


def test_the_peak_of_s_c():
    """|S c| is below the article's 0.45; its peak is where c tanh c = 1/2."""
    c = np.linspace(-20, 20, 400_001)
    values = abs(c * (1 - np.tanh(c) ** 2))
    assert values.max() == pytest.approx(bounds.PEAK, abs=1e-9) == pytest.approx(0.44774, abs=5e-6)
    assert abs(c[values.argmax()]) == pytest.approx(bounds.PEAK_AT, abs=1e-4) == pytest.approx(0.7717, abs=5e-5)
    assert bounds.PEAK_AT * np.tanh(bounds.PEAK_AT) == pytest.approx(0.5, abs=1e-12)


def test_the_side_terms_of_the_lstm_on_a_grid():
    """What multiplies U_f, U_i and U_g, at their largest: 0.112, 0.25 and 1."""
    c = np.linspace(-5, 5, 2001)[:, None]
    S = 1 - np.tanh(c) ** 2
    of_f, of_i, of_g = (UNIT * (1 - UNIT) * S * abs(c)).max(), (UNIT * (1 - UNIT) * S).max(), (UNIT * S).max()
    assert (of_f, of_i, of_g) == pytest.approx(tuple(bounds.SIDE_TERMS["lstm"]), abs=1e-4)
    assert of_f < 0.112 and of_i <= 0.25 and of_g <= 1


@pytest.mark.parametrize("u", [0.5, 1.0, 2.0, 8.0])
def test_the_side_terms_of_the_gru_on_a_grid(u):
    """|g - h| is at most 2. What multiplies U_g grows with U_r, since the candidate sees r h."""
    z, r, h, g = (values.reshape(shape) for values, shape in zip(
        (UNIT, UNIT, SIGNED, SIGNED), np.eye(4, dtype=int) * 40 + 1, strict=True))  # fmt: skip
    assert (z * (1 - z) * abs(g - h)).max() == pytest.approx(bounds.SIDE_TERMS["gru"][0])
    of_g = abs(z * (1 - g**2) * r * (1 + (1 - r) * h * u)).max()
    assert of_g == pytest.approx(bounds.gru_bound_of_g(u), rel=2e-3) and of_g <= bounds.gru_bound_of_g(u) + 1e-12


@pytest.mark.parametrize("kind", ["lstm", "gru", "reset_output"])
def test_no_step_exceeds_the_sum_of_the_bounds(kind):
    """100,000 steps of one unit with weights of size u, from any memory that the cell can have."""
    rng, n, u = np.random.default_rng(0), 100_000, 3.0
    sign = lambda *shape: u * rng.choice([-1.0, 1.0], size=shape)
    weights = {gate: (rng.normal(size=(n, 1, 1)) * 2, sign(n, 1, 1), rng.normal(size=(n, 1)))
               for gate in jacobians.GATES[kind]}  # fmt: skip
    c, gate = rng.uniform(-1, 1, (n, 1)), sigmoid(3 * rng.normal(size=(n, 1)))
    state = {"lstm": (gate * np.tanh(c), c, gate), "reset_output": (gate * c, c, gate), "gru": (c,)}[kind]
    _, J, _ = STEPS[kind](weights, rng.normal(size=(n, 1)), state)
    assert abs(J).max() <= 1 + bounds.side_bound(kind, u)
    assert abs(J).max() > 1.1, "the side terms do push a step above 1"


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_the_memory_of_gru_and_reset_output_stays_in_the_unit_interval_and_that_of_the_lstm_does_not(scale):
    rng, n = np.random.default_rng(1), 500
    largest = {}
    for kind in ("lstm", "gru", "reset_output"):
        weights = {gate: (scale * rng.normal(size=(n, 1, 1)), scale * rng.normal(size=(n, 1, 1)), np.full(1, 1.0))
                   for gate in jacobians.GATES[kind]}  # fmt: skip
        state, largest[kind] = jacobians.first_state(kind, (n, 1)), 0.0
        for x in rng.normal(size=(100, n, 1)):
            state, _, _ = STEPS[kind](weights, x, state)
            largest[kind] = max(largest[kind], abs(state[len(state) // 2]).max())
    assert 0.9 < largest["gru"] <= 1 and 0.9 < largest["reset_output"] <= 1 and largest["lstm"] > 5
