"""The flow scripts end to end, as a user starts them, on the embedded faces and in the plane."""

import json

import imageio.v3 as iio
import pytest

from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import run_script

IMAGES = ["--preset", "smoke", "--dataset", "toy_faces"]
PICTURES = ("samples.png", "temperatures.png", "interpolations.png", "curves.png")


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        ("jax", ["flow/glow.py", *IMAGES, "--mixing", "exp", "--noise", "article", "--input", "scaled"]),
        ("tensorflow", ["flow/nice.py", *IMAGES]),
        ("tensorflow", ["flow/realnvp.py", *IMAGES]),
    ],
    ids=["glow-jax", "nice", "realnvp"],
)
def test_a_flow_on_images(home, tmp_path, backend, words):
    done = run_script(home, backend, *words, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert not done.stderr.strip(), "nothing but the run's own words"
    (results,) = tmp_path.rglob("results.json")
    for name in PICTURES:
        assert_not_blank(results.parent / "figures" / name)
    assert len(iio.imread(results.parent / "figures/training.gif")) == 3
    metrics = json.loads(results.read_text())["metrics"]
    assert 1 < metrics["bits_per_dim"] < 20 and metrics["bits_per_dim"] != metrics["bits_per_dim/training_images"]
    assert metrics["rescues"] == 0
    assert (results.parent / "flow.keras").exists() and (results.parent / "best.npz").exists()


def test_a_flow_in_the_plane(home, tmp_path):
    done = run_script(home, "jax", "flow/realnvp.py", "--preset", "smoke", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "flow/realnvp/two_moons-2-smoke-s0"
    metrics = json.loads((run / "results.json").read_text())["metrics"]
    assert metrics["kl"] > 0.2, "six steps do not learn two moons"
    assert metrics["nats/fresh"] == pytest.approx(metrics["entropy"] + metrics["kl"], abs=0.02)
    assert_not_blank(run / "figures/density.png")


def test_mixings_are_compared_on_the_same_terms(home, tmp_path):
    words = ["flow/compare.py", "--dataset", "toy_faces", "--seeds", "1", "--jobs", "2"]
    done = run_script(home, "tensorflow", *words, "--out", tmp_path, "--preset", "smoke", "--limit", "100")
    assert done.returncode == 0, done.stderr
    where = tmp_path / "flow/mixing-toy_faces"
    rows = (where / "table.md").read_text().splitlines()
    assert [row.split("|")[1].strip() for row in rows[2:]] == ["reverse", "shuffle", "1x1", "exp"]
    metrics = json.loads((where / "results.json").read_text())["metrics"]
    assert len({metrics[f"test bits/dim/{kind}/0"] for kind in ("reverse", "shuffle", "1x1", "exp")}) == 4
    assert metrics["minus shuffle, same seed/shuffle/0"] == 0
    assert_not_blank(where / "figures/mixing.png")


@pytest.mark.parametrize(
    ("backend", "words", "message"),  # most on JAX alone, which starts in half the time: the lines are the same
    [
        ("tensorflow", ["flow/glow.py", *IMAGES, "--levels", "6"], "cannot be halved 6 times"),
        ("jax", ["flow/glow.py", *IMAGES, "--noise", "article"], "add --input scaled"),
        ("jax", ["flow/nice.py", *IMAGES, "--batch-size", "4000"], "lower --batch-size"),
        ("jax", ["flow/realnvp.py", "--preset", "smoke", "--points", "20"], "lower --batch-size"),
        ("jax", ["flow/glow.py", "--dataset", "two_moons"], "is not one of celeba"),
    ],
)
def test_what_the_user_can_mend_is_one_line(home, tmp_path, backend, words, message):
    done = run_script(home, backend, *words, "--out", tmp_path)
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("config.json")), "no run was begun"
