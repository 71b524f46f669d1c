"""The scripts that train f-GANs and critics, end to end, as a user starts them."""

import argparse
import json

import keras
import numpy as np
import pytest

from common.errors import UserError
from fgan.estimate import pair_samples, three_splits
from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import error_line, run_here, run_near


def test_train_on_images(home, tmp_path, small_faces):
    flags = ["--preset", "smoke", *small_faces, "--limit", "100", "--divergence", "hellinger", "--swap-roles"]
    process = run_near(home, "tensorflow", "fgan/train.py", *flags, "--out", tmp_path)
    assert process.returncode == 0, process.stderr
    assert not process.stderr.strip(), "no warnings"
    (results,) = tmp_path.rglob("results.json")
    metrics = json.loads(results.read_text())["metrics"]
    assert metrics["fid"] > 2 * metrics["fid_floor"] > 0, "six steps do not make faces"
    rows = (results.parent / "log.csv").read_text().splitlines()
    assert "bound" in rows[0] and len(rows) == 3
    for name in ("samples.png", "distance.png", "curves.png"):
        assert_not_blank(results.parent / "figures" / name, least=3)


def test_estimate_measures_on_samples_that_the_critic_has_not_seen(home, tmp_path):
    flags = ["--preset", "smoke", "--dataset", "two_moons", "--against", "8gaussians", "--width", "64"]
    flags += ["--divergence", "js", "--steps", "240", "--every", "80"]
    process = run_near(home, keras.backend.backend(), "fgan/estimate.py", *flags, "--out", tmp_path)
    assert process.returncode == 0, process.stderr
    (results,) = tmp_path.rglob("results.json")
    metrics = json.loads(results.read_text())["metrics"]
    assert 0.02 < metrics["bound"] < 0.6931, "between 0 and log 2"
    assert 0 < metrics["standard_error"] < 0.02 and metrics["best_step"] in (80, 160, 240)
    bounds = json.loads((results.parent / "bounds.json").read_text())
    assert list(bounds) == ["0", "80", "160", "240"]
    # the second split chooses the step, the third measures
    assert max(bounds, key=lambda step: bounds[step][0]) == str(int(metrics["best_step"]))
    assert bounds[str(int(metrics["best_step"]))][1:] == [metrics["bound"], metrics["standard_error"]]
    assert_not_blank(results.parent / "figures/bound.png")


def test_estimate_goes_on_without_its_histories(tmp_path):
    flags = ["--preset", "smoke", "--dataset", "two_moons", "--against", "8gaussians", "--steps", "4", "--every", "2"]
    assert run_here("fgan/estimate.py", *flags, "--out", tmp_path) == 0
    (results,) = tmp_path.rglob("results.json")
    before = json.loads(results.read_text())["metrics"]
    (results.parent / "bounds.json").write_text("")
    (results.parent / "log.csv").unlink()
    assert run_here("fgan/estimate.py", "--resume", results.parent) == 0
    after = json.loads(results.read_text())["metrics"]
    assert after["bound/last_step"] == before["bound/last_step"] and after["best_step"] == 4
    assert before.keys() - after.keys() == {"bound/training", "train_seconds"}, "what only the log knew"


def test_estimate_refuses_too_few_held_out_images_before_it_trains(tmp_path, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (19, 16, 16, 3), np.uint8)
    counts = {"lfw": {"train": 19, "test": 3}, "celeba": {"train": 19, "test": 4}}

    def load_images(name, size, split, *args, **kwargs):
        return argparse.Namespace(array=pixels[: counts[name][split]])

    monkeypatch.setattr("common.data.images.load_images", load_images)
    flags = ["--preset", "smoke", "--size", "16", "--out", tmp_path / "runs"]
    for pair in (["--dataset", "lfw", "--against", "celeba"], ["--dataset", "celeba", "--against", "lfw"]):
        line = error_line("fgan/estimate.py", *pair, *flags)
        assert "lfw has too few held-out images" in line and "Received: 3; add images" in line
    assert not (tmp_path / "runs").exists()
    args = argparse.Namespace(size=16, data_dir=None, limit=None, crop="square", seed=0)
    assert [len(split) for split in three_splits("celeba", args, 0)] == [19, 2, 2]


def test_pairs_of_samples():
    p, q = np.arange(12.0).reshape(3, 2, 2), -np.arange(16.0).reshape(4, 2, 2)
    pairs = pair_samples(p, q)
    assert pairs.shape == (3, 2, 4)
    np.testing.assert_array_equal(pairs[..., :2], p)
    np.testing.assert_array_equal(pairs[..., 2:], q[:3])
    with pytest.raises(UserError, match=r"samples of one shape. Received: \(2, 2\) and \(2,\)"):
        pair_samples(p, q[..., 0])


@pytest.mark.parametrize(
    ("script", "flags", "message"),
    [
        ("fgan/train.py", ["--divergence", "kll"], "reverse_kl"),
        ("fgan/estimate.py", ["--dataset", "two_moons"], "one holds points, the other images"),
    ],
)
def test_wrong_flags_get_one_line(tmp_path, script, flags, message):
    assert message in error_line(script, *flags, "--preset", "smoke", "--out", tmp_path)
