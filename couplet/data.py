"""Couplets as numbers of characters."""

from collections import Counter
from typing import NamedTuple

import numpy as np

from common.data.couplets import read_couplets
from common.data.text import find_text
from common.errors import UserError
from common.streams import stage
from couplet import grammar

GRAMMAR = "grammar"  # the data set that `couplet.grammar` draws
LONGEST = 16  # characters of a line; longer ones are left out, as in the article
UNKNOWN = "\ufffd"  # character number 0: every character that occurs once
MOST_TEST = 3000  # couplets for measuring
N_NAMED = 3
LEAST_ALPHABET = 3  # the unknown character, one to stand above and one to answer it
MAX_LINE = 64  # characters of a line that a network can take


class Couplets(NamedTuple):
    """Couplets for training and for measuring.

    Args:
        train: int32 (n, 2, longest), upper and lower lines as numbers of characters, -1 after the end.
        test: int32 (m, 2, longest).
        alphabet: str, the character of each number; number 0 is the unknown one.
    """

    train: np.ndarray
    test: np.ndarray
    alphabet: str


@stage("reading the couplets")
def load_couplets(dataset, data_dir=None, limit=None):
    """Return the `Couplets` of a data set.

    Lines of unequal length are skipped, counted and named in a printed line; so are those of more than 16 characters.
    A character that occurs once in the training lines is unknown. The couplets for measuring are those of the folder
    `test`, at most 3000; without one they are a twentieth of the different ones, drawn by lot, and no copy of them is
    trained on.

    Args:
        dataset: str, "grammar", "couplet" or "text:PATH".
        data_dir: folder of the user's downloads (default none).
        limit: int, train on the first couplets only (default all).

    Raises:
        UserError: if the source is missing or damaged, holds too few couplets, or more than half of them cannot be
            used.
    """
    if dataset == GRAMMAR:
        train, test = (
            grammar.write_couplets(limit or grammar.TRAINING, grammar.TRAINING_SEED)[0],
            grammar.write_couplets(grammar.TEST, grammar.TEST_SEED)[0],
        )
        return Couplets(train, test, grammar.Grammar().characters())
    parts = {"train": [], "test": []}
    for folder, upper, lower in usable(read_couplets(find_text(dataset, data_dir)), dataset):
        parts["test" if folder.rpartition("/")[2] == "test" else "train"].append((upper, lower))
    train, test = parts["train"] or parts["test"], parts["test"]
    if not test or not parts["train"]:
        different = list(dict.fromkeys(train))
        lot = np.random.default_rng(0).permutation(len(different))[: max(1, len(different) // 20)]
        test = [different[i] for i in lot]
        held_out = set(test)
        train = [couplet for couplet in train if couplet not in held_out]
    if not train:
        raise UserError(f"{dataset} has one couplet: give at least two different ones")
    train, test = train[:limit], test[:MOST_TEST]
    counts = Counter(c for couplet in train for line in couplet for c in line)
    known = sorted((c for c, count in counts.items() if count > 1), key=lambda c: (-counts[c], c))
    alphabet = UNKNOWN + "".join(known)
    if len(alphabet) < LEAST_ALPHABET:
        raise UserError(f"{dataset} has fewer than two characters that occur twice: give more couplets")
    return Couplets(to_numbers(train, alphabet), to_numbers(test, alphabet), alphabet)


def usable(couplets, dataset):
    """Return the couplets of two equal lengths up to 16, and print how many are skipped and which.

    Raises:
        UserError: if more than half of them are skipped.
    """
    good, bad = [], []
    for folder, upper, lower in couplets:
        if len(upper) == len(lower) <= LONGEST:
            good.append((folder, upper, lower))
        else:
            bad.append(f"{upper[:12]} / {lower[:12]} ({len(upper)} and {len(lower)} characters)")
    more = f", and {len(bad) - N_NAMED} more" * (len(bad) > N_NAMED)
    told = f"{len(bad)} of {len(couplets)} couplets: {', '.join(bad[:N_NAMED])}{more}"
    if len(bad) > len(good):
        raise UserError(f"{dataset} cannot be used for {told}: two lines need equal lengths of at most {LONGEST}")
    if bad:
        print(f"skipped {told}", flush=True)
    return good


def to_numbers(couplets, alphabet):
    """Return pairs of lines as numbers of characters, int32 (n, 2, longest), -1 after the end of a line."""
    number = {c: i for i, c in enumerate(alphabet)}
    longest = max(len(upper) for upper, _ in couplets)
    array = np.full((len(couplets), 2, longest), -1, "int32")
    for row, couplet in zip(array, couplets, strict=True):
        for half, line in zip(row, couplet, strict=True):
            half[: len(line)] = [number.get(c, 0) for c in line]
    return array


def by_length(couplets):
    """Yield (row numbers, couplets (n, 2, length)) for each length of line."""
    lengths = (couplets[:, 0] >= 0).sum(1)
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        yield rows, couplets[rows][..., :length]
