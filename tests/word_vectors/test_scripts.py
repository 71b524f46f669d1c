"""The scripts of article 6191 from their flags to their files."""

import keras
import numpy as np
import pytest

from common.cli import apply_preset
from common.training import loop
from common.training.skip_gram import build_skip_gram, neighbour_pairs
from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import error_line, metrics_of, run_here
from word_vectors import toy_language, train
from word_vectors.corpus import LANGUAGE, count_pairs, load_corpus


def test_library(tmp_path, capsys):
    assert run_here("word_vectors/library.py", "--preset", "smoke", "--out", tmp_path) == 0
    folder = tmp_path / "word_vectors/library-smoke"
    for name in ("layout", "annealing"):
        assert_not_blank(folder / f"figures/{name}.png", least=10)
    metrics = metrics_of(folder)
    assert metrics["random/mean"] == pytest.approx(9.231, abs=0.01)  # of 200 layouts; the pilot had 9.3 +- 0.8
    assert metrics["no layout below/mean"] < metrics["annealed/mean"] < 6
    assert (folder / "table.md").read_text() in capsys.readouterr().out


def test_soft_library(tmp_path, capsys):
    assert run_here("word_vectors/soft_library.py", "--preset", "smoke", "--out", tmp_path) == 0
    folder = tmp_path / "word_vectors/soft_library-smoke"
    for name in ("cost", "books"):
        assert_not_blank(folder / f"figures/{name}.png", least=10)
    metrics = metrics_of(folder)
    assert metrics["largest |S - H - KL|"] < 1e-14
    assert metrics["S/1"] > metrics["S/2"] > metrics["S/3"] > metrics["S/8"] > metrics["H/8"]
    assert metrics["KL/8"] < 0.15 < metrics["KL/2"]
    assert metrics["alike neighbours/2"] == 1
    assert (folder / "table.md").read_text() in capsys.readouterr().out


def test_sne(tmp_path, capsys):
    assert run_here("word_vectors/sne.py", "--preset", "smoke", "--out", tmp_path) == 0
    folder = tmp_path / "word_vectors/sne-smoke"
    for name in ("maps", "separation"):
        assert_not_blank(folder / f"figures/{name}.png", least=10)
    metrics = metrics_of(folder)
    assert metrics["separation/PCA"] < 1 < metrics["separation/SNE"] < 3.5 < 4 < metrics["separation/t-SNE"]
    assert metrics["separation/t-SNE of scikit-learn"] > 4 and metrics["KL/t-SNE"] < metrics["KL/SNE"]
    assert (folder / "table.md").read_text() in capsys.readouterr().out


def test_wrong_flags_get_one_line(tmp_path):
    for script in ("library", "soft_library", "sne"):
        assert "did you mean smoke?" in error_line(f"word_vectors/{script}.py", "--preset", "smok", "--out", tmp_path)


@pytest.mark.parametrize("flags", [["--loss", "negative"], ["--shared"]], ids=" ".join)
def test_train(flags, tmp_path, capsys):
    assert run_here("word_vectors/train.py", "--preset", "smoke", "--out", tmp_path, *flags) == 0
    (folder,) = (tmp_path / "word_vectors").iterdir()
    for name in ("loss", "products", "words"):
        assert_not_blank(folder / f"figures/{name}.png", least=10)
    metrics, vectors = metrics_of(folder), np.load(folder / "vectors.npz")
    assert vectors["u"].shape == vectors["v"].shape == (100, 8) and vectors["words"][0] == "the"
    assert np.array_equal(vectors["u"], vectors["v"]) == ("--shared" in flags)
    assert (folder / "vectors.txt").read_text().startswith("100 8\nthe ")
    if "negative" in flags:
        assert metrics["mean of the optimum - PMI"] == pytest.approx(-np.log(5), abs=0.2)
    else:
        assert metrics["S"] == pytest.approx(metrics["H"] + metrics["KL"]) and metrics["S"] < np.log(100)
    table = (folder / "neighbours.md").read_text()
    assert table in capsys.readouterr().out and table.count("\n") == 22


def test_trained_vectors_come_to_the_shifted_information(tmp_path):
    """Two tables, as in word2vec, and a training that is interrupted."""
    flags = ["--preset", "smoke", "--loss", "negative", "--every", 150, "--limit", 5000, "--dimensions", 24]
    flags += ["--learning-rate", 0.05, "--batch-size", 2048, "--out", tmp_path]
    args = train.make_parser().parse_args([*map(str, flags), "--steps", "150"])
    apply_preset(args, train.make_parser(), train.PRESETS, tokens=train.default_tokens)
    corpus = load_corpus(LANGUAGE, "blanks", 100, limit=args.limit)
    data = neighbour_pairs(corpus.ids, corpus.texts, args.window)
    counts = count_pairs(data, 100)

    def trained(folder, *stops):
        for steps in stops:
            keras.utils.set_random_seed(0)
            trainer, u, v = build_skip_gram(counts.sum(0), 24, 0.05, args.negatives)
            loop.train(
                trainer, data, tmp_path / folder, batch_size=2048, steps=steps, save_every=150, seed=0,
                on_interval=lambda step: None,
            )  # fmt: skip
        return u.embeddings.numpy(), v.embeddings.numpy()

    u, v = trained("parts", 60, 150)
    metrics, _ = train.measure_vectors(args, u, v, toy_language.pair_probabilities(), corpus)
    assert metrics["correlation with the optimum"] > 0.9
    assert metrics["mean of <u,v> - PMI"] == pytest.approx(metrics["mean of the optimum - PMI"], abs=0.2)
    assert np.array_equal(trained("whole", 150), (u, v)), "a resumed training draws the same noise words"


def test_own_text_and_its_mistakes(tmp_path, capsys):
    text = tmp_path / "my text.txt"
    text.write_text("\n".join(["red apple tree", "green apple leaf", "red leaf tree"] * 300))
    flags = ["--preset", "smoke", "--dataset", f"text:{text}", "--tokens", "blanks", "--out", tmp_path / "runs"]
    assert run_here("word_vectors/train.py", *flags) == 0
    (folder,) = (tmp_path / "runs/word_vectors").iterdir()
    assert folder.name == "text-my_text.txt-smoke-tokens-blanks-s0" and (folder / "figures/words.png").exists()
    capsys.readouterr()
    text.write_text("\n".join(2 * [f"a{i} b{i} c{i} d{i} e{i}" for i in range(60)]))
    rare = error_line("word_vectors/train.py", *flags[:-1], tmp_path / "other", "--batch-size", "64")
    assert "0 pairs of words come together 5 times, too few to measure: give more text" in rare
    text.write_text("\n".join(["a b c"] * 600))
    alike = error_line("word_vectors/train.py", *flags[:-1], tmp_path / "other", "--batch-size", "64")
    assert "all words are neighbours equally often" in alike
    text.write_text("one word each")
    assert "occur more than once" in error_line("word_vectors/train.py", *flags[:-1], tmp_path / "other")
    text.write_bytes(b"")
    assert "my text.txt holds no text" in error_line("word_vectors/train.py", *flags[:-1], tmp_path / "other")
    missing = ["--preset", "smoke", "--dataset", "waimai", "--data-dir", tmp_path, "--tokens", "characters"]
    assert "get waimai_10k.csv from https" in error_line("word_vectors/train.py", *missing, "--out", tmp_path / "other")
    assert not (tmp_path / "other").exists()
