"""The Gaussian that each divergence chooses: by quadrature, and by f-GAN training (arXiv 1606.00709)."""

import json

import numpy as np
import pytest

from fgan import gaussian
from fgan.divergences import DIVERGENCES
from fgan.gaussian import divergence_to_data, minimise, mixture, moment_matching, optimum, sample
from fgan.names import NAMES
from fgan.quadrature import GRID
from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import run_script

SMOKE = ["fgan/gaussian.py", "--preset", "smoke"]


@pytest.fixture(scope="module")
def exact():
    """{name: (mu, sigma, divergence)}, for all that look at them."""
    return {name: optimum(name) for name in NAMES}


def test_the_script_knows_every_divergence():
    assert sorted(NAMES) == sorted(DIVERGENCES)


def test_the_mixture_and_its_sample():
    x, p = GRID, mixture(GRID)
    mean, std = moment_matching()
    assert np.trapezoid(p, x) == pytest.approx(1, abs=1e-12)
    assert np.trapezoid(p * x, x) == pytest.approx(mean, abs=1e-12) and mean == pytest.approx(1.01)
    assert np.sqrt(np.trapezoid(p * (x - mean) ** 2, x)) == pytest.approx(std) and std == pytest.approx(3.350525**0.5)
    points = sample(200_000, 0)
    assert points.shape == (200_000, 1) and points.dtype == np.float32
    assert (points.mean(), points.std()) == pytest.approx((mean, std), abs=0.01)
    assert (points < -0.5).mean() == pytest.approx(np.trapezoid(p[x < -0.5], x[x < -0.5]), abs=0.005)


def test_minimise():
    """A valley that curves, and a saddle to begin on: (x^2 - 1)^2 + (y - x)^2 + x / 10."""
    function = lambda v: (v[0] ** 2 - 1) ** 2 + (v[1] - v[0]) ** 2 + v[0] / 10
    x, value = minimise(function, [0.1, 3.0])
    assert x[0] == pytest.approx(x[1], abs=1e-6) and 4 * x[0] * (x[0] ** 2 - 1) == pytest.approx(-0.1, abs=1e-7)
    assert value == pytest.approx(function(x)) and value < function([0.1, 3.0])
    rosenbrock = lambda v: (1 - v[0]) ** 2 + 100 * (v[1] - v[0] ** 2) ** 2
    assert minimise(rosenbrock, [-1.2, 1.0])[0] == pytest.approx([1, 1], abs=1e-5)


def test_kl_matches_the_moments(exact):
    assert exact["kl"][:2] == pytest.approx((1.01, 1.8304439), abs=1e-6)


def test_the_best_gaussian_is_stationary_and_lowest(exact):
    for name, (mu, sigma, value) in exact.items():
        at = lambda a, b, name=name: divergence_to_data(name, a, b)
        assert at(mu, sigma) == pytest.approx(value)
        step = 1e-4
        slopes = (at(mu + step, sigma) - at(mu - step, sigma), at(mu, sigma + step) - at(mu, sigma - step))
        rough = 1e-3 if name == "total_variation" else 1e-6  # a quadrature of |p - q| has corners of its own
        np.testing.assert_allclose(np.array(slopes) / (2 * step), 0, atol=rough, err_msg=name)
        others = [at(a, b) for a in np.linspace(-1.5, 3, 10) for b in np.linspace(0.2, 2.6, 9)]
        assert value < min(others), name


def test_order_of_the_divergences(exact):
    """From covering every mode (Neyman, KL) to seeking one (reverse KL, Pearson): mu rises, sigma falls."""
    order = ("neyman", "kl", "js", "reverse_kl", "pearson")
    mu, sigma = ([exact[name][i] for name in order] for i in (0, 1))
    assert mu == sorted(mu) and sigma == sorted(sigma, reverse=True)
    assert exact["gan"] == pytest.approx((*exact["js"][:2], 2 * exact["js"][2]), rel=1e-6)
    assert divergence_to_data("neyman", 1, 1) == divergence_to_data("pearson", 1, 2) == np.inf


@pytest.mark.parametrize("name", ["kl", "reverse_kl", "js"])
def test_f_gan_finds_the_gaussian(name, exact, monkeypatch):
    monkeypatch.setattr(gaussian, "POINTS", 2**15)
    found = gaussian.train(name, seed=0, steps=700, every=20, batch_size=512)
    mu, sigma, value = exact[name]
    assert (found["mu"], found["sigma"]) == pytest.approx((mu, sigma), rel=0.05)
    assert 0.9 * value < found["bound"] < divergence_to_data(name, found["mu"], found["sigma"])
    assert len(found["path"]) == 35 and found["path"][-1][0] == 700
    begin, end = (np.hypot(p[1] - mu, p[2] - sigma) for p in (found["path"][0], found["path"][-1]))
    assert end < 0.2 * begin


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_the_script(home, tmp_path, backend):
    words = [*SMOKE, "--divergences", "kl", "pearson", "--seeds", "2", "--out", tmp_path]
    done = run_script(home, backend, *words)
    assert done.returncode == 0, done.stderr
    assert not done.stderr.strip(), "nothing but the run's own words"
    where = tmp_path / "fgan/gaussian-smoke"
    metrics = json.loads((where / "results.json").read_text())["metrics"]
    assert metrics["fit/kl/mu/0"] == pytest.approx(1.01)
    assert metrics["fit/kl/mu learned/0"] != metrics["fit/kl/mu learned/1"] != metrics["fit/pearson/mu learned/1"]
    assert metrics["cross/kl/kl/0"] > metrics["fit/kl/lowest/0"] > metrics["fit/kl/learned bound/0"]
    assert (where / "table.md").read_text().count("| pearson |") == 3
    for name in ("fits.png", "curves.png"):
        assert_not_blank(where / "figures" / name)
    if backend == "jax":
        return
    # once more: nothing is trained again; with other settings it is refused
    again = run_script(home, backend, *words)
    assert again.returncode == 0 and "seed 0:" in done.stdout and "seed 0:" not in again.stdout
    assert json.loads((where / "results.json").read_text())["metrics"] == metrics
    other = run_script(home, backend, *words, "--steps", "7")
    assert other.returncode == 2 and len(other.stderr.splitlines()) == 1 and "use another --out" in other.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--divergences", "kl", "js2"], "'reverse_kl'"),
        (["--batch-size", "200000"], "there are only 131072 points"),
        (["--seeds", "0"], "'0' is not a whole number of at least 1"),
    ],
)
def test_wrong_words_get_one_line(home, tmp_path, words, said):
    done = run_script(home, "jax", *SMOKE, *words, "--out", tmp_path)
    assert done.returncode == 2
    assert said in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir()), "nothing was begun"
