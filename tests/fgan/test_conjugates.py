"""The tangents under f, what a wrong critic loses, and the scripts that draw them (article 6016)."""

import json

import numpy as np
import pytest

from fgan.conjugates import P, Q, U, X, errors, tangent
from fgan.divergences import DIVERGENCES, Divergence
from fgan.names import PANEL_ORDER
from fgan.quadrature import normal
from tests.fgan.helpers import NAMES, every_divergence
from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import run_here, run_near

START = {"kl": -np.exp(-1), "neyman": -0.25}  # bound of an untrained critic, whose score is 0; for the others it is 0


@every_divergence
def test_tangents_lie_below_f_and_touch_it(name):
    row, xi = DIVERGENCES[name], U[:, None]
    lines = tangent(row, xi, U)  # (xi, u)
    np.testing.assert_allclose(lines, row.derivative(xi) * (U - xi) + row.f(xi), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(np.diag(lines), row.f(U), rtol=1e-12, atol=1e-12)
    assert (lines <= row.f(U) + 1e-9).all()
    if name != "total_variation":  # its tangents coincide with f up to the corner
        apart = abs(np.log(xi / U)) > 0.3
        assert (lines < row.f(U) - 1e-6)[apart].all()


@every_divergence
def test_a_wrong_critic_loses_at_every_point(name):
    """p T - q g(T) <= q f(p/q) for every critic, with equality where it knows p/q."""
    row, rng = DIVERGENCES[name], np.random.default_rng(0)
    best = tangent(row, P / Q, P, Q)
    np.testing.assert_allclose(best, Q * row.f(P / Q), rtol=1e-6, atol=1e-15)
    assert np.trapezoid(best, X) == pytest.approx(row.from_densities(P, Q, X), rel=1e-9)
    wrong = np.concatenate([np.full((1, len(X)), 1.0), np.exp(rng.normal(size=(20, 1)) + rng.normal(size=(20, 1)) * X)])
    integrand = tangent(row, np.clip(wrong, 1e-6, 1e6), P, Q)
    assert (integrand <= best + 1e-12).all()
    lost = np.trapezoid(best - integrand, X)
    assert (lost > 1e-3).all() if name != "total_variation" else lost.max() > 0.1


def test_a_critic_that_takes_p_for_q_has_the_bound_0():
    for row in DIVERGENCES.values():
        assert np.trapezoid(tangent(row, np.ones(len(X)), P, Q), X) == pytest.approx(0, abs=1e-9)


@every_divergence
def test_errors_of_the_table_are_rounding_errors(name):
    row_errors = errors(DIVERGENCES[name])
    assert (row_errors.pop("D = closed form") or 0) < (1e-5 if name == "total_variation" else 1e-12)
    assert row_errors.pop("T(best v) = f'") < 1e-6 and row_errors.pop("best bound = D") < 1e-7  # in float32
    assert max(row_errors.values()) < 1e-11 and len(row_errors) == 2


@pytest.mark.parametrize(
    ("changes", "failing"),
    [
        ({"conjugate": lambda t: t**2 / 4 + 1.01 * t}, ("f** = f", "g = sup")),
        ({"optimal_score": lambda u: np.log(2.02 * u)}, ("T(best v) = f'", "best bound = D")),
        ({"gaussian_closed_form": lambda m: m**2}, ("D = closed form",)),
    ],
)
def test_errors_detect_a_wrong_row(changes, failing):
    row = DIVERGENCES["neyman"]
    fields = {key: getattr(row, key) for key in Divergence.__dataclass_fields__}
    row_errors = errors(Divergence(**fields | changes))
    assert {key for key, value in row_errors.items() if value > 1e-5} == set(failing)


def test_conjugates_script(home, tmp_path):
    process = run_near(home, "tensorflow", "fgan/conjugates.py", "--out", tmp_path)
    assert process.returncode == 0, process.stderr
    assert not process.stderr.strip(), "no warnings"
    output_dir = tmp_path / "fgan/curves"
    text = (output_dir / "table.md").read_text()
    assert text in process.stdout and [line.split()[1] for line in text.splitlines()[2:]] == NAMES
    for name in ("f-and-g.png", "tangents.png"):
        assert_not_blank(output_dir / "figures" / name, least=10)


def test_bounds_script_rises_towards_the_divergence_from_below(tmp_path, capsys):
    assert run_here("fgan/bounds.py", "--preset", "smoke", "--out", tmp_path) == 0
    printed = capsys.readouterr()
    assert not printed.err.strip(), "no warnings"
    output_dir = tmp_path / "fgan/bounds-smoke"
    results = json.loads((output_dir / "results.json").read_text())
    assert len(results["paths"]) == 2 * len(NAMES)
    for name, row in DIVERGENCES.items():
        for m in (0.5, 1.0):
            (path,) = results["paths"][f"{name}/{m:g}"]
            bounds = [value for _, value in path]
            last_step, last_bound = path[-1]
            divergence = row.from_densities(normal(X, m, 1), normal(X, 0, 1), X)
            assert results["metrics"][f"{name}/{m:g}/divergence"] == pytest.approx(divergence)
            assert results["metrics"][f"{name}/{m:g}/bound/0"] == last_bound and last_step == 120
            assert max(bounds) < divergence
            assert bounds[0] == pytest.approx(START.get(name, 0), abs=1e-6)
            assert bounds[0] < bounds[1] and last_bound > 0.99 * max(bounds), "it rises"
            assert last_bound > 0.8 * divergence
    text = (output_dir / "table.md").read_text()
    assert text in printed.out and [line.split()[1] for line in text.splitlines()[2:]] == list(PANEL_ORDER)
    assert_not_blank(output_dir / "figures/bounds.png", least=10)
