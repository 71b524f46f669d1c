"""A mixture of two Gaussians, and the single Gaussian that each divergence chooses for it, by quadrature.

This is the data of the experiment of arXiv 1606.00709: 0.33 N(-1, 1/16) + 0.67 N(2, 2).
"""

import numpy as np

from fgan.quadrature import GRID, normal

WEIGHTS, MEANS, STDS = (0.33, 0.67), (-1.0, 2.0), (0.25, 2**0.5)


def mixture(x):
    """Return the density of the data at x, in the shape of x."""
    return sum(w * normal(x, mean, std) for w, mean, std in zip(WEIGHTS, MEANS, STDS, strict=True))


def sample(n, seed):
    """Draw n points of the data, float32 (n, 1)."""
    rng = np.random.default_rng(seed)
    component = (rng.random(n) >= WEIGHTS[0]).astype(int)
    points = np.take(MEANS, component) + np.take(STDS, component) * rng.standard_normal(n)
    return points.astype("float32")[:, None]


def divergence_to_data(name, mu, sigma):
    """Return D(mixture || N(mu, sigma^2)) by quadrature.

    It is infinite for a Gaussian that is far from the data (|mu| > 10, sigma <= 0.1 or >= 10).

    Neyman's int p^2/q is infinite for sigma <= 1, where q falls off faster than p^2. Pearson's int q^2/p is infinite
    for sigma >= 2. It is returned as infinite from about 1.94 on: there it is some 10^4, with a part beyond the grid.

    Args:
        name: name of the divergence.
        mu: float.
        sigma: float.
    """
    from fgan.divergences import get_divergence

    if abs(mu) > 10 or not 0.1 < sigma < 10 or (name == "neyman" and sigma <= 1):
        return np.inf
    p, q = mixture(GRID), normal(GRID, mu, sigma)
    if name == "pearson" and (q**2 / p)[[0, -1]].max() > 1e-2:
        return np.inf
    q = np.maximum(q, 1e-280)  # a narrow q underflows far out, which would make KL infinite
    return get_divergence(name).from_densities(p, q, GRID)


def derivatives(function, x, step=1e-4):
    """Return the gradient (n,) and the Hessian (n, n) of a function at x (n,) by central differences.

    Args:
        function: function of an array (n,).
        x: array (n,).
        step: float, half width of the differences (default 1e-4); those of the Hessian are ten times as wide.
    """
    steps = step * np.eye(len(x))
    gradient = np.array([function(x + a) - function(x - a) for a in steps]) / (2 * step)
    second = lambda a, b: function(x + a + b) - function(x + a - b) - function(x - a + b) + function(x - a - b)
    hessian = np.array([[second(a, b) for b in 10 * steps] for a in 10 * steps]) / (20 * step) ** 2
    return gradient, hessian


def minimise(function, start, steps=50):
    """Find a local minimum by Newton's method.

    Negative curvatures count as positive ones, and a step is halved until it goes downhill.

    Args:
        function: function of an array (n,). It may be infinite, but not at the start.
        start: array (n,).
        steps: int, maximum number of steps (default 50).

    Returns:
        (point (n,), value of the function there).
    """
    x = np.array(start, "float64")
    value = function(x)
    for _ in range(steps):
        gradient, hessian = derivatives(function, x)
        if not (np.isfinite(gradient).all() and np.isfinite(hessian).all()) or abs(gradient).max() < 1e-9:
            break
        curvatures, axes = np.linalg.eigh(hessian)
        move = -axes @ (axes.T @ gradient / np.maximum(abs(curvatures), 1e-3))
        sizes = 0.5 ** np.arange(30)
        better = next((size for size in sizes if function(x + size * move) < value), None)
        if better is None:
            break
        x = x + better * move
        value = function(x)
    return x, value


def optimum(name):
    """Return (mu, sigma, divergence) of the best Gaussian for a divergence.

    It is the lowest of the local minima found from the moments of the data and from its two components.
    """
    value = lambda x: divergence_to_data(name, x[0], np.exp(x[1]))
    starts = [(mean, np.log(std)) for mean, std in (moment_matching(), *zip(MEANS, STDS, strict=True))]
    minima = [minimise(value, start) for start in starts if np.isfinite(value(start))]
    (mu, log_sigma), lowest = min(minima, key=lambda pair: pair[1])
    return float(mu), float(np.exp(log_sigma)), float(lowest)


def moment_matching():
    """Return (mean, standard deviation) of the data, which are the best Gaussian for KL."""
    mean = np.dot(WEIGHTS, MEANS)
    return mean, np.sqrt(np.dot(WEIGHTS, np.square(MEANS) + np.square(STDS)) - mean**2)
