"""The scripts of GLANN end to end, as a user starts them, on small drawn faces."""

import json

import imageio.v3 as iio
import keras
import numpy as np
import pytest

from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import error_line, metrics_of, run_comparison, run_near


@pytest.fixture(scope="module")
def smoke(small_faces):
    """The flags of a training of seconds."""
    return ["--preset", "smoke", *small_faces, "--limit", "120"]


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="on TensorFlow the comparison trains it")
def test_glann_trains(home, tmp_path, smoke):
    done = run_near(home, "jax", "glann/train.py", *smoke, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert not done.stderr.strip(), "the script prints no warnings"
    (run_dir,) = (path.parent for path in tmp_path.rglob("results.json"))
    assert run_dir.parent.name == "glann"
    metrics = metrics_of(run_dir)
    distances = {metrics[f"{part}fid_pixels"] for part in ("", "glo/", "gaussian/")}
    assert len(distances) == 3 and min(distances) > metrics["fid_pixels_floor"] > 0
    assert metrics["steps"] == 6 and metrics["glo/train_seconds"] > 0
    codes = np.load(run_dir / "codes.npy")
    np.testing.assert_allclose(np.linalg.norm(codes, axis=1), 1, rtol=1e-5)
    for name in ("samples.png", "reconstructions.png", "interpolations.png", "distance.png", "curves.png"):
        assert_not_blank(run_dir / "figures" / name, least=3)
    assert len(iio.imread(run_dir / "glo/figures/training.gif")) == 3
    assert (run_dir / "generator.keras").exists() and (run_dir / "map.keras").exists()


def test_methods_are_compared(home, tmp_path, smoke, monkeypatch):
    flags = ["--variants", "r3gan", "vae", "glann", "--seeds", "1", "--out", tmp_path]
    run_comparison(monkeypatch, home, "glann/compare.py", *smoke, *flags)
    (output_dir,) = tmp_path.glob("glann/compare-folder*")
    rows = (output_dir / "table.md").read_text().splitlines()
    names = ["r3gan", "vae", "glo", "glo_gaussian", "glann"]
    assert [row.split("|")[1].strip() for row in rows[2:7]] == names
    metrics = json.loads((output_dir / "results.json").read_text())["metrics"]
    assert len({metrics[f"by pixels/{name}/0"] for name in names}) == 5
    assert metrics["seconds/glann/0"] > metrics["seconds/glo/0"] > 0, "T is of no use without the codes"
    assert metrics["memory, MiB/vae/0"] > 100 and metrics["memory, MiB/r3gan/0"] > 100
    assert metrics["sharpness/r3gan/0"] > 0, "the GAN is measured in the same features"
    assert_not_blank(output_dir / "figures/samples.png")


@pytest.mark.parametrize(
    ("script", "flags", "message"),
    [
        ("imle", ["--vgg-weights", __file__], "needs --distance features"),
        ("imle", ["--distance", "features"], "give --vgg-weights FILE"),
        ("train", ["--distance", "features", "--vgg-weights", __file__], "32 pixels or more"),
        ("glo", ["--width", "3"], "--width must be a multiple of 2"),
        ("glo", ["--latent-dim", "300"], "--latent-dim is at most"),
    ],
)
def test_a_wrong_flag_gets_one_line_and_no_run_directory(tmp_path, monkeypatch, smoke, script, flags, message):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    line = error_line(f"glann/{script}.py", *smoke, *flags, "--out", tmp_path / "runs")
    assert message in line
    assert not (tmp_path / "runs").exists()
