"""Spectra of stars, galaxies and quasars, drawn by code: continua, lines, redshift, noise and sky.

The lines are at their laboratory wavelengths. Their strengths, widths and ranges are simplified, from standard tables:
this is no survey, and results on it say nothing about one. A spectrum is `unknown` if its signal drowns in noise,
which is how LAMOST, the survey of the contest, mostly comes to that class (Zheng et al. 2020, PASP 132,
10.1088/1538-3873/ab5ed7).
"""

from typing import NamedTuple

import numpy as np

from common.data.progress import progress_bar

CLASSES = ("star", "unknown", "galaxy", "qso")  # in the order of the contest
STAR, UNKNOWN, GALAXY, QSO = range(4)
SHARES = (0.55, 0.15, 0.15, 0.15)  # of the classes
RANGE = (3900.0, 9000.0)  # angstrom
LIGHT = 299_792.458  # speed of light, km/s
RESOLUTION = 200.0  # standard deviation of the instrument's profile, km/s
CHUNK = 500  # spectra at a time, which bounds the memory

# rest wavelength in angstrom: equivalent width in angstrom at full strength
BALMER = {6562.8: 10, 4861.3: 14, 4340.5: 14, 4101.7: 14, 3970.1: 12, 3889.1: 10}
METALS = {
    3933.7: 12, 3968.5: 10, 4226.7: 2, 4304.0: 5, 5167.3: 1.5, 5172.7: 2.5, 5183.6: 2.5, 5270.0: 2, 5890.0: 2,
    5896.0: 1.5, 8498.0: 1.5, 8542.1: 3.5, 8662.1: 3,
}  # fmt: skip
TITANIUM_OXIDE = (4761.0, 4954.0, 5167.0, 5448.0, 5862.0, 6158.0, 6651.0, 7054.0, 7589.0, 8432.0)  # heads of the bands
NARROW = {
    3727.1: 25, 4861.3: 8, 4958.9: 5, 5006.8: 15, 6548.1: 4, 6562.8: 30, 6583.5: 12, 6716.4: 6, 6730.8: 4.5,
}  # fmt: skip
OXYGEN = {4958.9: 5, 5006.8: 15}  # of quasars
BROAD = {
    1215.7: 80, 1240.0: 15, 1397.0: 9, 1549.1: 35, 1640.4: 5, 1908.7: 22, 2798.8: 32, 4340.5: 14, 4861.3: 46,
    6562.8: 190,
}  # fmt: skip
IRON_BUMPS = ((2500.0, 140.0), (4570.0, 70.0), (5250.0, 80.0))  # centre and standard deviation, angstrom
NAMES = {
    1215.7: "Lyα", 1549.1: "C IV", 1908.7: "C III]", 2798.8: "Mg II", 3727.1: "[O II]", 3933.7: "Ca K", 3968.5: "Ca H",
    4304.0: "G", 4340.5: "Hγ", 4861.3: "Hβ", 5006.8: "[O III]", 5172.7: "Mg b", 5890.0: "Na D", 6562.8: "Hα",
    6716.4: "[S II]", 7054.0: "TiO", 8542.1: "Ca II",
}  # fmt: skip
SKY = 7240.0 + 62.0 * np.arange(28)  # a comb in place of the bands of OH, angstrom


class Spectra(NamedTuple):
    """Drawn spectra.

    Args:
        flux: float32 (n, points), in units of its median.
        labels: int (n,), indices of `CLASSES`.
        kinds: int (n,), what each is below the noise: STAR, GALAXY or QSO.
        redshift: float (n,); of stars, their radial velocity over that of light.
        signal_to_noise: float (n,), of the median flux in a pixel.
        temperature: float (n,), of stars, in kelvin; 0 for the others.
    """

    flux: np.ndarray
    labels: np.ndarray
    kinds: np.ndarray
    redshift: np.ndarray
    signal_to_noise: np.ndarray
    temperature: np.ndarray


def wavelengths(points):
    """Return the grid (points,) in angstrom; its logarithms are equally spaced."""
    return np.geomspace(*RANGE, points)


def draw(n, seed, points=650, shares=SHARES):
    """Return n `Spectra`.

    Args:
        n: int.
        seed: int or list of ints.
        points: int, wavelengths of a spectrum.
        shares: probabilities of the `CLASSES`.
    """
    rng = np.random.default_rng(seed)
    advance = progress_bar(n, "drawing spectra:")
    chunks = []
    for start in range(0, n, CHUNK):
        chunks.append(_draw(min(CHUNK, n - start), rng, points, shares))
        advance(len(chunks[-1].flux))
    return Spectra(*map(np.concatenate, zip(*chunks, strict=True)))


def _draw(n, rng, points, shares):
    grid = wavelengths(points)
    labels = rng.choice(len(CLASSES), n, p=shares)
    kinds = np.where(labels == UNKNOWN, rng.choice([STAR, GALAXY, QSO], n), labels)
    low, high = np.where(labels == UNKNOWN, 0.3, 2.0), np.where(labels == UNKNOWN, 2.0, 25.0)
    signal_to_noise = np.exp(rng.uniform(np.log(low), np.log(high)))
    clean, redshift, temperature = np.empty((n, points)), np.empty(n), np.zeros(n)
    for kind, make in ((STAR, stars), (GALAXY, galaxies), (QSO, quasars)):
        rows = np.flatnonzero(kinds == kind)
        clean[rows], redshift[rows], temperature[rows] = make(len(rows), rng, grid)
    flux = observe(clean, signal_to_noise, rng, grid)
    return Spectra(flux.astype("float32"), labels, kinds, redshift, signal_to_noise, temperature)


def planck(wavelength, temperature):
    """Return the black body's flux per wavelength, in arbitrary units; angstrom and kelvin."""
    return wavelength**-5.0 / np.expm1(1.438777e8 / (wavelength * temperature))


def optical_depth(grid, lines, redshift, width):
    """Return the sum of Gaussian lines (n, points), whose integral over a line is its equivalent width.

    Args:
        grid: (points,), wavelengths.
        lines: dict rest wavelength -> equivalent width at rest, a number or (n, 1).
        redshift: (n, 1).
        width: standard deviation of the lines, km/s: a number or (n, 1).
    """
    log_grid, total = np.log(grid), 0
    sigma = np.hypot(width, RESOLUTION) / LIGHT
    for line, equivalent_width in lines.items():
        offset = (log_grid - np.log(line) - np.log1p(redshift)) / sigma
        total = total + equivalent_width / line / (sigma * np.sqrt(2 * np.pi)) * np.exp(-0.5 * offset**2)
    return total


def stars(n, rng, grid):
    """Return flux (n, points), radial velocities over that of light (n,) and temperatures (n,) of stars."""
    temperature = np.exp(rng.uniform(np.log(3300), np.log(16_000), (n, 1)))
    redshift = rng.normal(0, 150, (n, 1)) / LIGHT
    spread = np.exp(rng.normal(0, 0.2, (n, 1)))
    hot = np.exp(-0.5 * (np.log(temperature / 9500) / 0.35) ** 2)  # the Balmer lines are strongest near 9500 K
    cool = 1 / (1 + np.exp((temperature - 6300) / 600))
    depth = spread * hot * optical_depth(grid, BALMER, redshift, 150 + 500 * hot)
    depth = depth + spread * cool * optical_depth(grid, METALS, redshift, 100.0)
    rest, bands = grid / (1 + redshift), 0
    for head in TITANIUM_OXIDE:  # a band has a sharp blue edge and fades to the red
        bands = bands + np.where(rest >= head, np.exp(-np.abs(rest - head) / 110), 0)
    depth = depth + 0.6 * bands / (1 + np.exp((temperature - 3900) / 120))
    return planck(grid, temperature) * np.exp(-depth), redshift[:, 0], temperature[:, 0]


def galaxies(n, rng, grid):
    """Return flux (n, points), redshifts (n,) and zeros (n,) of galaxies."""
    redshift, old = rng.uniform(0.01, 0.35, (n, 1)), rng.uniform(0, 1, (n, 1))
    width = rng.uniform(120, 300, (n, 1))
    rest = grid / (1 + redshift)
    with_break = 1 - 0.45 / (1 + np.exp((rest - 4000) / 15))  # the break at 4000 angstrom
    continuum = old * planck(rest, 4700) / planck(5500, 4700) * with_break
    continuum = continuum + (1 - old) * planck(rest, 12_000) / planck(5500, 12_000)
    depth = 0.8 * old * optical_depth(grid, METALS, redshift, width)
    depth = depth + 0.5 * (1 - old) * optical_depth(grid, BALMER, redshift, np.hypot(width, 300))
    strength = (1 - old) * np.exp(rng.normal(0, 0.7, (n, 1)))  # young stars make the gas glow
    emission = strength * optical_depth(grid, NARROW, redshift, width)
    return continuum * (np.exp(-depth) + emission), redshift[:, 0], np.zeros(n)


def quasars(n, rng, grid):
    """Return flux (n, points), redshifts (n,) and zeros (n,) of quasars."""
    redshift, slope = rng.uniform(0.3, 3.5, (n, 1)), rng.normal(-1.5, 0.35, (n, 1))
    width = rng.uniform(3500, 5000, (n, 1)) / 2.3548  # from the full width at half maximum
    rest = grid / (1 + redshift)
    lines = {line: w * np.exp(rng.normal(0, 0.3, (n, 1))) for line, w in BROAD.items()}
    emission = optical_depth(grid, lines, redshift, width)
    emission = emission + np.exp(rng.normal(0, 0.6, (n, 1))) * optical_depth(grid, OXYGEN, redshift, 300.0)
    for centre, sigma in IRON_BUMPS:
        emission = emission + rng.uniform(0.1, 0.3, (n, 1)) * np.exp(-0.5 * ((rest - centre) / sigma) ** 2)
    forest = 0.0018 * (1 + redshift) ** 3.92 * rng.gamma(2, 0.5, rest.shape)  # of hydrogen on the way to us
    absorbed = np.where(rest < 1215.7, np.exp(-forest), 1)
    return (grid / RANGE[0]) ** slope * (1 + emission) * absorbed, redshift[:, 0], np.zeros(n)


def observe(clean, signal_to_noise, rng, grid):
    """Return what an instrument makes of clean spectra, (n, points): calibration, noise, and what is left of the sky.

    Args:
        clean: (n, points).
        signal_to_noise: (n,), of the median flux in a pixel.
        rng: numpy generator.
        grid: (points,), wavelengths.
    """
    n, t = len(clean), np.linspace(0, np.pi, len(grid))
    waves = (rng.normal(0, 0.05, (n, 1)) * np.cos(k * t + rng.uniform(0, 2 * np.pi, (n, 1))) for k in (1, 2, 3))
    flux = clean / np.median(clean, 1, keepdims=True) * np.exp(sum(waves))
    noise = (1 + 1.2 * np.abs((grid - 6300) / 2600) ** 4) / signal_to_noise[:, None]  # largest at both ends
    comb = np.exp(-0.5 * (np.log(grid / SKY[:, None]) * LIGHT / RESOLUTION) ** 2)  # (lines, points)
    sky = rng.normal(0, 1.5, (n, len(SKY))) @ comb
    return flux + noise * (rng.standard_normal(flux.shape) + sky)
