"""Words by mutual information, and the pruning of joined ones (article 6540)."""

import math
from itertools import product

import numpy as np
import pytest

from vocabulary import discovery as d

LINE = "春风秋春风秋春风月月"  # 春 3, 风 3, 秋 2, 月 2 of 10 characters


def test_mutual_information_of_ten_characters_by_hand():
    singles, pairs, n = d.count_adjacent(d.encode([LINE]))
    assert n == 10 and pairs.tolist() == [3, 2, 2, 3, 2, 2, 3, 1, 1]
    pmi = np.log(pairs * n / singles.prod(1))
    by_hand = {"春风": 30 / 9, "风秋": 20 / 6, "秋春": 20 / 6, "风月": 10 / 6, "月月": 10 / 4}
    assert pmi == pytest.approx([math.log(by_hand[LINE[i : i + 2]]) for i in range(9)])


@pytest.mark.parametrize(
    ("min_pmi", "min_proba", "text"),
    [
        (1.0, 0, "春风秋春风秋春风 月 月"),
        (0.8, 0, "春风秋春风秋春风 月月"),
        (0.5, 0.1, "春风秋春风秋春风 月 月"),
        (0.5, 0.2, "春风 秋 春风 秋 春风 月 月"),
        (2.0, 0, " ".join(LINE)),
    ],
)
def test_texts_are_cut_at_weak_pairs(min_pmi, min_proba, text):
    assert d.cut_text(d.encode([LINE]), min_pmi, min_proba) == text


def test_what_is_no_letter_is_a_cut_and_texts_stay_apart():
    codes = d.encode(["春风，WiFi 3!", "秋\n月"])
    assert codes.tobytes().decode("utf-32-le") == "春风 wifi 3 \n秋 月"
    singles, pairs, n = d.count_adjacent(codes)
    assert n == 9 and (pairs > 0).sum() == 4 and not singles[pairs == 0].any()
    assert d.cut_text(codes, -9, 0).split() == ["春风", "wifi", "3", "秋", "月"]


COUNTS = {"春风": 1000, "秋月": 1000, "东": 2, "西": 2, "南": 2, "北": 2, "人": 7992}


def test_pruning_drops_joined_words_and_keeps_rigid_ones():
    pruned = d.prune(COUNTS | {"春风秋月": 100, "东西南北": 100})
    assert "春风秋月" not in pruned and pruned["春风"] == pruned["秋月"] == 1100, "its count goes to its parts"
    assert pruned["东西南北"] == 100 and pruned["东"] == 2


def test_the_bound_of_the_pruning_is_the_length_minus_one():
    """log P(w) - sum log P(parts) against 4 - 1, with the total of all counts, the word's own among them."""
    for count in (50, 230, 260, 900):
        counts = {"春风": 100, "秋月": 100, "人": 1000, "春风秋月": count}
        total = sum(counts.values())
        value = math.log(count / total) - 2 * math.log(100 / total)
        assert ("春风秋月" in d.prune(counts)) == (value >= 3), (count, value)


def test_the_total_grows_when_a_count_goes_to_two_parts():
    """After 春风秋月 the total is larger by 5000, which decides about 山水: a stale total would keep it."""
    counts = {"春风": 5000, "秋月": 5000, "山": 1000, "水": 1000, "春风秋月": 5000}
    for joined in range(100, 300):
        before, after = (joined * total / 1e6 for total in (17_000 + joined, 22_000 + joined))
        kept = "山水" in d.prune(counts | {"山水": joined})
        assert kept == (math.log(after) >= 1), joined
        if (math.log(before) >= 1) != kept:
            break
    else:
        pytest.fail("no count tells a stale total from a fresh one")


def test_a_phrase_that_is_repeated_without_a_cut_is_left_out(capsys):
    codes = d.encode(["早餐大堂前台" * 20_000, *["早餐很好", "大堂很好"] * 50])
    words, _ = d.find_words(codes, 1.0, 1e-6)
    assert words and max(map(len, words)) <= d.LONGEST
    assert f"left out 1 pieces of more than {d.LONGEST} characters" in capsys.readouterr().out


def test_best_path_against_all_divisions():
    logs = {word: math.log(c) for word, c in {"a": 9, "b": 5, "ab": 8, "bc": 3, "abc": 1, "ca": 4}.items()}
    for text in ("abcab", "cabca", "abcabc", "xab"):
        best = -math.inf
        for cuts in product([0, 1], repeat=len(text) - 1):
            ends = [i + 1 for i, cut in enumerate(cuts) if cut] + [len(text)]
            parts = [text[a:b] for a, b in zip([0, *ends], ends, strict=False)]
            if all(part in logs or len(part) == 1 for part in parts):
                best = max(best, sum(logs[p] - math.log(30) if p in logs else d.UNKNOWN for p in parts))
        score, parts = d.best_path(text, logs, math.log(30), 3)
        assert "".join(parts) == text and score == pytest.approx(best)


def test_texts_divided_into_words_are_the_texts():
    texts = ["春风，秋月春风", "秋月", "春风秋月人"]
    codes = d.encode(texts)
    words, ids, numbers = d.divide(d.cut_text(codes, -9, 0), {"春风": 5, "秋月": 5, "月春": 1})
    assert words == ["春风", "秋月"], "人 occurs once"
    assert [words[i] for i in ids] == ["春风", "秋月", "春风", "秋月", "春风", "秋月"]
    assert numbers.tolist() == [0, 0, 0, 1, 2, 2]
