"""The Gaussian that each divergence chooses: by quadrature, and by f-GAN training (arXiv 1606.00709)."""

import json

import keras
import numpy as np
import pytest

from common.errors import UserError
from fgan import gaussian
from fgan.best_gaussian import divergence_to_data, minimise, mixture, moment_matching, optimum, sample
from fgan.names import NAMES, PANEL_ORDER
from fgan.quadrature import GRID
from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import error_line, run_near


@pytest.fixture(scope="module")
def exact():
    """{name: (mu, sigma, divergence)} of the best Gaussians."""
    return {name: optimum(name) for name in NAMES}


def test_the_script_fits_every_divergence_in_the_order_of_the_panels():
    assert list(gaussian.make_parser().parse_args([]).divergences) == list(PANEL_ORDER)


def test_mixture_and_its_sample():
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
    """A curved valley, and a start near a saddle: (x^2 - 1)^2 + (y - x)^2 + x / 10."""
    function = lambda v: (v[0] ** 2 - 1) ** 2 + (v[1] - v[0]) ** 2 + v[0] / 10
    x, value = minimise(function, [0.1, 3.0])
    assert x[0] == pytest.approx(x[1], abs=1e-6) and 4 * x[0] * (x[0] ** 2 - 1) == pytest.approx(-0.1, abs=1e-7)
    assert value == pytest.approx(function(x)) and value < function([0.1, 3.0])
    rosenbrock = lambda v: (1 - v[0]) ** 2 + 100 * (v[1] - v[0] ** 2) ** 2
    assert minimise(rosenbrock, [-1.2, 1.0])[0] == pytest.approx([1, 1], abs=1e-5)


def test_kl_matches_the_moments(exact):
    assert exact["kl"][:2] == pytest.approx((1.01, 1.8304439), abs=1e-6)


def test_best_gaussian_is_stationary_and_lowest(exact):
    for name, (mu, sigma, divergence) in exact.items():
        value = lambda a, b, name=name: divergence_to_data(name, a, b)
        assert value(mu, sigma) == pytest.approx(divergence)
        step = 1e-4
        differences = (
            value(mu + step, sigma) - value(mu - step, sigma),
            value(mu, sigma + step) - value(mu, sigma - step),
        )
        tolerance = 1e-3 if name == "total_variation" else 1e-6  # the quadrature of |p - q| has corners itself
        np.testing.assert_allclose(np.array(differences) / (2 * step), 0, atol=tolerance, err_msg=name)
        others = [value(a, b) for a in np.linspace(-1.5, 3, 10) for b in np.linspace(0.2, 2.6, 9)]
        assert divergence < min(others), name


def test_order_of_the_divergences(exact):
    """From those that cover both modes (Neyman, KL) to those that seek one (Pearson), mu rises and sigma falls."""
    order = ("neyman", "kl", "js", "reverse_kl", "pearson")
    mu, sigma = ([exact[name][i] for name in order] for i in (0, 1))
    assert mu == sorted(mu) and sigma == sorted(sigma, reverse=True)
    assert exact["gan"] == pytest.approx((*exact["js"][:2], 2 * exact["js"][2]), rel=1e-6)
    assert divergence_to_data("neyman", 1, 1) == divergence_to_data("pearson", 1, 2) == np.inf


@pytest.mark.parametrize("name", ["kl", "reverse_kl", "js"])
def test_f_gan_training_finds_the_best_gaussian(name, exact, monkeypatch):
    monkeypatch.setattr(gaussian, "POINTS", 2**15)
    fit = gaussian.train(name, seed=0, steps=700, every=20, batch_size=512)
    mu, sigma, divergence = exact[name]
    assert (fit["mu"], fit["sigma"]) == pytest.approx((mu, sigma), rel=0.05)
    assert 0.9 * divergence < fit["bound"] < divergence_to_data(name, fit["mu"], fit["sigma"])
    assert len(fit["path"]) == 35 and fit["path"][-1][0] == 700
    first, last = (np.hypot(path[1] - mu, path[2] - sigma) for path in (fit["path"][0], fit["path"][-1]))
    assert last < 0.2 * first


def test_script(home, tmp_path, capsys):
    backend = keras.backend.backend()
    flags = ["--preset", "smoke", "--divergences", "kl", "pearson", "--seeds", "2", "--out", str(tmp_path)]
    process = run_near(home, backend, "fgan/gaussian.py", *flags)
    assert process.returncode == 0, process.stderr
    assert not process.stderr.strip(), "no warnings"
    output_dir = tmp_path / "fgan/gaussian-smoke"
    metrics = json.loads((output_dir / "results.json").read_text())["metrics"]
    assert metrics["fit/kl/mu/0"] == pytest.approx(1.01)
    assert metrics["fit/kl/mu learned/0"] != metrics["fit/kl/mu learned/1"] != metrics["fit/pearson/mu learned/1"]
    assert metrics["cross/kl/kl/0"] > metrics["fit/kl/lowest/0"] > metrics["fit/kl/learned bound/0"]
    assert (output_dir / "table.md").read_text().count("| pearson |") == 3
    for name in ("fits.png", "curves.png"):
        assert_not_blank(output_dir / "figures" / name)
    if backend == "jax":
        return
    # A second run does not train again, and other settings are rejected.
    assert "seed 0:" in process.stdout
    gaussian.run(gaussian.make_parser().parse_args(flags))
    assert "seed 0:" not in capsys.readouterr().out
    assert json.loads((output_dir / "results.json").read_text())["metrics"] == metrics
    config = (output_dir / "config.json").read_text()
    assert "use another --out" in error_line("fgan/gaussian.py", *flags, "--steps", "7")
    assert (output_dir / "config.json").read_text() == config, "it tells how the results beside it were made"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--divergences", "kl", "js2"], "'reverse_kl'"),
        (["--batch-size", "200000"], "there are only 131072 points"),
        (["--seeds", "0"], "'0' is not a whole number of at least 1"),
    ],
)
def test_wrong_flags_get_one_line(tmp_path, flags, message):
    assert message in error_line("fgan/gaussian.py", "--preset", "smoke", *flags, "--out", tmp_path)
    assert not list(tmp_path.iterdir()), "no run was started"


def test_training_that_diverges_gets_one_line(monkeypatch):
    monkeypatch.setattr(gaussian, "LEARNING_RATES", {"critic": np.nan, "generator": np.nan})
    with pytest.raises(UserError, match=r"kl, seed 1: training diverged \(NaN\); try more --steps"):
        gaussian.train("kl", seed=1, steps=4, every=2, batch_size=8)
