"""Points that roll on a 1-D energy, and six two-dimensional GAN games (articles 6316 and 6583).

Article 6316 (https://kexue.fm/archives/6316) sees a GAN as an energy U that is low at the real samples. The D step
digs pits under them; the G step keeps U fixed and lets the fakes roll down.

The games are the Dirac GANs of `common.losses.dirac` (article 6583).
"""

import numpy as np

from common.losses.dirac import START, gan_qp, vanilla, wgan, wgan_gp
from common.ode import solve

# A 1-D landscape is an array of pits (n, 3): rows (place x_k, depth a_k, width s_k). A negative depth is a hill.


def energy(x, pits):
    """Return U(x) = -sum_k a_k exp(-(x - x_k)^2 / (2 s_k^2)), in the shape of x."""
    place, depth, width = np.asarray(pits, "float64").T
    return -(depth * np.exp(-(((np.asarray(x)[..., None] - place) / width) ** 2) / 2)).sum(-1)


def slope(x, pits):
    """Return U'(x), in the shape of x."""
    place, depth, width = np.asarray(pits, "float64").T
    scaled = (np.asarray(x)[..., None] - place) / width
    return (depth / width * scaled * np.exp(-(scaled**2) / 2)).sum(-1)


def critic_step(pits, real, fake, rate, width):
    """Return the landscape after a D step on sum U(real) - sum U(fake).

    The step digs a pit of depth `rate` at every real and raises a hill of that height at every fake. It is the
    gradient step for a U that is free up to a Gaussian kernel.

    Args:
        pits: landscape (n, 3).
        real: places of the reals.
        fake: places of the fakes.
        rate: float, learning rate.
        width: float, standard deviation of the kernel.

    Returns:
        Array (n + number of reals and fakes, 3).
    """
    new_pits = [(x, depth, width) for points, depth in ((real, rate), (fake, -rate)) for x in points]
    return np.concatenate([pits, new_pits])


def heavy_ball(slope, start, rate, momentum, steps):
    """Run the G step: v <- momentum v - rate U'(x), x <- x + v, from rest.

    Args:
        slope: function of x (n,) that returns U'(x).
        start: array (n,).
        rate: float, learning rate.
        momentum: float from 0 to 1.
        steps: int, number of steps.

    Returns:
        Array (steps + 1, n), x before the first and after every step.
    """
    x, v = np.array(start, "float64"), 0.0
    path = [x]
    for _ in range(steps):
        v = momentum * v - rate * slope(x)
        x = x + v
        path.append(x)
    return np.stack(path)


def assign_to_pit(x, places, widths):
    """Return the index of the nearest pit, in the shape of x; -1 for points farther from it than its width."""
    distances = abs(np.asarray(x)[..., None] - np.asarray(places))
    nearest = distances.argmin(-1)
    return np.where(distances.min(-1) <= np.asarray(widths)[nearest], nearest, -1)


# name: (field, time T, step size h)
DIRAC = {
    "vanilla": (vanilla, 100, 0.1),
    "WGAN": (wgan, 10, 0.01),
    "WGAN-GP, c = 0": (wgan_gp(0), 40, 0.1),
    "WGAN-GP, c = 1": (wgan_gp(1), 40, 0.1),
    "GAN-QP": (gan_qp(), 40, 0.1),
    "GAN-QP + L2": (gan_qp(0.1), 70, 0.1),
}


def late_radii(name):
    """Return how far the fake of a game stays from its target in the end.

    Args:
        name: a key of `DIRAC`.

    Returns:
        ((lowest, highest) |theta| in the last quarter of the time, path of theta (points, 2)).
    """
    theta = solve(DIRAC[name][0], START, *DIRAC[name][1:])[:, 1]
    radii = np.linalg.norm(theta[3 * len(theta) // 4 :], axis=1)
    return (radii.min(), radii.max()), theta
