"""The strings of the grammar, the reviews, and the masks of the pre-training."""

import itertools

import numpy as np
import pytest

from albert import grammar, reviews
from albert.tokens import CLS, FIRST, MASK, PAD, SEP, UNKNOWN, MaskedBatches, mask_tokens
from common.errors import UserError


def parse(string):
    """Return the depth of each token of a string, and check its brackets and agreement with a stack."""
    stack, depth = [], []
    for token in string:
        if grammar.OPEN <= token < grammar.CLOSE:
            stack.append([token - grammar.OPEN, None, None])
        depth.append(len(stack))
        if grammar.CLOSE <= token < grammar.NOUN:
            kind, noun, verb = stack.pop()
            assert kind == token - grammar.CLOSE and noun == verb is not None
        elif grammar.NOUN <= token < grammar.VERB:
            assert stack[-1][1] is None
            stack[-1][1] = (token - grammar.NOUN) // grammar.WORDS
        elif grammar.VERB <= token < grammar.OTHER:
            stack[-1][2] = (token - grammar.VERB) // grammar.WORDS
    assert not stack
    return depth


def test_strings_have_matching_brackets_and_agreement():
    strings = grammar.write_strings(300, 31, np.random.default_rng(0))
    assert strings.shape == (300, 31) and set(np.unique(strings)) == set(range(FIRST, grammar.VOCABULARY))
    depths = np.array([parse(string) for string in strings])
    assert np.array_equal(grammar.depths(strings), depths) and 4 <= depths.max() <= grammar.MAX_DEPTH


def test_tasks_of_the_grammar(monkeypatch):
    monkeypatch.setattr(grammar, "UNLABELLED", 200)
    data = grammar.load_grammar(16, 40, 20, 0)
    assert list(data.tasks) == ["most frequent", "depth", "sort"] and data.vocabulary == 40
    assert data.unlabelled.shape == (200, 16) and (data.unlabelled[:, 0] == CLS).all()
    frequent, depth, ordered = data.tasks.values()
    for row in frequent.train:
        counts = [(row[:16] == grammar.OPEN + kind).sum() for kind in range(4)]
        assert sorted(counts)[-1] > sorted(counts)[-2] and np.argmax(counts) == row[16] and frequent.first == 0
    for row in depth.valid:
        assert parse(row[1:16]) == row[16:].tolist() and depth.first == 1
    row = ordered.test[0]
    assert row[0] == CLS and row[8] == SEP and ordered.first == 8 and ordered.source == 9
    assert sorted(row[1:8]) == row[9:16].tolist() == row[16:].tolist() and ordered.outputs == 40
    other = grammar.load_grammar(16, 40, 20, 1)
    assert not np.array_equal(other.unlabelled, data.unlabelled)
    assert np.array_equal(grammar.load_grammar(16, 40, 20, 1).tasks["sort"].train, other.tasks["sort"].train)


def test_no_string_is_in_two_parts(monkeypatch):
    monkeypatch.setattr(grammar, "UNLABELLED", 200)
    data = grammar.load_grammar(32, 60, 60, 0)
    task = data.tasks["depth"]
    parts = [data.unlabelled, data.held_out, task.train[:, :32], task.valid[:, :32], task.test[:, :32]]
    rows = [{row.tobytes() for row in part} for part in parts]
    assert all(len(part) > 50 for part in rows) and not any(a & b for a, b in itertools.combinations(rows, 2))


def test_masks_hide_a_share_of_the_symbols():
    rng = np.random.default_rng(0)
    ids = rng.integers(FIRST, 40, (4000, 20)).astype("int32")
    ids[:, 0], ids[:2000, 10:] = CLS, PAD
    rows = mask_tokens(ids, 40, np.random.default_rng(1))
    hidden, positions, tokens = np.split(rows, [20, 23], axis=1)
    counts = (tokens >= 0).sum(1)
    assert (counts[:2000] == 1).all() and (counts[2000:] == 3).all(), "15 % of 9 and of 19 symbols"
    for old, new, where, what in zip(ids, hidden, positions, tokens, strict=True):
        real = what >= 0
        assert (old[where[real]] == what[real]).all() and (what[real] >= FIRST).all()
        untouched = np.delete(np.arange(20), where[real])
        assert (old[untouched] == new[untouched]).all()
    new, old = np.take_along_axis(hidden, positions, 1)[tokens >= 0], tokens[tokens >= 0]
    assert (new == MASK).mean() == pytest.approx(0.8, abs=0.02)
    assert (new == old).mean() == pytest.approx(0.1 + 0.1 / 35, abs=0.015)
    assert mask_tokens(np.full((2, 5), UNKNOWN, "int32"), 40, rng)[:, -1].tolist() == [-1, -1]


def test_masks_depend_on_nothing_but_the_seed_and_the_step():
    ids = np.random.default_rng(0).integers(FIRST, 40, (64, 20)).astype("int32")
    batches = MaskedBatches(ids, 8, seed=1, vocabulary=40)
    later = MaskedBatches(ids, 8, seed=1, start=9, vocabulary=40)
    assert np.array_equal(batches[11], later[2]) and batches[0].dtype == "int32"
    again = [batches[i] for i in (0, 8)]
    assert not np.array_equal(again[0][:, 20:23], again[1][:, 20:23])


HEADER = "cat,label,review\n"


def write_reviews(path, n=50, ending=""):
    """Write n reviews; odd ones are bad ones, and those of books name one."""
    lines = [
        f"{('书籍', '水果')[i % 3 == 0]},{i % 2},{('好', '坏')[i % 2]}{'书果'[i % 3 == 0]}第{i}条，物流也很快，谢谢。\n"
        for i in range(n)
    ]
    path.write_text(HEADER + "".join(lines) + ending, encoding="utf-8")
    return f"text:{path}"


def test_reviews(tmp_path):
    dataset = write_reviews(tmp_path / "my.csv", ending="书籍,1,坏书第1条，物流也很快，谢谢。\n")
    data = reviews.load_reviews(dataset, 16, 20, 8, 0)
    label, category = data.tasks["label"], data.tasks["category"]
    assert len(label.train) <= 20 and len(label.valid) == len(label.test) == 8
    assert label.outputs == category.outputs == 2
    rows = [tuple(r[1:16]) for task in (label, category) for part in task[:3] for r in part]
    for task in (label, category):
        measured = {tuple(r[1:16]) for part in task[1:3] for r in part}
        assert not measured & {tuple(r[1:16]) for other in (label, category) for r in other.train}
        assert not measured & {tuple(r[1:]) for r in data.unlabelled}
    # the first character tells the label, the second the category: as many characters as labels, each its own
    for task, place in ((label, 1), (category, 2)):
        pairs = {(row[place], row[-1]) for part in task[:3] for row in part}
        assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) == 2
    assert rows and all(row[-1] in (PAD, *range(FIRST, data.vocabulary)) for row in rows)
    assert (data.unlabelled[:, 0] == CLS).all() and data.held_out.shape == (16, 16)
    other = reviews.load_reviews(dataset, 16, 20, 8, 1)
    assert not np.array_equal(other.tasks["label"].test, label.test)


def test_a_long_text_is_cut_for_a_task_and_divided_for_the_pre_training():
    number = {c: i for i, c in enumerate("abcdefghij", FIRST)}
    assert reviews.to_rows(["abcdefghij", "ax"], 5, number).tolist() == [
        [CLS, 5, 6, 7, 8],
        [CLS, 5, UNKNOWN, PAD, PAD],
    ]


def test_reviews_without_two_labels(tmp_path):
    (tmp_path / "my.csv").write_text("review,label\n" + "".join(f"第{i}条,1\n" for i in range(9)), encoding="utf-8")
    with pytest.raises(UserError, match="has no labels: name two or more in a column label or cat"):
        reviews.load_reviews(f"text:{tmp_path / 'my.csv'}", 16, 20, 8, 0)
    with pytest.raises(UserError, match="holds no"):
        (tmp_path / "empty").mkdir()
        reviews.load_reviews(f"text:{tmp_path / 'empty'}", 16, 20, 8, 0)
    with pytest.raises(UserError, match=r"ChnSentiCorp_htl_all\.csv from https"):
        reviews.load_reviews("reviews", 16, 20, 8, 0, data_dir=str(tmp_path))
