"""The cost S of article 6191: its split into entropy and divergence, its gradient, and descent on it.

Somebody takes item i with probability p(i), then item j with probability p(j|i). The items have vectors, and a step
from i to j costs -log q(j|i), where q(j|i) = K(v_i, v_j) / Z_i over all j but i. So

    S = -sum_ij p(i) p(j|i) log q(j|i) = H + KL,

where H is the entropy of p(j|i) and KL the divergence of p(.|i) from q(.|i), both averaged over p(i). K is the Gaussian
exp(-|v_i - v_j|^2) in SNE, and 1 / (1 + |v_i - v_j|^2) in t-SNE.

In this module `first` is p(i), (n,), and `next_` is p(j|i), (n, n), with zeros on its diagonal and rows of sum 1.
"""

import numpy as np

KERNELS = ("gaussian", "student")
MOMENTUM, LATE_MOMENTUM, SMALLEST_GAIN = 0.5, 0.8, 0.01  # as in t-SNE (van der Maaten and Hinton, 2008)


def squared_distances(v):
    """Return the squared distances (n, n) of vectors (n, d), exactly 0 on the diagonal."""
    squares = (v**2).sum(1)
    d2 = np.maximum(squares[:, None] + squares - 2 * v @ v.T, 0)
    np.fill_diagonal(d2, 0)
    return d2


def log_q(v, kernel):
    """Return log q(j|i), (n, n), of vectors (n, d); minus infinity on the diagonal."""
    d2 = squared_distances(v)
    return log_softmax(-d2 if kernel == "gaussian" else -np.log1p(d2))


def log_softmax(scores):
    """Return the logarithms (n, n) of a softmax over each row of scores (n, n) without its diagonal."""
    scores = np.array(scores, dtype="float64")
    np.fill_diagonal(scores, -np.inf)
    scores -= scores.max(1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(1, keepdims=True))


def cost(first, next_, log_q):
    """Return S in nats, for log q(j|i) (n, n)."""
    return float((first * _row_sums(next_, -log_q)).sum())


def entropy(first, next_):
    """Return H in nats, the least S that any q can have."""
    return cost(first, next_, np.log(next_, where=next_ > 0, out=np.zeros_like(next_)))


def divergence(first, next_, log_q):
    """Return the mean over p(i) of KL(p(.|i) || q(.|i)) in nats."""
    log_p = np.log(next_, where=next_ > 0, out=np.zeros_like(next_))
    return float((first * _row_sums(next_, log_p - log_q)).sum())


def _row_sums(weights, values):
    """Return the sums over each row of weights * values, where an infinite value counts nothing at a weight of 0."""
    return np.multiply(weights, values, where=weights > 0, out=np.zeros_like(weights)).sum(1)


def gradient(v, first, next_, log_q, kernel):
    """Return the gradient of S for vectors (n, d), in their shape; `log_q` (n, n) is theirs.

    It is 2 sum_j (C_ij + C_ji) (v_i - v_j) with C_ij = p(i) (p(j|i) - q(j|i)), times 1 / (1 + |v_i - v_j|^2) for t-SNE.
    """
    c = first[:, None] * (next_ - np.exp(log_q))
    if kernel == "student":
        c /= 1 + squared_distances(v)
    c += c.T
    return 2 * (c.sum(1, keepdims=True) * v - c @ v)


def descend(v, first, next_, kernel, steps, rate):
    """Lower S from vectors (n, d) by gradient descent with momentum and gains, as t-SNE's authors do.

    Args:
        v: start; it is not changed.
        first: p(i).
        next_: p(j|i).
        kernel: one of `KERNELS`.
        steps: int.
        rate: float, step size before gains.

    Returns:
        (vectors of the lowest S, list of steps + 1 values of S, the first one at the start).
    """
    v, speed, gains = np.array(v, "float64"), np.zeros_like(v), np.ones_like(v)
    log_q_now, best = log_q(v, kernel), v
    costs = [cost(first, next_, log_q_now)]
    for step in range(steps):
        slope = gradient(v, first, next_, log_q_now, kernel)
        # a coordinate that keeps its direction gets faster, one that swings gets slower
        gains = np.maximum(np.where(slope * speed < 0, gains + 0.2, gains * 0.8), SMALLEST_GAIN)
        speed = (MOMENTUM if step < steps / 4 else LATE_MOMENTUM) * speed - rate * gains * slope
        v = v + speed
        log_q_now = log_q(v, kernel)
        costs.append(cost(first, next_, log_q_now))
        if costs[-1] <= min(costs):
            best = v
    return best, costs
