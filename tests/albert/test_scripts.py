"""The scripts of article 7187 from their flags to their files."""

import json

import numpy as np
import pytest

from albert import grammar, report
from tests.albert.test_data import write_reviews
from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import error_line, metrics_of, run_comparison, run_here


@pytest.fixture
def small(monkeypatch):
    """Keep one task and few strings: tracing the networks takes most of a short training."""
    monkeypatch.setattr(grammar, "TASKS", {"sort": grammar.sort_tokens})
    monkeypatch.setattr(grammar, "UNLABELLED", 100)


def test_compare_trains_and_is_not_repeated(small, tmp_path, monkeypatch, home, capsys):
    flags = ["--preset", "smoke", "--seeds", "1", "--variants", "shared", "unshared", "--out", tmp_path]
    run_comparison(monkeypatch, home, "albert/compare.py", *flags)
    folder = tmp_path / "albert/compare-smoke-grammar"
    metrics = metrics_of(folder)
    assert metrics["parameters/sort, unshared/0"] - metrics["parameters/sort, shared/0"] == 12 * 8 * 8 + 13 * 8
    assert_not_blank(*sorted((folder / "figures").glob("*.png")), least=10)
    assert {p.name for p in (folder / "figures").iterdir()} == {"after_epoch_1.png", "test.png", "gain.png", "sort.png"}
    gain = json.loads((folder / "results.json").read_text())["gains"]["sort"]
    best = [metrics[f"best/sort, {variant}/0"] for variant in ("unshared", "shared")]
    assert gain["at best"] == [pytest.approx(100 * (best[0] - best[1]))]
    (run_dir,) = (folder / "seed-0/albert").iterdir()
    assert_not_blank(*sorted((run_dir / "figures").glob("*.png")), least=10)
    start = [json.loads((run_dir / f"sort-{v}/validation.json").read_text())["0"] for v in ("shared", "unshared")]
    assert start[0] == start[1], "both begin as one function"
    log = (folder / "seed-0/log.txt").read_text()
    run_comparison(monkeypatch, home, "albert/compare.py", *flags)
    assert metrics_of(folder) == metrics
    repeated = (folder / "seed-0/log.txt").read_text().removeprefix(log)
    assert "is finished: 8 steps are done" in repeated and "step 4 of 8" in log and "step 4 of 8" not in repeated
    (run_dir / "sort-shared/scores.json").write_text("{}")
    train = ["albert/train.py", "--preset", "smoke", "--variants", "shared", "unshared"]
    capsys.readouterr()
    assert "scores.json is damaged" in error_line(*train, "--out", folder / "seed-0", "--resume")


def test_reviews_of_your_own(tmp_path, monkeypatch, capsys):
    dataset = write_reviews(tmp_path / "my.csv", n=200)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    flags = ["--preset", "smoke", "--dataset", dataset, "--steps", "4", "--tune-epochs", "1", "--variants", "scaled"]
    assert run_here("albert/train.py", *flags, "--out", tmp_path) == 0
    (run_dir,) = (tmp_path / "albert").iterdir()
    metrics = metrics_of(run_dir)
    assert {key.split("/")[0] for key in metrics if key.count("/") == 2} == {"label", "category"}
    assert 0 <= metrics["label/scaled/test"] <= 1 and "| label, scaled |" in capsys.readouterr().out


def scores(valid, test):
    return {"validation": valid, "test": test, "seconds": [9.0, 10.0, 11.0], "parameters": 7}


def test_the_summary_is_that_of_the_article():
    row = report.summary(scores([0.2, 0.7, 0.6], [0.1, 0.5, 0.9]))
    assert row == {"after epoch 1": 0.2, "best": 0.7, "test": 0.5, "seconds per epoch": 1.0, "parameters": 7}


def test_gains_are_paired_and_tasks_go_from_easy_to_hard():
    runs = []
    for seed in range(2):
        results = {
            ("hard", "shared"): scores([0.1, 0.2, 0.3 + seed / 10], [0, 0, 0.3]),
            ("hard", "unshared"): scores([0.3, 0.4, 0.4], [0, 0.5, 0]),
            ("easy", "shared"): scores([0.8, 0.9, 0.9], [0.9, 0.9, 0.9]),
            ("easy", "unshared"): scores([0.7, 0.9, 0.9], [0.9, 0.8, 0.9]),
        }
        runs.append(report.metrics(results))
    results = report.by_task(runs, ("shared", "unshared", "random"))
    assert list(results) == ["easy", "hard"] and list(results["easy"]) == ["shared", "unshared"]
    gains = report.gains(results)
    assert np.allclose(gains["hard"]["at best"], [10, 0]) and np.allclose(gains["easy"]["on the test set"], [-10, -10])
    text = report.gain_table(gains)
    assert text.splitlines()[-1] == "| hard | 20 | 2 | 5 (0 to 10) | 1 | 20 | 2 |"


def test_wrong_flags_are_one_line(small, tmp_path):
    out = ["--preset", "smoke", "--out", tmp_path]
    assert "--width must be a multiple of 2" in error_line("albert/train.py", "--width", "7", *out)
    assert "did you mean unshared?" in error_line("albert/train.py", "--variants", "unshard", *out)
    assert "did you mean reviews?" in error_line("albert/train.py", "--dataset", "review", *out)
    assert "task sort has only 8 labelled examples: lower --batch-size" in error_line(
        "albert/train.py", "--examples", "8", *out
    )
