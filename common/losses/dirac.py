"""Dirac GANs, the smallest GANs there are, as vector fields (article 6583, https://kexue.fm/archives/6583).

There are one real sample at 0, one fake at theta and a critic phi . x (arXiv 1801.04406).
"""

import numpy as np

# A game is a vector field: it takes a state (2, d), rows phi and theta, and returns its velocity. Both players follow
# their gradients uphill at the same time.

START = ((0.1, 0.2), (0.2, 0.1))


def vanilla(state):
    """Return the velocity of the original GAN, with D(x) = sigmoid(phi . x).

    The critic maximises log D(0) + log(1 - D(theta)), the generator log D(theta).
    """
    phi, theta = state
    p = 1 / (1 + np.exp(-phi @ theta))
    return np.stack([-p * theta, (1 - p) * phi])


def wgan(state):
    """Return the velocity of WGAN, with D(x) = phi . x / |phi|, whose gradient has norm 1.

    The critic maximises D(0) - D(theta), the generator D(theta).
    """
    phi, theta = state
    n = np.linalg.norm(phi)
    return np.stack([-theta / n + (phi @ theta) * phi / n**3, phi / n])


def wgan_gp(centre, weight=0.1):
    """Return the field of WGAN-GP: D(x) = phi . x, and the critic is charged weight (|phi| - centre)^2.

    The gradient of this critic is phi everywhere, at the reals as at any other point.
    """

    def field(state):
        phi, theta = state
        return np.stack([-theta - 2 * weight * (1 - centre / np.linalg.norm(phi)) * phi, phi])

    return field


def gan_qp(decay=0.0, weight=1.0):
    """Return the field of GAN-QP: the critic maximises d - d^2 / (2 weight |theta|), d = D(0) - D(theta).

    Here d = -phi . theta, and |theta| is the distance of the fake from the real. `decay` pulls phi to 0, as an L2
    penalty does.
    """

    def field(state):
        phi, theta = state
        return np.stack([-theta - theta * (phi @ theta) / (weight * np.linalg.norm(theta)) - decay * phi, phi])

    return field
