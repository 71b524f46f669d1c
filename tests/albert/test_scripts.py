"""The scripts of article 7187 from their flags to their files."""

import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import ops

from albert import grammar, report, train
from albert.encoder import block_variables, build_encoder, visible_positions
from albert.tokens import Task, mask_tokens
from albert.unshare import unshare
from tests.albert.test_data import write_reviews
from tests.helpers.arrays import assert_not_blank, numpy
from tests.helpers.scripts import error_line, metrics_of, run_comparison, run_here


@pytest.fixture
def small(monkeypatch):
    """Keep one task and few strings: tracing the networks takes most of a short training."""
    monkeypatch.setattr(grammar, "TASKS", {"sort": grammar.sort_tokens})
    monkeypatch.setattr(grammar, "UNLABELLED", 100)


def test_compare_trains_and_does_not_repeat(tmp_path, monkeypatch, home, capsys):
    dataset = write_reviews(tmp_path / "my.csv", n=200)
    train = ["--preset", "smoke", "--dataset", dataset, "--variants", "shared", "unshared", "--tasks", "label"]
    flags = [*train, "--seeds", "1", "--out", tmp_path]
    run_comparison(monkeypatch, home, "albert/compare.py", *flags)
    (folder,) = tmp_path.glob("albert/compare-smoke-text*")
    metrics = metrics_of(folder)
    assert metrics["parameters/label, unshared/0"] - metrics["parameters/label, shared/0"] == 12 * 8 * 8 + 13 * 8
    assert sorted(path.name for path in (folder / "figures").iterdir()) == ["gain.png", "label.png"]
    assert_not_blank(*(folder / "figures").iterdir(), least=10)
    gain = json.loads((folder / "results.json").read_text())["gains"]["label"]
    best = [metrics[f"best/label, {variant}/0"] for variant in ("unshared", "shared")]
    assert gain["at best"] == [pytest.approx(100 * (best[0] - best[1]))]

    (run_dir,) = (folder / "seed-0/albert").iterdir()
    assert metrics_of(run_dir)["label/shared/test"] == metrics["test/label, shared/0"]
    assert_not_blank(*(run_dir / "figures").iterdir(), least=10)
    start = [json.loads((run_dir / f"label-{v}/validation.json").read_text())["0"] for v in ("shared", "unshared")]
    assert start[0] == start[1], "both begin as one function"

    log = (folder / "seed-0/log.txt").read_text()
    run_comparison(monkeypatch, home, "albert/compare.py", *flags)
    assert metrics_of(folder) == metrics and (folder / "seed-0/log.txt").read_text() == log

    tuned = [run_dir / f"label-{variant}" for variant in ("shared", "unshared")]
    read_scores = lambda: [json.loads((path / "scores.json").read_text()) | {"seconds": 0} for path in tuned]
    scores = read_scores()
    for path in tuned:
        (path / "scores.json").unlink()
    (tuned[0] / "log.csv").unlink()
    (tuned[1] / "test.json").unlink()
    (tuned[1] / "validation.json").write_text("{")
    assert run_here("albert/train.py", *train, "--out", folder / "seed-0", "--resume") == 0
    assert read_scores() == scores, "what is lost is tuned again"

    (run_dir / "label-unshared/scores.json").write_text("{}")
    (run_dir / "held_out.json").write_text("")
    capsys.readouterr()
    error = error_line("albert/train.py", *train, "--out", folder / "seed-0", "--resume")
    printed = capsys.readouterr().out
    assert list(json.loads((run_dir / "held_out.json").read_text())) == ["8"], "what is lost is measured again"
    assert "scores.json is damaged" in error and "is finished: 8 steps are done" in printed
    longer = error_line("albert/train.py", *train, "--out", folder / "seed-0", "--resume", "--steps", "9")
    assert "--steps 8, not 9" in longer, "the fine-tunings began at 8"
    assert "label, shared" in log and "label, shared" not in printed, "a fine-tuning that has ended is not repeated"


def test_a_label_is_predicted_from_what_stands_before_it():
    """In a task of generation a token may change only the labels from its own place on, and never its own."""
    args = SimpleNamespace(size=9, depth=2, tune_learning_rate=0.01, seed=0)
    encoder = build_encoder(11, 9, width=8, depth=2, heads=2, embedding=4)
    source, labels = 5, 4  # five tokens are given, the last one begins the answer; four labels follow
    task = Task(*[np.zeros((8, 9 + labels), "int32")] * 3, 11, source - 1, source)
    _, scorer = train.build_tuning(args, encoder, task, "shared")
    logits = keras.Model(scorer.input, scorer.get_layer("labels").output)
    rng = np.random.default_rng(0)
    x = rng.integers(5, 11, (1, 9 + labels))
    before = numpy(logits(x))[0]
    for i in range(labels):
        changed = x.copy()
        changed[0, source + i] = 5 + (changed[0, source + i] - 4) % 6  # the answer's token i
        moved = np.abs(numpy(logits(changed))[0] - before).max(-1) > 1e-6
        assert not moved[: i + 1].any() and moved[i + 1 :].all(), i
    changed = x.copy()
    changed[0, 9:] = 5
    assert np.array_equal(numpy(logits(changed))[0], before), "the labels themselves are no input"


def test_masked_tokens_are_scored_by_hand():
    args = SimpleNamespace(size=8, learning_rate=0.01)
    encoder = build_encoder(11, 8, width=8, depth=2, heads=2, embedding=4)
    hidden = mask_tokens(
        np.random.default_rng(0).integers(5, 11, (64, 8)).astype("int32"), 11, np.random.default_rng(1)
    )
    trainer, scorer = train.build_mlm(args, encoder, hidden.shape[1])
    scores = numpy(scorer(hidden))  # (rows, right and counted, positions)
    old = hidden[:, -scores.shape[2] :]
    ids, positions = hidden[:, :8], hidden[:, 8 : 8 + scores.shape[2]]
    vectors = numpy(encoder([ops.convert_to_tensor(ids), visible_positions(ids)]))
    vectors = np.take_along_axis(vectors, positions[..., None], 1)
    logits = numpy(scorer.get_layer("mlm_head")(vectors)).astype("float64")
    predicted = logits.argmax(-1)
    log_p = logits - np.logaddexp.reduce(logits, -1, keepdims=True)
    of_old = np.take_along_axis(log_p, np.maximum(old, 0)[..., None], -1)[..., 0]
    loss = trainer.loss_function(**trainer(hidden))["loss"]
    assert float(loss) == pytest.approx(-of_old[old >= 0].mean(), rel=1e-5), "of the hidden tokens alone"
    assert np.array_equal(scores[:, 1], old >= 0) and np.array_equal(scores[:, 0], (predicted == old) & (old >= 0))
    assert 0 < scores[:, 0].sum() < scores[:, 1].sum(), "an untrained encoder is sometimes right"


def test_the_loss_of_a_fine_tuning_by_hand():
    args = SimpleNamespace(size=6, depth=2, tune_learning_rate=0.01, seed=0)
    encoder = build_encoder(11, 6, width=4, depth=2, heads=2, embedding=2)
    rows = np.random.default_rng(0).integers(5, 11, (8, 9)).astype("int32")
    rows[:, 6:] -= 5  # three labels out of six
    trainer, scorer = train.build_tuning(args, encoder, Task(rows, rows, rows, 6, 2, None), "shared")
    logits = numpy(keras.Model(scorer.input, scorer.get_layer("labels").output)(rows)).astype("float64")
    log_p = logits - np.logaddexp.reduce(logits, -1, keepdims=True)
    values = trainer.loss_function(**trainer(rows))
    expected = -np.take_along_axis(log_p, rows[:, 6:, None], -1)[..., 0].mean(-1)
    assert numpy(values["loss"]) == pytest.approx(expected, rel=1e-4)
    right = (logits.argmax(-1) == rows[:, 6:]).mean(-1)
    assert numpy(values["accuracy"]) == pytest.approx(right) and 0 < right.mean() < 1


@pytest.mark.parametrize("variant", ["unshared", "scaled"])
def test_the_rate_of_the_blocks_is_scaled(variant):
    """The first step of Adam has the length of the learning rate, whatever the gradient."""
    args = SimpleNamespace(size=6, depth=3, tune_learning_rate=0.01, seed=0)
    encoder = unshare(build_encoder(11, 6, width=4, depth=3, heads=2, embedding=2))
    task = Task(*[np.zeros((8, 7), "int32")] * 3, 2, 0, None)
    trainer, _ = train.build_tuning(args, encoder, task, variant)
    before = [numpy(v) for v in trainer.trainable_variables]
    trainer.optimizer.apply([ops.ones_like(v) for v in trainer.trainable_variables], trainer.trainable_variables)
    blocks = {id(v) for v in block_variables(encoder)}
    rate = {"unshared": 0.01, "scaled": 0.03}[variant]
    assert len(blocks) == 3 * 16 and len(before) == len(blocks) + 8
    for old, variable in zip(before, trainer.trainable_variables, strict=True):
        assert np.allclose(old - numpy(variable), rate if id(variable) in blocks else 0.01, atol=1e-6)


def test_identity(tmp_path, capsys):
    assert run_here("albert/identity.py", "--preset", "smoke", "--out", tmp_path) == 0
    folder = tmp_path / "albert/identity-smoke"
    metrics = metrics_of(folder)
    error = "2 blocks/greatest error of the sum, "
    assert metrics[f"{error}float64"] < 1e-13 and 1e-8 < metrics[f"{error}float32"] < 1e-6
    assert metrics["2 blocks/mean step of a copy"] == pytest.approx(0.5) and metrics["parameters/a block"] == 7_087_872
    assert (folder / "table.md").read_text() in capsys.readouterr().out
    assert_not_blank(folder / "figures/parts.png", least=10)


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
    assert "--depth 1 shares nothing" in error_line("albert/train.py", "--depth", "1", *out)
    assert not list(tmp_path.rglob("config.json")), "refused before a run begins"
    assert "did you mean unshared?" in error_line("albert/train.py", "--variants", "unshard", *out)
    assert "did you mean reviews?" in error_line("albert/train.py", "--dataset", "review", *out)
    assert "task sort has only 8 labelled examples: lower --batch-size" in error_line(
        "albert/train.py", "--examples", "8", *out
    )
