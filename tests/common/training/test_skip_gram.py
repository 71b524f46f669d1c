"""Pairs of neighbours and noise words of skip-gram."""

import numpy as np
import pytest

from common.errors import UserError
from common.training.skip_gram import NoiseWords, neighbour_pairs, noise
from word_vectors.corpus import count_pairs


def test_pairs_and_their_counts_by_hand():
    ids, texts = np.array([0, 1, 2, 0, 1]), np.array([0, 0, 0, 1, 1])
    assert count_pairs(neighbour_pairs(ids, texts, 1), 3).tolist() == [[0, 2, 0], [2, 0, 1], [0, 1, 0]]
    assert count_pairs(neighbour_pairs(ids, texts, 2), 3).tolist() == [[0, 2, 1], [2, 0, 1], [1, 1, 0]]
    assert neighbour_pairs(ids, texts, 9).dtype == np.int32
    with pytest.raises(UserError, match="no text has two words"):
        neighbour_pairs(np.arange(4), np.arange(4), 3)


def test_noise_is_that_of_word2vec():
    assert noise(np.array([1.0, 16.0])) == pytest.approx([1 / 9, 8 / 9])


def test_noise_words_come_with_their_probabilities():
    layer, other = (NoiseWords([0.5, 0.0, 0.2, 0.3], 20, seed=seed) for seed in (1, 2))
    words = np.asarray(layer(np.zeros(5000)))
    assert words.shape == (5000, 20) and not np.array_equal(words, np.asarray(other(np.zeros(5000))))
    assert np.bincount(words.ravel(), minlength=4) / words.size == pytest.approx([0.5, 0, 0.2, 0.3], abs=0.01)
