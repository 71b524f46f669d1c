"""The toy language, the vocabulary and the pairs of words (article 6191)."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from common.errors import UserError
from word_vectors import corpus as c
from word_vectors import toy_language


def test_language_has_the_pairs_that_it_says():
    texts, topics = toy_language.write_texts(40_000)
    n = len(toy_language.WORDS)
    assert n == 100 == len(set(toy_language.WORDS)) and texts.shape == (40_000, 12)
    truth = toy_language.pair_probabilities()
    assert truth.sum() == pytest.approx(1) and truth == pytest.approx(truth.T)
    counts = np.bincount(texts[:, 0] * n + texts[:, 7], minlength=n * n).reshape(n, n)  # any two places will do
    spread = np.sqrt(40_000 * truth * (1 - truth))
    z = (counts - 40_000 * truth) / spread
    assert abs(z.mean()) < 0.05 and z.std() == pytest.approx(1, abs=0.05) and np.abs(z).max() < 8
    assert np.bincount(topics) == pytest.approx(np.full(6, 40_000 / 6), rel=0.05)


def test_twins_keep_the_same_company_but_do_not_meet():
    truth, place = toy_language.pair_probabilities(), {word: i for i, word in enumerate(toy_language.WORDS)}
    given = truth / truth.sum(1, keepdims=True)
    lorry, truck, car, soup = (place[word] for word in ("lorry", "truck", "car", "soup"))
    others = [i for i in range(100) if i not in (lorry, truck)]
    assert given[lorry, others] == pytest.approx(given[truck, others])
    assert truth[lorry, truck] < 0.1 * truth[lorry, car] and truth[lorry, soup] < 0.1 * truth[lorry, car]
    assert not np.array_equal(toy_language.write_texts(9, 0)[0], toy_language.write_texts(9, 1)[0])


@pytest.fixture
def texts(tmp_path):
    """A function that writes a csv file and returns the data set's name."""

    def write(rows, header="review"):
        (tmp_path / "a.csv").write_text("\n".join([header, *rows]) + "\n")
        return f"text:{tmp_path / 'a.csv'}"

    return write


def test_corpus_counts_words_by_frequency_and_leaves_out_what_is_no_word(texts):
    name = texts(["b a b ， B! c 7", "a . once", "c a b"])
    corpus = c.load_corpus(name, "blanks", 10)
    assert corpus.words == ["b", "a", "c"]  # "b!" and "once" occur once; "7" and "，" are no words
    assert [corpus.words[i] for i in corpus.ids] == ["b", "a", "b", "c", "a", "c", "a", "b"]
    assert corpus.texts.tolist() == [0, 0, 0, 0, 1, 2, 2, 2] and corpus.categories is None
    assert c.load_corpus(name, "blanks", 2).words == ["b", "a"]
    assert c.load_corpus(name, "blanks", 10, limit=2).words == ["b", "a"]


def test_characters_and_categories(texts):
    corpus = c.load_corpus(texts(["书,好书书。", "酒店,好店 好"], "cat,review"), "characters", 10)
    assert (
        corpus.words == ["好", "书"]
        and corpus.category_names == ["书", "酒店"]
        and corpus.categories.tolist() == [0, 1]
    )


def test_one_category_is_none(texts):
    assert c.load_corpus(texts(["书,好书书", "书,好店"], "cat,review"), "characters", 10).categories is None


def test_words_by_jieba_or_one_line(texts, monkeypatch):
    stub = SimpleNamespace(setLogLevel=lambda level: None, lcut=lambda text: [text[:2], text[2:]])
    monkeypatch.setitem(sys.modules, "jieba", stub)
    assert c.load_corpus(texts(["酒店很好", "酒店很好"]), "words", 10).words == ["酒店", "很好"]
    monkeypatch.setitem(sys.modules, "jieba", None)
    with pytest.raises(UserError, match=r'pip install -e "\.\[text\]"`, or give --tokens characters'):
        c.load_corpus(texts(["酒店很好"]), "words", 10)


def test_too_little_text_is_one_line(texts):
    with pytest.raises(UserError, match="has 0 words that occur more than once"):
        c.load_corpus(texts(["a b c"]), "blanks", 10)


def test_frequent_words_are_thinned_as_in_word2vec(texts, monkeypatch):
    frequencies = np.repeat([1e-5, 4e-4, 1e-2], 20_000)
    stay = c.thinned(frequencies, 0).reshape(3, -1).mean(1)
    assert stay[0] == 1 and stay[1:] == pytest.approx([0.5, 0.1], abs=0.01)
    monkeypatch.setattr(c, "LARGE", 100)
    rows = ["a a a b"] * 25
    assert (
        len(c.load_corpus(texts(rows), "blanks", 9).ids)
        < 20
        < 96
        == len(c.load_corpus(texts(rows[:24]), "blanks", 9).ids)
    )


def test_shown_words_are_typical_of_their_category():
    corpus = c.load_corpus(c.LANGUAGE, "blanks", 100, limit=3000)
    numbers, categories = c.shown_words(corpus, 12, 100)
    assert len(numbers) == len(set(numbers)) == 72
    for category, (common, pairs) in enumerate(toy_language.TOPICS.values()):
        shown = {corpus.words[i] for i, k in zip(numbers, categories, strict=True) if k == category}
        assert len(shown) == 12 and shown <= {*common.split(), *pairs.replace("/", " ").split()}
    alike = corpus._replace(categories=np.arange(3000) % 2, category_names=["a", "b"])  # nothing is typical of them
    assert c.shown_words(alike, 12, 30)[0][:2] == [0, 3] and c.shown_words(alike, 12, 30)[1] is None
    without = corpus._replace(categories=None, category_names=[])
    assert c.shown_words(without, 12, 30)[0][:2] == [0, 3] and len(c.shown_words(without, 12, 30)[0]) == 30
