"""Langevin chains and the rules of acceptance, against laws that are known (article 6331)."""

import json

import imageio.v3 as iio
import keras
import numpy as np
import pytest
from keras import layers, ops

from common.data import toy_faces
from common.errors import UserError
from common.files import write_json
from energy_gan import acceptance_rules, sample
from energy_gan.acceptance_rules import energy as normal
from energy_gan.acceptance_rules import stationary_variance
from energy_gan.langevin import RULES, MarkovStep, effective_sample_size, sample_chain
from energy_gan.sample import energy_of
from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import run_script, write_pngs

CHAINS = 6000
NOISE = 4 * np.sqrt(2 / (2 * CHAINS))  # four standard deviations of the variance of so many normal numbers


def double_well(z):
    """(z^2 - 1)^2, summed over the components."""
    return ops.sum(ops.square(ops.square(z) - 1), -1, keepdims=True)


def run(energy, z, *how, **more):
    return sample_chain(energy, z, *how, batch_size=len(z), **more)


def from_the_normal(rule, step_size, steps):
    z = np.random.default_rng(0).standard_normal((CHAINS, 2), "float32")
    return run(normal, z, steps, step_size, rule)


@pytest.mark.parametrize("rule", ["mala", "langevin", "article", "meg_plain"])
@pytest.mark.parametrize(("step_size", "steps"), [(0.4, 40), (1.0, 20)])
def test_the_variance_that_each_rule_ends_with(rule, step_size, steps):
    theory = stationary_variance(rule, step_size)
    if rule == "article":  # to 3.33 of the small steps, slowly
        steps *= 4
    found = from_the_normal(rule, step_size, steps)
    assert found["z"].var() == pytest.approx(theory, rel=NOISE)
    assert abs(found["z"].mean(0)).max() < 4 * np.sqrt(theory / CHAINS)


def test_the_theory_of_langevin_is_that_of_an_autoregression():
    """z' = (1 - s/2) z + sqrt(s) a keeps the variance v = (1 - s/2)^2 v + s."""
    for s in (0.02, 0.3, 1.0):
        assert stationary_variance("langevin", s) == pytest.approx(s / (1 - (1 - s / 2) ** 2))
        assert stationary_variance("mala", s) == 1


def test_at_small_steps_the_wrong_rules_double_the_energy_or_lose_it():
    variance = {rule: from_the_normal(rule, 0.02, 150)["z"].var() for rule in RULES}
    assert variance["mala"] == pytest.approx(1, abs=NOISE) and variance["langevin"] == pytest.approx(1.005, abs=NOISE)
    assert variance["meg_plain"] == pytest.approx(0.5013, abs=0.03)
    assert variance["article"] > 2.5 and variance["meg"] > 2.5


def test_the_unsquared_norm_is_wrong_at_large_steps_too():
    assert from_the_normal("meg", 1.0, 20)["z"].var() == pytest.approx(0.695, abs=NOISE)


@pytest.mark.parametrize("step_size", [0.05, 0.4])
def test_mala_keeps_two_wells_as_they_are(step_size):
    """From exact draws of e^{-(z^2 - 1)^2}, by its distribution function on a grid, to exact draws."""
    grid = np.linspace(-3, 3, 20_001)
    density = np.exp(-((grid**2 - 1) ** 2))
    density /= density.sum()
    u = np.random.default_rng(1).random(CHAINS)
    z = np.interp(u, np.cumsum(density) - density / 2, grid).astype("float32")[:, None]
    end = run(double_well, z, 40, step_size)["z"][:, 0]
    assert abs(end - z[:, 0]).mean() > 0.3, "they have moved"
    for power in (1, 2, 4, 6):
        exact, square = (density @ grid ** (power * k) for k in (1, 2))
        assert np.mean(end**power) == pytest.approx(exact, abs=4 * np.sqrt((square - exact**2) / CHAINS)), power
    loose = run(double_well, z, 40, 0.1, "langevin")["z"]
    assert np.mean(loose**6) > 1.08 * (density @ grid**6), "without acceptance they leave it"


def state_of(energy, z):
    return MarkovStep(energy, 1.0).state(ops.convert_to_tensor(z))


@pytest.mark.parametrize("rule", sorted(RULES))
def test_detailed_balance_point_by_point(rule):
    """pi(z) q(z'|z) a(z, z') = pi(z') q(z|z') a(z', z), written out in numpy, holds for MALA alone."""
    rng, step_size = np.random.default_rng(2), 0.3
    points = {name: rng.normal(size=(40, 2)).astype("float32") for name in ("here", "there")}
    here, there = (state_of(double_well, z) for z in points.values())

    def flow(z, end, a):
        slope = 4 * z * (z**2 - 1)
        q = np.exp(-np.sum((end - z + step_size / 2 * slope) ** 2, 1) / (2 * step_size))
        pi = np.exp(-np.sum((z**2 - 1) ** 2, 1))
        return pi * q * np.exp(np.minimum(0, ops.convert_to_numpy(a)[:, 0]))

    forth = flow(points["here"], points["there"], RULES[rule](here, there, step_size))
    back = flow(points["there"], points["here"], RULES[rule](there, here, step_size))
    balanced = np.isclose(forth, back, rtol=2e-3, atol=1e-30).mean()
    assert balanced == 1 if rule == "mala" else balanced < 0.2


def test_a_step_goes_where_the_rule_says():
    """A slope without noise to speak of: 3 down the middle, and of a hill too steep the proposal is refused."""
    z = np.array([[1.0, -2.0], [0.5, 0.0]], "float32")
    moved = run(lambda z: 1e6 * normal(z), z, 1, 1e-7)["z"]  # z' = z - 1e-7/2 * 1e6 z
    np.testing.assert_allclose(moved, 0.95 * z, atol=5 * 1e-7**0.5)
    stuck = run(lambda z: 1e6 * normal(z), z, 5, 1e-5)  # z' = -4 z
    np.testing.assert_array_equal(stuck["z"], z)
    np.testing.assert_array_equal(stuck["acceptance"], np.zeros(5))


def test_the_smaller_the_steps_the_more_are_accepted():
    shares = [from_the_normal("mala", step_size, 5)["acceptance"].mean() for step_size in (2.0, 0.5, 0.02)]
    assert shares[0] < shares[1] < shares[2] and shares[0] < 0.75 and shares[2] > 0.999


def test_what_a_chain_tells():
    z = np.random.default_rng(3).normal(3, 1, (7, 2)).astype("float32")
    found = sample_chain(normal, z, 10, 0.1, every=4, batch_size=3)  # in groups of 3, 2 and 2
    assert found["moments"].tolist() == [0, 4, 8, 10] and found["kept"].shape == (4, 7, 2)
    np.testing.assert_array_equal(found["kept"][0], z)
    np.testing.assert_array_equal(found["kept"][-1], found["z"])
    energies = np.sum(found["kept"] ** 2, -1) / 2
    np.testing.assert_allclose(found["energies"][[0, 4, 8, 10]], energies, rtol=1e-5)
    assert found["energies"].shape == (11, 7) and found["acceptance"].shape == (10,)
    assert energies[-1].mean() < energies[0].mean(), "from above they fall"
    assert len(np.unique(np.diff(found["kept"][:, :, 0], axis=0))) == 21, "every step and every chain has its own noise"


def test_the_same_seed_gives_the_same_chains():
    z = np.ones((50, 2), "float32")
    first, again, other = (run(normal, z, 5, 0.1, seed=seed)["z"] for seed in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert abs(first - other).min() > 0


def test_steps_too_large_are_said_in_one_line():
    with pytest.raises(UserError, match=r"not finite after \d+ steps of size 5: take smaller steps$"):
        run(double_well, np.ones((10, 2), "float32"), 50, 5.0, "langevin")


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.9])
def test_independent_draws_in_an_autoregression(rho):
    """tau = (1 + rho) / (1 - rho) for x' = rho x + noise."""
    steps, n = 2000, 200
    noise = np.random.default_rng(6).standard_normal((steps, n)) * np.sqrt(1 - rho**2)
    x = np.empty_like(noise)
    x[0] = noise[0] / np.sqrt(1 - rho**2)
    for t in range(1, steps):
        x[t] = rho * x[t - 1] + noise[t]
    expected = steps * (1 - rho) / (1 + rho)
    assert effective_sample_size(5 + 3 * x) == pytest.approx(expected, rel=0.04)
    both = effective_sample_size(np.stack([x, noise], -1))
    assert both == pytest.approx([expected, steps], rel=0.04)


def test_chains_that_stand_still_are_worth_one_draw():
    stuck = np.random.default_rng(7).standard_normal((1, 500)).repeat(100, 0)
    assert effective_sample_size(stuck) == pytest.approx(1)


# the scripts


def networks(folder, shape):
    """A run directory with the generator x = tanh(A z + 1), A positive, and the critic -20 mean(x^2)."""
    z, x = keras.Input((3,)), keras.Input(shape)
    units = int(np.prod(shape))
    how = {"kernel_initializer": keras.initializers.RandomUniform(0, 1, seed=1), "bias_initializer": "ones"}
    generator = keras.Model(z, layers.Reshape(shape)(layers.Dense(units, "tanh", **how)(z)))
    flat = layers.Flatten()(x)
    critic = keras.Model(x, -20.0 * layers.Dot(1)([flat, flat]) / units)
    generator.save(folder / "generator.keras")
    critic.save(folder / "critic.keras")
    return critic, generator


def test_the_energy_of_a_latent(tmp_path):
    critic, generator = networks(tmp_path, (2,))
    z = np.random.default_rng(8).normal(size=(5, 3)).astype("float32")
    u = 20 * np.mean(ops.convert_to_numpy(generator(z)) ** 2, 1)
    bare, held = (ops.convert_to_numpy(energy_of(critic, generator, 2.0, prior)(z))[:, 0] for prior in (False, True))
    np.testing.assert_allclose(bare, 2 * u, rtol=1e-5)
    np.testing.assert_allclose(held, 2 * u + np.sum(z**2, 1) / 2, rtol=1e-5)


@pytest.mark.parametrize(("images", "words"), [(False, ["--rule", "langevin"]), (True, ["--no-prior"])])
def test_sampling_from_a_run(tmp_path, images, words):
    dataset, shape = "8gaussians", (2,)
    if images:
        faces = toy_faces.draw(toy_faces.sample_factors(240, seed=0), 32)
        dataset, shape = f"folder:{write_pngs(tmp_path / 'faces', faces)}", (16, 16, 3)
    keras.utils.set_random_seed(0)
    critic, generator = networks(tmp_path, shape)
    flags = {"dataset": dataset, "size": shape[0], "seed": 0, "limit": None, "data_dir": None, "features": None}
    write_json(tmp_path / "config.json", {"flags": flags})
    words = [str(tmp_path), "--steps", "20", "--step-size", "0.05", "--chains", "80", *words]
    sample.run(sample.make_parser().parse_args(words))
    folder = tmp_path / ("mala-no-prior" if images else "langevin")
    metrics = json.loads((folder / "results.json").read_text())["metrics"]
    z = np.random.default_rng([0, 4]).standard_normal((80, 3), "float32")
    assert metrics["u/before"] == pytest.approx(-ops.convert_to_numpy(critic(generator(z))).mean(), rel=1e-4)
    assert metrics["u/after"] < 0.7 * metrics["u/before"], "the energy falls"
    assert 0.5 < metrics["acceptance"] < 1 if images else metrics["acceptance"] == 1
    assert 0.5 < metrics["ess"] <= 11 and metrics["z/before"] == pytest.approx(1, abs=0.2)
    key = "fid" if images else "swd"
    assert metrics[f"{key}/before"] > 0 and metrics[f"{key}/after"] != metrics[f"{key}/before"]
    for name in ("energy.png", "before-after.png", "timeline.png"):
        assert_not_blank(folder / "figures" / name)
    film = iio.imread(folder / "figures/chain.gif")
    assert len(film) == 21 and np.abs(film[0].astype(int) - film[-1]).max() > 50
    assert not (folder / "figures/frame.png").exists()


def test_the_rules_in_a_picture(tmp_path):
    acceptance_rules.run(acceptance_rules.make_parser().parse_args(["--chains", "1000", "--out", str(tmp_path)]))
    folder = tmp_path / "energy_gan/rules"
    metrics = json.loads((folder / "results.json").read_text())["metrics"]
    assert metrics["variance/mala/1"] == pytest.approx(1, abs=0.13)
    assert metrics["variance/meg_plain/0.02"] == pytest.approx(0.501, abs=0.07)
    assert metrics["variance/article/0.02"] > 4
    assert "66.667" in (folder / "table.md").read_text()
    assert_not_blank(folder / "figures/rules.png")


@pytest.mark.parametrize(
    ("words", "said"), [(["--rule", "meg"], "langevin"), ([], "config.json"), (["--beta", "0"], "1e-06")]
)
def test_wrong_words_get_one_line(home, tmp_path, words, said):
    done = run_script(home, "jax", "energy_gan/sample.py", tmp_path, *words)
    assert done.returncode == 2
    assert said in done.stderr and len(done.stderr.strip().splitlines()) == 1
