"""Effective sample size, R-hat and the standard error of a mean, against closed forms and ArviZ."""

import numpy as np
import pytest
from arviz_stats.base import array_stats

from energy_gan.diagnostics import chain_metrics, effective_sample_size, mean_standard_error, r_hat


def autoregression(rho, steps, n, seed=6):
    """Return n stationary chains x' = rho x + noise of variance 1, (steps, n), and the noise."""
    noise = np.random.default_rng(seed).standard_normal((steps, n)) * np.sqrt(1 - rho**2)
    x = np.empty_like(noise)
    x[0] = noise[0] / np.sqrt(1 - rho**2)
    for t in range(1, steps):
        x[t] = rho * x[t - 1] + noise[t]
    return x, noise


def variance_of_mean(rho, steps):
    """Return the variance of the mean of one stationary chain of variance 1."""
    t = np.arange(1, steps)
    return (1 + 2 * np.sum((1 - t / steps) * rho**t)) / steps


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.9])
def test_effective_sample_size_of_an_autoregression(rho):
    """tau = (1 + rho) / (1 - rho) for x' = rho x + noise."""
    steps, n = 2000, 200
    x, noise = autoregression(rho, steps, n)
    expected = steps * (1 - rho) / (1 + rho)
    assert effective_sample_size(5 + 3 * x) == pytest.approx(expected, rel=0.04)
    both = effective_sample_size(np.stack([x, noise], -1))
    assert both == pytest.approx([expected, steps], rel=0.04)


def test_effective_sample_size_of_chains_that_never_move_is_one():
    constant = np.random.default_rng(7).standard_normal((1, 500)).repeat(100, 0)
    assert effective_sample_size(constant) == pytest.approx(1)


@pytest.mark.parametrize("trace", [[[0], [1]], [[1], [0], [1]], [[0, 1], [1, 0]], [[0, 3]]])
def test_effective_sample_size_of_few_draws_is_finite(trace):
    """Antithetic draws would have tau <= 0; they are worth log10 of their number times as many at most, as in Stan."""
    size = np.size(trace)
    assert 0 < np.shape(trace)[1] * effective_sample_size(trace) <= size * np.log10(size) + 1e-9
    assert np.isfinite(mean_standard_error(trace))


@pytest.mark.parametrize(("rho", "steps"), [(0.5, 100), (0.9, 100), (0.9, 30)])
def test_short_chains_have_the_closed_forms(rho, steps):
    """Of halves whose means have the variance v, R-hat is sqrt((n - 1) / n / (1 - v))."""
    n = 4000
    x, _ = autoregression(rho, steps, n)
    v = variance_of_mean(rho, steps)
    assert effective_sample_size(x) == pytest.approx(1 / v, rel=0.05)
    assert mean_standard_error(5 + 3 * x) == pytest.approx(3 * np.sqrt(v / n), rel=0.03)
    half = steps // 2
    expected = np.sqrt((half - 1) / half / (1 - variance_of_mean(rho, half)))
    assert r_hat(5 + 3 * x) == pytest.approx(expected, rel=0.01)


def traces():
    """Return traces (steps, n) by name."""
    x, _ = autoregression(0.7, 101, 30)
    chains = np.arange(30)
    return {
        "even": x[1:],
        "odd": x,
        "two chains": x[:, :2],
        "four steps": x[:4],
        "ties": x.round(),
        "float32": x.astype("float32"),
        "huge": 1e12 * x,
        "tiny": 1e-12 * x,
        "far from zero": x + 1e6,
        "other places": x + (chains > 20),
        "other widths": x * np.where(chains > 20, 3, 1),
        "a drift": x + np.linspace(0, 2, 101)[:, None],
        "one chain that does not move": np.where(chains == 3, 0.5, x),
        "heavy tails": np.tan(1.5 * np.tanh(x)),
    }


@pytest.mark.parametrize("name", traces())
def test_r_hat_is_that_of_arviz(name):
    trace = traces()[name]
    assert r_hat(trace) == pytest.approx(float(array_stats.rhat(trace.T.astype("float64"))), rel=1e-9)


def test_r_hat_sees_what_chains_differ_in():
    values = {name: r_hat(trace) for name, trace in traces().items()}
    assert values["even"] < 1.06 and min(values[name] for name in ("other places", "other widths", "a drift")) > 1.08


@pytest.mark.parametrize("rho", [-0.3, 0.0, 0.6, 0.95])
def test_worth_and_error_of_long_chains_are_those_of_arviz(rho):
    x, _ = autoregression(rho, 3000, 40)
    whole = float(array_stats.ess(x.T, method="mean"))
    assert 40 * effective_sample_size(x) == pytest.approx(whole, rel=0.05)
    assert mean_standard_error(x) == pytest.approx(float(array_stats.mcse(x.T, method="mean")), rel=0.03)


def test_chains_of_which_little_can_be_said(capsys):
    rows = np.random.default_rng(0).standard_normal((1, 50))
    names = {"energy", "energy/standard_error", "ess", "r_hat"}
    assert set(chain_metrics(rows * np.arange(4)[:, None])) == names and not capsys.readouterr().out
    assert set(chain_metrics(rows * np.arange(3)[:, None])) == names - {"r_hat"}
    few = "not measured: r_hat (at least 4 are needed; there are only 3 steps in the second half of a chain)\n"
    assert capsys.readouterr().out == few
    still = chain_metrics(rows.repeat(9, 0))
    assert set(still) == names - {"r_hat"} and "no chain moves" in capsys.readouterr().out
    assert still["energy/standard_error"] == pytest.approx(rows.std(ddof=1) / np.sqrt(50), rel=0.03)
    assert chain_metrics(np.full((9, 5), 0.1, "float32")) == {"energy": pytest.approx(0.1)}
    assert "all energies are equal" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"at least 4 steps\. Received: \(3, 50\)"):
        r_hat(rows.repeat(3, 0))
