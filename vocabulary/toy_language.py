"""A language whose lexicon is known, and two corpora of it: one of a domain, one general.

The 400 symbols are Chinese characters without their meaning. A sentence of everyday speech, of a technical report or of
academic talk has words of its kind and, between them, function characters. The domain has all three kinds, the general
corpus is everyday speech with a little of the others. So academic words are frequent in the domain and are no terms:
contrast alone cannot tell them from terms.
"""

from typing import NamedTuple

import numpy as np

SYMBOLS, FUNCTION = 400, 20  # symbols of the language; how many of them are function characters
WORDS = {"general": 300, "terms": 80, "academic": 60}
SENTENCES = 8000  # of each corpus
LENGTH = 8  # words of a sentence
# kind of sentence -> share of the kinds of words in it; kind of corpus -> share of the kinds of sentences
MIXTURES = {
    "everyday": {"general": 1.0, "terms": 0.0, "academic": 0.0},
    "report": {"general": 0.3, "terms": 0.7, "academic": 0.0},
    "talk": {"general": 0.4, "terms": 0.0, "academic": 0.6},
}
CORPORA = {
    "domain": {"everyday": 0.3, "report": 0.4, "talk": 0.3},
    "general": {"everyday": 0.8725, "report": 0.0075, "talk": 0.12},
}
FUNCTION_SHARE = 0.3  # probability of a function character after a word
RANK_OFFSET = 20  # the larger, the more alike are the frequencies of words


class Language(NamedTuple):
    """The lexicon of a language: lists of words, and its function characters."""

    general: list
    terms: list
    academic: list
    function: list

    @property
    def words(self):
        """The words of more than one symbol."""
        return [*self.general, *self.terms, *self.academic]


def make_language(seed=0):
    """Return a `Language`: words of 2 to 4 symbols, all different."""
    rng = np.random.default_rng([seed, 0])
    symbols = [chr(0x4E00 + int(i)) for i in rng.choice(4000, SYMBOLS, replace=False)]
    letters, words = symbols[FUNCTION:], {}
    while len(words) < sum(WORDS.values()):
        length = rng.choice([2, 3, 4], p=[0.5, 0.3, 0.2])
        words["".join(letters[i] for i in rng.integers(len(letters), size=length))] = None
    words, ends = list(words), np.cumsum(list(WORDS.values()))
    return Language(words[: ends[0]], words[ends[0] : ends[1]], words[ends[1] :], symbols[:FUNCTION])


def write_corpus(language, kind, sentences=SENTENCES, seed=0):
    """Return sentences of a language, list of str.

    Words of a kind have the frequencies 1 / (rank + RANK_OFFSET).

    Args:
        language: `Language`.
        kind: "domain" or "general".
        sentences: int.
        seed: int.
    """
    rng = np.random.default_rng([seed, 1 + list(CORPORA).index(kind)])
    sentence_kinds = rng.choice(len(MIXTURES), size=sentences, p=list(CORPORA[kind].values()))
    shares = np.array([list(mixture.values()) for mixture in MIXTURES.values()])[sentence_kinds]
    word_kinds = (rng.random((sentences, LENGTH, 1)) > shares.cumsum(1)[:, None]).sum(-1)
    words = np.empty(word_kinds.shape, object)
    for i, name in enumerate(WORDS):
        lexicon = np.array(getattr(language, name), object)
        p = 1 / (np.arange(len(lexicon)) + RANK_OFFSET)
        words[word_kinds == i] = rng.choice(lexicon, int((word_kinds == i).sum()), p=p / p.sum())
    between = np.array(["", *language.function], object)
    p = [1 - FUNCTION_SHARE, *[FUNCTION_SHARE / FUNCTION] * FUNCTION]
    function = rng.choice(between, words.shape, p=p)
    return ["".join(row) for row in (words + function)]
