"""Langevin chains and acceptance rules, against distributions that are known (article 6331)."""

import keras
import numpy as np
import pytest
from keras import ops

from common.errors import UserError
from energy_gan.acceptance_rules import energy as normal_energy
from energy_gan.acceptance_rules import stationary_variance
from energy_gan.langevin import RULES, MarkovSteps, sample_chain
from tests.helpers.energies import double_well

CHAINS = 6000
TOLERANCE = 4 * np.sqrt(2 / (2 * CHAINS))  # four standard deviations of the variance of 2 * CHAINS normal numbers


def run_chains(energy, z, *args, **kwargs):
    """Return `sample_chain` of all chains in one batch."""
    return sample_chain(energy, z, *args, batch_size=len(z), **kwargs)


def run_from_normal(rule, step_size, steps):
    """Return chains on the normal distribution of the plane that start from it."""
    z = np.random.default_rng(0).standard_normal((CHAINS, 2), "float32")
    return run_chains(normal_energy, z, steps, step_size, rule)


@pytest.mark.parametrize("rule", ["mala", "langevin", "article", "meg_plain"])
@pytest.mark.parametrize(("step_size", "steps"), [(0.4, 40), (1.0, 20)])
def test_variance_in_the_end(rule, step_size, steps):
    theory = stationary_variance(rule, step_size)
    if rule == "article":  # it tends slowly to 3.33 for the small steps
        steps *= 4
    z = run_from_normal(rule, step_size, steps)["z"]
    assert z.var() == pytest.approx(theory, rel=TOLERANCE)
    assert abs(z.mean(0)).max() < 4 * np.sqrt(theory / CHAINS)


def test_stationary_variance_of_langevin_is_that_of_an_autoregression():
    """z' = (1 - s/2) z + sqrt(s) a keeps the variance v = (1 - s/2)^2 v + s."""
    for s in (0.02, 0.3, 1.0):
        assert stationary_variance("langevin", s) == pytest.approx(s / (1 - (1 - s / 2) ** 2))
        assert stationary_variance("mala", s) == 1


def test_wrong_rules_double_the_energy_or_cancel_it_for_small_steps():
    variance = {rule: run_from_normal(rule, 0.02, 150)["z"].var() for rule in RULES}
    assert variance["mala"] == pytest.approx(1, abs=TOLERANCE)
    assert variance["langevin"] == pytest.approx(1.005, abs=TOLERANCE)
    assert variance["meg_plain"] == pytest.approx(0.5013, abs=0.03)
    assert variance["article"] > 2.5 and variance["meg"] > 2.5


def test_unsquared_norm_is_wrong_for_large_steps_too():
    assert run_from_normal("meg", 1.0, 20)["z"].var() == pytest.approx(0.695, abs=TOLERANCE)


@pytest.mark.parametrize("step_size", [0.05, 0.4])
def test_mala_keeps_a_double_well(step_size):
    """Chains start from exact draws of e^{-(z^2 - 1)^2}, made with its distribution function on a grid."""
    grid = np.linspace(-3, 3, 20_001)
    density = np.exp(-((grid**2 - 1) ** 2))
    density /= density.sum()
    u = np.random.default_rng(1).random(CHAINS)
    z = np.interp(u, np.cumsum(density) - density / 2, grid).astype("float32")[:, None]
    end = run_chains(double_well, z, 40, step_size)["z"][:, 0]
    assert abs(end - z[:, 0]).mean() > 0.3, "they have moved"
    for power in (1, 2, 4, 6):
        exact, square = (density @ grid ** (power * k) for k in (1, 2))
        assert np.mean(end**power) == pytest.approx(exact, abs=4 * np.sqrt((square - exact**2) / CHAINS)), power
    unadjusted = run_chains(double_well, z, 40, 0.1, "langevin")["z"]
    assert np.mean(unadjusted**6) > 1.08 * (density @ grid**6), "without acceptance they leave it"


@pytest.mark.parametrize("rule", sorted(RULES))
def test_detailed_balance_point_by_point(rule):
    """pi(z) q(z'|z) a(z, z') = pi(z') q(z|z') a(z', z), written out in numpy, holds for MALA alone."""
    rng, step_size = np.random.default_rng(2), 0.3
    here, there = (rng.normal(size=(40, 2)).astype("float32") for _ in range(2))
    state_here, state_there = (MarkovSteps(double_well, 1.0).state(ops.convert_to_tensor(z)) for z in (here, there))

    def probability_flow(start, end, log_acceptance):
        slope = 4 * start * (start**2 - 1)
        q = np.exp(-np.sum((end - start + step_size / 2 * slope) ** 2, 1) / (2 * step_size))
        pi = np.exp(-np.sum((start**2 - 1) ** 2, 1))
        return pi * q * np.exp(np.minimum(0, ops.convert_to_numpy(log_acceptance)[:, 0]))

    forward = probability_flow(here, there, RULES[rule](state_here, state_there, step_size))
    backward = probability_flow(there, here, RULES[rule](state_there, state_here, step_size))
    balanced = np.isclose(forward, backward, rtol=2e-3, atol=1e-30).mean()
    assert balanced == 1 if rule == "mala" else balanced < 0.2


def test_a_step_follows_the_gradient_and_a_bad_proposal_is_rejected():
    z = np.array([[1.0, -2.0], [0.5, 0.0]], "float32")
    steep = lambda z: 1e6 * normal_energy(z)
    end = run_chains(steep, z, 1, 1e-7)["z"]  # z' = z - 1e-7/2 * 1e6 z, with almost no noise
    np.testing.assert_allclose(end, 0.95 * z, atol=5 * 1e-7**0.5)
    rejected = run_chains(steep, z, 5, 1e-5)  # z' = -4 z, far uphill
    np.testing.assert_array_equal(rejected["z"], z)
    np.testing.assert_array_equal(rejected["acceptance"], np.zeros(5))


def test_smaller_steps_are_accepted_more_often():
    acceptance = [run_from_normal("mala", step_size, 5)["acceptance"].mean() for step_size in (2.0, 0.5, 0.02)]
    assert acceptance[0] < acceptance[1] < acceptance[2] and acceptance[0] < 0.75 and acceptance[2] > 0.999


def test_results_of_sample_chain():
    z = np.random.default_rng(3).normal(3, 1, (7, 2)).astype("float32")
    chain = sample_chain(normal_energy, z, 10, 0.1, every=4, batch_size=3)  # in batches of 3, 2 and 2
    trajectory = chain["trajectory"]
    assert chain["saved_steps"].tolist() == [0, 4, 8, 10] and trajectory.shape == (4, 7, 2)
    np.testing.assert_array_equal(trajectory[0], z)
    np.testing.assert_array_equal(trajectory[-1], chain["z"])
    energies = np.sum(trajectory**2, -1) / 2
    np.testing.assert_allclose(chain["energies"][[0, 4, 8, 10]], energies, rtol=1e-5)
    assert chain["energies"].shape == (11, 7) and chain["acceptance"].shape == (10,)
    assert energies[-1].mean() < energies[0].mean(), "chains that start too high fall"
    longer = sample_chain(normal_energy, z, 23, 0.1, batch_size=3)
    np.testing.assert_array_equal(longer["trajectory"][chain["saved_steps"]], trajectory)
    np.testing.assert_allclose(longer["energies"], np.sum(longer["trajectory"] ** 2, -1) / 2, rtol=1e-5)
    assert sample_chain(normal_energy, z, 23, 0.1, every=4)["saved_steps"].tolist() == [0, 4, 8, 12, 16, 20, 23]
    path = sample_chain(normal_energy, z, 23, 0.1, "langevin", batch_size=3)["trajectory"]
    noise = (path[1:] - 0.95 * path[:-1]) / 0.1**0.5  # z' = (1 - s/2) z + sqrt(s) a: each step begins where one ended
    assert abs(noise).max() < 5 and noise.std() == pytest.approx(1, abs=0.15)
    assert len(np.unique(noise)) == noise.size, "every step of every chain has its own noise"


def test_the_same_seed_gives_the_same_chains():
    z = np.ones((50, 2), "float32")
    first, again, other = (run_chains(normal_energy, z, 5, 0.1, seed=seed)["z"] for seed in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert abs(first - other).min() > 0


def test_steps_that_are_too_large_raise_one_line():
    with pytest.raises(
        UserError,
        match=r"the energy of chain \d is not finite after \d+ steps of size 5: take smaller steps \(--step-size\)$",
    ):
        run_chains(double_well, np.ones((10, 2), "float32"), 50, 5.0, "langevin")


def test_energy_that_is_no_number_from_the_start_names_the_layer_or_the_latent():
    z = np.ones((5, 2), "float32")
    broken = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="broken")])
    broken.layers[0].bias.assign([1, np.nan, 1])
    energy = lambda z: ops.sum(broken(z), -1, keepdims=True)
    with pytest.raises(UserError, match=r"5 of the 5 outputs of the network .* layer \w+/broken;"):
        run_chains(energy, z, 5, 0.1)
    z[3, 1] = np.nan
    with pytest.raises(UserError, match=r"the inputs of the network must be finite.* the first in row 3"):
        run_chains(normal_energy, z, 5, 0.1)
