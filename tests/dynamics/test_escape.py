"""The escape of the capped Polyak flow: what is certain about it, and what rounding decides (article 6261)."""

import numpy as np
import pytest

from dynamics import escape
from dynamics.escape import CURVES, SLOPES, cap_needed, escaped, noisy_path, polyak_path
from dynamics.flows import LOCAL_MINIMUM, MINIMUM, curve

STARTS = np.linspace(2, 5, 41)


def test_the_caps_that_let_a_step_reach_the_barrier():
    """A step is at most h M f(3) long, and the barrier is 1.157 away from the local minimum."""
    assert cap_needed(0.01) == pytest.approx(1.15693 / (0.01 * 1.62276), rel=1e-5)
    assert cap_needed(0.005) == pytest.approx(2 * cap_needed(0.01))


@pytest.mark.parametrize("h", [0.01, 0.03])
def test_only_larger_caps_escape(h):
    share = lambda cap: escaped(polyak_path(STARTS, h, cap)[-1]).mean()
    assert share(0.9 * cap_needed(h)) == 0
    assert share(1.2 * cap_needed(h)) > 0.6


def test_a_smaller_step_makes_the_escape_impossible():
    """So it belongs to the steps, not to the flow: with the article's cap 1000, h must exceed 7.1e-4."""
    assert cap_needed(7.1e-4) > escape.CAP > cap_needed(7.2e-4)
    share = {h: escaped(polyak_path(STARTS, h, 100.0)[-1]).mean() for h in (0.005, 0.01)}
    assert share[0.005] == 0 and share[0.01] > 0.6


def test_the_escape_is_a_matter_of_the_start_and_of_waiting():
    share = escaped(polyak_path(STARTS)).mean(1)
    assert share[0] == 0 and 0.6 < share[-1] < 1, "not all starts escape in the article's 2,500 steps"
    assert share[500] < share[1200] < share[-1]
    path = polyak_path(STARTS)[-1]
    arrived = path[abs(path - MINIMUM) < 0.01]
    assert len(arrived) > 15 and (curve(arrived) < 0.001).all()


def test_rounding_decides_when_the_articles_run_escapes():
    x = np.linspace(-1, 5, 50)
    for functions in (CURVES, SLOPES):
        first, *others = (function(x) for function in functions.values())
        for other in others:
            np.testing.assert_allclose(other, first, rtol=1e-9, atol=1e-11)
    rows = escape.rounding_table()
    steps = [row["escapes at step"][0] for row in rows.values() if row["escapes at step"]]
    assert len(rows) == 12 and len(steps) >= 6 and max(steps) > 2 * min(steps)


def test_noise_escapes_too_and_more_of_it_not_always_more_often():
    share = {noise: escaped(noisy_path(noise, 300)[-1]).mean() for noise in (0.0, 0.5, 1.0, 1.5)}
    assert share[0.0] == 0 and share[0.5] < 0.02
    assert 0.3 < share[1.0] < 0.5 and 0.66 < share[1.5] < 0.9
    np.testing.assert_allclose(noisy_path(0.0, 3)[-1], LOCAL_MINIMUM, atol=1e-9)


def test_noise_has_its_variance():
    """Near the minimum of curvature k the variance tends to noise^2 / (2 k), up to the step size."""
    path = noisy_path(0.3, 2000)[-1]
    assert path.var() == pytest.approx(0.3**2 / (2 * 12), rel=0.15)
