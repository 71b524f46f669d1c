"""How well chains have sampled: effective sample size, R-hat, and the standard error of a mean."""

from statistics import NormalDist

import numpy as np

from common.metrics.sample_size import is_enough

LEAST_DRAWS = 4  # of a chain for R-hat: two in each half


def chain_metrics(energies):
    """Return how well chains have sampled, judged by their energies.

    Args:
        energies: array (steps, n) of n chains, without the steps in which they still fall.

    Returns:
        Dict of floats: `energy`, the mean; `energy/standard_error`, see `mean_standard_error`; `ess`, see
        `effective_sample_size`; `r_hat`. What cannot be measured is left out, with a printed line.
    """
    energies = np.asarray(energies, "float64")
    metrics = {"energy": energies.mean()}
    if not np.ptp(energies):
        print("not measured: energy/standard_error, ess, r_hat (all energies are equal)", flush=True)
        return metrics
    metrics |= {"energy/standard_error": mean_standard_error(energies), "ess": effective_sample_size(energies)}
    if is_enough("r_hat", LEAST_DRAWS, {"steps in the second half of a chain": len(energies)}):
        value = r_hat(energies)
        if np.isfinite(value):
            metrics["r_hat"] = value
        else:
            print("not measured: r_hat (no chain moves)", flush=True)
    return metrics


def effective_sample_size(trace):
    """Return how many independent draws one chain is worth, from many chains of one distribution.

    This is steps / tau with tau = 1 + 2 sum_t rho_t. The autocorrelations rho_t are means over all chains around one
    common mean, so that chains that do not mix are worth no more than one draw. The sum ends as Geyer's initial
    monotone sequence of pairs does (Statistical Science 1992). All draws together are worth at most log10 of their
    number times as many, as in Stan, since an estimate of tau from few draws can fall below 0.

    Args:
        trace: array (steps, n) or (steps, n, d) of n chains.

    Returns:
        float, or array (d,). NaN if all draws are equal.
    """
    x = np.asarray(trace, "float64")
    x = x - x.mean((0, 1))
    # The FFT is padded to twice the length: unpadded, the correlation would wrap around from the end to the beginning.
    spectrum = np.abs(np.fft.rfft(x, 2 * len(x), axis=0)) ** 2
    covariance = np.fft.irfft(spectrum, axis=0)[: len(x)].mean(1)
    rho = covariance / covariance[0]
    pairs = rho[: len(x) // 2 * 2].reshape(-1, 2, *rho.shape[1:]).sum(1)
    tau = 2 * np.maximum(np.minimum.accumulate(pairs), 0).sum(0) - 1
    return len(x) / np.maximum(tau, 1 / np.log10(max(2, x.shape[0] * x.shape[1])))


def mean_standard_error(trace):
    """Return the Monte Carlo standard error of the mean over all draws of all chains.

    This is the standard deviation of the draws, divided by the root of the number of independent draws that all chains
    together are worth.

    Args:
        trace: array (steps, n) of n chains.

    Returns:
        float, in units of the draws.
    """
    x = np.asarray(trace, "float64")
    return float(x.std(ddof=1) / np.sqrt(x.shape[1] * effective_sample_size(x)))


def r_hat(trace):
    """Return the rank-normalised split R-hat of chains (Vehtari et al., arXiv 1903.08008, sections 3 and 4).

    Each chain is cut into halves, and each half counts as a chain of length n:

        R-hat = sqrt(((n - 1) W + B) / (n W)),    W: mean variance within a half, B: n times the variance of their means

    It is taken of the normal scores of the draws, which sees different locations, and of those of their distances from
    the median, which sees different widths. The larger one counts. 1 is perfect.

    Args:
        trace: array (steps, n) of n chains, at least 4 steps.

    Returns:
        float. Infinite if no half of a chain moves, NaN if all draws are equal.

    Raises:
        ValueError: for another shape.
    """
    x = np.asarray(trace, "float64")
    if x.ndim != 2 or len(x) < LEAST_DRAWS:
        raise ValueError(f"A trace must be (steps, n), at least {LEAST_DRAWS} steps. Received: {x.shape}")
    half = len(x) // 2
    halves = np.concatenate([x[:half], x[-half:]], 1)  # of an odd number of steps the middle one is left out
    return max(_split_r_hat(_normal_scores(draws)) for draws in (halves, np.abs(halves - np.median(halves))))


def _split_r_hat(halves):
    """Return R-hat of chains (n, chains) that are taken as they are."""
    n = len(halves)
    if not np.ptp(halves, 0).any():  # rounding can make the variance of a constant positive
        return np.inf if np.ptp(halves) else np.nan
    within, between = halves.var(0, ddof=1).mean(), n * halves.mean(0).var(ddof=1)
    return float(np.sqrt((between / within + n - 1) / n))


def _normal_scores(draws):
    """Return the draws, each replaced by the normal quantile of its rank among all of them; ties share a mean rank."""
    _, inverse, counts = np.unique(draws, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    quantiles = (ranks - 3 / 8) / (draws.size + 1 / 4)  # Blom's
    return np.array([NormalDist().inv_cdf(q) for q in quantiles])[inverse].reshape(draws.shape)
