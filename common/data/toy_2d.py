"""Two-dimensional toy distributions of known density: sample points, evaluate log densities and entropies.

A model that learned such a toy can be measured in nats, not only looked at.

- 8gaussians, 25gaussians and swiss_roll come from the code of "Improved Training of Wasserstein GANs" (arXiv
  1704.00028), with its constants. "Maximum Entropy Generators for Energy-Based Models" (arXiv 1901.08508) took them
  over.
- swiss_roll and two_moons are the curves of scikit-learn's `make_swiss_roll` and `make_moons`.
- checkerboard comes from the code of "FFJORD" (arXiv 1810.01367).

Each toy but the checkerboard is a skeleton of points or curves, blurred by normal noise, then shifted and scaled. Its
density is a mixture of Gaussians. The means are the points, or on a curve the nodes of a quadrature.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from common.errors import UserError

TOYS = ("two_moons", "8gaussians", "25gaussians", "swiss_roll", "checkerboard")
CHUNK = 2**21  # point-centre pairs held at once: 16 MB, and two more arrays like it
QUADRATURE_ORDER = 16  # nodes of the Gauss-Legendre rule in each panel of a curve
ENTROPY_SAMPLES = 50000  # for the entropy of the curves


@dataclass(frozen=True)
class _GaussianBlurredCurve:
    """A skeleton of equally likely points or curves, blurred by normal noise.

    `sample` returns (skeleton + noise - shift) / scale, per axis.

    Args:
        curve: function (piece, u) -> (x, y), all arrays (n,): the point at u in [0, 1] along the curve of that number.
        pieces: number of points or curves.
        panels: number of quadrature panels along u, each at most about 4 noise widths long. 0: the pieces are points.
        noise: standard deviation of the noise, before scaling.
        shift: (x, y) to subtract.
        scale: (x, y) to divide by.
    """

    curve: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
    pieces: int
    panels: int
    noise: float
    shift: tuple[float, float]
    scale: tuple[float, float]


def sample(name, n, seed):
    """Draw independent points of a toy.

    Args:
        name: one of `TOYS`.
        n: number of points.
        seed: non-negative integer, or a list of them.

    Returns:
        float32 (n, 2).

    Raises:
        UserError: if the name is not in `TOYS`.
    """
    _check(name, TOYS)
    rng = np.random.default_rng(seed)
    if name == "checkerboard":  # every column has two dark squares, two apart
        column, row = rng.integers(4, size=n), rng.integers(2, size=n)
        corners = np.stack([column, 2 * row + column % 2], 1) - 2
        # Steps of 2^-20 are exact in float32, so rounding moves no point off its square.
        offsets = (rng.integers(2**20, size=(n, 2)) + 0.5) / 2**20
        return (2 * (corners + offsets)).astype("float32")
    toy = _BLURRED[name]
    points = np.stack(toy.curve(rng.integers(toy.pieces, size=n), rng.random(n)), 1)
    points += toy.noise * rng.standard_normal((n, 2))
    return ((points - toy.shift) / toy.scale).astype("float32")


def log_density(name, points):
    """Return the log density of a toy at given points, in nats.

    It is exact for the mixtures and the checkerboard (-inf off its dark squares). For the curves it is a
    Gauss-Legendre integral along the curve. Its error is 1e-9 near the data and one part in 10^4 far from it.

    Args:
        name: one of `TOYS`.
        points: (n, 2).

    Returns:
        float64 (n,); NaN for points that are not finite.

    Raises:
        UserError: if the name is not in `TOYS`.
        ValueError: if the points have another shape.
    """
    _check(name, TOYS)
    points = np.asarray(points, "float64")
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"Points must have the shape (n, 2). Received: {points.shape}")
    finite = np.isfinite(points).all(1)
    result = np.full(len(points), np.nan)
    if name == "checkerboard":
        result[finite] = _checkerboard_log_density(points[finite])
    else:
        result[finite] = _mixture_log_density(_BLURRED[name], points[finite])
    return result


@functools.cache
def entropy(name):
    """Return the differential entropy of a toy, in nats.

    It is in closed form for the checkerboard and the mixtures; their modes are at least 40 noise widths apart. For the
    two curves it is the mean of -log_density over a fixed sample of 50000 points. That has a standard error of 0.004
    and takes about a second.

    Args:
        name: one of `TOYS`.

    Raises:
        UserError: if the name is not in `TOYS`.
    """
    _check(name, TOYS)
    if name == "checkerboard":
        return math.log(32)
    if name not in _MIXTURES:
        return float(-log_density(name, sample(name, ENTROPY_SAMPLES, seed=0)).mean())
    centres, std = modes(name)
    return math.log(len(centres) * 2 * math.pi * math.e * std**2)


def modes(name):
    """Return the equally likely, round modes of a mixture.

    Args:
        name: "8gaussians" or "25gaussians".

    Returns:
        (centres, std): float64 (k, 2), and the standard deviation of each mode per axis.

    Raises:
        UserError: if the toy has no modes.
    """
    _check(name, _MIXTURES)
    toy = _BLURRED[name]
    centres, _ = _quadrature_nodes(toy)
    return (centres - toy.shift) / toy.scale, toy.noise / toy.scale[0]


def _check(name, allowed):
    if name not in allowed:
        problem = "unknown toy" if name not in TOYS else "no modes in the toy"
        raise UserError(f"{problem} {name!r}: allowed are {', '.join(allowed)}")


def _checkerboard_log_density(points):
    corners = np.floor(points / 2)
    dark = (corners.sum(1) % 2 == 0) & ((corners >= -2) & (corners < 2)).all(1)
    return np.where(dark, -math.log(32), -np.inf)


def _mixture_log_density(toy, points):
    """Return log sum_k w_k N(point; centre_k, noise^2) for points in the coordinates of `sample`."""
    centres, weights = _quadrature_nodes(toy)
    points, variance = points * toy.scale + toy.shift, toy.noise**2
    offsets = np.log(weights) - (centres**2).sum(1) / 2 / variance
    result = -(points**2).sum(1) / 2 / variance - math.log(2 * math.pi * variance) + math.log(math.prod(toy.scale))
    step = CHUNK // len(centres)
    for start in range(0, len(points), step):
        chunk = slice(start, start + step)
        exponents = points[chunk] @ (centres.T / variance) + offsets
        largest = exponents.max(1, keepdims=True)
        result[chunk] += largest[:, 0] + np.log(np.exp(exponents - largest).sum(1))
    return result


def _quadrature_nodes(toy):
    """Return the mixture that approximates the blurred skeleton: centres (k, 2) and weights (k,) that sum to 1."""
    u, weights = np.zeros(1), np.ones(1)
    if toy.panels:
        x, w = np.polynomial.legendre.leggauss(QUADRATURE_ORDER)
        u = ((np.arange(toy.panels)[:, None] + (x + 1) / 2) / toy.panels).reshape(-1)
        weights = np.tile(w / 2 / toy.panels, toy.panels)
    piece = np.repeat(np.arange(toy.pieces), len(u))
    centres = np.stack(toy.curve(piece, np.tile(u, toy.pieces)), 1)
    return centres, np.tile(weights / toy.pieces, toy.pieces)


def _ring(piece, u):
    return 2 * np.cos(piece * math.pi / 4), 2 * np.sin(piece * math.pi / 4)


def _lattice(piece, u):
    return 2.0 * (piece // 5 - 2), 2.0 * (piece % 5 - 2)


def _roll(piece, u):
    t = 1.5 * math.pi * (1 + 2 * u)
    return t * np.cos(t), t * np.sin(t)


def _moons(piece, u):
    x, y = np.cos(math.pi * u), np.sin(math.pi * u)
    return np.where(piece == 0, x, 1 - x), np.where(piece == 0, y, 0.5 - y)


def _standardised_moons(noise):
    """Return the two moons, shifted and scaled to mean 0 and variance 1 per axis.

    The angle is uniform in [0, pi]; scikit-learn spaces the angles evenly instead. With half of the points on each
    moon, the moments before the noise are:

        E cos = 0, E sin = 2/pi, E cos^2 = E sin^2 = 1/2
        E x = (0 + 1) / 2, E x^2 = (1/2 + 3/2) / 2
        E y = (2/pi + 1/2 - 2/pi) / 2, E y^2 = (1/2 + 1/4 - 2/pi + 1/2) / 2

    The noise adds its variance.
    """
    mean = (1 / 2, 1 / 4)
    variances = (1 - mean[0] ** 2 + noise**2, 5 / 8 - 1 / math.pi - mean[1] ** 2 + noise**2)
    return _GaussianBlurredCurve(_moons, 2, 16, noise, mean, tuple(math.sqrt(v) for v in variances))


_MIXTURES = ("8gaussians", "25gaussians")
_BLURRED = {
    "two_moons": _standardised_moons(0.05),
    "8gaussians": _GaussianBlurredCurve(_ring, 8, 0, 0.02, (0, 0), (1.414, 1.414)),
    "25gaussians": _GaussianBlurredCurve(_lattice, 25, 0, 0.05, (0, 0), (2.828, 2.828)),
    "swiss_roll": _GaussianBlurredCurve(_roll, 1, 128, 0.25, (0, 0), (7.5, 7.5)),
}
