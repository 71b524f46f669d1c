"""The scripts of the energy GAN end to end, as a user starts them."""

import json

import numpy as np
import pytest

from tests.helpers.arrays import assert_not_blank
from tests.helpers.datasets import write_idx
from tests.helpers.scripts import run_script

PLANE = ["--preset", "smoke", "--dataset", "8gaussians"]


def test_an_energy_gan_on_images(home, tmp_path):
    words = ["--preset", "smoke", "--limit", "200", "--energy", "ebgan", "--entropy", "infogan"]
    done = run_script(home, "tensorflow", "energy_gan/train.py", *words, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert not done.stderr.strip(), "nothing but the run's own words"
    (results,) = tmp_path.rglob("results.json")
    metrics = json.loads(results.read_text())["metrics"]
    assert metrics["fid"] > 2 * metrics["fid_floor"] > 0, "eight steps do not make faces"
    rows = (results.parent / "log.csv").read_text().splitlines()
    assert {"energy_real", "energy_fake", "entropy_term"} <= set(rows[0].split(","))
    for name in ("samples.png", "distance.png", "curves.png"):
        assert_not_blank(results.parent / "figures" / name, least=3)


def test_terms_for_the_entropy_are_compared_in_the_plane(home, tmp_path):
    words = ["--entropy", "none", "jsd", "--seeds", "1", "--jobs", "2", "--out", tmp_path]
    done = run_script(home, "tensorflow", "energy_gan/compare.py", *PLANE, *words)
    assert done.returncode == 0, done.stderr
    where = tmp_path / "energy_gan/compare-8gaussians"
    lines = (where / "table.md").read_text().splitlines()
    assert lines[-1].startswith("floors, between two samples of the data: ")
    rows = [line for line in lines if line.startswith("|")]
    assert "near a mode" in rows[0] and [row.split("|")[1].strip() for row in rows[2:]] == ["none", "jsd"]
    starts = [json.loads(path.read_text())["0"] for path in where.rglob("distances.json")]
    assert len(starts) == 2 and starts[0] == starts[1], "both begin with the same networks"
    runs = [path.parent for path in where.rglob("distances.json")]
    pictures = [*where.glob("figures/*.png"), *(run / "figures/maps.png" for run in runs)]
    assert len(pictures) == 5
    for path in pictures:
        assert_not_blank(path)
    assert json.loads((runs[0] / "modes.json").read_text()).keys() == {"0", "4", "8"}


@pytest.fixture
def digits(tmp_path):
    """A folder with 60 images under MNIST's file names: noise, in the class 7 brighter."""
    rng = np.random.default_rng(0)
    y = (np.arange(60) % 10).astype("uint8")
    x = rng.integers(0, 120, (60, 28, 28)) + 120 * (y == 7)[:, None, None]
    write_idx(tmp_path / "data/mnist", (x.astype("uint8"), y), (x.astype("uint8"), y))
    return tmp_path / "data"


def test_a_digit_that_was_left_out_is_looked_for(home, tmp_path, digits):
    words = ["--digits", "7", "--seeds", "1", "--out", tmp_path, "--data-dir", digits, "--size", "16"]
    done = run_script(home, "tensorflow", "energy_gan/anomaly.py", *words, "--preset", "smoke", "--features", "pixels")
    assert done.returncode == 0, done.stderr
    where = tmp_path / "energy_gan/anomaly-mnist"
    metrics = json.loads((where / "results.json").read_text())["metrics"]
    assert metrics["knowing nothing/without 7/0"] == pytest.approx(0.1)
    assert metrics["published/without 7/0"] == 0.29
    assert all(0.05 < metrics[f"AUPRC of {score}/without 7/0"] <= 1 for score in ("U", "its slope"))
    config = json.loads(next(where.rglob("config.json")).read_text())
    assert config["images"] == 54, "six of sixty are left out"
    assert_not_blank(where / "figures/auprc.png")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train.py", "--energy", "hinges"], "wgan_div"),
        (["train.py", "--entropy", "correlation", "--latent-dim", "2"], "--latent-dim 3"),
        (["train.py", "--without", "3", "--limit", "100"], "toy_faces has no class 3"),
        (["anomaly.py", "--dataset", "toy_faces"], "use mnist"),
    ],
)
def test_wrong_words_get_one_line(home, tmp_path, words, said):
    done = run_script(home, "jax", f"energy_gan/{words[0]}", *words[1:], "--preset", "smoke", "--out", tmp_path)
    assert done.returncode == 2
    assert said in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.rglob("config.json")), "nothing was begun"
