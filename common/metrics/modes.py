"""Count the modes that samples reach."""

import numpy as np

from common.data import toy_2d
from common.errors import UserError


def mode_coverage(labels, modes):
    """How evenly samples fall on `modes` equally likely modes: {"modes": int, "mode_kl": float}.

    `modes` is the number of labels that occur, `mode_kl` the KL divergence of their frequencies from the uniform
    distribution, sum p log(p modes), in nats: 0 to log(modes). For stacked MNIST, with the three digits a classifier
    reads as a label of 0 to 999 (PacGAN, Lin et al., arXiv 1712.04086; MEG, Kumar et al., 1901.08508). A perfect
    sampler has a KL of about (modes - 1) / 2n, not 0: .019 for the usual 26000 samples of 1000 modes.

    Args:
        labels: whole numbers (n,) of 0 to modes - 1, n > 0.

    Raises `ValueError` for anything else.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or not labels.size or labels.dtype.kind not in "ui":
        raise ValueError(f"Labels must be whole numbers (n,), n > 0. Received: {labels.dtype} {labels.shape}")
    if labels.min() < 0 or labels.max() >= modes:
        raise ValueError(f"Labels must be 0 to {modes - 1}. Received: {labels.min()} to {labels.max()}")
    counts = np.bincount(labels.astype("int64"))
    p = counts[counts > 0] / len(labels)
    return {"modes": len(p), "mode_kl": max(0.0, float(np.sum(p * np.log(p * modes))))}  # rounding can take it below 0


def modes_of_points(name, points):
    """What points (n, 2) make of a mixture of `common.data.toy_2d`; {} for a toy that is none.

    Returns:
        `near`, the share of points within three standard deviations of a mode, and, of these, `modes` and `mode_kl`
        of `common.metrics.modes.mode_coverage` (the protocol of VEEGAN, arXiv 1705.07761, with 2500 points), and
        `mode_width`: their standard deviation about the mean of their mode's, in the standard deviation of the data.
        Of the data that is 0.974, since the far ones are left out; points that shrink to their centres are all near.
    """
    centres, std = _modes(name)
    if not len(centres):
        return {}
    square = np.sum((points[:, None] - centres) ** 2, -1)
    near = square.min(1) < (3 * std) ** 2
    if not near.any():
        # the worst there is
        return {"near": 0.0, "modes": 0, "mode_kl": float(np.log(len(centres))), "mode_width": 0.0}
    labels, kept = square.argmin(1)[near], points[near]
    per_mode = [kept[labels == label] for label in np.unique(labels)]
    about_mean = np.concatenate([of_mode - of_mode.mean(0) for of_mode in per_mode])
    width = np.sqrt(np.mean(about_mean**2)) / std
    return {"near": float(near.mean()), **mode_coverage(labels, len(centres)), "mode_width": float(width)}


def _modes(name):
    """(centres (n, 2), standard deviation) of a mixture of `common.data.toy_2d`; of another toy no centres."""
    try:
        return toy_2d.modes(name)
    except UserError:
        return np.zeros((0, 2)), 0.0
