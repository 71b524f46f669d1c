"""Densities on a grid, and the bound of a divergence by quadrature."""

import numpy as np

GRID = np.linspace(-50, 50, 20001)  # beyond it float64 ends; int q^2/p of a wide q needs all of it


def normal(x, mean, std):
    """Density of N(mean, std^2)."""
    return np.exp(-(((x - mean) / std) ** 2) / 2) / (std * np.sqrt(2 * np.pi))


def bound(name, critic, p, q, x=GRID):
    """E_p[T] - E_q[g(T)] by quadrature, at most D(p||q), whose densities (n,) at the points x (n,) are p and q.

    The critic takes points (n, 1) to raw scores (n, 1), high on p.
    """
    from keras import ops

    from fgan.divergences import get_divergence

    row = get_divergence(name)
    score = critic(x[:, None].astype("float32"))
    v = score if row.increasing else -score  # as `losses` has it
    t, g = (
        ops.convert_to_numpy(function(v))[:, 0].astype("float64")
        for function in (row.activation, row.negative_conjugate)
    )
    return float(np.trapezoid(p * t + q * g, x))
