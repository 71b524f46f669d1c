"""The drawn spectra follow the physics that they name."""

import numpy as np
import pytest
from scipy import constants

from spectra import gallery, simulator
from spectra.dataset import scaled
from spectra.simulator import CLASSES, GALAXY, QSO, STAR, UNKNOWN, draw, optical_depth, planck, wavelengths


def test_the_continuum_of_a_star_is_planck_s_law():
    wavelength = np.array([4000.0, 5500.0, 8000.0])
    metres = wavelength * 1e-10
    exponent = constants.h * constants.c / (metres * constants.k * 5800)
    expected = metres**-5 / np.expm1(exponent)
    ours = planck(wavelength, 5800)
    np.testing.assert_allclose(ours / ours[0], expected / expected[0], rtol=1e-5)


@pytest.mark.parametrize("width", [50.0, 800.0])
def test_a_line_is_shifted_and_keeps_its_equivalent_width(width):
    grid, z = wavelengths(20_000), 0.2
    depth = optical_depth(grid, {5000.0: 3.0}, np.array([[z]]), width)[0]
    assert grid[depth.argmax()] == pytest.approx(6000, abs=0.5)
    assert np.trapezoid(depth, grid) == pytest.approx(3.0 * (1 + z), rel=0.01), "it grows by 1 + z"
    spread = np.sqrt(np.trapezoid(depth * (grid - 6000) ** 2, grid) / np.trapezoid(depth, grid)) / 6000
    assert spread * simulator.LIGHT == pytest.approx(np.hypot(width, 200), rel=0.02)


def test_classes_noise_and_redshifts_are_as_told():
    spectra = draw(3000, 0, points=160)
    assert spectra.flux.shape == (3000, 160) and spectra.flux.dtype == np.float32
    assert np.isfinite(spectra.flux).all()
    shares = np.bincount(spectra.labels) / 3000
    np.testing.assert_allclose(shares, simulator.SHARES, atol=0.03)
    is_unknown = spectra.labels == UNKNOWN
    assert ((spectra.signal_to_noise < 2) == is_unknown).all()
    assert set(spectra.kinds[is_unknown]) == {STAR, GALAXY, QSO}
    of = lambda kind: spectra.redshift[spectra.kinds == kind]
    assert of(STAR).std() * simulator.LIGHT == pytest.approx(150, rel=0.1)
    assert 0.01 <= of(GALAXY).min() < of(GALAXY).max() <= 0.35 and 0.3 <= of(QSO).min() < of(QSO).max() <= 3.5
    temperature = spectra.temperature[spectra.kinds == STAR]
    assert 3300 <= temperature.min() < temperature.max() <= 16_000
    assert (spectra.temperature[spectra.kinds != STAR] == 0).all()
    np.testing.assert_array_equal(draw(5, 0, points=160).flux, draw(5, 0, points=160).flux)
    assert (draw(5, 1, points=160).flux != draw(5, 0, points=160).flux).any()

    noise = np.abs(np.diff(scaled(spectra.flux), 2, axis=1)).mean(1)
    assert np.median(noise[is_unknown]) > 2 * np.median(noise[~is_unknown])


def test_the_lines_stand_where_the_class_has_them():
    rng, grid = np.random.default_rng(0), wavelengths(650)
    at = lambda place: np.abs(grid - place).argmin()
    flux, z, temperature = simulator.stars(400, rng, grid)
    depth = 1 - flux[:, at(4861.3)] / np.mean([flux[:, at(4780)], flux[:, at(4942)]], 0)
    hot, cold = (temperature > 8500) & (temperature < 10_500), temperature < 4500
    assert depth[hot].mean() > 0.3 > 0.15 > depth[cold].mean(), "Balmer lines are strongest near 9500 K"
    band = flux[:, at(7075)] / flux[:, at(7040)]
    assert band[temperature < 3700].mean() < 0.8 < 0.97 < band[temperature > 5000].mean(), "the TiO band at 7054"

    flux, z, _ = simulator.galaxies(200, rng, grid)
    ratio = [f[at(5006.8 * (1 + s))] / f[at(5080 * (1 + s))] for f, s in zip(flux, z, strict=True)]
    assert np.median(ratio) > 1.3, "[O III]"
    flux, z, _ = simulator.quasars(200, rng, grid)
    forest = [(f[at(1100 * (1 + s))], f[at(1300 * (1 + s))]) for f, s in zip(flux, z, strict=True) if s > 2.9]
    assert np.median([a / b for a, b in forest]) < 1, "less flux blueward of Lyman alpha, where the continuum rises"


def test_lines_are_marked_where_they_are_seen():
    """[O III] of quasars too, which the simulator draws."""
    assert gallery.lines_of(simulator.QSO, 0.7, 0)["[O III]"] == pytest.approx(5006.8 * 1.7)
    assert "Hα" not in gallery.lines_of(simulator.GALAXY, 0.5, 0), "beyond the range"
    assert {"TiO", "Mg b"} <= gallery.lines_of(simulator.STAR, 0, 3500).keys()


def test_scaling_is_robust():
    x = np.random.default_rng(0).standard_normal((3, 20_001)).astype("float32") * [[2], [5], [1]] + 7
    x[:, 0] = 1e6
    y = scaled(x)
    np.testing.assert_allclose(np.median(y, 1), 0, atol=1e-6)
    np.testing.assert_allclose(y[:, 1:].std(1), 1, atol=0.03)
    assert len(CLASSES) == 4
