"""The scripts of the energy GANs end to end, as a user starts them."""

import json

import numpy as np
import pytest

from tests.helpers.arrays import assert_not_blank
from tests.helpers.datasets import write_idx
from tests.helpers.scripts import error_line, run_comparison, run_near


def test_train_on_images(home, tmp_path, small_faces):
    flags = ["--preset", "smoke", *small_faces, "--limit", "100", "--energy", "ebgan", "--entropy", "infogan"]
    process = run_near(home, "tensorflow", "energy_gan/train.py", *flags, "--out", tmp_path)
    assert process.returncode == 0, process.stderr
    assert not process.stderr.strip(), "no warnings"
    (results,) = tmp_path.rglob("results.json")
    metrics = json.loads(results.read_text())["metrics"]
    assert metrics["fid"] > 2 * metrics["fid_floor"] > 0, "eight steps do not make faces"
    rows = (results.parent / "log.csv").read_text().splitlines()
    assert {"energy_real", "energy_fake", "entropy_term"} <= set(rows[0].split(","))
    for name in ("samples.png", "distance.png", "curves.png"):
        assert_not_blank(results.parent / "figures" / name, least=3)


def test_compare_entropy_terms_in_the_plane(home, tmp_path, monkeypatch):
    flags = ["--preset", "smoke", "--dataset", "8gaussians", "--entropy", "none", "jsd", "--seeds", "1"]
    run_comparison(monkeypatch, home, "energy_gan/compare.py", *flags, "--out", tmp_path)
    output_dir = tmp_path / "energy_gan/compare-8gaussians"
    lines = (output_dir / "table.md").read_text().splitlines()
    assert lines[-1].startswith("floors, between two samples of the data: ")
    rows = [line for line in lines if line.startswith("|")]
    assert "near a mode" in rows[0] and [row.split("|")[1].strip() for row in rows[2:]] == ["none", "jsd"]
    run_dirs = [path.parent for path in output_dir.rglob("distances.json")]
    first_distances = [json.loads((run_dir / "distances.json").read_text())["0"] for run_dir in run_dirs]
    assert len(first_distances) == 2 and first_distances[0] == first_distances[1], "both start from the same networks"
    pictures = [*output_dir.glob("figures/*.png"), *(run_dir / "figures/maps.png" for run_dir in run_dirs)]
    assert len(pictures) == 5
    for path in pictures:
        assert_not_blank(path)
    assert json.loads((run_dirs[0] / "modes.json").read_text()).keys() == {"0", "4", "8"}


@pytest.fixture
def digits(tmp_path):
    """A data folder with 60 noise images under MNIST's file names, those of the class 7 brighter."""
    rng = np.random.default_rng(0)
    y = (np.arange(60) % 10).astype("uint8")
    x = rng.integers(0, 120, (60, 28, 28)) + 120 * (y == 7)[:, None, None]
    write_idx(tmp_path / "data/mnist", (x.astype("uint8"), y), (x.astype("uint8"), y))
    return tmp_path / "data"


def test_anomaly_scores_a_digit_that_was_left_out(home, tmp_path, digits, monkeypatch):
    flags = ["--digits", "7", "--seeds", "1", "--data-dir", digits, "--size", "16", "--preset", "smoke"]
    flags += ["--features", "pixels", "--out", tmp_path]
    run_comparison(monkeypatch, home, "energy_gan/anomaly.py", *flags)
    output_dir = tmp_path / "energy_gan/anomaly-mnist"
    metrics = json.loads((output_dir / "results.json").read_text())["metrics"]
    assert metrics["knowing nothing/without 7/0"] == pytest.approx(0.1)
    assert metrics["published/without 7/0"] == 0.29
    assert all(0 < metrics[f"AUPRC of {score}/without 7/0"] <= 1 for score in ("U", "its slope"))
    config = json.loads(next(output_dir.rglob("config.json")).read_text())
    assert config["images"] == 54, "six of sixty are left out"
    assert_not_blank(output_dir / "figures/auprc.png")


@pytest.mark.parametrize(
    ("script", "flags", "message"),
    [
        ("train.py", ["--energy", "hinges"], "wgan_div"),
        ("train.py", ["--entropy", "correlation", "--latent-dim", "2"], "--latent-dim 3"),
        ("anomaly.py", ["--dataset", "toy_faces"], "use mnist"),
        ("anomaly.py", ["--dataset", "cifar10"], "use mnist or fashion_mnist"),
    ],
)
def test_wrong_flags_get_one_line(tmp_path, script, flags, message):
    assert message in error_line(f"energy_gan/{script}", *flags, "--preset", "smoke", "--out", tmp_path)
    assert not list(tmp_path.rglob("config.json")), "no run was started"


def test_a_class_that_the_data_does_not_have_gets_one_line(tmp_path, home, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(home / "cache"))
    flags = ["--without", "3", "--limit", "100", "--preset", "smoke", "--out", tmp_path]
    assert "toy_faces has no class 3" in error_line("energy_gan/train.py", *flags)
    assert not list(tmp_path.rglob("config.json")), "no run was started"
