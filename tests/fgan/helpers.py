"""The article's table once more, in its own letters, and quadrature for the tests of f-GAN (article 6016)."""

import math

import numpy as np
import pytest
from keras import ops

from fgan.divergences import DIVERGENCES
from tests.helpers.arrays import numpy64 as numpy

NAMES = list(DIVERGENCES)
SMOOTH = [name for name in NAMES if name != "total_variation"]
X = np.linspace(-15, 15, 30001)
U = np.exp(np.linspace(-4, 4, 81))  # ratios p/q, 1 among them
LOG2 = math.log(2)

# activations T(v) in float64, without soft clipping
ACTIVATIONS = {
    "total_variation": lambda v: np.tanh(v) / 2,
    "kl": lambda v: v,
    "reverse_kl": lambda v: -np.exp(v),
    "pearson": lambda v: 1 - np.exp(v),
    "neyman": lambda v: np.exp(v) - 2,
    "hellinger": lambda v: 1 - np.exp(v),
    "jeffrey": lambda v: v,
    "js": lambda v: LOG2 / 2 - np.log(1 + np.exp(-v)) / 2,
    "gan": lambda v: -np.log(1 + np.exp(-v)),
}
# integrands as the article prints them; that of the first GAN is twice JS
INTEGRANDS = {
    "total_variation": lambda p, q: np.abs(p - q) / 2,
    "kl": lambda p, q: p * np.log(p / q),
    "reverse_kl": lambda p, q: q * np.log(q / p),
    "pearson": lambda p, q: (q - p) ** 2 / p,
    "neyman": lambda p, q: (p - q) ** 2 / q,
    "hellinger": lambda p, q: (np.sqrt(p) - np.sqrt(q)) ** 2,
    "jeffrey": lambda p, q: (p - q) * np.log(p / q),
    "js": lambda p, q: (p * np.log(2 * p / (p + q)) + q * np.log(2 * q / (p + q))) / 2,
    "gan": lambda p, q: p * np.log(2 * p / (p + q)) + q * np.log(2 * q / (p + q)),
}
# (f(0), f'(0))
VALUES_AT_ZERO = {
    "total_variation": (0.5, -0.5),
    "kl": (0, -np.inf),
    "reverse_kl": (np.inf, -np.inf),
    "pearson": (np.inf, -np.inf),
    "neyman": (1, -2),
    "hellinger": (1, -np.inf),
    "jeffrey": (np.inf, -np.inf),
    "js": (LOG2 / 2, -np.inf),
    "gan": (2 * LOG2, -np.inf),
}
every_divergence = pytest.mark.parametrize("name", NAMES)


def normal(mean, x=X, std=1.0):
    """Return the density of N(mean, std^2) at x."""
    return np.exp(-(((x - mean) / std) ** 2) / 2) / std / np.sqrt(2 * np.pi)


def float32(x):
    """Return a float32 tensor."""
    return ops.convert_to_tensor(np.asarray(x, "float32"))


def bound(row, v, p, q, x=X):
    """Return E_p[T(v)] + E_q[-g(T(v))] by quadrature."""
    return np.trapezoid(p * numpy(row.activation(float32(v))) + q * numpy(row.negative_conjugate(float32(v))), x)
