"""The grammar and its ceilings, couplets as users have them, count tables and measures (article 6270)."""

import io
import tarfile
from collections import Counter

import numpy as np
import pytest

from common.data.couplets import read_couplets
from common.errors import UserError
from couplet import data, grammar, measure, prosody, report
from couplet.tables import CountTables


def test_the_grammar_is_what_it_says():
    couplets, answers = grammar.write_couplets(4000, 0)
    words = grammar.Grammar()
    assert words.upper.shape == (10, 12, 2) and words.lower.shape == (2, 10, 12, 2)
    assert len({tuple(word) for word in words.upper.reshape(-1, 2)}) > 110, "words are told by both characters"
    assert len(set(words.upper.ravel())) < 45, "characters are used again"
    lengths = (couplets[:, 0] >= 0).sum(1)
    assert set(lengths) == {5, 7, 9, 11} and np.array_equal(lengths, (couplets[:, 1] >= 0).sum(1))
    there = couplets[:, 1] >= 0
    assert (answers[0] != couplets[:, 1])[there].mean() == pytest.approx(0.02 * 10 / 11, abs=0.006)
    short = np.flatnonzero(lengths == 5)
    assert np.array_equal(answers[0, short, :3], answers[1, short, :3]), "the key says nothing but about the last word"
    assert (answers[0, short, 3:5] != answers[1, short, 3:5]).any(1).mean() > 0.95
    assert len({tuple(row) for row in couplets[:, 0]}) > 3900
    assert not np.array_equal(grammar.write_couplets(9, 1)[0], couplets[:9])
    assert len(words.characters()) == words.size == couplets.max() + 1


def test_no_answer_is_better_than_the_best():
    """Against the most frequent character below each pair of characters, counted in many couplets."""
    couplets, _ = grammar.write_couplets(60_000, 5)
    best = grammar.best_answers(couplets)
    assert np.array_equal(best >= 0, np.stack([couplets[:, 1] >= 0] * 2))
    lengths, key = (couplets[:, 0] >= 0).sum(1), couplets[:, 0, 0]
    is_second = np.isin(key, grammar.Grammar().keys[grammar.KEYS // 2 :, 0])
    for which in (0, 1):
        counts = {}
        for i in range(1, 11, 2):
            for row in np.flatnonzero(lengths > i):
                last = lengths[row] == i + 2
                known = (last, last and is_second[row] and which == 0)
                word = (*couplets[row, 0, i : i + 2].tolist(), *known)
                counts.setdefault(word, Counter())[int(couplets[row, 1, i])] += 1
                counts[word]["best"] = int(best[which, row, i])
        for word, counter in counts.items():
            chosen = counter.pop("best")
            assert counter[chosen] > 0.8 * max(counter.values()), word


def test_ceilings_with_and_without_the_key():
    couplets, truth = grammar.write_couplets(8000, 2)
    best = grammar.best_answers(couplets)
    for with_key, without in grammar.ceilings(couplets, best).values():
        # 5 of the 120 words belong to two classes: 10 of 120 are right half of the time, or by chance
        assert with_key == pytest.approx(0.982 - 10 / 120 / 2 * 0.9, abs=0.012)
        # the other partner has the same character by chance
        assert without == pytest.approx(with_key - 0.4, abs=0.03)
    both = grammar.whole_ceilings(couplets, best)
    right = (best[0] == couplets[:, 1])[couplets[:, 1] >= 0].mean()
    assert both["ceiling"]["top-1"] == pytest.approx(right)
    assert right < (truth[0] == couplets[:, 1])[couplets[:, 1] >= 0].mean()
    # of the 2 to 5 words of a line each is right with this probability; the key always is
    word = (1 - 0.02 * 11 / 12) * (1 - 10 / 120 / 2)
    whole = np.mean([word**n for n in (2, 3, 4, 5)])
    assert both["ceiling"]["whole lines"] == pytest.approx(whole, abs=0.02)
    assert both["ceiling without the key"]["whole lines"] == pytest.approx(whole / 2, abs=0.03)


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in files.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def public(tmp_path):
    """A folder in the form of the public data set."""
    write(
        tmp_path / "couplet/train", **{"in": ["春 风 ", "海 日 生 残 夜"] * 3, "out": ["秋 月", "江 春 入 旧 年"] * 3}
    )
    write(tmp_path / "couplet/test", **{"in": ["春 日"], "out": ["秋 风"]})
    return tmp_path / "couplet"


def test_the_public_form_as_folder_and_archive(public, tmp_path):
    with tarfile.open(tmp_path / "couplet.tar.xz", "w:xz") as archive:
        archive.add(public, "couplet")
    for path in (public, tmp_path / "couplet.tar.xz"):
        couplets = read_couplets(path)
        assert sorted(couplets, key=lambda c: c[0].endswith("train"))[0][1:] == ("春日", "秋风") and len(couplets) == 7
        loaded = data.load_couplets(f"text:{path}")
        assert loaded.train.shape == (6, 2, 5) and loaded.test.shape == (1, 2, 2)
        assert loaded.alphabet[0] == "\ufffd" and set(loaded.alphabet[1:]) == set("春风秋月海日生残夜江入旧年")
        lines = ["".join(loaded.alphabet[i] for i in row if i >= 0) for row in loaded.train[1]]
        assert lines == ["海日生残夜", "江春入旧年"]
        assert data.load_couplets(f"text:{path}", limit=4).train.shape == (4, 2, 5)


def test_an_upper_line_that_comes_second_is_still_the_upper_one(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, text in (("out.txt", "秋月\n"), ("in.txt", "春风\n")):
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    assert read_couplets(tmp_path / "a.tar") == [("", "春风", "秋月")]


def test_without_a_test_folder_a_twentieth_is_held_out_by_lot(tmp_path):
    """Each couplet stands there twice, and no copy of one that is held out is trained on."""
    upper = [f"春{a}{b}" for a in "风花雪月江山" for b in "东西南北中天人地日夜"]
    write(tmp_path, **{"in": upper * 2, "out": [line[::-1] for line in upper] * 2})
    loaded = data.load_couplets(f"text:{tmp_path}")
    assert (len(loaded.train), len(loaded.test)) == (114, 3)
    held_out, trained = ({row.tobytes() for row in part} for part in (loaded.test, loaded.train))
    assert len(held_out) == 3 and not held_out & trained
    numbers = {c: i for i, c in enumerate(loaded.alphabet)}
    last = [[numbers[c] for c in line] for line in upper[-3:]]
    assert sorted(loaded.test[:, 0].tolist()) != sorted(last), "the order of the file does not choose"


def test_rows_that_cannot_be_used_are_skipped_and_named(tmp_path, capsys):
    upper = [*["春风"] * 4, *["海日"] * 5, "春风秋", "", "长" * 17]
    lower = [*["秋月"] * 4, *["江春"] * 5, "秋月", "无上", "短" * 17]
    write(tmp_path, **{"in": upper, "out": lower})
    loaded = data.load_couplets(f"text:{tmp_path}")
    first, printed = capsys.readouterr().out.splitlines()
    assert first == "left out 1 without another half: line 11 of out.txt"
    assert (len(loaded.train), len(loaded.test)) in ((4, 1), (5, 1)), "two different ones, several times"
    assert "skipped 2 of 11 couplets: 春风秋 / 秋月 (3 and 2 characters), 长" in printed
    write(tmp_path, **{"in": upper[9:], "out": lower[9:]})
    with pytest.raises(UserError, match=r"cannot be used for 2 of 2 couplets.*two lines need equal lengths"):
        data.load_couplets(f"text:{tmp_path}")


@pytest.mark.parametrize(("upper", "lower"), [(80, 79), (10, 80)])
def test_files_that_end_at_different_lines_are_refused(tmp_path, upper, lower):
    """A line that is missing in one of them would give all couplets below it the wrong other half."""
    write(tmp_path / "couplet/train", **{"in": ["春风"] * upper + ["", "\u3000"], "out": ["秋月"] * lower})
    with pytest.raises(UserError, match=rf"{upper} lines in train/in\.txt, but {lower} lines in train/out\.txt"):
        read_couplets(tmp_path / "couplet")


def test_a_half_in_utf_16_is_named_by_its_encoding(tmp_path):
    """Not by its number of lines, which is wrong: 上 holds the byte that ends a line."""
    (tmp_path / "in.txt").write_text("海上明月\n" * 30, encoding="utf-16")
    (tmp_path / "out.txt").write_text("江南落花\n" * 30, encoding="utf-8")
    with pytest.raises(UserError, match=r"in\.txt is in UTF-16: save it in UTF-8"):
        read_couplets(tmp_path)


def test_two_characters_are_needed_to_answer(tmp_path):
    write(tmp_path, **{"in": ["春"] * 60 + ["秋"], "out": ["春"] * 60 + ["风"]})
    with pytest.raises(UserError, match="fewer than two characters that occur twice"):
        data.load_couplets(f"text:{tmp_path}")


def test_other_encodings_and_bad_bytes(tmp_path, capsys):
    (tmp_path / "in.txt").write_bytes("春风\n".encode("gb18030") * 9)
    (tmp_path / "out.txt").write_bytes("秋月\n".encode() * 8 + b"\xe7\xa7\xff\n")
    assert len(read_couplets(tmp_path)) == 8 and "out.txt line 9 (not utf-8)" in capsys.readouterr().out


@pytest.mark.parametrize("content", [{}, {"in": ["春风"]}, {"out": ["秋月"]}, {"in": [""], "out": [""]}])
def test_no_couplets_are_one_line(tmp_path, content):
    write(tmp_path, **content)
    with pytest.raises(UserError, match=r"holds no"):
        data.load_couplets(f"text:{tmp_path}")


def test_one_couplet_is_too_little(tmp_path):
    for n in (1, 60):
        write(tmp_path, **{"in": ["春风"] * n, "out": ["秋月"] * n})
        with pytest.raises(UserError, match="at least two different ones"):
            data.load_couplets(f"text:{tmp_path}")


# count tables


def test_count_tables_against_counters():
    couplets = grammar.write_couplets(300, 3)[0]
    size = grammar.Grammar().size
    tables = CountTables(couplets, size)
    s = tables.strengths[0]
    upper, lower = (couplets[:, i][couplets[:, 0] >= 0] for i in (0, 1))
    above, pairs, below = Counter(upper), Counter(zip(upper, lower, strict=True)), Counter(lower)
    prior = lambda y: (below[y] + 1) / (len(lower) + size)
    expected = [np.log((pairs[x, y] + s * prior(y)) / (above[x] + s)) for x, y in zip(upper, lower, strict=True)]
    assert tables.log_probability(couplets, 0) == pytest.approx(expected)


@pytest.mark.parametrize("order", [0, 1])
def test_distributions_of_count_tables_sum_to_one_and_are_those_of_the_likelihood(order):
    couplets, other = grammar.write_couplets(500, 3)[0], grammar.write_couplets(40, 4)[0]
    tables = CountTables(couplets, grammar.Grammar().size)
    log_p = []
    for upper, lower in other:
        n = (upper >= 0).sum()
        p = tables.distribution(upper[:n], order)
        assert p.sum(1) == pytest.approx(np.ones(n))
        log_p += [np.log(p[i, lower[i]]) for i in range(n)]
    assert tables.log_probability(other, order) == pytest.approx(log_p)


def test_neighbours_tell_more_than_the_character_alone():
    train, test = grammar.write_couplets(4000, 0)[0], grammar.write_couplets(300, 1)[0]
    tables = CountTables(train, grammar.Grammar().size)
    top = [measure.measure_tables(tables, test, order)[0] for order in (0, 1)]
    assert top[1]["top-1"] > top[0]["top-1"] + 0.2 and top[1]["perplexity"] < top[0]["perplexity"] - 1


# measures


def test_scores_and_distinct_by_hand():
    scores = measure.scores_of(np.log([0.5, 0.5, 0.25, 0.25]), np.array([True, True, True, False]), [2, 2])
    assert scores == pytest.approx({"perplexity": 8**0.5, "top-1": 0.75, "whole lines": 0.5})
    assert measure.distinct(["abc", "abd"], 1) == 4 / 6 and measure.distinct(["abc", "abd"], 2) == 3 / 4


def test_lines_of_other_couplets_have_the_length_of_the_upper_line():
    couplets = np.array([[[1, 2, -1], [3, 4, -1]], [[5, 6, 7], [8, 9, 9]], [[1, 1, -1], [2, 5, -1]]])
    lines = report.lines_of_others(couplets)
    assert [line.tolist() for line in lines] == [[2, 5], [8, 9, 9], [3, 4]]


def test_parallelism_by_hand():
    oblique = lambda line: [{"平": False, "仄": True}.get(c) for c in line]
    tags = lambda line: ["n" if c in "平仄" else "x" for c in line]
    scores = prosody.parallelism([("平仄平平", "仄平平仄"), ("平平仄仄", "平a平平")], oblique, tags)
    assert scores == {"opposed tones": 1.0, "level end": 0.5, "same part of speech": 7 / 8}
    assert prosody.parallelism([("平", "仄")], None, None) == {}
    assert prosody.parallelism([("平", "仄")], oblique, None) == {"level end": 0.0}, "no second character"
    assert prosody.parallelism([("a", "b")], oblique, None) == {}, "no tone is known"


def test_entering_tones_are_oblique():
    pytest.importorskip("pypinyin")
    oblique, _ = prosody.load()
    assert oblique("白日依山尽黄") == [True, True, False, False, True, False] and oblique("a3") == [None, None]
    assert oblique("锅拔") == [False, True]
