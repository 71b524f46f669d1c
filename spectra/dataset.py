"""The spectra that a script trains and measures on: drawn by code, or the user's own."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from common.data.file_types import printable
from common.errors import UserError
from common.streams import stage
from spectra import simulator
from spectra.files import FORM, read_index, read_spectra
from spectra.fits import fits_files, read_fits
from spectra.network import LEAST_POINTS
from spectra.simulator import CLASSES

SIMULATED = "simulated"
PREFIX = "spectra:"
HELD_OUT = 2000  # greatest number of drawn spectra to validate on, and as many to test on


class Part(NamedTuple):
    """Some spectra: x, float32 (n, points, 1), and their labels, int (n,)."""

    x: np.ndarray
    labels: np.ndarray


@stage("getting the spectra")
def load(dataset, limit, points, seed):
    """Return the three `Part`s to train, validate and test on.

    Drawn spectra: `limit` of them, and as many, but at most `HELD_OUT`, for each of the others. The user's own are
    divided by lot, 80, 10 and 10 %.

    Args:
        dataset: "simulated" or "spectra:PATH".
        limit: int, spectra to train on; None for all of the user's own.
        points: int, of a drawn spectrum or of one in FITS.
        seed: int.

    Raises:
        UserError: if the user's spectra cannot be used.
    """
    if points < LEAST_POINTS:
        raise UserError(
            f"{points} points are too few, for the network halves them seven times: {LEAST_POINTS} at least"
        )
    if dataset == SIMULATED:
        sizes = (limit, min(limit, HELD_OUT), min(limit, HELD_OUT))
        drawn = (simulator.draw(n, [seed, i], points) for i, n in enumerate(sizes))
        return [Part(scaled(spectra.flux)[..., None], spectra.labels) for spectra in drawn]
    flux, labels = read_own(Path(dataset.removeprefix(PREFIX)).expanduser(), points)
    if flux.shape[1] < LEAST_POINTS:
        raise UserError(f"a spectrum has {flux.shape[1]} numbers: {LEAST_POINTS} at least, for the network halves them")
    order = np.random.default_rng([seed, 0]).permutation(len(flux))
    ends = [len(flux) * 8 // 10, len(flux) * 9 // 10]
    train, *held_out = (Part(scaled(flux[rows])[..., None], labels[rows]) for rows in np.split(order, ends))
    parts = [Part(*(array[:limit] for array in train)), *held_out]
    for what, part in zip(("train", "validate", "test"), parts, strict=True):
        missing = [name for i, name in enumerate(CLASSES) if i not in part.labels]
        if missing:
            hint = " or an index that names some" if "unknown" in missing else ""
            raise UserError(
                f"of {len(flux)} spectra none to {what} on is of type {', '.join(missing)}: give more{hint}"
            )
    return parts


def read_own(path, points):
    """Return flux, float32 (n, length), and labels, int (n,), of the user's spectra without those that are constant."""
    if fits_files(path):
        flux, labels = read_fits(path, points, read_index(path, needed=False) or None)
    elif path.is_file() and path.suffix.lower() in (".csv", ".txt"):
        raise UserError(f"{printable(path.name)} is a file: give the folder or archive that holds {FORM}")
    else:
        flux, labels = read_spectra(path)
    constant = spread(flux)[:, 0] == 0
    if constant.all():
        raise UserError(f"all {len(flux)} spectra are constant: give others")
    if constant.any():
        print(f"left out {constant.sum()} of {len(flux)} spectra, which are constant", flush=True)
    return flux[~constant], labels[~constant]


def spread(flux):
    """Return the distance of the quartiles (n, 1) of spectra (n, points)."""
    return np.subtract(*np.percentile(flux, (75, 25), axis=1, keepdims=True))


def scaled(flux):
    """Return spectra (n, points) minus their median, in units of their standard deviation by the quartiles, float32."""
    return ((flux - np.median(flux, 1, keepdims=True)) / (spread(flux) / 1.349)).astype("float32")


def rows_of(part):
    """Return the rows (n, points + 1, 1) that the trainer takes, float32: a spectrum, and then its class index."""
    return np.concatenate([part.x, part.labels.astype("float32")[:, None, None]], 1)
