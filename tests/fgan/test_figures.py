"""The tangents under f, what a wrong critic loses, and the scripts that draw them (article 6016)."""

import json

import numpy as np
import pytest

from fgan.conjugates import P, Q, U, X, errors, tangent
from fgan.divergences import DIVERGENCES, Divergence
from fgan.quadrature import bound, normal
from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import run_script

NAMES = list(DIVERGENCES)
BEGIN = {"kl": -np.exp(-1), "neyman": -0.25}  # T - g(T) at the score 0 of an untrained critic; for the others 0
every_row = pytest.mark.parametrize("name", NAMES)


@every_row
def test_tangents_lie_below_f_and_touch_it(name):
    row, xi = DIVERGENCES[name], U[:, None]
    lines = tangent(row, xi, U)  # (xi, u)
    np.testing.assert_allclose(lines, row.derivative(xi) * (U - xi) + row.f(xi), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(np.diag(lines), row.f(U), rtol=1e-12, atol=1e-12)
    assert (lines <= row.f(U) + 1e-9).all()
    if name != "total_variation":  # whose tangents lie on f as far as the corner
        far = abs(np.log(xi / U)) > 0.3
        assert (lines < row.f(U) - 1e-6)[far].all()


@every_row
def test_a_wrong_critic_loses_at_every_point(name):
    """p T - q g(T) <= q f(p/q), whatever the critic takes p/q for; equal where it is right."""
    row, rng = DIVERGENCES[name], np.random.default_rng(0)
    best = tangent(row, P / Q, P, Q)
    np.testing.assert_allclose(best, Q * row.f(P / Q), rtol=1e-6, atol=1e-15)
    assert np.trapezoid(best, X) == pytest.approx(row.from_densities(P, Q, X), rel=1e-9)
    wrong = np.concatenate([np.full((1, len(X)), 1.0), np.exp(rng.normal(size=(20, 1)) + rng.normal(size=(20, 1)) * X)])
    found = tangent(row, np.clip(wrong, 1e-6, 1e6), P, Q)
    assert (found <= best + 1e-12).all()
    lost = np.trapezoid(best - found, X)
    assert (lost > 1e-3).all() if name != "total_variation" else lost.max() > 0.1


def test_no_tangent_but_one():
    """A critic that holds p for q everywhere has the bound 0."""
    for row in DIVERGENCES.values():
        assert np.trapezoid(tangent(row, np.ones(len(X)), P, Q), X) == pytest.approx(0, abs=1e-9)


@every_row
def test_the_checked_table(name):
    row = DIVERGENCES[name]
    found = errors(row)
    assert (found.pop("D = closed form") or 0) < (1e-5 if name == "total_variation" else 1e-12)
    assert found.pop("T(best v) = f'") < 1e-6 and found.pop("best bound = D") < 1e-7  # in float32
    assert max(found.values()) < 1e-11 and len(found) == 2


@pytest.mark.parametrize(
    ("wrong", "seen"),
    [
        ({"conjugate": lambda t: t**2 / 4 + 1.01 * t}, ("f** = f", "g = sup")),
        ({"optimal_score": lambda u: np.log(2.02 * u)}, ("T(best v) = f'", "best bound = D")),
        ({"gaussian_closed_form": lambda m: m**2}, ("D = closed form",)),
    ],
)
def test_the_checked_table_sees_a_wrong_row(wrong, seen):
    row = DIVERGENCES["neyman"]
    right = {key: getattr(row, key) for key in Divergence.__dataclass_fields__}
    found = errors(Divergence(**right | wrong))
    assert {key for key, value in found.items() if value > 1e-5} == set(seen)


@every_row
def test_the_quadrature_of_a_critic_is_that_of_its_tangents(name):
    """`bound` takes raw scores that are high on p; here those of a critic that takes the ratio for its square root."""
    row = DIVERGENCES[name]
    p, q = normal(X, 0.5, 1.2), normal(X, 0, 1)
    ratio = np.sqrt(p / q)
    v = np.clip(row.optimal_score(ratio), -1e7, 40)[:, None]
    value = bound(name, lambda x: v if row.increasing else -v, p, q, X)
    assert value == pytest.approx(np.trapezoid(tangent(row, ratio, p, q), X), abs=1e-6)
    assert value < row.from_densities(p, q, X) - 1e-4 or name == "total_variation"


def test_the_curves(home, tmp_path):
    done = run_script(home, "jax", "fgan/conjugates.py", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert not done.stderr.strip(), "nothing but the run's own words"
    where = tmp_path / "fgan/curves"
    text = (where / "table.md").read_text()
    assert text in done.stdout and [line.split()[1] for line in text.splitlines()[2:]] == NAMES
    for name in ("f-and-g.png", "tangents.png"):
        assert_not_blank(where / "figures" / name, least=10)


def test_bounds_rise_towards_the_divergence_from_below(home, tmp_path):
    done = run_script(home, "tensorflow", "fgan/bounds.py", "--preset", "smoke", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert not done.stderr.strip(), "nothing but the run's own words"
    where = tmp_path / "fgan/bounds-smoke"
    results = json.loads((where / "results.json").read_text())
    assert len(results["paths"]) == 2 * len(NAMES)
    for name, row in DIVERGENCES.items():
        for m in (0.5, 1.0):
            ((*_, (step, last)),) = results["paths"][f"{name}/{m:g}"]
            bounds = [value for _, value in results["paths"][f"{name}/{m:g}"][0]]
            true = row.from_densities(normal(X, m, 1), normal(X, 0, 1), X)
            assert results["metrics"][f"{name}/{m:g}/divergence"] == pytest.approx(true)
            assert results["metrics"][f"{name}/{m:g}/bound/0"] == last and step == 120
            assert max(bounds) < true
            assert bounds[0] == pytest.approx(BEGIN.get(name, 0), abs=1e-6)
            assert bounds[0] < bounds[1] and last > 0.99 * max(bounds), "it rises"
            assert last > 0.8 * true
    assert (where / "table.md").read_text() in done.stdout
    assert_not_blank(where / "figures/bounds.png", least=10)
