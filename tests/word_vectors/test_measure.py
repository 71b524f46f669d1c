"""PMI, the optimum of each loss, and the measures of word vectors (article 6191)."""

import numpy as np
import pytest
from keras import ops
from sklearn.metrics.pairwise import cosine_similarity

from common import backend
from common.training.skip_gram import noise
from word_vectors import draw, measure, soft_library, toy_language
from word_vectors.library import visits

COUNTS = np.random.default_rng(0).integers(1, 30, (7, 7)).astype("float64")
COUNTS += COUNTS.T


def test_pointwise_mutual_information_by_hand():
    p = COUNTS / COUNTS.sum()
    by_hand = [[np.log(p[i, j] / (p[i].sum() * p[:, j].sum())) for j in range(7)] for i in range(7)]
    assert measure.information(COUNTS) == pytest.approx(np.array(by_hand))
    independent = np.outer([1, 2, 3], [4, 5, 6])
    assert measure.information(independent) == pytest.approx(np.zeros((3, 3)))
    assert np.isneginf(measure.information(np.array([[0, 1], [1, 2]]))[0, 0])


def test_closeness_of_books_is_compared_with_the_information_of_their_pairs():
    """The marginals of the symmetric pair are not those of the first book."""
    first, next_, _ = visits(0)
    v = np.random.default_rng(0).normal(size=(60, 2))
    joint = first[:, None] * next_
    pmi, others = measure.information(joint + joint.T), ~np.eye(60, dtype=bool)
    closeness = -((v[:, None] - v) ** 2).sum(-1)
    numbers, _ = soft_library.measure(0, v)
    expected = np.corrcoef(closeness[others], pmi[others])[0, 1]
    assert numbers["correlation with PMI"] == pytest.approx(expected)


@pytest.mark.parametrize("k", [1, 5])
def test_negative_sampling_is_lowest_at_the_shifted_information(k):
    """Levy and Goldberg (2014), with any noise: the gradient of the expected loss vanishes there, and nowhere else."""
    joint, q = COUNTS / COUNTS.sum(), noise(COUNTS.sum(0))
    shifted = measure.information(COUNTS, q) - np.log(k)

    weights = [ops.convert_to_tensor(w.astype("float32")) for w in (joint, k * joint.sum(1)[:, None] * q)]

    def expected_loss(scores):
        return ops.sum(weights[0] * ops.softplus(-scores) + weights[1] * ops.softplus(scores))

    slope = lambda s: ops.convert_to_numpy(
        backend.input_gradient(expected_loss, ops.convert_to_tensor(s.astype("float32")))
    )
    assert np.abs(slope(shifted)).max() < 1e-7 < 1e-4 < np.abs(slope(shifted + 0.1)).min()
    assert measure.information(COUNTS, joint.sum(0)) == pytest.approx(measure.information(COUNTS))


def test_softmax_is_lowest_at_the_conditional_probability():
    fit = measure.fit_of_softmax(measure.log_conditional(COUNTS) + 3, np.eye(7), COUNTS, rows=3)
    assert fit["KL"] == pytest.approx(0, abs=1e-12) and fit["S"] == pytest.approx(fit["H"])
    u, v = np.random.default_rng(1).normal(size=(2, 7, 4))
    fit = measure.fit_of_softmax(u, v, COUNTS, rows=4)
    assert fit["S"] == pytest.approx(fit["H"] + fit["KL"]) and fit["KL"] > 0.1
    q = np.exp(u @ v.T) / np.exp(u @ v.T).sum(1, keepdims=True)
    assert fit["S"] == pytest.approx(-(COUNTS * np.log(q)).sum() / COUNTS.sum())


def test_correlation_is_blind_to_rows_if_it_should_be():
    target = measure.log_conditional(COUNTS)
    shifted, everywhere = 2 * target + 9 * np.arange(7)[:, None], np.ones((7, 7), bool)
    assert measure.correlation(shifted, target, everywhere, True) == pytest.approx(1)
    assert measure.correlation(shifted, target, everywhere) < 0.5
    some = COUNTS > 20
    assert measure.correlation(-target, target, some) == pytest.approx(-1)
    assert measure.centred(target, some)[some].sum() == pytest.approx(0)


def test_neighbours_against_scikit_learn():
    vectors = np.random.default_rng(2).normal(size=(20, 5))
    order = [[j for j in np.argsort(-row) if j != i][:3] for i, row in enumerate(cosine_similarity(vectors))]
    assert measure.neighbours(vectors, [0, 7, 19], 3) == [order[i] for i in (0, 7, 19)]


def test_exact_vectors_of_the_language_show_who_keeps_whose_company():
    """With u = log p(j|i) twins are alike, because a vector is made of all neighbours; but they hardly ever meet."""
    truth = toy_language.pair_probabilities()
    cosines = measure.cosines_of_twins(measure.information(truth), toy_language.WORDS)
    assert cosines["cosine of twins"] > 0.6 and cosines["cosine within a topic"] > 0.8
    place = {word: i for i, word in enumerate(toy_language.WORDS)}
    pmi = measure.information(truth)
    assert max(pmi[place[a], place[b]] for a, b in toy_language.PAIRS) < 0 < pmi[place["lorry"], place["car"]] - 1


def test_vectors_in_the_format_of_word2vec(tmp_path):
    vectors = np.array([[0.5, -1], [1e-3, 2]])
    draw.write_vectors(tmp_path / "v.txt", ["好", "b"], vectors)
    assert (tmp_path / "v.txt").read_text(encoding="utf-8") == "2 2\n好 0.5 -1\nb 0.001 2\n"


def test_labels_are_moved_apart():
    rng = np.random.default_rng(3)
    places, sizes = rng.normal(size=(60, 2)), np.full((60, 2), (0.4, 0.2))
    places[1] = places[0]

    def overlaps(places):
        apart = np.abs(places[:, None] - places)[np.triu_indices(60, 1)]
        return int((apart < sizes[0] - 0.02).all(-1).sum())

    moved = draw.spread_out(places, sizes)
    assert overlaps(places) > 30 and overlaps(moved) == 0
    assert np.abs(moved - places).mean() < 0.5
