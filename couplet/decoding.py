"""Choose the lower line by the probabilities of its characters."""

import numpy as np


def choose(logits, upper, temperature=0.0, top_k=None, rng=None):
    """Return lower lines, int (n, length). No character repeats the one above it, and none is unknown (number 0).

    Args:
        logits: (n, length, characters).
        upper: int (n, length).
        temperature: float, 0 for the most probable character; above, characters are drawn from p^(1 / temperature).
        top_k: int, draw from the most probable characters only (default all).
        rng: numpy generator, needed for a temperature above 0.
    """
    logits = np.array(logits, "float64")
    logits[..., 0] = -np.inf
    np.put_along_axis(logits, np.asarray(upper)[..., None], -np.inf, -1)
    if not temperature:
        return logits.argmax(-1)
    if top_k and top_k < logits.shape[-1]:
        least = np.partition(logits, -top_k, -1)[..., -top_k, None]
        logits = np.where(logits >= least, logits, -np.inf)
    return (logits / temperature + rng.gumbel(size=logits.shape)).argmax(-1)
