"""Two-dimensional toy distributions whose density is known: what a flow, a GAN or an energy model learned can be
measured in nats, not only looked at.

8gaussians, 25gaussians and swiss_roll are those of the code of "Improved Training of Wasserstein GANs" (arXiv
1704.00028), with its constants, which "Maximum Entropy Generators for Energy-Based Models" (1901.08508) took over;
swiss_roll and two_moons are the curves of scikit-learn's `make_swiss_roll` and `make_moons`; checkerboard is that of
the code of "FFJORD" (1810.01367). All but the board are a skeleton (points or curves) blurred by normal noise, then
shifted and scaled; their densities are mixtures, for the curves with the nodes of a quadrature as the modes.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np

from common.errors import UserError

TOYS = ("two_moons", "8gaussians", "25gaussians", "swiss_roll", "checkerboard")
CHUNK = 2**21  # distances held at once: 16 MB, and two more arrays like it
ORDER = 16  # of the Gauss-Legendre rule in each panel of a curve
DRAWS = 50000  # for the entropy of the curves


@dataclass(frozen=True)
class _GaussianBlurredCurve:
    """`pieces` points or curves, equally likely; (points - shift) / scale, per axis, is what `sample` gives."""

    curve: object  # piece (n,) whole, u (n,) in [0, 1] along it -> (x, y), before the noise
    pieces: int
    panels: int  # of the quadrature along u, each at most some 4 noise widths long; 0: pieces are points
    noise: float
    shift: tuple[float, float]
    scale: tuple[float, float]


def sample(name, n, seed):
    """A fresh sample, float32 (n, 2), rows independent. `seed`: a whole number, or a list of them.

    Raises `UserError` for a name that is not in `TOYS`.
    """
    _check(name, TOYS)
    rng = np.random.default_rng(seed)
    if name == "checkerboard":  # every column has two dark squares, two apart
        column, row = rng.integers(4, size=n), rng.integers(2, size=n)
        corners = np.stack([column, 2 * row + column % 2], 1) - 2
        # In steps that float32 holds exactly, so that no point is rounded off its square.
        return (2 * (corners + (rng.integers(2**20, size=(n, 2)) + 0.5) / 2**20)).astype("float32")
    toy = _BLURRED[name]
    points = np.stack(toy.curve(rng.integers(toy.pieces, size=n), rng.random(n)), 1)
    points += toy.noise * rng.standard_normal((n, 2))
    return ((points - toy.shift) / toy.scale).astype("float32")


def log_density(name, points):
    """Log density in nats, float64 (n,), of points (n, 2).

    Exact for the mixtures and the board (-inf off its dark squares). On the curves it is a Gauss-Legendre integral
    along the curve, right to 1e-9 where there is data and to one part in 10^4 far from it.
    Points that are not finite give NaN. Raises `UserError` for an unknown name, `ValueError` for another shape.
    """
    _check(name, TOYS)
    points = np.asarray(points, "float64")
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"Points must have the shape (n, 2). Received: {points.shape}")
    finite = np.isfinite(points).all(1)
    function = _board if name == "checkerboard" else functools.partial(_mixture_log_density, _BLURRED[name])
    result = np.full(len(points), np.nan)
    result[finite] = function(points[finite])
    return result


@functools.cache
def entropy(name):
    """Entropy in nats.

    In closed form for the board and the mixtures, whose modes are at least 40 noise widths apart. For the two curves
    it is the mean of -log_density over a fixed sample of 50000, with a standard error of .004, in about a second.
    Raises `UserError` for a name that is not in `TOYS`.
    """
    _check(name, TOYS)
    if name == "checkerboard":
        return math.log(32)
    if name not in _MIXTURES:
        return float(-log_density(name, sample(name, DRAWS, seed=0)).mean())
    centres, std = modes(name)
    return math.log(len(centres) * 2 * math.pi * math.e * std**2)


def modes(name):
    """Centres, float64 (k, 2), and standard deviation of the equally likely round modes of a mixture.

    Raises `UserError` for a toy that has none.
    """
    _check(name, _MIXTURES)
    toy = _BLURRED[name]
    centres, _ = _quadrature_nodes(toy)
    return (centres - toy.shift) / toy.scale, toy.noise / toy.scale[0]


def _check(name, allowed):
    if name not in allowed:
        what = "unknown toy" if name not in TOYS else "no modes in the toy"
        raise UserError(f"{what} {name!r}: allowed are {', '.join(allowed)}")


def _board(points):
    corners = np.floor(points / 2)
    dark = (corners.sum(1) % 2 == 0) & ((corners >= -2) & (corners < 2)).all(1)
    return np.where(dark, -math.log(32), -np.inf)


def _mixture_log_density(toy, points):
    """log sum_k w_k N(point; centre_k, noise^2), of points in the coordinates of `sample`."""
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
    """Centres (k, 2) and weights (k,), which sum to 1, of the mixture that stands for the blurred skeleton."""
    u, weights = np.zeros(1), np.ones(1)
    if toy.panels:
        x, w = np.polynomial.legendre.leggauss(ORDER)
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
    """The moons, shifted and scaled to mean 0 and variance 1 per axis.

    At an angle uniform in [0, pi], E cos = 0, E sin = 2/pi and E cos^2 = E sin^2 = 1/2. So x has the mean
    (0 + 1) / 2 and the mean square (1/2 + 3/2) / 2, y the mean (2/pi + 1/2 - 2/pi) / 2 and the mean square
    (1/2 + 1/4 - 2/pi + 1/2) / 2; the noise adds its variance. scikit-learn spaces the angles evenly instead.
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
