"""The scripts of article 6191 from their flags to their files."""

import json

import pytest

from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import error_line, run_here


def metrics_of(folder):
    return json.loads((folder / "results.json").read_text())["metrics"]


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
    for name in ("maps", "crowding"):
        assert_not_blank(folder / f"figures/{name}.png", least=10)
    metrics = metrics_of(folder)
    assert metrics["crowding/PCA"] < 1 < metrics["crowding/SNE"] < 3.5 < 4 < metrics["crowding/t-SNE"]
    assert metrics["crowding/t-SNE of scikit-learn"] > 4 and metrics["KL/t-SNE"] < metrics["KL/SNE"]
    assert (folder / "table.md").read_text() in capsys.readouterr().out


def test_wrong_flags_get_one_line(tmp_path):
    for script in ("library", "soft_library", "sne"):
        assert "did you mean smoke?" in error_line(f"word_vectors/{script}.py", "--preset", "smok", "--out", tmp_path)
