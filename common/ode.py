"""Solve y' = field(y) in float64 with steps of one size: Euler, alternating Euler and Runge-Kutta.

A scheme is a function of (field, y, h) that returns y one step of size h later.
"""

import numpy as np


def euler(field, y, h):
    """Return y + h field(y): all rows of y move at the same time."""
    return y + h * field(y)


def alternating_euler(field, y, h):
    """Return y after an Euler step of one row after the other; each row sees the rows above it moved.

    With two rows this is the semi-implicit (symplectic) Euler method.
    """
    y = y.copy()
    for row in range(len(y)):
        y[row] += h * field(y)[row]
    return y


def rk4(field, y, h):
    """Return y after a step of the classic Runge-Kutta method of order 4."""
    a = field(y)
    b = field(y + h / 2 * a)
    c = field(y + h / 2 * b)
    d = field(y + h * c)
    return y + h / 6 * (a + 2 * b + 2 * c + d)


def solve(field, start, T, h, scheme=rk4):
    """Solve y' = field(y) from time 0 to T.

    Args:
        field: function of y that returns its velocity.
        start: array, y at time 0.
        T: float, last time.
        h: float, step size.
        scheme: `euler`, `alternating_euler` or `rk4` (default).

    Returns:
        Array (T / h + 1, *shape of start), y at the times 0, h, ..., T.
    """
    y = np.array(start, "float64")
    path = [y]
    for _ in range(round(T / h)):
        y = scheme(field, y, h)
        path.append(y)
    return np.stack(path)
