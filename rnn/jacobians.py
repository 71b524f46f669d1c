"""One step of each cell and its Jacobian, in closed form and in float64 (article 7888, https://kexue.fm/archives/7888).

With S = 1 - tanh(c_{t-1})^2 and the letters of `rnn/cells.py`, for one unit:

    tanh          dh_t/dh_{t-1} = (1 - h_t^2) U
    ReLU          dh_t/dh_{t-1} = U where h_t > 0, else 0
    LSTM          dc_t/dc_{t-1} = f + [f (1-f) c_{t-1} U_f + i (1-i) g U_i + i (1-g^2) U_g] o_{t-1} S
    GRU           dh_t/dh_{t-1} = 1 - z + z (1-z) (g - h_{t-1}) U_z + z (1-g^2) r [1 + (1-r) h_{t-1} U_r] U_g
    reset output  dc_t/dc_{t-1} = 1 - z + [z (1-z) (g - c_{t-1}) U_z + z (1-g^2) U_g] r_{t-1}

For n units, a factor times U becomes a matrix: row j of U^T times the factor of unit j.

The LSTM and the reset-output cell have two states. There h_{t-1} is o_{t-1} tanh(c_{t-1}), or r_{t-1} c_{t-1}, and the
article differentiates it by c_{t-1} alone. But the gate depends on h_{t-2}, so on older memory. The product of these
Jacobians therefore leaves paths out; the product of the Jacobians of both states does not.

A step is a function of (weights, x, state) that returns (next state, Jacobian of the article, Jacobian of all states).
Weights are {gate: (W, U, b)}, of the shapes (..., inputs, n), (..., n, n) and (..., n). x has the shape (..., inputs).
The state is (h,), or (h, c, the gate of h), each (..., n). Leading axes hold independent draws. Entry (j, i) of a
Jacobian (..., n, n) is the derivative of unit j by the earlier unit i; that of both states has the rows h and then c.
"""

import numpy as np

GATES = {"tanh": "h", "relu": "h", "lstm": "fiog", "gru": "zrg", "reset_output": "zrg"}
FORGET = {"f": 1, "z": -1}  # gates with the forget bias, and its sign


def sigmoid(a):
    """Return 1 / (1 + e^-a) = (1 + tanh(a / 2)) / 2, which does not overflow."""
    return 0.5 + 0.5 * np.tanh(0.5 * a)


def affine(weights, x, h):
    """Return W x + U h + b of one gate, (..., n)."""
    W, U, b = weights
    return (x[..., None, :] @ W + h[..., None, :] @ U)[..., 0, :] + b


def diagonal(d):
    """Return the diagonal matrices (..., n, n) of vectors (..., n)."""
    return d[..., None] * np.eye(d.shape[-1])


def through(factor, weights):
    """Return the Jacobian (..., n, n) of a gate by h, times a factor (..., n) of each of its units."""
    return factor[..., None] * np.swapaxes(weights[1], -1, -2)


def of_both(h_by_h, h_by_c, c_by_h, c_by_c):
    """Return the Jacobian (..., 2n, 2n) of the states (h, c) from its four blocks."""
    top, bottom = np.concatenate([h_by_h, h_by_c], -1), np.concatenate([c_by_h, c_by_c], -1)
    return np.concatenate([top, bottom], -2)


def tanh_step(w, x, state):
    h = np.tanh(affine(w["h"], x, state[0]))
    J = through(1 - h**2, w["h"])
    return (h,), J, J


def relu_step(w, x, state):
    h = np.maximum(affine(w["h"], x, state[0]), 0)
    J = through((h > 0).astype(float), w["h"])
    return (h,), J, J


def lstm_step(w, x, state):
    h, c, o = state
    S = 1 - np.tanh(c) ** 2
    f, i, o_next = (sigmoid(affine(w[gate], x, h)) for gate in "fio")
    g = np.tanh(affine(w["g"], x, h))
    c_by_h = through(f * (1 - f) * c, w["f"]) + through(i * (1 - i) * g, w["i"]) + through(i * (1 - g**2), w["g"])
    J = diagonal(f) + c_by_h * (o * S)[..., None, :]

    c_next = f * c + i * g
    out = np.tanh(c_next)
    slope = o_next * (1 - out**2)
    h_by_h = through(o_next * (1 - o_next) * out, w["o"]) + slope[..., None] * c_by_h
    return (o_next * out, c_next, o_next), J, of_both(h_by_h, diagonal(slope * f), c_by_h, diagonal(f))


def gru_step(w, x, state):
    (h,) = state
    z, r = (sigmoid(affine(w[gate], x, h)) for gate in "zr")
    g = np.tanh(affine(w["g"], x, r * h))
    of_reset_h = diagonal(r) + through(r * (1 - r) * h, w["r"])
    J = diagonal(1 - z) + through(z * (1 - z) * (g - h), w["z"]) + through(z * (1 - g**2), w["g"]) @ of_reset_h
    return ((1 - z) * h + z * g,), J, J


def reset_output_step(w, x, state):
    h, c, r = state
    z, r_next = (sigmoid(affine(w[gate], x, h)) for gate in "zr")
    g = np.tanh(affine(w["g"], x, h))
    c_by_h = through(z * (1 - z) * (g - c), w["z"]) + through(z * (1 - g**2), w["g"])
    J = diagonal(1 - z) + c_by_h * r[..., None, :]

    c_next = (1 - z) * c + z * g
    h_by_h = through(r_next * (1 - r_next) * c_next, w["r"]) + r_next[..., None] * c_by_h
    return (r_next * c_next, c_next, r_next), J, of_both(h_by_h, diagonal(r_next * (1 - z)), c_by_h, diagonal(1 - z))


STEPS = {
    "tanh": tanh_step,
    "relu": relu_step,
    "lstm": lstm_step,
    "gru": gru_step,
    "reset_output": reset_output_step,
}


def first_state(kind, shape):
    """Return the state (h,) or (h, c, gate) before the first step: zeros, and the gate of h half open.

    Args:
        kind: name of the cell, of `STEPS`.
        shape: tuple, (..., n).
    """
    zeros = np.zeros(shape)
    return (zeros, zeros, np.full(shape, 0.5)) if kind in ("lstm", "reset_output") else (zeros,)


def log_norms(kind, weights, inputs, last_only=False):
    """Return log10 of the norm of the products J_t ... J_1, for t = 1 to T.

    The norm is the greatest singular value. A product that is exactly 0, as ReLU can make it, has minus infinity.

    Args:
        kind: name of the cell, of `STEPS`.
        weights: {gate: (W, U, b)}.
        inputs: array (T, ..., inputs).
        last_only: bool, return t = T alone, which takes less time (default no).

    Returns:
        Two arrays (T, ...), or (1, ...): of the Jacobians of the article, and of those of all states.
    """
    _, U, _ = weights[GATES[kind][0]]
    shape = np.broadcast_shapes(inputs.shape[1:-1], U.shape[:-2])
    state, products, norms = first_state(kind, (*shape, U.shape[-1])), None, []
    for t, x in enumerate(inputs, 1):
        state, *jacobians = STEPS[kind](weights, x, state)
        products = (
            jacobians if products is None else [J @ product for J, product in zip(jacobians, products, strict=True)]
        )
        if t == len(inputs) or not last_only:
            norms.append([np.linalg.norm(product, 2, (-2, -1)) for product in products])
    with np.errstate(divide="ignore"):
        return np.moveaxis(np.log10(norms), 1, 0)
