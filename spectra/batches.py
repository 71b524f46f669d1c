"""Batches in which every class has its share: the quotas of the article."""

import numpy as np

from common.data.batches import EndlessBatches
from common.errors import UserError


def quota_counts(quotas, batch_size):
    """Return how many samples of each class a batch has, ints that add up to `batch_size` (largest remainders).

    Args:
        quotas: shares of the classes, scaled here to add up to 1.
        batch_size: int.

    Raises:
        UserError: if a class gets none.
    """
    exact = np.asarray(quotas, "float64") / sum(quotas) * batch_size
    counts = np.floor(exact + 1e-9).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: batch_size - counts.sum()]] += 1
    if counts.min() < 1:
        raise UserError(f"a batch of {batch_size} has no room for every class: raise --batch-size, or even --quotas")
    return counts


class QuotaBatches(EndlessBatches):
    """Endless batches with a fixed number of samples of each class, whose order depends only on seed and step.

    Each class goes through permutations of its own samples, so all of a class are seen equally often.

    Args:
        images: float32 (N, ...), see `EndlessBatches`.
        batch_size: int, samples per batch.
        labels: int (N,), the class of each sample.
        quotas: shares of the classes, see `quota_counts`.
        *args: seed, start and the others of `EndlessBatches`.
        **kwargs: the same.

    Raises:
        UserError: if a class has no sample, or what `quota_counts` and `EndlessBatches` raise.
    """

    def __init__(self, images, batch_size, *args, labels, quotas, **kwargs):
        super().__init__(images, batch_size, *args, **kwargs)
        self.counts = quota_counts(quotas, batch_size)
        self.rows_of_class = [np.flatnonzero(labels == c) for c in range(len(quotas))]
        self._permutations = {}  # (class, round) -> permutation
        missing = [c for c, rows in enumerate(self.rows_of_class) if not len(rows)]
        if missing:
            raise UserError(f"no training spectrum of class {', '.join(map(str, missing))}: give some of every class")

    def __getitem__(self, idx):
        step = self.start + idx
        rows = np.concatenate([self._rows(c, step * k, k) for c, k in enumerate(self.counts)])
        # mixed, so that each of several devices gets a part of every class
        return self.images[np.random.default_rng([self.seed, step, 2]).permutation(rows)]

    def _rows(self, c, begin, count):
        """Return the samples number `begin` to `begin + count` of the permutations of a class."""
        rounds, places = np.divmod(np.arange(begin, begin + count), len(self.rows_of_class[c]))
        return np.array([self._permutation_of(c, r)[i] for r, i in zip(rounds, places, strict=True)])

    def _permutation_of(self, c, number):
        if (c, number) not in self._permutations:
            for old in [key for key in self._permutations if key[0] == c and key[1] < number - 1]:
                del self._permutations[old]
            rng = np.random.default_rng([self.seed, number, 3 + c])
            self._permutations[c, number] = rng.permutation(self.rows_of_class[c])
        return self._permutations[c, number]
