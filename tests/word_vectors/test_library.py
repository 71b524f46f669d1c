"""The layout of a library: its cost, the annealing and the bound (article 6191)."""

import numpy as np
import pytest

from word_vectors import library


@pytest.fixture(scope="module")
def annealed():
    first, next_, topics = library.visits(0)
    layout, walks = library.anneal(first, next_, np.arange(60), 5000, 1)
    return first, next_, topics, layout, walks


def test_visits_are_probabilities_of_the_stated_kind():
    first, next_, topics = library.visits(3)
    assert first.sum() == pytest.approx(1) and first[0] == pytest.approx(60 * first[-1])
    assert next_.sum(1) == pytest.approx(np.ones(60)) and (np.diag(next_) == 0).all()
    assert np.bincount(topics).tolist() == [10] * 6
    same = (next_ * (topics[:, None] == topics)).sum(1)
    assert (same > 0.8).all() and same.mean() == pytest.approx(0.8 + 0.2 * 9 / 59, abs=0.03)
    assert not np.array_equal(library.visits(4)[2], topics)


def test_walk_by_hand():
    first, next_, _ = library.visits(0)
    layout, places = np.random.default_rng(0).permutation(60), library.grid()
    door = np.array(library.DOOR)
    by_hand = 0
    for i in range(60):
        for j in range(60):
            i_from_door = np.hypot(*(places[layout[i]] - door))
            by_hand += first[i] * next_[i, j] * (i_from_door + np.hypot(*(places[layout[i]] - places[layout[j]])))
    assert library.walk(first, next_, layout) == pytest.approx(by_hand)


def test_annealing_keeps_count_and_all_books(annealed):
    first, next_, _, layout, walks = annealed
    assert sorted(layout) == list(range(60)) and len(walks) == 5001
    assert library.walk(first, next_, layout) == pytest.approx(walks[-1], abs=1e-9)


def test_annealing_brings_like_to_like_and_popular_to_the_door(annealed):
    first, next_, topics, layout, walks = annealed
    assert library.lower_bound(first, next_) < walks[-1] < 0.6 * walks[0]
    assert library.alike(layout, topics) > 0.4 and library.popularity_correlation(layout) > 0.6
    assert library.alike(np.random.default_rng(0).permutation(60), topics) < 0.25


def test_no_layout_is_below_the_bound():
    """With two books and their partners in reach of each other, the bound is met."""
    first, next_ = np.zeros(60), np.full((60, 60), 1e-300)
    first[0] = 1.0
    next_[0, 1] = 1.0
    nearest = np.argsort(library.distances()[0])
    layout = np.empty(60, int)
    layout[:2] = nearest[:2]
    layout[2:] = nearest[2:]
    assert library.lower_bound(first, next_) == pytest.approx(library.walk(first, next_, layout))


def test_neighbours_of_a_sorted_library_are_alike():
    topics = np.repeat(np.arange(6), 10)
    assert library.alike(np.arange(60), topics) > 0.5, "a topic a row"
    checkers = (np.arange(60) // 10 + np.arange(60)) % 2
    assert library.alike(np.arange(60), checkers) == 0
