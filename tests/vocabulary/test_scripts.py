"""The toy language, and the scripts of article 6540 from their flags to their files."""

import numpy as np
import pytest

from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import error_line, metrics_of, run_here
from vocabulary import toy_language


def test_language_is_what_it_says():
    language = toy_language.make_language()
    assert [len(words) for words in language] == [300, 80, 60, 20]
    assert len({*language.words, *language.function}) == 460 and {len(word) for word in language.words} == {2, 3, 4}
    symbols = {c for word in language.words for c in word}
    assert not symbols & set(language.function) and len(symbols) <= 380
    assert toy_language.make_language(1).terms != language.terms

    texts = {kind: toy_language.write_corpus(language, kind) for kind in toy_language.CORPORA}
    share = lambda word, kind: sum(word in text for text in texts[kind]) / 8000
    general, term, academic = language.general[0], language.terms[0], language.academic[0]
    assert share(term, "domain") > 30 * share(term, "general") and share(academic, "domain") > 0.03
    assert share(general, "general") > share(general, "domain") > 0.03
    together = sum(term in text and academic in text for text in texts["domain"])
    assert together < 20, "terms and academic words stand in different sentences"


def test_train_and_grow(tmp_path, capsys):
    assert run_here("vocabulary/train.py", "--preset", "smoke", "--out", tmp_path) == 0
    folder = tmp_path / "vocabulary/language-smoke-s0"
    for name in ("contrast", "growth"):
        assert_not_blank(folder / f"figures/{name}.png", least=10)
    metrics = metrics_of(folder)
    precision = lambda pruned: metrics[f"discovery/min_pmi 2, {pruned}/precision"]
    assert precision("pruned") > precision("not pruned") + 0.05
    assert metrics["discovery/min_pmi 2, pruned/recall of terms"] > 0.9
    filled, published = (metrics[f"contrast/{name}/precision at 80"] for name in ("zero fill", "as published"))
    assert filled > published + 0.2 and metrics["contrast/zero fill/terms with a score"] > 70
    f1, p, r = (metrics["growth/alpha 0.35/s_min 0.6" + end] for end in ("", "/precision", "/recall"))
    assert 0 < f1 <= 1 and f1 == pytest.approx(2 * p * r / (p + r))
    assert 0 < metrics["grown words"] <= metrics["grown words, as published"], "one schedule, with and without the mean"
    table = (folder / "table.md").read_text(encoding="utf-8")
    assert table in capsys.readouterr().out
    terms = (folder / "terms.txt").read_text(encoding="utf-8").split()
    assert len(terms) == metrics["terms"] and set(terms) <= set(np.load(folder / "words.npz")["words"])

    seeds = toy_language.make_language().terms[:2]
    assert run_here("vocabulary/grow.py", "--run", folder, "--seed-words", *seeds, "--s-min", 0.99) == 0
    grown = set((folder / "grow/terms.txt").read_text(encoding="utf-8").split())
    assert set(seeds) <= grown <= set(terms) | set(seeds)
    (folder / "grow/terms.txt").unlink()
    (folder / "grow/table.md").unlink()
    (folder / "grow").rmdir()
    (folder / "grow").touch()
    assert f"{folder}/grow" in error_line("vocabulary/grow.py", "--run", folder, "--seed-words", *seeds)
    assert "no vector of 没有" in error_line("vocabulary/grow.py", "--run", folder, "--seed-words", "没有", seeds[0])
    for content in (b"damaged", b""):
        (folder / "words.npz").write_bytes(content)
        assert "damaged" in error_line("vocabulary/grow.py", "--run", folder, "--seed-words", seeds[0])


@pytest.fixture
def reviews(tmp_path):
    """Names of a domain's and a general text."""
    for name, words in (("hotel", ("早餐", "大堂", "前台")), ("shop", ("苹果", "包装", "快递"))):
        lines = [f"{words[i % 3]}很好，{words[i // 3 % 3]}一般。" for i in range(300)]
        (tmp_path / f"{name}.csv").write_text("review\n" + "\n".join(lines) + "\n", encoding="gb18030")
    return [f"text:{tmp_path / name}.csv" for name in ("hotel", "shop")]


def test_own_texts_and_their_mistakes(reviews, tmp_path, capsys):
    domain, general = reviews
    flags = ["--preset", "smoke", "--dataset", domain, "--out", tmp_path / "runs"]
    assert run_here("vocabulary/train.py", *flags, "--against", general) == 0
    (folder,) = (tmp_path / "runs/vocabulary").iterdir()
    assert (folder / "terms.txt").read_text(encoding="utf-8").split() and "早餐" in capsys.readouterr().out
    flags[-1] = tmp_path / "other"
    assert "--against shopping couplet" in error_line("vocabulary/train.py", *flags)
    language = ["--preset", "smoke", "--out", tmp_path / "other", "--against", general]
    assert "leave out --against" in error_line("vocabulary/train.py", *language)
    assert "lower --min-proba" in error_line("vocabulary/train.py", *language[:-2], "--min-proba", "0.9")
    assert "lower --min-pmi" in error_line("vocabulary/train.py", *language[:-2], "--min-pmi", "20")
    (tmp_path / "shop.csv").write_text("review\n太短\n", encoding="utf-8")
    assert "give a text of at least 1000" in error_line("vocabulary/train.py", *flags, "--against", general)
    (tmp_path / "shop.csv").write_bytes(b"")
    assert "shop.csv holds no text" in error_line("vocabulary/train.py", *flags, "--against", general)
    (tmp_path / "shop.csv").write_text("review\n" + 2000 * "と、" + "\n", encoding="utf-8")
    assert "has 0 characters" in error_line("vocabulary/train.py", *flags, "--against", general), "all of it is cuts"
    (tmp_path / "shop.csv").write_text("review\n" + 600 * "ab cd" + "\n", encoding="utf-8")
    (tmp_path / "hotel.csv").write_text("review\n" + 600 * "ab cd" + "\n", encoding="utf-8")
    line = error_line("vocabulary/train.py", *flags, "--against", general)
    assert "can be a term" in line, "no rule lets Latin letters pass"
    missing = ["--against", "couplet", "--data-dir", tmp_path / "runs"]
    assert "get couplet.tar.gz from https" in error_line("vocabulary/train.py", *flags, *missing)
    assert not (tmp_path / "other").exists()
