"""Tables over seeds: digits, ranges, and verdicts only where ranges do not overlap."""

import itertools
import math

import pytest

from common.experiments.tables import disjoint, lowest, table


def test_the_table_shows_the_range_over_seeds():
    rows = {"one": {"FID": [1.0, 2.0, 6.0], "modes": [25.0, 25.0, 25.0]}, "two": {"FID": [0.5], "modes": [24.5]}}
    assert table("entropy", rows).splitlines() == [
        "| entropy | FID | modes |",
        "|---|---|---|",
        "| one | 3.0 (1.0 to 6.0) | 25 |",
        "| two | 0.500 | 24.500 |",
    ]
    rows["two"]["published"], rows["one"]["published"] = [0.3], []
    assert table("entropy", rows).splitlines()[0] == "| entropy | FID | modes | published |"
    assert table("entropy", rows).splitlines()[2:] == [
        "| one | 3.0 (1.0 to 6.0) | 25 |  |",
        "| two | 0.500 | 24.500 | 0.300 |",
    ]


@pytest.mark.parametrize(
    ("values", "cell"),
    [
        ([1234.5678, 1289.1], "1,262 (1,235 to 1,289)"),
        ([158.3, 289.4], "224 (158 to 289)"),
        ([0.00012, 0.00034], "0.00023 (0.00012 to 0.00034)"),
        ([2.78612, 2.79134], "2.789 (2.786 to 2.791)"),
        ([12.3456789, 12.3456999], "12.35 (12.35 to 12.35)"),
        ([-0.5, 0.5], "0.0 (-0.5 to 0.5)"),
        ([61234.5678], "61,235"),
        ([0.00012345], "0.000123"),
        ([0.0], "0"),
    ],
)
def test_a_cell_has_no_more_digits_than_the_seeds_allow(values, cell):
    assert table("x", {"kind": {"y": values}}).splitlines()[2] == f"| kind | {cell} |"


def test_a_verdict_needs_ranges_that_do_not_overlap():
    assert lowest({"a": [3.0, 4.0], "b": [1.0, 2.0], "c": [9.0, 2.5]}, 2).startswith("b, with every seed")
    overlapping = {"a": [2.0, 4.0], "b": [1.0, 2.0], "c": [9.0, 5.0]}
    assert lowest(overlapping, 2) == "undecided; the range of b over seeds overlaps that of a"
    assert lowest({"a": [1.0], "b": [2.0]}, 1) == "undecided; it takes at least two seeds of each"
    assert lowest({"a": [], "b": [2.0, 3.0]}, 2) == "undecided; it takes at least two seeds of each"
    assert disjoint({"a": [3.0, 4.0], "b": [1.0, 2.0], "once": [1.5]}) and not disjoint(overlapping)
    assert not disjoint({"a": [1.0], "b": [2.0]})


def test_an_infinite_value_is_shown():
    rows = table("", {"kl": {"all": [math.inf, math.inf], "one": [1.5, math.inf]}}).splitlines()
    assert rows[2] == "| kl | inf | inf (1.500 to inf) |"


def test_a_kind_is_lowest_only_with_all_of_its_seeds():
    assert lowest({"a": [1, 2, 3], "b": [4, 5, 6]}, 3).startswith("a, with every seed")
    assert "overlaps that of b" in lowest({"a": [1, 2, 3], "b": [3, 5, 6]}, 3)
    for failed in ([1, 2], [1]):
        assert "undecided" in lowest({"a": failed, "b": [4, 5, 6]}, 3), "a failed with one seed or two"
    assert lowest({"a": [1, 2, 3], "b": [4, 5]}, 3).startswith("a, with every seed")
    orders = set(itertools.combinations(range(6), 3))  # which ranks the first of two equal kinds has
    apart = sum("every seed" in lowest({"a": o, "b": sorted({*range(6)} - {*o})}, 3) for o in orders)
    assert f"once in {len(orders) // apart} comparisons" in lowest({"a": [1, 2, 3], "b": [4, 5, 6]}, 3)
