"""The picture of the saturating gradient: its curves against the formulas."""

import numpy as np
import pytest
from scipy import integrate, stats

from dcgan.saturation import LOSSES, push, slope


def test_slopes_of_both_losses():
    """d/df log(1 - sigma(f)) = -sigma(f) and d/df -log sigma(f) = sigma(f) - 1."""
    f = np.linspace(-8, 8, 33)
    sigma = 1 / (1 + np.exp(-f))
    np.testing.assert_allclose(slope(LOSSES["minimax"], f), -sigma, atol=2e-4)
    np.testing.assert_allclose(slope(LOSSES["non-saturating"], f), sigma - 1, atol=2e-4)


@pytest.mark.parametrize("d", [0.5, 2, 6, 10])
def test_push_on_the_fakes_by_quadrature(d):
    sigma = lambda x: stats.norm.pdf(x) / (stats.norm.pdf(x) + stats.norm.pdf(x, d))  # of the best critic
    expected = d * integrate.quad(lambda x: stats.norm.pdf(x, d) * sigma(x), d - 12, d + 12, points=[d / 2])[0]
    assert push("minimax", d) == pytest.approx(expected, rel=1e-5)
    assert push("non-saturating", d) == pytest.approx(d - expected, rel=1e-5)
