"""Densities on a grid, and the bound by quadrature (article 6016)."""

import numpy as np
import pytest

from fgan.conjugates import X, tangent
from fgan.divergences import DIVERGENCES
from fgan.quadrature import GRID, bound, normal
from tests.fgan.helpers import every_divergence


def test_normal_has_its_mean_and_standard_deviation():
    for mean, std in ((0.0, 1.0), (2.0, 0.3), (-1.0, 4.0)):
        p = normal(GRID, mean, std)
        assert np.trapezoid(p, GRID) == pytest.approx(1, abs=1e-12)
        assert np.trapezoid(p * GRID, GRID) == pytest.approx(mean, abs=1e-12)
        assert np.trapezoid(p * (GRID - mean) ** 2, GRID) == pytest.approx(std**2, rel=1e-12)


@every_divergence
def test_bound_of_a_critic_is_that_of_its_tangents(name):
    """`bound` takes raw scores that are high on p; this critic mistakes the square root of the ratio for the ratio."""
    row = DIVERGENCES[name]
    p, q = normal(X, 0.5, 1.2), normal(X, 0, 1)
    ratio = np.sqrt(p / q)
    v = np.clip(row.optimal_score(ratio), -1e7, 40)[:, None]
    value = bound(name, lambda x: v if row.increasing else -v, p, q, X)
    assert value == pytest.approx(np.trapezoid(tangent(row, ratio, p, q), X), abs=1e-6)
    assert value < row.from_densities(p, q, X) - 1e-4 or name == "total_variation"
