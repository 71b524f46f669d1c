"""A grammar of couplets, drawn by code, of which the best possible answer is known.

An upper line is a key character and two to five words of two characters. The lower line answers the key, and each word
with its partner. But the last word has two partners, and the key, up to ten characters away, says which one. Words of
one class share few characters, so a character alone does not tell its word. Now and then a lower word is another one.
"""

import numpy as np

CLASSES, WORDS = 10, 12  # classes of words, words in a class
CHARACTERS = 7  # of the upper words of a class at each of the two places, and of the lower words
KEYS = 6  # keys; the first half asks for the first partner of the last word
NUMBERS_OF_WORDS = (2, 3, 4, 5)  # in a line; its length is 1 + 2 times that
NOISE = 0.02  # probability that a lower word is a random one of its class
TRAINING, TEST = 20_000, 2_000  # couplets
TRAINING_SEED, TEST_SEED = 0, 1
LONGEST = 1 + 2 * NUMBERS_OF_WORDS[-1]


class Grammar:
    """The words of the grammar, as numbers of characters from 1 on. They are the same in every run.

    Attributes:
        upper: int (classes, words, 2), the upper words.
        lower: int (2, classes, words, 2), the partners of each for either kind of key.
        keys: int (keys, 2), the keys and their answers.
        size: int, number of characters, with 0, the unknown one.
    """

    def __init__(self):
        rng, self.size = np.random.default_rng(6270), 1
        # neighbouring classes share characters
        pools = self._new(CLASSES * 4)
        self.upper = np.stack([self._words(rng, pools, 4 * i) for i in range(CLASSES)])
        pools = self._new(CLASSES * 4)
        self.lower = np.stack([[self._words(rng, pools, 4 * i) for i in range(CLASSES)] for _ in range(2)])
        self.keys = np.stack([self._new(KEYS), self._new(KEYS)], 1)

    def _new(self, n):
        self.size += n
        return np.arange(self.size - n, self.size)

    @staticmethod
    def _words(rng, pool, start):
        """Return the words of one class, (words, 2): different pairs of its characters."""
        own = np.take(pool, range(start, start + CHARACTERS), mode="wrap")
        numbers = rng.choice(CHARACTERS**2, WORDS, replace=False)
        return np.stack([own[numbers // CHARACTERS], own[numbers % CHARACTERS]], 1)

    def characters(self):
        """Return a str with a Chinese character for each number; the first stands for the unknown one."""
        return "\ufffd" + "".join(chr(0x4E00 + 7 * i) for i in range(1, self.size))


def write_couplets(n, seed):
    """Return (couplets, answers with and without the key).

    Args:
        n: int.
        seed: int or list of ints.

    Returns:
        Tuple of int32 arrays: couplets (n, 2, 11), -1 after the end of a line; and the lower lines without noise
        (2, n, 11), with the right partner of the last word, and with the other one.
    """
    grammar, rng = Grammar(), np.random.default_rng(seed)
    couplets, answers = np.full((n, 2, LONGEST), -1, "int32"), np.full((2, n, LONGEST), -1, "int32")
    numbers, keys = rng.choice(NUMBERS_OF_WORDS, n), rng.integers(KEYS, size=n)
    kinds = (keys >= KEYS // 2).astype(int)
    couplets[:, :, 0], answers[:, :, 0] = grammar.keys[keys], grammar.keys[keys, 1]
    for i in range(NUMBERS_OF_WORDS[-1]):
        rows = np.flatnonzero(numbers > i)
        cls, word = rng.integers(CLASSES, size=len(rows)), rng.integers(WORDS, size=len(rows))
        is_last = numbers[rows] == i + 1
        place = slice(1 + 2 * i, 3 + 2 * i)
        kind = np.where(is_last, kinds[rows], 0)
        noise = rng.random(len(rows)) < NOISE
        said = np.where(noise, rng.integers(WORDS, size=len(rows)), word)
        couplets[rows, 0, place] = grammar.upper[cls, word]
        couplets[rows, 1, place] = grammar.lower[kind, cls, said]
        answers[0, rows, place] = grammar.lower[kind, cls, word]
        answers[1, rows, place] = grammar.lower[np.where(is_last, 1 - kind, 0), cls, word]
    return couplets, answers


def best_answers(couplets):
    """Return the best lower lines that can be known from each upper line, with the key and without it, int (2, n, 11).

    Each word gets its most probable partner. Two classes may have a word in common, with different partners: so even
    with the key no answer is sure. Of partners that are equally likely the first is taken.

    Args:
        couplets: int (n, 2, 11), -1 after the end of a line; only the upper lines are looked at.
    """
    grammar = Grammar()
    chances = {}  # (characters of an upper word, kind of the key) -> chances of the lower characters, (2, characters)
    for kind, cls, word in np.ndindex(2, CLASSES, WORDS):
        chance = chances.setdefault((*grammar.upper[cls, word].tolist(), kind), np.zeros((2, grammar.size)))
        # decides between partners that are equally likely, and so that both characters are of one of them
        tie = (0.02 - 0.01 * kind) * (not chance.any())
        for place, partners in enumerate(grammar.lower[kind, cls].T):
            chance[place, partners[word]] += 1 - NOISE + tie
            np.add.at(chance[place], partners, NOISE / WORDS)
    key_of = {upper: i for i, upper in enumerate(grammar.keys[:, 0].tolist())}
    answers = np.full((2, *couplets[:, 0].shape), -1, "int32")
    for row, upper in enumerate(couplets[:, 0].tolist()):
        key, end = key_of[upper[0]], sum(c >= 0 for c in upper)
        answers[:, row, 0] = grammar.keys[key, 1]
        for i in range(1, end, 2):
            of_kinds = [chances[(*upper[i : i + 2], kind)] for kind in (0, 1)]
            is_last = i + 2 == end
            answers[0, row, i : i + 2] = of_kinds[is_last and key >= KEYS // 2].argmax(1)
            answers[1, row, i : i + 2] = (sum(of_kinds) if is_last else of_kinds[0]).argmax(1)
    return answers


def ceilings(couplets, best):
    """Return the accuracy of the best answers with the key and without it, by number of words.

    Args:
        couplets: int (n, 2, 11).
        best: int (2, n, 11), their `best_answers`.

    Returns:
        dict number of words -> (accuracy of the last word's characters with the key, and without it).
    """
    lengths = (couplets[:, 0] >= 0).sum(1)
    result = {}
    for n in NUMBERS_OF_WORDS:
        rows = lengths == 1 + 2 * n
        right = best[:, rows, 2 * n - 1 : 2 * n + 1] == couplets[rows, 1, 2 * n - 1 : 2 * n + 1]
        result[n] = tuple(right.mean((1, 2)).tolist())
    return result


def whole_ceilings(couplets, best):
    """Return what the best answers with the key and without it reach on all couplets together, as `ceilings` does.

    Args:
        couplets: int (n, 2, 11).
        best: int (2, n, 11), their `best_answers`.

    Returns:
        dict "ceiling" and "ceiling without the key" -> {"top-1": share of characters, "whole lines": share of lines}.
    """
    there = couplets[:, 1] >= 0
    right = best == couplets[:, 1]
    scores = zip(right[:, there].mean(1).tolist(), (right | ~there).all(2).mean(1).tolist(), strict=True)
    names = ("ceiling", "ceiling without the key")
    return {
        name: dict(zip(("top-1", "whole lines"), score, strict=True)) for name, score in zip(names, scores, strict=True)
    }
