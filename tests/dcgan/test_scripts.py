"""The scripts of GAN, DCGAN and Improved Techniques from their flags to their files."""

import json

import keras
import pytest

from common.experiments import compare_gans
from dcgan import compare
from dcgan.train import TRICKS
from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import error_line, metrics_of, run_comparison, run_here, run_near


@pytest.fixture
def keras_home(home, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(home / "cache"))


def test_dcgan_trains_and_goes_on(home, tmp_path, keras_home, small_faces, capsys):
    backend = keras.backend.backend()
    trick = {
        "tensorflow": ["virtual_batch_norm"],
        "jax": ["feature_matching", "one_sided_labels", "historical_averaging"],
    }[backend]
    flags = ["--preset", "smoke", *small_faces, "--limit", "200", "--out", tmp_path]
    done = run_near(home, backend, "dcgan/train.py", *flags, "--trick", *trick)
    assert done.returncode == 0, done.stderr
    assert not done.stderr.strip(), "the script prints no warnings"
    (results,) = tmp_path.rglob("results.json")
    assert results.parent.name == f"folder-faces-16-smoke-limit-200-trick-{'-'.join(trick)}-s0"
    for name in ("samples.png", "distance.png", "curves.png"):
        assert_not_blank(results.parent / "figures" / name, least=3)
    metrics = metrics_of(results.parent)
    assert metrics["fid"] > 2 * metrics["fid_floor"] > 0, "six steps do not make faces"
    if backend == "jax":
        return
    distances = json.loads((results.parent / "distances.json").read_text())
    assert run_here("dcgan/train.py", "--resume", results.parent, "--steps", "9") == 0
    assert "from step 6" in capsys.readouterr().out
    more = json.loads((results.parent / "distances.json").read_text())
    assert list(more) == ["0", "3", "6", "9"] and {step: more[step] for step in distances} == distances


def test_tricks_are_compared_from_the_same_start(home, tmp_path, monkeypatch):
    flags = ["--dataset", "25gaussians", "--preset", "smoke", "--seeds", "1", "--out", tmp_path]
    flags += ["--tricks", "none", "minibatch_discrimination", "feature_matching"]
    run_comparison(monkeypatch, home, "dcgan/compare.py", *flags)
    (output_dir,) = tmp_path.glob("dcgan/compare-25gaussians")
    rows = (output_dir / "table.md").read_text().splitlines()
    names = ["none", "minibatch_discrimination", "feature_matching"]
    assert [row.split("|")[1].strip() for row in rows[2:5]] == names
    metrics = json.loads((output_dir / "results.json").read_text())["metrics"]
    assert {f"modes/{name}/0" for name in names} <= metrics.keys()
    untrained = [json.loads(path.read_text())["0"] for path in output_dir.rglob("distances.json")]
    assert len(untrained) == 3 and len(set(untrained)) == 1, "all begin with the same generator"
    for name in ("samples.png", "convergence.png", "modes.png"):
        assert_not_blank(output_dir / "figures" / name)


@pytest.mark.parametrize("dataset", ["mnist", "25gaussians"])
def test_points_are_compared_without_the_trick_that_needs_batch_norm(monkeypatch, dataset):
    compared = []
    monkeypatch.setattr(compare_gans, "compare_gans", lambda args, article, flag, tricks: compared.append(tricks))
    compare.run(compare.make_parser().parse_args(["--dataset", dataset]))
    assert compared == [["none", *(t for t in TRICKS if dataset == "mnist" or t != "virtual_batch_norm")]]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--trick", "feature_machting"], "did you mean feature_matching?"),
        (["--trick", "none", "one_sided_labels"], "--trick none stands alone"),
        (["--dataset", "25gaussians", "--network", "mlp"], "--network is for images"),
        (["--network", "mlp", "--trick", "virtual_batch_norm"], "replaces the batch norm"),
        (["--width", "3"], "--width must be a multiple of"),
    ],
)
def test_a_wrong_flag_gets_one_line_and_no_run_directory(keras_home, tmp_path, flags, message):
    line = error_line("dcgan/train.py", "--preset", "smoke", "--limit", "200", *flags, "--out", tmp_path / "runs")
    assert message in line
    assert not (tmp_path / "runs").exists()


def test_dense_layers_have_any_width(keras_home, tmp_path):
    flags = ["--network", "mlp", "--width", "7", "--preset", "smoke", "--limit", "100", "--features", "pixels"]
    assert run_here("dcgan/train.py", *flags, "--steps", "1", "--out", tmp_path) == 0


def test_the_pictures_of_the_gradient(tmp_path, capsys):
    assert run_here("dcgan/saturation.py", "--out", tmp_path) == 0
    folder = tmp_path / "dcgan/saturation"
    assert_not_blank(folder / "figures/saturation.png", least=10)
    assert (folder / "table.md").read_text() in capsys.readouterr().out
