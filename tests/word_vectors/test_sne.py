"""SNE and t-SNE: the probabilities, the separation and the other measures (article 6191)."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.decomposition import PCA
from sklearn.manifold import _utils
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors

from word_vectors import cost, sne


def test_clusters_are_equally_far_from_each_other():
    x, labels = sne.clusters(0)
    assert x.shape == (200, 10) and np.bincount(labels).tolist() == [25] * 8
    centres = np.stack([x[labels == k].mean(0) for k in range(8)])
    between = pairwise_distances(centres)[np.triu_indices(8, 1)]
    assert between == pytest.approx(np.full(28, sne.CENTRE * 2**0.5), abs=1.2) and np.ptp(between) > 0
    assert x.var(0)[-1] == pytest.approx(1, abs=0.25), "an axis without a centre has the noise alone"


def test_probabilities_and_perplexity_against_scipy_and_scikit_learn():
    x = np.random.default_rng(0).normal(size=(30, 4))
    first, next_ = sne.probabilities(x, 1.3)
    scores = -(pairwise_distances(x) ** 2) / (2 * 1.3**2)
    np.fill_diagonal(scores, -np.inf)
    assert next_ == pytest.approx(softmax(scores, 1)) and first.tolist() == [1 / 30] * 30
    # with the bandwidths that scikit-learn finds for a perplexity of 7, ours says 7
    distances = (pairwise_distances(x) ** 2).astype("float32")
    assert sne.perplexity(_utils._binary_search_perplexity(distances, 7.0, 0)) == pytest.approx(7, rel=1e-4)


def test_first_components_against_scikit_learn():
    x, _ = sne.clusters(1)
    assert np.abs(sne.first_components(x)) == pytest.approx(np.abs(PCA(2, svd_solver="full").fit_transform(x)))


def test_purity_against_scikit_learn():
    x, labels = sne.clusters(2)
    v = sne.first_components(x)
    near = NearestNeighbors(n_neighbors=10).fit(v).kneighbors(return_distance=False)
    assert sne.purity(v, labels) == pytest.approx((labels[near] == labels[:, None]).mean())
    assert 0.2 < sne.purity(v, labels) < 0.9


def test_separation_by_hand():
    v = np.array([[0, 1], [0, -1], [10, 1], [10, -1], [4, 1], [4, -1.0]])
    labels = np.array([0, 0, 1, 1, 2, 2])
    assert sne.separation(v, labels) == pytest.approx(4) == pytest.approx(sne.separation(3 * v + 7, labels))


def test_sne_crowds_more_than_t_sne():
    """The pilot had 2.4 for SNE and 4.8 to 6.0 for t-SNE at a perplexity of 18.7, and a purity of 0.998 for both."""
    x, labels = sne.clusters(0)
    first, next_ = sne.probabilities(x, sne.SIGMA)
    assert sne.perplexity(next_) == pytest.approx(18.7, abs=1.5)
    start = sne.START * np.random.default_rng([0, 1]).normal(size=(200, 2))
    maps = {k: cost.descend(start, first, next_, k, 200, rate)[0] for k, rate in sne.RATES.items()}
    numbers = {kernel: sne.separation(v, labels) for kernel, v in maps.items()}
    assert 2 < numbers["gaussian"] < 3.5 < 4.5 < numbers["student"]
    assert all(sne.purity(v, labels) > 0.97 for v in maps.values())


def test_without_scikit_learn_one_line_says_so(monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "sklearn.manifold", None)
    assert sne.of_scikit_learn(None, 1, 0) is None
    assert "pip install scikit-learn" in capsys.readouterr().out
