"""Tables of counts that answer a line: the character below, and the character below with its two neighbours."""

import numpy as np

PAD = -1
STRENGTHS = (1, 3, 10, 30, 100, 300, 1000)  # how many counts the coarser table weighs


class CountTables:
    """Smoothed tables p(y), p(y | x) and p(y | left, x, right) of the characters y below x.

    Each table is drawn towards the coarser one: p(y | c) = (n(c, y) + s q(y)) / (n(c) + s), with q the coarser one and
    the strength s that gives the last twentieth of the training couplets the highest probability.

    Args:
        couplets: int (n, 2, longest), -1 after the end of a line.
        characters: int, size of the alphabet.
    """

    def __init__(self, couplets, characters):
        self.characters = characters
        n = max(1, len(couplets) // 20)
        self._count(couplets[:-n] if len(couplets) > n else couplets)
        self.strengths = [1, 1]
        for i in (0, 1):
            trials = {}
            for s in STRENGTHS:
                self.strengths[i] = s
                trials[s] = self.log_probability(couplets[-n:], i).mean()
            self.strengths[i] = max(trials, key=trials.get)
        self._count(couplets)

    def _contexts(self, upper):
        """Return the contexts of each character of upper lines (n, longest): (x, (left, x, right)) as int64."""
        wide = np.pad(upper.astype("int64"), ((0, 0), (1, 1)), constant_values=PAD) + 1
        base = self.characters + 1
        return upper.astype("int64"), (wide[:, :-2] * base + wide[:, 1:-1]) * base + wide[:, 2:]

    def _count(self, couplets):
        upper, lower = couplets[:, 0], couplets[:, 1]
        is_there, y = upper >= 0, lower[upper >= 0].astype("int64")
        self.prior = (np.bincount(y, minlength=self.characters) + 1.0) / (len(y) + self.characters)
        self.tables = []
        for context in self._contexts(upper):
            keys, inverse = np.unique(context[is_there], return_inverse=True)
            pairs, counts = np.unique(inverse * self.characters + y, return_counts=True)
            self.tables.append((keys, np.bincount(inverse), pairs, counts))

    def log_probability(self, couplets, order):
        """Return log p of each character of the lower lines, (characters,).

        Args:
            couplets: int (n, 2, longest).
            order: int, 0 for the table of the character above, 1 for that of its neighbours too.
        """
        upper, lower = couplets[:, 0], couplets[:, 1]
        is_there = upper >= 0
        y = lower[is_there].astype("int64")
        p = self.prior[y]
        for (keys, totals, pairs, counts), context, s in list(
            zip(self.tables, self._contexts(upper), self.strengths, strict=True)
        )[: order + 1]:
            where, known = _find(keys, context[is_there])
            pair, seen = _find(pairs, where * self.characters + y)
            p = (np.where(known & seen, counts[pair], 0) + s * p) / (np.where(known, totals[where], 0) + s)
        return np.log(p)

    def distribution(self, line, order):
        """Return p(y) at each position of an upper line (length,), (length, characters); `order` as above."""
        p = np.tile(self.prior, (len(line), 1))
        for (keys, totals, pairs, counts), context, s in list(
            zip(self.tables, self._contexts(np.asarray(line)[None]), self.strengths, strict=True)
        )[: order + 1]:
            where, known = _find(keys, context[0])
            for i in np.flatnonzero(known):
                first, last = np.searchsorted(pairs, [where[i] * self.characters, (where[i] + 1) * self.characters])
                n = np.zeros(self.characters)
                n[pairs[first:last] - where[i] * self.characters] = counts[first:last]
                p[i] = (n + s * p[i]) / (totals[where[i]] + s)
        return p


def _find(keys, values):
    """Return (place of each value in sorted keys, whether it is there)."""
    place = np.minimum(np.searchsorted(keys, values), len(keys) - 1)
    return place, keys[place] == values
