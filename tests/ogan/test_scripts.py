"""O-GAN's scripts end to end, as a user starts them: on TensorFlow, and on JAX with TensorFlow hidden."""

import json
import subprocess
import sys

import imageio.v3 as iio
import numpy as np
import pytest

from common.data import toy_faces
from common.flag_types import PRETRAINED
from ogan import ablation, train
from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import (
    ROOT,
    SMOKE,
    environment,
    error_line,
    run_comparison,
    run_here,
    run_near,
    run_script,
    write_pngs,
)

FIGURES = ("samples.png", "reconstructions.png", "interpolations.png", "curves.png")


@pytest.fixture(scope="module")
def faces(small_faces):
    """The flags of a small data set and of small kernels."""
    return [*small_faces, "--limit", "100", "--kernel-size", "4"]


@pytest.fixture(scope="module", params=["tensorflow", "jax"])
def trained(home, tmp_path_factory, faces, request):
    """(backend, finished process, run directory) of a training of twelve steps, shared by the tests of this module."""
    backend, out = request.param, tmp_path_factory.mktemp(request.param)
    done = run_script(
        home, backend, *SMOKE, *faces, "--steps", "12", "--every", "6", "--export-samples", "2", "--out", out
    )
    return backend, done, out / "ogan/folder-faces-16-smoke-kernel-size-4-limit-100-s0"


def test_train_then_reconstruct(home, tmp_path, trained):
    backend, done, run_dir = trained
    assert done.returncode == 0, done.stderr
    assert not done.stderr.strip(), "the script prints no warnings"
    for name in FIGURES:
        assert_not_blank(run_dir / "figures" / name)
        assert str(run_dir / "figures" / name) in done.stdout
    assert len(iio.imread(run_dir / "figures/training.gif")) == 3
    samples = [iio.imread(path) for path in (run_dir / "export").iterdir()]
    assert len(samples) == 2 and not np.array_equal(*samples)
    results = json.loads((run_dir / "results.json").read_text())
    expected = {"z_corr", "critic_gap", "reconstruction_mse", "mean_image_mse", "images_per_second"}
    assert expected <= results["metrics"].keys()
    assert "z_corr/without_ema" in results["metrics"]
    assert "probe_r2_mean" not in results["metrics"], "the factors of photos are unknown"
    assert results["metrics"]["images_per_second"] > 0
    assert results["versions"]["backend"] == backend
    assert ("TensorBoard is off" in done.stdout) == (backend == "jax")
    assert (run_dir / "tensorboard").exists() == (backend == "tensorflow")
    log = (run_dir / "log.csv").read_text().splitlines()
    assert log[0].startswith("step,seconds,") and [row.split(",")[0] for row in log[1:]] == ["6", "12"]

    noise = np.random.default_rng(0).integers(0, 256, (5, 20, 25, 3), dtype=np.uint8)
    photos = write_pngs(tmp_path / "photos", noise)
    again = run_near(home, backend, "ogan/reconstruct.py", "--run", run_dir, "--images", photos)
    assert again.returncode == 0, again.stderr
    for name in ("pairs.png", "interpolations.png", "neighbours.png"):
        assert_not_blank(run_dir / "reconstruct" / name)
    metrics = json.loads((run_dir / "reconstruct/results.json").read_text())["metrics"]
    assert {"reconstruction_mse", "mean_image_mse"} <= metrics.keys()
    # noise is far from the mean face, and no generator of faces comes closer to it than a third of it
    assert metrics["mean_image_mse"] > 0.2 and metrics["reconstruction_mse"] > 0.1


@pytest.mark.parametrize("trained", ["tensorflow"], indirect=True)
def test_without_images_those_are_reconstructed_that_were_held_out(home, trained, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(home / "cache"))
    run_dir = trained[2]
    assert run_here("ogan/reconstruct.py", "--run", run_dir) == 0
    results = json.loads((run_dir / "reconstruct/results.json").read_text())
    assert results["images"] == "held-out images" and results["count"] == 10  # of 240
    whole = json.loads((run_dir / "results.json").read_text())["metrics"]
    assert results["metrics"]["reconstruction_mse"] == pytest.approx(whole["reconstruction_mse"], rel=1e-3)


def test_random_mirroring_is_the_default_but_not_for_digits(monkeypatch):
    """Without `--flip` or `--no-flip`."""
    resolved = []
    monkeypatch.setattr("ogan.experiment.run_ogan", lambda args, *others: resolved.append(args.flip))
    for flags in (["--dataset", "lfw"], ["--dataset", "mnist"], ["--dataset", "mnist", "--flip"], ["--no-flip"]):
        train.run(train.make_parser().parse_args(flags))
    assert resolved == [True, False, True, False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*SMOKE, "--dataset", "celeba", "--data-dir", "."], "img_align_celeba.zip"),
        ([*SMOKE, "--dataset", "folder:nowhere"], "nowhere"),
        ([*SMOKE, "--latent-dim", "2"], "--latent-dim must be at least 3"),
        ([*SMOKE, "--batch-size", "201"], "lower --batch-size"),
        (["ogan/reconstruct.py", "--run", "nowhere", "--images", "."], "nowhere"),
    ],
)
def test_an_error_of_the_user_is_one_line(tmp_path, monkeypatch, arguments, message):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("DATA_DIR", raising=False)
    line = error_line(*arguments, *(["--out", tmp_path / "runs"] if arguments[0] == SMOKE[0] else []))
    assert message in line
    assert not (tmp_path / "runs").exists()


def test_an_error_of_the_user_shows_no_traceback_in_the_terminal(home, tmp_path):
    done = run_script(home, "jax", *SMOKE, "--latent-dim", "2", "--out", tmp_path)
    assert done.returncode == 2
    assert "--latent-dim must be at least 3" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_backend_that_is_not_installed_is_named(home, tmp_path):
    env = environment(home, "jax") | {"KERAS_BACKEND": "tensorflow"}
    command = [sys.executable, *SMOKE, "--out", tmp_path]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 2
    assert "KERAS_BACKEND" in done.stderr and "Traceback" not in done.stderr


def test_ablation_trains_each_latent_loss_once(home, tmp_path, faces, monkeypatch):
    flags = ["--preset", "smoke", "--steps", "3", "--ema", "0", "--seeds", "1", "--out", tmp_path]
    run_comparison(monkeypatch, home, "ogan/ablation.py", *faces, *flags)
    (output_dir,) = tmp_path.glob("ogan/ablation-folder*")
    rows = (output_dir / "table.md").read_text().splitlines()
    assert [row.split("|")[1].strip() for row in rows[2:]] == ["correlation", "mse", "none"]
    assert len(set(rows[2:])) == 3
    metrics = json.loads((output_dir / "results.json").read_text())["metrics"]
    assert {"z_corr/correlation/0", "recon / mean image/mse/0"} <= metrics.keys()
    for name in ("ablation.png", "pictures.png"):
        assert_not_blank(output_dir / "figures" / name)
    run_metrics = [json.loads(path.read_text())["metrics"] for path in output_dir.glob("*-0/**/results.json")]
    assert len(run_metrics) == 3
    assert not [name for metrics in run_metrics for name in metrics if "without_ema" in name], "nothing was averaged"


def test_columns_of_the_ablation():
    """R^2 of the probe is a column where the factors are known; the reconstruction error is a ratio."""
    metrics = {"z_corr": 0.5, "reconstruction_mse": 1.0, "mean_image_mse": 4.0, "pca_frechet": 3.0, "critic_gap": 2.0}
    results = {f"{name}-{seed}": metrics | {"z_corr": seed} for name in ("mse", "none") for seed in range(2)}
    columns = {"z_corr": [0, 1], "recon / mean image": [0.25] * 2, "pca_frechet": [3.0] * 2, "critic gap": [2.0] * 2}
    assert ablation.table_rows(results, ("mse", "none"), 2) == {"mse": columns, "none": columns}
    probed = {name: values | {"probe_r2_mean": 0.6} for name, values in results.items()}
    rows = ablation.table_rows(probed, ("mse", "none"), 2)
    assert rows == {name: columns | {"probe R^2": [0.6, 0.6]} for name in ("mse", "none")}


def test_the_network_that_comes_with_the_code_reconstructs_photos(tmp_path, monkeypatch):
    """It has never seen these cartoon faces, but comes nearer to them than the mean photograph."""
    photos = write_pngs(tmp_path / "photos", toy_faces.draw(toy_faces.sample_factors(8, seed=1), 40))
    for name in ("DATA_DIR", "KERAS_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert run_here("ogan/reconstruct.py", "--images", photos) == 0
    folder = tmp_path / "runs/pretrained/ogan-lfw-32/reconstruct"
    assert_not_blank(folder / "pairs.png")
    metrics = json.loads((folder / "results.json").read_text())["metrics"]
    assert metrics["reconstruction_mse"] < 0.8 * metrics["mean_image_mse"]
    config = json.loads((folder / "config.json").read_text())
    assert config["flags"]["images"] == str(photos) and not list(PRETRAINED.glob("*/reconstruct"))
