"""Strings of nested brackets with agreement, drawn by code, and three tasks on them, from easy to generative.

A phrase is an opening bracket, a noun, more of the same, a verb and the closing bracket of that kind. The verb has the
class of the noun, however far away that is. Between phrases stand other words. So hidden tokens can be told from the
rest, but not from their neighbours alone.
"""

import numpy as np

from albert.tokens import CLS, FIRST, SEP, Data, Task

KINDS, CLASSES, WORDS, OTHERS = 4, 4, 3, 3  # brackets, classes of nouns, words of a class, words between phrases
OPEN, CLOSE = FIRST, FIRST + KINDS
NOUN = CLOSE + KINDS
VERB = NOUN + CLASSES * WORDS
OTHER = VERB + CLASSES * WORDS
VOCABULARY = OTHER + OTHERS  # 40
MAX_DEPTH = 8
UNLABELLED = 20_000  # strings for the pre-training
PHRASE = 0.6  # probability that a phrase begins where there is room for it


def write_string(length, rng):
    """Return one string of the grammar, a list of token numbers of exactly this length."""
    words, room = [], length

    def fill(room, depth):
        while room:
            if room >= 4 and depth < MAX_DEPTH and rng.random() < PHRASE:
                inside = int(rng.integers(0, room - 3))
                kind, cls = int(rng.integers(KINDS)), int(rng.integers(CLASSES)) * WORDS
                words.extend((OPEN + kind, NOUN + cls + int(rng.integers(WORDS))))
                fill(inside, depth + 1)
                words.extend((VERB + cls + int(rng.integers(WORDS)), CLOSE + kind))
                room -= 4 + inside
            else:
                words.append(OTHER + int(rng.integers(OTHERS)))
                room -= 1

    fill(room, 0)
    return words


def write_strings(n, length, rng):
    """Return strings of the grammar, int32 (n, length)."""
    return np.array([write_string(length, rng) for _ in range(n)], "int32")


def begin(strings):
    """Return strings with [CLS] before them, int32 (n, length + 1)."""
    return np.pad(strings, ((0, 0), (1, 0)), constant_values=CLS)


def depths(strings):
    """Return how many brackets are open at each token, its own included, (n, length)."""
    opened = (strings >= OPEN) & (strings < OPEN + KINDS)
    closed = (strings >= CLOSE) & (strings < CLOSE + KINDS)
    return np.cumsum(opened, 1) - np.cumsum(closed, 1) + closed


def most_frequent(n, size, rng):
    """Return rows with the kind of bracket that occurs most often, and it alone: int32 (n, size + 1)."""
    rows = []
    while len(rows) < n:
        string = np.array(write_string(size - 1, rng), "int32")
        counts = np.bincount(string, minlength=VOCABULARY)[OPEN : OPEN + KINDS]
        if (counts == counts.max()).sum() == 1:
            rows.append([CLS, *string, counts.argmax()])
    return np.array(rows, "int32")


def tag_depth(n, size, rng):
    """Return rows with the depth of each token: int32 (n, size + size - 1)."""
    strings = write_strings(n, size - 1, rng)
    return np.concatenate([begin(strings), depths(strings)], 1).astype("int32")


def sort_tokens(n, size, rng):
    """Return rows "[CLS] string [SEP] sorted string", padded, with the sorted string as labels: int32."""
    half = half_of(size)
    strings = write_strings(n, half, rng)
    ordered = np.sort(strings, 1)
    rows = np.concatenate([begin(strings), np.full((n, 1), SEP), ordered], 1)
    return np.concatenate([np.pad(rows, ((0, 0), (0, size - rows.shape[1]))), ordered], 1).astype("int32")


def half_of(size):
    """Return the length of a string that fits twice into a row of this size, with [CLS] and [SEP]."""
    return (size - 2) // 2


TASKS = {"most frequent": most_frequent, "depth": tag_depth, "sort": sort_tokens}  # from easy to hard


def load_grammar(size, examples, measured, seed):
    """Return strings for the pre-training and the tasks.

    Args:
        size: int, length of a row in tokens.
        examples: int, labelled examples to train on.
        measured: int, examples to validate on, and as many to test on.
        seed: int, of all that is drawn.

    Returns:
        `albert.tokens.Data`.
    """
    rng = lambda part: np.random.default_rng([seed, part, 7187])
    tasks = {}
    for i, (name, draw) in enumerate(TASKS.items()):
        train, valid, test = (draw(n, size, rng(3 * i + j)) for j, n in enumerate((examples, measured, measured)))
        outputs, first, source = {
            "most frequent": (KINDS, 0, None),
            "depth": (MAX_DEPTH + 1, 1, None),
            "sort": (VOCABULARY, half_of(size) + 1, half_of(size) + 2),
        }[name]
        tasks[name] = Task(train, valid, test, outputs, first, source)
    unlabelled = begin(write_strings(UNLABELLED, size - 1, rng(100)))
    return Data(unlabelled, begin(write_strings(measured, size - 1, rng(101))), VOCABULARY, tasks)
