"""The bilinear and the Dirac GAN under Euler steps: by which factor a step changes their distance from the real."""

import numpy as np
import pytest

from common.losses.dirac import vanilla, wgan_gp
from common.ode import alternating_euler, euler, rk4, solve
from dynamics.games import GAMES, START, WEIGHT, bilinear, factor, late_distance, penalised

SIZES = (0.01, 0.1, 0.2, 0.5)


@pytest.mark.parametrize("h", SIZES)
def test_the_factor_of_the_bilinear_game(h):
    assert factor(bilinear, h, euler) == pytest.approx(np.sqrt(1 + h**2), rel=1e-9)
    assert factor(bilinear, h, alternating_euler) == pytest.approx(1, rel=1e-9)
    radii = np.linalg.norm(solve(bilinear, START, 20 * h, h, euler)[..., 0], axis=1)
    np.testing.assert_allclose(radii[1:] / radii[:-1], np.sqrt(1 + h**2), err_msg="far from the equilibrium too")


@pytest.mark.parametrize("h", SIZES)
def test_a_penalty_damps_it_if_the_step_is_below_twice_its_weight(h):
    damped = penalised(bilinear)
    assert factor(damped, h, euler) == pytest.approx(np.sqrt(1 - 2 * WEIGHT * h + h**2), rel=1e-6)
    assert factor(damped, h, alternating_euler) == pytest.approx(np.sqrt(1 - 2 * WEIGHT * h), rel=1e-6)
    assert (factor(damped, h, euler) < 1 - 1e-6) == (h < 2 * WEIGHT)


@pytest.mark.parametrize("h", SIZES)
def test_the_dirac_gan_turns_half_as_fast(h):
    assert factor(vanilla, h, euler) == pytest.approx(np.sqrt(1 + h**2 / 4), rel=1e-5)
    assert factor(vanilla, h, alternating_euler) == pytest.approx(1, abs=1e-5)


def test_a_smaller_step_only_slows_the_way_out():
    ends = [late_distance(bilinear, h, euler) for h in (0.05, 0.1, 0.2)]
    assert 1.5 < ends[0] < ends[1] < ends[2]
    for name, field in GAMES.items():
        assert late_distance(field, 0.1, rk4) < (0.01 if "penalty" in name else 1.001), name
        assert late_distance(field, 0.1, alternating_euler) < (0.01 if "penalty" in name else 1.1), name


def test_the_penalised_bilinear_game_is_wgan_gp_centred_at_zero():
    for state in np.random.default_rng(0).normal(size=(5, 2, 3)):
        np.testing.assert_allclose(penalised(bilinear, 0.1)(state), wgan_gp(0, 0.1)(state))
