"""The scripts of article 5505 from their flags to their files."""

import functools
import json
import shutil

import numpy as np
import pytest

from common.training import loop
from spectra import baselines, gallery
from spectra.batches import QuotaBatches
from spectra.best import BestWeights, score
from spectra.dataset import Part, load, rows_of
from spectra.f1 import f1_scores
from spectra.network import build_network
from spectra.simulator import CLASSES, QSO, STAR
from spectra.train import LOSSES, build
from tests.helpers.arrays import assert_not_blank, numpy
from tests.helpers.scripts import error_line, metrics_of, run_comparison, run_here

TINY = ["--preset", "smoke", "--width", "2", "--limit", "200", "--steps", "4", "--every", "2", "--tune-steps", "2"]


@pytest.fixture
def small(monkeypatch):
    """Make the network of three blocks with a convolution each: tracing them takes most of a short training."""
    for name, value in {"DILATIONS": (1,), "BLOCKS": 3, "HALVINGS": 2}.items():
        monkeypatch.setattr(f"spectra.network.{name}", value)


def test_gallery(tmp_path):
    assert run_here("spectra/gallery.py", "--out", tmp_path) == 0
    assert_not_blank(tmp_path / "spectra/gallery/figures/spectra.png", least=10)
    lines = gallery.lines_of(QSO, 2.0, 0.0)
    assert abs(lines["C IV"] - 3 * 1549.1) < 1e-9 and "Hα" not in lines, "beyond the range"
    assert "TiO" in gallery.lines_of(STAR, 0.0, 3600.0) and "Ca K" not in gallery.lines_of(STAR, 0.0, 9500.0)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_classifier_learns_to_tell_the_labels_apart(small, tmp_path, loss):
    """Waves of four lengths; a label at the wrong column of a row would be learned as another class."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 32)
    waves = np.sin(2 * np.pi * (rng.random((128, 1)) + np.arange(128) / np.array([3, 6, 14, 60])[labels, None]))
    part = Part(waves[..., None].astype("float32"), labels)
    network = build_network(128, 8)
    trainer = build(network, "cross_entropy" if loss == "cross_entropy" else "f1", 5e-3)
    batches = functools.partial(QuotaBatches, labels=labels, quotas=(0.25,) * 4)
    loop.train(
        trainer, rows_of(part), tmp_path, batch_size=32, steps=150, save_every=150, seed=0,
        on_interval=lambda step: None, batches=batches,
    )  # fmt: skip
    f1, _, _ = score(network, *part)
    assert f1.min() > 0.8


def test_no_spectrum_is_in_two_sets():
    parts = load("simulated", 60, 128, 0)
    spectra = [{x.tobytes() for x in part.x} for part in parts]
    assert [len(part.x) for part in parts] == [60, 60, 60] and len(set.union(*spectra)) == 180


def test_baselines(tmp_path, capsys):
    assert run_here("spectra/baselines.py", "--preset", "smoke", "--seeds", "1", "--out", tmp_path) == 0
    folder = tmp_path / "spectra/baselines-smoke"
    metrics = metrics_of(folder)
    f1 = [metrics[f"{name}/macro-F1/0"] for name in ("largest class", "9 neighbours, 20 components")]
    assert f1[0] < 0.2 < 0.4 < f1[1]
    assert metrics["noise alone/unknown/0"] > 0.5 and metrics["noise alone/qso/0"] == 0
    assert (folder / "table.md").read_text() in capsys.readouterr().out


def test_200_steps_on_1000_spectra_beat_ridge_regression(tmp_path):
    flags = ["--preset", "smoke", "--points", 260, "--width", 8, "--limit", 1000, "--steps", 200, "--every", 100]
    assert run_here("spectra/train.py", *flags, "--tune", "none", "--out", tmp_path) == 0
    (folder,) = (tmp_path / "spectra").iterdir()
    train, _, test = load("simulated", 1000, 260, 0)
    predicted = baselines.ridge(train.x[..., 0], train.labels, test.x[..., 0], len(CLASSES))
    ridge = f1_scores(test.labels, predicted, len(CLASSES)).mean()
    assert metrics_of(folder)["macro-F1/first"] > ridge + 0.05, "0.76 against 0.56 on one machine"


def test_baselines_on_two_clouds():
    rng = np.random.default_rng(0)
    labels, truth = rng.integers(0, 2, 300), rng.integers(0, 2, 100)
    cloud = lambda y: (rng.standard_normal((len(y), 30)) + 4 * np.outer(y, np.arange(30) < 8)).astype("float32")
    x, test = cloud(labels), cloud(truth)
    for classify in (baselines.nearest_mean, baselines.ridge, baselines.neighbours):
        assert (classify(x, labels, test, 2) == truth).mean() > 0.97, classify.__name__


def test_the_best_weights_are_those_of_the_highest_f1(small):
    rng = np.random.default_rng(0)
    network = build_network(128, 2)
    x, labels = rng.standard_normal((40, 128, 1)).astype("float32"), np.repeat(range(4), 10)
    best = BestWeights(network, x, labels)
    kernel, bias = network.layers[-1].kernel, network.layers[-1].bias
    kernel.assign(0 * kernel)  # so that the bias alone decides
    for step, (favourite, n_right) in enumerate([(0, 10), (1, 30), (2, 20)]):
        best.labels = np.where(np.arange(40) < n_right, favourite, 3)
        bias.assign(np.eye(4)[favourite])
        best.measure(step)
    assert best.curve()[0] == [0, 1, 2]
    np.testing.assert_allclose(best.curve()[1], [2 * n / (n + 40) / 4 for n in (10, 30, 20)])
    assert best.step_left() is None, "a constant output stays on the plateau"
    best.load()
    np.testing.assert_array_equal(numpy(bias), np.eye(4)[1])

    restored = BestWeights(network, x, labels)
    restored.restore({name: np.asarray(value) for name, value in best.state().items()})
    bias.assign(np.zeros(4))
    restored.load()
    np.testing.assert_array_equal(numpy(bias), np.eye(4)[1])
    assert restored.history == [tuple(row) for row in best.history]


def test_a_comparison_and_a_run_that_goes_on_as_one_that_was_not_stopped(small, monkeypatch, home, tmp_path, capsys):
    flags = [*TINY[2:], "--preset", "smoke", "--seeds", "1", "--kinds", "cross_entropy", "--out", tmp_path]
    rows_of, drawn = QuotaBatches._rows, set()
    monkeypatch.setattr(QuotaBatches, "_rows", lambda *args: drawn.add((args[1], args[3])) or rows_of(*args))
    run_comparison(monkeypatch, home, "spectra/compare.py", *flags)
    assert drawn == {(0, 17), (1, 5), (2, 5), (3, 5)}, "0.55, 0.15, 0.15 and 0.15 of 32"
    folder = tmp_path / "spectra/compare-smoke"
    assert_not_blank(folder / "figures/compare.png")
    assert (folder / "table.md").read_text() in capsys.readouterr().out
    results = json.loads((folder / "results.json").read_text())["metrics"]
    (straight,) = (folder / "cross_entropy-0/spectra").iterdir()
    metrics = metrics_of(straight)
    difference = metrics["macro-F1/then macro-F1"] - metrics["macro-F1/then cross-entropy"]
    assert results["difference of the two/cross-entropy/0"] == metrics["macro-F1 minus cross-entropy"] == difference
    assert metrics["macro-F1/first"] == np.mean([metrics[f"F1/first/{kind}"] for kind in CLASSES])
    assert_not_blank(straight / "figures/f1.png")
    assert "| then cross-entropy |" in (straight / "table.md").read_text()

    starts = [np.load(straight / f"tune-{loss}/checkpoint.npz")["extra-best-history"][0] for loss in LOSSES]
    np.testing.assert_array_equal(*starts, err_msg="both begin at the same weights")

    # as if it had been killed before the last training
    resumed = tmp_path / "resumed"
    shutil.copytree(straight, resumed)
    shutil.rmtree(resumed / "tune-cross_entropy")
    (resumed / "results.json").unlink()
    assert run_here("spectra/train.py", "--resume", resumed) == 0
    for name in ("checkpoint.npz", "tune-cross_entropy/checkpoint.npz"):
        with np.load(straight / name) as a, np.load(resumed / name) as b:
            for key in a.files:
                if key != "extra-seconds":
                    np.testing.assert_array_equal(a[key], b[key], err_msg=key)
    again = metrics_of(resumed)
    assert {k: v for k, v in metrics.items() if "/" in k} == {k: again[k] for k in metrics if "/" in k}
    assert "was started with 2, not 3" in error_line("spectra/train.py", "--resume", resumed, "--tune-steps", "3")
    assert "was started with --steps 4, not 6" in error_line("spectra/train.py", "--resume", resumed, "--steps", "6")


def test_wrong_flags_get_one_line(tmp_path):
    out = ["--preset", "smoke", "--out", tmp_path]
    assert "did you mean average?" in error_line("spectra/train.py", "--pool", "averag", *out)
    assert "did you mean simulated?" in error_line("spectra/train.py", "--dataset", "simulate", *out)
    assert f"did you mean spectra:{tmp_path}?" in error_line("spectra/train.py", "--dataset", str(tmp_path), *out)
    assert "expected 4 arguments" in error_line("spectra/train.py", "--quotas", "1", "2", *out)
    quotas = ["--quotas", "1000", "1", "1", "1"]
    assert "raise --batch-size, or even --quotas" in error_line("spectra/train.py", *quotas, *out)
    assert "did you mean f1_from_scratch?" in error_line("spectra/compare.py", "--kinds", "f1_from_scrtch", *out)
