"""Densities on a grid, and the f-GAN bound by quadrature."""

import numpy as np

# Farther out float64 underflows. int q^2/p of a wide q needs the whole grid.
GRID = np.linspace(-50, 50, 20001)


def normal(x, mean, std):
    """Return the density of N(mean, std^2) at x, in the shape of x."""
    return np.exp(-(((x - mean) / std) ** 2) / 2) / (std * np.sqrt(2 * np.pi))


def bound(name, critic, p, q, x=GRID):
    """Return E_p[T] - E_q[g(T)] by the trapezoid rule; it is at most D(p||q).

    Args:
        name: a name of `fgan.names.NAMES`.
        critic: function of points (n, 1) that returns raw scores (n, 1), high on p.
        p: array (n,), density at the points x.
        q: array (n,), density at the points x.
        x: array (n,) (default `GRID`).
    """
    from keras import ops

    from fgan.divergences import get_divergence

    divergence = get_divergence(name)
    score = critic(x[:, None].astype("float32"))
    v = score if divergence.increasing else -score  # the sign of `f_gan_loss`
    t, negative_g = (
        ops.convert_to_numpy(function(v))[:, 0].astype("float64")
        for function in (divergence.activation, divergence.negative_conjugate)
    )
    return float(np.trapezoid(p * t + q * negative_g, x))
