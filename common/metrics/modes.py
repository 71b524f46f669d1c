"""Count the modes of the data that samples reach."""

import numpy as np

from common.data import toy_2d
from common.data.checks import check_finite
from common.errors import UserError


def mode_coverage(labels, modes):
    """Return how many of the equally likely modes samples reach, and how evenly.

    On stacked MNIST a label is the number 0 to 999 that a classifier reads from the three digits (PacGAN, Lin et al.,
    arXiv 1712.04086; MEG, Kumar et al., 1901.08508). A perfect sampler has a KL of about (modes - 1) / 2n, not 0: .019
    for the usual 26000 samples of 1000 modes.

    Args:
        labels: integers (n,) from 0 to modes - 1, n > 0: the mode of each sample.
        modes: int, number of modes of the data.

    Returns:
        Dict: `modes` (int), the number of different labels; `mode_kl` (float), the KL divergence of their frequencies p
        from the uniform distribution, sum p log(p modes), in nats, from 0 to log(modes).

    Raises:
        ValueError: for labels of another type, shape or range.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or not labels.size or labels.dtype.kind not in "ui":
        raise ValueError(f"Labels must be integers (n,), n > 0. Received: {labels.dtype} {labels.shape}")
    if labels.min() < 0 or labels.max() >= modes:
        raise ValueError(f"Labels must lie between 0 and {modes - 1}. Received: {labels.min()} to {labels.max()}")
    counts = np.bincount(labels.astype("int64"))
    p = counts[counts > 0] / len(labels)
    mode_kl = float(np.sum(p * np.log(p * modes)))
    return {"modes": len(p), "mode_kl": max(0.0, mode_kl)}  # rounding can make it negative


def modes_of_points(name, points):
    """Return how points cover the modes of a Gaussian mixture of `common.data.toy_2d`.

    The protocol is that of VEEGAN (arXiv 1705.07761), with 2500 points there.

    Args:
        name: str, name of the toy.
        points: (n, 2).

    Returns:
        {} if the toy is not a mixture, else a dict:

        - `near`: share of points within three standard deviations of the nearest mode;
        - `modes`, `mode_kl`: `mode_coverage` of these near points;
        - `mode_width`: standard deviation of the near points about the mean of their mode's points, in units of the
          data's. Points of the data have 0.974, because the far ones are left out, and less if a mode has few of
          them: 0.92 of 250 points on 25 modes.

        Points that shrink to the centres are all near, but `mode_width` falls. If no point is near, the values are
        the worst possible: `modes` 0, `mode_kl` log(number of modes), `mode_width` 0.

    Raises:
        ValueError: for points of another shape, or no points.
        UserError: for values that are not finite.
    """
    points = check_finite("the points", points)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ValueError(f"Points must be (n, 2), n > 0. Received: {points.shape}")
    centres, std = mixture_modes(name)
    if not len(centres):
        return {}
    squared_distances = np.sum((points[:, None] - centres) ** 2, -1)
    near = squared_distances.min(1) < (3 * std) ** 2
    if not near.any():
        return {"near": 0.0, "modes": 0, "mode_kl": float(np.log(len(centres))), "mode_width": 0.0}
    labels, near_points = squared_distances.argmin(1)[near], points[near]
    per_mode = [near_points[labels == label] for label in np.unique(labels)]
    residuals = np.concatenate([mode_points - mode_points.mean(0) for mode_points in per_mode])
    width = np.sqrt(np.mean(residuals**2)) / std
    return {"near": float(near.mean()), **mode_coverage(labels, len(centres)), "mode_width": float(width)}


def mixture_modes(name):
    """Return (centres (m, 2), standard deviation) of a toy's modes; m = 0 if the toy is not a mixture."""
    try:
        return toy_2d.modes(name)
    except UserError:
        return np.zeros((0, 2)), 0.0
