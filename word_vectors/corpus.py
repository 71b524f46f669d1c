"""Texts as numbers: words, the vocabulary, and the pairs of words that stand near each other."""

import warnings
from typing import NamedTuple

import numpy as np

from common.data.text import find_text, read_texts
from common.errors import UserError
from common.streams import stage
from word_vectors import toy_language

LANGUAGE = "language"  # the data set that `word_vectors.toy_language` draws
TOKENS = ("words", "characters", "blanks")
FREQUENT = 1e-4  # word2vec's threshold: more frequent words of real texts are thinned out,
LARGE = 100_000  # if the texts have so many words; of less none can be spared
LANGUAGE_TEXTS = 20_000
TYPICAL = 2.0  # a word is typical of a category in which it is more than twice as frequent as in all


class Corpus(NamedTuple):
    """A corpus in which each word of the vocabulary has a number; rarer words are left out.

    Args:
        words: the vocabulary, the most frequent word first.
        ids: int32 (n,), all words of all texts in order.
        texts: int32 (n,), the number of the text of each word.
        categories: the category of each text, or None if there are less than two or not all texts have one.
        category_names: list of str; [] without categories.
    """

    words: list
    ids: np.ndarray
    texts: np.ndarray
    categories: np.ndarray | None
    category_names: list


@stage("reading the texts")
def load_corpus(dataset, tokens, vocabulary, data_dir=None, limit=None, seed=0):
    """Return the `Corpus` of a data set.

    Args:
        dataset: str, "language", a name of `common.data.text.TEXTS` or "text:PATH".
        tokens: "words" of Chinese, found by jieba; "characters"; or "blanks": the texts are divided by blanks already.
        vocabulary: int, largest number of different words. Of real texts, words that occur once are left out.
        data_dir: folder of the user's downloads (default none).
        limit: int, use only the first texts (default all).
        seed: int, for the texts of the language and the thinning of frequent words.

    Raises:
        UserError: if jieba is missing, or less than two words are left.
    """
    if dataset == LANGUAGE:
        ids, topics = toy_language.write_texts(limit or LANGUAGE_TEXTS, seed)
        texts = np.repeat(np.arange(len(ids), dtype="int32"), ids.shape[1])
        names = list(toy_language.TOPICS)
        return Corpus(list(toy_language.WORDS), ids.reshape(-1).astype("int32"), texts, topics, names)
    split = splitter(tokens)
    number, ids, lengths, categories = {}, [], [], []
    for i, record in enumerate(read_texts(find_text(dataset, data_dir))):
        if i == limit:
            break
        words = [word for word in split(record.text.lower()) if any(c.isalpha() for c in word)]
        ids += [number.setdefault(word, len(number)) for word in words]
        lengths.append(len(words))
        categories.append(record.category)
    ids, texts = np.array(ids, "int64"), np.repeat(np.arange(len(lengths)), lengths)
    counts = np.bincount(ids, minlength=len(number))
    numbers = [i for i in np.argsort(-counts, kind="stable")[:vocabulary] if counts[i] > 1]
    if len(numbers) < 2:
        raise UserError(f"{dataset} has {len(numbers)} words that occur more than once: give a longer text")
    rank = np.full(len(number), -1, "int32")
    rank[numbers] = np.arange(len(numbers))
    keep = rank[ids] >= 0
    if len(ids) >= LARGE:
        keep &= thinned(counts[ids] / len(ids), seed)
    all_words = list(number)
    names = sorted(set(categories)) if all(categories) and len(set(categories)) > 1 else []
    categories = np.array([names.index(c) for c in categories]) if names else None
    words = [all_words[i] for i in numbers]
    return Corpus(words, rank[ids[keep]], texts[keep].astype("int32"), categories, names)


def splitter(tokens):
    """Return the function of a text that returns its list of words, characters or parts between blanks.

    Raises:
        UserError: for words, if jieba is not installed.
    """
    if tokens != "words":
        return list if tokens == "characters" else str.split
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # jieba 0.42 is older than this Python
            import jieba
    except ImportError:
        raise UserError(
            'words of Chinese are found by jieba, which is not installed: `.venv/bin/pip install -e ".[text]"`, or '
            "give --tokens characters"
        ) from None
    jieba.setLogLevel(60)  # it would report how it loads its dictionary
    return jieba.lcut


def thinned(frequencies, seed):
    """Return which words stay, bool (n,): of a word with frequency f, the share sqrt(t / f) for f above t = FREQUENT.

    Args:
        frequencies: (n,) of each word of the corpus, in the order of the texts.
        seed: int.
    """
    return np.random.default_rng(seed).random(len(frequencies)) < np.sqrt(FREQUENT / frequencies)


def count_pairs(pairs, n):
    """Return how often each pair occurs, float64 (n, n), for pairs (m, 2) of n words."""
    flat = np.bincount(pairs[:, 0].astype("int64") * n + pairs[:, 1], minlength=n * n)
    return flat.reshape(n, n).astype("float64")


def lift(corpus):
    """Return p(word | category) / p(word), (categories, words): how typical each word is of each category."""
    counts = np.zeros((len(corpus.category_names), len(corpus.words)))
    np.add.at(counts, (corpus.categories[corpus.texts], corpus.ids), 1)
    smooth = counts + 1
    of_category = smooth / smooth.sum(1, keepdims=True)
    return of_category / (smooth.sum(0) / smooth.sum())


def shown_words(corpus, per_category, at_all):
    """Return the numbers of the words to show: the most typical frequent ones of each category, each word once.

    Without categories, or if no word is typical, they are spread evenly over the 400 most frequent words.

    Args:
        corpus: `Corpus`.
        per_category: int.
        at_all: int, how many without categories.

    Returns:
        (list of numbers, list of the category of each, or None without categories).
    """
    frequent = min(len(corpus.words), 1500)
    lifts = np.zeros((0, frequent)) if corpus.categories is None else lift(corpus)[:, :frequent]
    chosen, categories = [], []
    for category, row in enumerate(lifts):
        own = [i for i in np.argsort(-row, kind="stable") if lifts[:, i].argmax() == category and row[i] > TYPICAL]
        own = sorted(own[: 3 * per_category])[:per_category]  # of the most typical words the frequent ones
        chosen += own
        categories += [category] * len(own)
    if len(chosen) < 2:
        chosen = np.unique(np.linspace(0, min(frequent, 400) - 1, at_all).astype(int)).tolist()
        categories = None
    return chosen, categories
