"""The f-GAN scripts end to end, as a user starts them."""

import json

import pytest

from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import run_script


def test_an_f_gan_trains(home, tmp_path):
    words = ["--preset", "smoke", "--limit", "200", "--divergence", "hellinger", "--swap-roles"]
    done = run_script(home, "tensorflow", "fgan/train.py", *words, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert not done.stderr.strip(), "nothing but the run's own words"
    (results,) = tmp_path.rglob("results.json")
    metrics = json.loads(results.read_text())["metrics"]
    assert metrics["fid"] > 2 * metrics["fid_floor"] > 0, "six steps do not make faces"
    rows = (results.parent / "log.csv").read_text().splitlines()
    assert "bound" in rows[0] and len(rows) == 3
    for name in ("samples.png", "distance.png", "curves.png"):
        assert_not_blank(results.parent / "figures" / name, least=3)


def test_a_divergence_is_estimated_on_samples_that_the_critic_has_not_seen(home, tmp_path):
    words = ["--preset", "smoke", "--dataset", "two_moons", "--against", "8gaussians", "--width", "64"]
    words += ["--divergence", "js", "--steps", "240", "--every", "80"]
    done = run_script(home, "jax", "fgan/estimate.py", *words, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    (results,) = tmp_path.rglob("results.json")
    metrics = json.loads(results.read_text())["metrics"]
    assert 0.02 < metrics["bound"] < 0.6931, "between nothing and log 2"
    assert 0 < metrics["standard_error"] < 0.02 and metrics["best_step"] in (80, 160, 240)
    assert list(json.loads((results.parent / "bounds.json").read_text())) == ["0", "80", "160", "240"]
    assert_not_blank(results.parent / "figures/bound.png")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fgan/train.py", "--divergence", "kll"], "reverse_kl"),
        (["fgan/estimate.py", "--dataset", "two_moons"], "points of the plane with images"),
    ],
)
def test_wrong_words_get_one_line(home, tmp_path, words, said):
    done = run_script(home, "jax", *words, "--preset", "smoke", "--out", tmp_path)
    assert done.returncode == 2
    assert said in done.stderr and len(done.stderr.strip().splitlines()) == 1
