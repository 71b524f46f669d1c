"""Texts as numbers of tokens: for the pre-training, with its masks, and for the tasks."""

from typing import NamedTuple

import numpy as np

from common.data.batches import EndlessBatches

PAD, MASK, CLS, SEP, UNKNOWN = range(5)
FIRST = 5  # the first number of a symbol
SHARE = 0.15  # of the symbols that are predicted, as in BERT
REPLACED, RANDOM = 0.8, 0.1  # of these, what becomes [MASK], and what becomes any symbol; the rest stays


class Task(NamedTuple):
    """Examples of one task: rows of tokens, and the labels of some positions.

    Args:
        train: int32 (n, length + labels), token numbers and then labels.
        valid: int32 (m, length + labels).
        test: int32 (k, length + labels).
        outputs: int, number of labels that there are.
        first: int, position of the first label; the others follow.
        source: int, length of the part that is given if the rest is generated (UniLM mask); None else.
    """

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    outputs: int
    first: int
    source: int | None


class Data(NamedTuple):
    """What an encoder is trained on.

    Args:
        unlabelled: int32 (n, length), rows of token numbers for the pre-training.
        held_out: int32 (m, length), rows on which the pre-training is measured.
        vocabulary: int, number of tokens.
        tasks: dict name -> `Task`.
    """

    unlabelled: np.ndarray
    held_out: np.ndarray
    vocabulary: int
    tasks: dict


def masked_count(length):
    """Return how many tokens of a row may be predicted."""
    return max(1, round(SHARE * length))


def mask_tokens(ids, vocabulary, rng):
    """Hide some symbols of each row, 15 % of them and at least one.

    Args:
        ids: int32 (n, length), token numbers.
        vocabulary: int, number of tokens.
        rng: `numpy.random.Generator`.

    Returns:
        int32 (n, length + 2 m), m from `masked_count`: the rows with hidden symbols, m positions, and the tokens that
        stood there, -1 where a row has fewer to predict.
    """
    n, length = ids.shape
    m = masked_count(length)
    is_symbol = ids >= FIRST
    positions = np.argsort(np.where(is_symbol, rng.random(ids.shape), 2), axis=1)[:, :m]
    count = np.maximum(1, np.round(SHARE * is_symbol.sum(1, keepdims=True)))
    chosen = (np.arange(m) < count) & np.take_along_axis(is_symbol, positions, 1)
    old = np.take_along_axis(ids, positions, 1)
    choice = rng.random((n, m))
    new = np.where(choice < REPLACED + RANDOM, rng.integers(FIRST, vocabulary, (n, m)), old)
    new = np.where(chosen, np.where(choice < REPLACED, MASK, new), old)
    hidden = ids.copy()
    np.put_along_axis(hidden, positions, new, 1)
    return np.concatenate([hidden, positions, np.where(chosen, old, -1)], 1).astype("int32")


class MaskedBatches(EndlessBatches):
    """Endless batches of rows of tokens, masked anew in every step by `mask_tokens`.

    Args:
        images: int32 (N, length), token numbers, see `EndlessBatches`.
        batch_size: int, rows per batch.
        vocabulary: int, number of tokens.
        *args: seed, start and the others of `EndlessBatches`.
        **kwargs: the same.
    """

    def __init__(self, images, batch_size, *args, vocabulary, **kwargs):
        super().__init__(images, batch_size, *args, **kwargs)
        self.vocabulary = vocabulary

    def __getitem__(self, idx):
        rng = np.random.default_rng([self.seed, self.start + idx, 2])
        return mask_tokens(super().__getitem__(idx), self.vocabulary, rng)
