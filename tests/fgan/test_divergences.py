"""The divergences of f-GAN against their integrals, their conjugates and their closed forms (article 6016)."""

import numpy as np
import pytest

from common.errors import UserError
from fgan.custom import numeric_conjugate
from fgan.divergences import DIVERGENCES, get_divergence
from fgan.names import NAMES as FLAG_NAMES
from fgan.names import PANEL_ORDER
from tests.fgan.helpers import (
    ACTIVATIONS,
    INTEGRANDS,
    LOG2,
    NAMES,
    VALUES_AT_ZERO,
    U,
    X,
    bound,
    every_divergence,
    normal,
)

WITH_CLOSED_FORM = [name for name in NAMES if DIVERGENCES[name].gaussian_closed_form]


def test_every_divergence_is_tested():
    assert list(ACTIVATIONS) == list(INTEGRANDS) == list(VALUES_AT_ZERO) == NAMES and len(NAMES) == 9


def test_names_are_the_keys_of_the_table():
    assert list(FLAG_NAMES) == NAMES
    assert sorted(PANEL_ORDER) == sorted(NAMES) and PANEL_ORDER[-1] == "total_variation"


def test_get_divergence():
    assert get_divergence("js") is DIVERGENCES["js"]
    with pytest.raises(UserError) as error:
        get_divergence("wasserstein")
    assert all(name in str(error.value) for name in NAMES) and "\n" not in str(error.value)


# f and its conjugate


@every_divergence
def test_f_is_convex_and_zero_at_one(name):
    row, u = DIVERGENCES[name], np.linspace(0.01, 8, 2000)
    assert row.f(1.0) == pytest.approx(0, abs=1e-15)
    second_differences = np.diff(row.f(u), 2)
    lowest = -1e-15 if name == "total_variation" else 1e-12
    assert (second_differences > lowest).all() and second_differences.max() > 1e-6
    assert row.f(u).max() > 0.2


@every_divergence
def test_f_and_its_derivative_at_zero_and_infinity(name):
    row = DIVERGENCES[name]
    assert (row.f(0), row.derivative(0)) == pytest.approx(VALUES_AT_ZERO[name])
    assert row.derivative(0) == row.t_range[0], "the range starts at f'(0)"
    far = row.derivative(1e12)
    assert far <= row.t_range[1]
    if np.isfinite(row.t_range[1]):
        assert far == pytest.approx(row.t_range[1], abs=1e-5), "and ends at f' in infinity"
    else:
        assert far > 20


@every_divergence
def test_derivative_against_differences_of_f(name):
    row, u = DIVERGENCES[name], U[U != 1]
    step = 1e-6 * u
    differences = (row.f(u + step) - row.f(u - step)) / (2 * step)
    np.testing.assert_allclose(row.derivative(u), differences, rtol=1e-6, atol=1e-8)


@every_divergence
def test_conjugate_is_the_supremum(name):
    """g(t) = sup_u {t u - f(u)}, found numerically from f alone."""
    row = DIVERGENCES[name]
    low, high = (-0.49, 0.49) if name == "total_variation" else (row.derivative(1e-6), row.derivative(1e3))
    t = np.linspace(max(low, -8), min(high, 8), 60)
    assert np.ptp(row.conjugate(t)) > 0.5
    np.testing.assert_allclose(row.conjugate(t), numeric_conjugate(row.f, t), rtol=1e-9, atol=1e-9)


@every_divergence
def test_conjugate_of_the_conjugate_is_f(name):
    """f(u) = sup_t {t u - g(t)}, over a grid that contains the best t."""
    row = DIVERGENCES[name]
    t = np.sort(np.append(row.derivative(U), np.linspace(row.derivative(U[0]), row.derivative(U[-1]), 2001)))
    biconjugate = (t * U[:, None] - row.conjugate(t)).max(1)
    np.testing.assert_allclose(biconjugate, row.f(U), rtol=1e-9, atol=1e-9)


@every_divergence
def test_conjugate_at_the_ends_of_its_range(name):
    row = DIVERGENCES[name]
    low, high = row.t_range
    if np.isfinite(high):
        assert row.conjugate(high + 0.1) == np.inf
        assert row.conjugate(high) == pytest.approx({"total_variation": 0.5, "pearson": 2}.get(name, np.inf))
    if np.isfinite(low):
        assert row.conjugate(low - 3) == row.conjugate(low) == -row.f(0)
    for t in (-300.0, min(high, 300.0) - 1e-3):
        assert np.isfinite(row.conjugate(t)), "no intermediate value overflows"


@pytest.mark.parametrize("t", [-1e6, -700.0, -1.0, 0.0, 1.0, 300.0, 700.0])
def test_jeffrey_conjugate_has_the_lambert_function(t):
    """g' = 1/W with W + log W = 1 - t; e^(1 - t) itself would overflow for t < -709."""
    row, step = DIVERGENCES["jeffrey"], 1e-4 * max(1, abs(t) * 1e-2)
    slope = (row.conjugate(t + step) - row.conjugate(t - step)) / (2 * step)
    assert 1 / slope - np.log(slope) == pytest.approx(1 - t, rel=1e-5, abs=1e-5)


# the divergences


@every_divergence
def test_from_densities_is_the_integral_of_the_article(name):
    row = DIVERGENCES[name]
    for p, q in [(normal(0.5), normal(0)), (normal(0.3, std=1.2), normal(0)), (normal(0, std=1.1), normal(-0.7))]:
        expected = np.trapezoid(INTEGRANDS[name](p, q), X)
        assert expected > 0.015
        assert row.from_densities(p, q, X) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("m", [0.5, 1.0, -1.0])
@pytest.mark.parametrize("name", WITH_CLOSED_FORM)
def test_closed_forms_of_two_gaussians(name, m):
    row = DIVERGENCES[name]
    assert row.from_densities(normal(m), normal(0), X) == pytest.approx(row.gaussian_closed_form(m), abs=2e-7)


def test_first_gan_is_twice_js():
    p, q = normal(1), normal(0)
    js = DIVERGENCES["js"].from_densities(p, q, X)
    assert DIVERGENCES["gan"].from_densities(p, q, X) == pytest.approx(2 * js, rel=1e-9)
    assert 0.1 < js < LOG2


@every_divergence
def test_densities_without_overlap(name):
    """The divergence is f(0) + f'(inf): its largest value if it is bounded, else infinite."""
    p, q = np.where(X > 1, normal(5), 0), np.where(X < -1, normal(-5), 0)
    highest = {"total_variation": 1, "hellinger": 2, "js": LOG2, "gan": 2 * LOG2}
    assert DIVERGENCES[name].from_densities(p, q, X) == pytest.approx(highest.get(name, np.inf), abs=1e-4)


@pytest.mark.parametrize(("name", "swapped"), [("kl", "reverse_kl"), ("pearson", "neyman")])
def test_swapping_p_and_q_gives_the_other_name(name, swapped):
    p, q = normal(0.5, std=1.2), normal(0)
    divergence = DIVERGENCES[name].from_densities(p, q, X)
    assert divergence == pytest.approx(DIVERGENCES[swapped].from_densities(q, p, X), rel=1e-9)
    assert divergence != pytest.approx(DIVERGENCES[name].from_densities(q, p, X), rel=0.01)


@pytest.mark.parametrize("name", ["total_variation", "hellinger", "jeffrey", "js"])
def test_symmetric_divergences(name):
    row, p, q = DIVERGENCES[name], normal(0.5, std=1.2), normal(0)
    assert row.from_densities(p, q, X) == pytest.approx(row.from_densities(q, p, X), rel=1e-7)


@every_divergence
def test_no_critic_exceeds_the_divergence_and_the_best_one_reaches_it(name):
    row, rng = DIVERGENCES[name], np.random.default_rng(0)
    p, q = normal(1), normal(0)
    divergence = row.from_densities(p, q, X)
    best = np.clip(row.optimal_score(p / q), -1e7, 40)
    assert bound(row, best, p, q) == pytest.approx(divergence, rel=2e-5)
    if name == "total_variation":
        best = best / 20  # tanh is flat at 40, where a change of the score would not show
    for _ in range(20):
        a, b, c = rng.standard_normal(3)
        assert bound(row, best + 0.3 * (a + b * np.sin(2 * X + c)), p, q) < divergence
        assert bound(row, a + b * X, p, q) < divergence + 1e-6  # for some divergences the best critic is linear
