"""Cosines of vectors."""

import numpy as np


def cosines(a, b):
    """Return the cosines (n, m) of vectors a (n, d) and b (m, d)."""
    unit = lambda x: x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return unit(a) @ unit(b).T
