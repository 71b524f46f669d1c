"""Contrast, growth and rules (article 6540)."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage

from common.errors import UserError
from vocabulary import contrast as c
from vocabulary.growth import centred, grow, threshold
from vocabulary.rules import RULES, is_term, read_rules

DOMAIN, GENERAL = {"a": 100, "b": 90, "c": 5}, {"b": 10, "c": 80, "d": 200}


def test_a_word_that_only_the_domain_has_comes_first():
    scores = c.contrast(DOMAIN, GENERAL)
    assert c.ranked(scores) == ["a", "b", "c", "d"]
    assert [scores[word] for word in "abcd"] == pytest.approx([0.753, 0.714, 0.344, 0.210], abs=5e-4)


def test_the_published_script_has_no_number_for_it():
    """A regression: pandas aligns the two series, and what one of them lacks becomes NaN and sorts last."""
    scores, a = c.contrast_as_published(DOMAIN, GENERAL)
    assert np.isnan([scores["a"], scores["d"]]).all() and c.ranked(scores)[:2] == ["b", "c"]
    assert a == pytest.approx(1.25, abs=0.005)


def test_the_published_script_by_pandas_if_it_is_here():
    pd = pytest.importorskip("pandas")
    d, g = pd.Series(DOMAIN, dtype=float), pd.Series(GENERAL, dtype=float)
    g = g / g.sum() * d.sum()
    m, a = (d + g).mean(), d.sum() / (d + g).sum()
    expected = (d + a * m) / (d + g + m)
    scores, ours = c.contrast_as_published(DOMAIN, GENERAL)
    assert ours == pytest.approx(a) and [scores[w] for w in expected.index] == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda text: text.replace("last = [", 'last = ["', 1), "cannot be read"),
        (lambda text: text.replace("suffixes = [", "endings = [", 1), "suffixes must be a list"),
        (lambda text: text.replace('"的",', '"",', 1), "list of words in quotes, none of them empty"),
        (lambda text: text.replace('"的",', "3,", 1), "anywhere must be a list"),
        (lambda text: text.replace("least_length = 2", 'least_length = "2"', 1), "least_length must be a whole number"),
    ],
)
def test_a_mistake_in_the_rules_is_one_line(tmp_path, edit, message):
    path = tmp_path / "rules.toml"
    path.write_text(edit(RULES.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(UserError, match=message) as error:
        read_rules(path)
    assert "rules.toml" in str(error.value) and "\n" not in str(error.value)


def test_rules_in_another_encoding(tmp_path):
    text, path = RULES.read_text(encoding="utf-8"), tmp_path / "rules.toml"
    path.write_text(text, encoding="utf-8-sig")
    assert read_rules(path) == read_rules()
    other = tmp_path / "gb.toml"
    other.write_text(text, encoding="gb18030")
    with pytest.raises(UserError, match="save it as UTF-8"):
        read_rules(other)
    with pytest.raises(UserError, match="cannot be read"):
        read_rules(tmp_path)


def test_precision_and_f1_by_hand():
    assert c.precision_at(["a", "b", "c", "d"], {"a", "c", "e"}, 2) == 0.5
    assert c.scores_of("abcd", "ace") == pytest.approx({"precision": 0.5, "recall": 2 / 3, "F1": 4 / 7})
    assert c.scores_of([], "ace")["F1"] == 0


def test_thresholds_of_the_article():
    values = [threshold(n, 0.6, 1.0, 0.35) for n in range(6)]
    assert values == pytest.approx([0.600, 0.718, 0.801, 0.860, 0.901, 0.930], abs=5e-4)
    assert threshold(9, 0.6, 1.0, 0) == 0.6


@pytest.fixture(scope="module")
def vectors():
    return np.random.default_rng(0).normal(size=(120, 3))


def test_a_constant_threshold_is_single_linkage(vectors):
    clusters = fcluster(linkage(vectors, "single", "cosine"), 1 - 0.98, "distance")
    sizes = set()
    for seeds in ([0], [5, 17], [40]):
        grown = grow(vectors, seeds, 0.98, 1.0, 0)
        assert set(grown) == {i for i in range(120) if clusters[i] in clusters[seeds]}
        sizes.add(len(grown))
    assert len(sizes) > 1


def test_growth_never_shrinks_as_the_threshold_falls(vectors):
    for alpha in (0.0, 0.35, 1.0):
        sets = [set(grow(vectors, [0, 1], s_min, 1.0, alpha)) for s_min in (0.999, 0.98, 0.9, 0.7, 0.3)]
        assert all(a <= b for a, b in pairwise(sets)) and len(sets[0]) < len(sets[-1])


def test_depths_are_those_of_the_threshold_that_let_a_word_in():
    angles = np.cumsum([0, 30, 30, 30]) / 180 * math.pi  # cosine of neighbours 0.866
    line = np.stack([np.cos(angles), np.sin(angles)], 1)
    assert grow(line, [0], 0.8, 1.0, 0) == {0: 0, 1: 1, 2: 2, 3: 3}
    assert grow(line, [0], 0.8, 1.0, 0.35) == {0: 0, 1: 1, 2: 2}  # thresholds .8, .859, .901
    assert grow(line, [0], 0.9, 1.0, 0) == {0: 0}


def test_without_their_common_part_groups_of_words_are_apart():
    """Three clouds of unit vectors far apart, plus a long vector: all cosines are above 0.95 then."""
    groups = np.repeat(np.eye(3), 20, 0) + 0.05 * np.random.default_rng(0).normal(size=(60, 3))
    vectors = groups + np.array([6.0, 6.0, 6.0])
    assert len(grow(vectors, [0], 0.95)) == 60
    assert set(grow(centred(vectors), [0], 0.6)) == set(range(20))
    np.testing.assert_allclose(centred(vectors), centred(groups), atol=1e-12)
    np.testing.assert_allclose(centred(vectors).mean(0), 0, atol=1e-12)


def test_only_the_nearest_words_are_looked_at(monkeypatch):
    monkeypatch.setattr("vocabulary.growth.NEAREST", 2)
    angles = np.array([0, 1, 2, 3, 40]) / 180 * math.pi
    assert set(grow(np.stack([np.cos(angles), np.sin(angles)], 1), [0], 0.9, 1.0, 50)) == {0, 1, 2}


@pytest.mark.parametrize(
    ("word", "good"),
    [
        ("早餐", True), ("标准间", True), ("wifi信号", True), ("wifi", False), ("房", False), ("3楼", False),
        ("哈哈", False), ("干干净", False), ("很干净", False), ("在大堂", False), ("大堂里", False), ("大堂", True),
        ("大床房", True), ("首都机场", True), ("不锈钢", True), ("大房间", False), ("我家大堂", False),
        ("酒店管理", False), ("王先生", False), ("我们", False),
    ],
)  # fmt: skip
def test_rules(word, good):
    assert is_term(word) == good


def test_rules_are_data():
    rules = read_rules()
    assert is_term("早餐", rules) and not is_term("早餐", rules | {"least_length": 3})
    assert not is_term("早餐券", rules | {"suffixes": ["餐券"]}) and not is_term("早餐", rules | {"first": ["早"]})
