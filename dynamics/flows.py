"""Methods of descent as flows theta' = field(theta), and the test curve (article 6261, https://kexue.fm/archives/6261).

Every flow lowers the loss L(theta), because dL/dt = <grad L, theta'> is negative:

    gradient        theta' = -grad L                                 dL/dt = -|grad L|_2^2
    sign            theta' = -sign(grad L)                           dL/dt = -|grad L|_1
    Polyak          theta' = -L grad L / |grad L|^2                  dL/dt = -L, so L = L_0 e^-t
    capped Polyak   theta' = -L grad L / |grad L| min(1/|grad L|, M)

Points have the shape (..., d). Of the functions of them, `gradient` returns (..., d) and `loss` (..., 1).

Momentum, RMSprop and Adam remember something. Their state has a row for each thing and theta in the last row:
`with_memory` makes it. In steps of `common.ode.alternating_euler` they are the optimizers of Keras, number for number.
"""

import numpy as np

# The article's curve. Its derivative is (x - 3)(4 x^2 - 9 x + 3).
OFFSET = 1.62276
MINIMUM, BARRIER = (9 - np.sqrt(33)) / 8, (9 + np.sqrt(33)) / 8
LOCAL_MINIMUM = 3.0


def curve(x):
    """Return f(x) = x (x - 1) (x - 3)^2 + 1.62276, in the shape of x."""
    return x * (x - 1) * ((x - 3) * (x - 3)) + OFFSET


def curve_slope(x):
    """Return f'(x) = 4 x^3 - 21 x^2 + 30 x - 9, in the shape of x."""
    return ((4 * x - 21) * x + 30) * x - 9


def gradient_flow(gradient):
    """Return the field of the gradient flow. Euler's method makes it `keras.optimizers.SGD`."""
    return lambda theta: -gradient(theta)


def sign_flow(gradient):
    """Return the field that goes with the same speed along every axis."""
    return lambda theta: -np.sign(gradient(theta))


def polyak_flow(loss, gradient, cap=np.inf, lowest=0.0):
    """Return the field in which the loss falls as L - lowest = (L_0 - lowest) e^-t. It rests where the gradient is 0.

    Args:
        loss: function of theta.
        gradient: function of theta.
        cap: float, the article's M: the greatest value of 1 / |grad L| (default: none); or an array of them, (..., 1).
        lowest: float, the lowest value of the loss.
    """

    def field(theta):
        g = gradient(theta)
        norm = np.linalg.norm(g, axis=-1, keepdims=True)
        moves = norm > 0
        norm = np.where(moves, norm, 1)
        return np.where(moves, -(loss(theta) - lowest) * g / norm * np.minimum(1 / norm, cap), 0)

    return field


def with_memory(theta, rows):
    """Return the state of a flow that remembers nothing yet: `rows` rows of zeros, and theta in the last row."""
    theta = np.asarray(theta, "float64")
    return np.concatenate([np.zeros((rows, *theta.shape)), theta[None]])


def momentum_flow(gradient, h, momentum):
    """Return the field of a ball with friction, with one row of memory, its velocity: theta'' = -a theta' - grad L.

    In steps of size h it is `keras.optimizers.SGD` with the learning rate h^2, since a = (1 - momentum) / h.
    """

    def field(state):
        velocity, theta = state
        return np.stack([-(1 - momentum) / h * velocity - gradient(theta), velocity])

    return field


def rmsprop_flow(gradient, h, rho=0.9, epsilon=1e-7):
    """Return the field of `keras.optimizers.RMSprop` with the learning rate h, with one row of memory.

    The memory v is a moving average of the squared gradient, and theta' = -grad L / sqrt(v + epsilon). Without average
    and epsilon that is the sign flow. (Keras adds epsilon inside the root; other libraries add theirs outside.)
    """

    def field(state):
        v, theta = state
        g = gradient(theta)
        with np.errstate(divide="ignore", invalid="ignore"):  # v is 0 before the first step, which does not use this
            return np.stack([(1 - rho) / h * (g * g - v), -g / np.sqrt(v + epsilon)])

    return field


def rmsprop_swing(h, epsilon, curvature=1.0):
    """Return how far RMSprop's steps of size h swing for ever about the minimum of curvature x^2/2; 0 if they rest.

    A cycle x, -x, x, ... has v = (curvature x)^2, and its step 2 x = h curvature x / sqrt(v + epsilon) gives x. There
    is none if sqrt(epsilon) >= h curvature / 2.
    """
    return np.sqrt(max(0.0, h**2 - 4 * epsilon / curvature**2))


def adam_flow(gradient, h, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    """Return the field of `keras.optimizers.Adam` with the learning rate h, with four rows of memory.

    The rows are moving averages: m of the gradient, v of its square, and a and b of the number 1 at the same two
    rates. Division by a and sqrt(b) is Adam's correction of the bias.
    """
    fast, slow = (1 - beta_1) / h, (1 - beta_2) / h

    def field(state):
        m, v, a, b, theta = state
        g = gradient(theta)
        with np.errstate(divide="ignore", invalid="ignore"):  # a is 0 before the first step, which does not use this
            velocity = -np.sqrt(b) / a * m / (np.sqrt(v) + epsilon)
        return np.stack([fast * (g - m), slow * (g * g - v), fast * (1 - a), slow * (1 - b), velocity])

    return field
