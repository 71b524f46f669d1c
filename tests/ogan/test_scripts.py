"""Every script end to end, as a user starts it: on TensorFlow, and on JAX with TensorFlow hidden."""

import json
import signal
import subprocess
import sys
import time

import imageio.v3 as iio
import numpy as np
import pytest

from common.data import toy_faces
from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import ROOT, SMOKE, environment, run_script, write_pngs


@pytest.fixture(scope="module", params=["tensorflow", "jax"])
def trained(home, tmp_path_factory, request):
    """(backend, finished process, run directory) of twelve steps, trained once for all that look at them.

    On TensorFlow the preset as it is. On JAX, where compiling takes longest, a folder of faces at 16 pixels: it then
    needs no 20000 faces for the neighbours either.
    """
    backend, out = request.param, tmp_path_factory.mktemp(request.param)
    words, name = [], "toy_faces-32-smoke-s0"
    if backend == "jax":
        faces = write_pngs(out / "faces", toy_faces.draw(toy_faces.sample_factors(100, seed=0), 32))
        words, name = ["--dataset", f"folder:{faces}", "--size", "16"], "folder-faces-16-smoke-s0"
    return backend, run_script(home, backend, *SMOKE, *words, "--steps", "12", "--out", out), out / "ogan" / name


def test_train_then_reconstruct(home, tmp_path, trained):
    backend, done, run = trained
    assert done.returncode == 0, done.stderr
    assert not done.stderr.strip(), "nothing but the run's own words"
    for name in ("samples.png", "reconstructions.png", "interpolations.png", "curves.png"):
        picture = iio.imread(run / "figures" / name)
        assert picture.std() > 5, f"{name} is blank"
        assert str(run / "figures" / name) in done.stdout
    assert len(iio.imread(run / "figures/training.gif")) == 5
    results = json.loads((run / "results.json").read_text())
    wanted = {"z_corr", "critic_gap", "reconstruction_mse", "mean_image_mse", "images_per_second"}
    assert wanted <= results["metrics"].keys()
    assert ("probe_r2_mean" in results["metrics"]) == (backend == "tensorflow"), "the drawn faces' factors are known"
    assert results["metrics"]["images_per_second"] > 0
    assert results["versions"]["backend"] == backend
    assert ("TensorBoard is off" in done.stdout) == (backend == "jax")
    assert (run / "tensorboard").exists() == (backend == "tensorflow")
    log = (run / "log.csv").read_text().splitlines()
    assert log[0].startswith("step,seconds,") and [row.split(",")[0] for row in log[1:]] == ["3", "6", "9", "12"]

    noise = np.random.default_rng(0).integers(0, 256, (5, 40, 50, 3), dtype=np.uint8)
    photos = write_pngs(tmp_path / "photos", noise if backend == "tensorflow" else noise[:, :20, :25])
    again = run_script(home, backend, "ogan/reconstruct.py", "--run", run, "--images", photos)
    assert again.returncode == 0, again.stderr
    for name in ("pairs.png", "interpolations.png", "neighbours.png"):
        assert_not_blank(run / "reconstruct" / name)
    numbers = json.loads((run / "reconstruct/results.json").read_text())["metrics"]
    assert {"reconstruction_mse", "mean_image_mse"} <= numbers.keys()
    # noise is far from the mean face, and no generator of faces comes closer to it than a third of it
    assert numbers["mean_image_mse"] > 0.2 and numbers["reconstruction_mse"] > 0.1


@pytest.mark.parametrize("trained", ["tensorflow"], indirect=True)
def test_a_killed_run_resumes_to_the_same_weights(home, tmp_path, trained):
    _, whole, run = trained
    assert whole.returncode == 0, whole.stderr
    words = [*SMOKE, "--steps", "12"]
    command = [sys.executable, *words, "--out", str(tmp_path / "cut")]
    victim = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(home, "tensorflow"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    checkpoint = tmp_path / "cut/ogan" / run.name / "checkpoint.npz"
    while victim.poll() is None and not checkpoint.exists():
        time.sleep(0.02)
    victim.send_signal(signal.SIGKILL)
    victim.stdout.close()
    victim.wait()
    assert victim.returncode == -signal.SIGKILL, "it ended before it could be killed"
    resumed = run_script(home, "tensorflow", *words, "--out", tmp_path / "cut", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert "going on from step" in resumed.stdout
    with np.load(run / "checkpoint.npz") as a, np.load(checkpoint) as b:
        assert a.files == b.files and int(a["step"]) == 12
        for name in a.files:
            np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.parametrize(
    ("backend", "words", "message"),  # most on JAX alone, which starts in half the time: the lines are the same
    [
        ("jax", [*SMOKE, "--dataset", "celeba", "--data-dir", "."], "img_align_celeba.zip"),
        ("jax", [*SMOKE, "--dataset", "folder:nowhere"], "nowhere"),
        ("jax", [*SMOKE, "--latent-dim", "2"], "--latent-dim must be at least 3"),
        ("tensorflow", [*SMOKE, "--batch-size", "201"], "lower --batch-size"),
        ("jax", ["ogan/reconstruct.py", "--run", "nowhere", "--images", "."], "nowhere"),
    ],
)
def test_what_the_user_can_mend_is_one_line_without_traceback(home, tmp_path, backend, words, message):
    done = run_script(home, backend, *words, *(["--out", tmp_path] if words[0] == SMOKE[0] else []))
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_backend_that_is_not_there_is_named(home, tmp_path):
    env = environment(home, "jax") | {"KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(
        [sys.executable, *SMOKE, "--out", tmp_path], cwd=ROOT, env=env, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "KERAS_BACKEND" in done.stderr and "Traceback" not in done.stderr


def test_ablation_trains_all_kinds_once_and_tells_them_apart(home, tmp_path):
    words = ["ogan/ablation.py", "--seeds", "1", "--jobs", "2", "--out", tmp_path]
    done = run_script(home, "tensorflow", *words, "--preset", "smoke", "--steps", "3", "--limit", "100")
    assert done.returncode == 0, done.stderr
    where = tmp_path / "ogan/ablation-toy_faces"
    rows = (where / "table.md").read_text().splitlines()
    assert [row.split("|")[1].strip() for row in rows[2:]] == ["correlation", "mse", "none"]
    assert len(set(rows[2:])) == 3
    metrics = json.loads((where / "results.json").read_text())["metrics"]
    assert {"z_corr/correlation/0", "recon / mean image/mse/0", "probe R^2/none/0"} <= metrics.keys()
    for name in ("ablation.png", "pictures.png"):
        assert_not_blank(where / "figures" / name)


@pytest.mark.parametrize(
    "script",
    sorted(p.relative_to(ROOT) for p in ROOT.glob("*/*.py") if "\n    main(run" in p.read_text()),
)
def test_help_needs_no_heavy_package(home, script):
    """Fifteen seconds are allowed; without TensorFlow, JAX and Keras it is a fraction of one."""
    code = (
        f"import sys, runpy; sys.argv = ['{script}', '--help']\ntry: runpy.run_path('{script}', run_name='__main__')\n"
    )
    code += "finally: print(sorted({'keras', 'tensorflow', 'jax'} & set(sys.modules)))"
    done = run_script(home, "tensorflow", "-c", code)
    assert done.stdout.rstrip().endswith("[]"), done.stderr
    assert "usage" in done.stdout
