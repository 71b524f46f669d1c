"""Points that roll on an energy, and the six two-dimensional games that orbit their target or reach it.

The energy view of article 6316 (https://kexue.fm/archives/6316): U is low at the reals. The D step digs pits under
them; the G step holds U and lets the fakes roll down. The games are the Dirac GANs of article 6583
(https://kexue.fm/archives/6583; arXiv 1801.04406): one real at 0, one fake at theta, a critic phi . x.
"""

import numpy as np

# a landscape in one dimension: pits (n, 3), rows (place x_k, depth a_k, width s_k); a negative depth is a hill


def energy(x, pits):
    """U(x) = -sum_k a_k exp(-(x - x_k)^2 / (2 s_k^2)) of points of any shape."""
    place, depth, width = np.asarray(pits, "float64").T
    return -(depth * np.exp(-(((np.asarray(x)[..., None] - place) / width) ** 2) / 2)).sum(-1)


def slope(x, pits):
    """U'(x), in the shape of x."""
    place, depth, width = np.asarray(pits, "float64").T
    away = (np.asarray(x)[..., None] - place) / width
    return (depth / width * away * np.exp(-(away**2) / 2)).sum(-1)


def critic_step(pits, real, fake, rate, width):
    """A D step on sum U(real) - sum U(fake): a pit of depth `rate` at every real, as high a hill at every fake.

    It is the gradient step for a U that is free up to the Gaussian kernel of that width.
    """
    made = [(x, depth, width) for points, depth in ((real, rate), (fake, -rate)) for x in points]
    return np.concatenate([pits, made])


def heavy_ball(slope, start, rate, momentum, steps):
    """The G step: v <- momentum v - rate U'(x), x <- x + v, from rest. Returns x of every step, (steps + 1, n)."""
    x, v = np.array(start, "float64"), 0.0
    path = [x]
    for _ in range(steps):
        v = momentum * v - rate * slope(x)
        x = x + v
        path.append(x)
    return np.stack(path)


def assign_to_pit(x, places, widths):
    """Index of the nearest place, in the shape of x; -1 for points farther from it than its width."""
    away = abs(np.asarray(x)[..., None] - np.asarray(places))
    nearest = away.argmin(-1)
    return np.where(away.min(-1) <= np.asarray(widths)[nearest], nearest, -1)


# the games: a field takes the state (2, 2), rows phi and theta, and returns its velocity; both players climb at once

START = ((0.1, 0.2), (0.2, 0.1))


def vanilla(state):
    """The critic climbs log D(0) + log(1 - D(theta)), the generator log D(theta), with D(x) = sigmoid(phi . x)."""
    phi, theta = state
    p = 1 / (1 + np.exp(-phi @ theta))
    return np.stack([-p * theta, (1 - p) * phi])


def wgan(state):
    """The critic climbs D(0) - D(theta), the generator D(theta), with D(x) = phi . x / |phi|, whose slope is 1."""
    phi, theta = state
    n = np.linalg.norm(phi)
    return np.stack([-theta / n + (phi @ theta) * phi / n**3, phi / n])


def wgan_gp(centre, weight=0.1):
    """D(x) = phi . x, and the critic also pays weight (|phi| - centre)^2: phi is its slope, at reals as anywhere."""

    def field(state):
        phi, theta = state
        return np.stack([-theta - 2 * weight * (1 - centre / np.linalg.norm(phi)) * phi, phi])

    return field


def gan_qp(decay=0.0, weight=1.0):
    """The critic climbs d - d^2 / (2 weight |theta|), d = D(0) - D(theta) = -phi . theta; |theta| is the distance of
    the fake from the real. `decay` pulls phi to 0, as an L2 penalty does."""

    def field(state):
        phi, theta = state
        return np.stack([-theta - theta * (phi @ theta) / (weight * np.linalg.norm(theta)) - decay * phi, phi])

    return field


# name: (field, time T, step h)
DIRAC = {
    "vanilla": (vanilla, 100, 0.1),
    "WGAN": (wgan, 10, 0.01),
    "WGAN-GP, c = 0": (wgan_gp(0), 40, 0.1),
    "WGAN-GP, c = 1": (wgan_gp(1), 40, 0.1),
    "GAN-QP": (gan_qp(), 40, 0.1),
    "GAN-QP + L2": (gan_qp(0.1), 70, 0.1),
}


def rk4(field, start, T, h):
    """The classic Runge-Kutta method: the states from time 0 to T, h apart, (T / h + 1, ...) of those of `start`."""
    y = np.array(start, "float64")
    path = [y]
    for _ in range(round(T / h)):
        a = field(y)
        b = field(y + h / 2 * a)
        c = field(y + h / 2 * b)
        d = field(y + h * c)
        y = y + h / 6 * (a + 2 * b + 2 * c + d)
        path.append(y)
    return np.stack(path)


def late_radii(name):
    """(lowest, highest) |theta| in the last quarter of a game's time, and the path of theta, (points, 2)."""
    theta = rk4(DIRAC[name][0], START, *DIRAC[name][1:])[:, 1]
    radii = np.linalg.norm(theta[3 * len(theta) // 4 :], axis=1)
    return (radii.min(), radii.max()), theta
