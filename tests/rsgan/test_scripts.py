"""The relativistic GANs' scripts end to end, as a user starts them, on the embedded faces."""

import json

import imageio.v3 as iio
import pytest

from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import run_script

SMOKE = ["--preset", "smoke", "--dataset", "toy_faces", "--limit", "200"]


@pytest.mark.parametrize(
    ("backend", "words"),
    [("tensorflow", ["--loss", "tsgan", "--trainer", "alternating"]), ("jax", ["--loss", "r3gan"])],
    ids=["tsgan", "r3gan-jax"],
)
def test_a_gan_trains_and_goes_on(home, tmp_path, backend, words):
    command = ["rsgan/train.py", *SMOKE, *words, "--out", tmp_path]
    done = run_script(home, backend, *command)
    assert done.returncode == 0, done.stderr
    assert not done.stderr.strip(), "nothing but the run's own words"
    (results,) = tmp_path.rglob("results.json")
    run = results.parent
    for name in ("samples.png", "distance.png", "curves.png"):
        assert_not_blank(run / "figures" / name, least=3)
    assert len(iio.imread(run / "figures/training.gif")) == 3
    metrics = json.loads(results.read_text())["metrics"]
    assert metrics["fid"] > 2 * metrics["fid_floor"] > 0, "six steps do not make faces"
    assert 0 <= metrics["recall"] <= 1
    assert (run / "generator.keras").exists() and (run / "critic.keras").exists()
    at = json.loads((run / "distances.json").read_text())
    assert list(at) == ["0", "3", "6"] and len(set(at.values())) == 3
    if backend == "jax":
        return
    # longer, from the checkpoint: what was measured stays, and the words of a run that was not stopped come out
    more = run_script(home, backend, *command, "--resume", "--steps", "9")
    assert more.returncode == 0 and "going on from step 6" in more.stdout, more.stderr
    longer = json.loads((run / "distances.json").read_text())
    assert list(longer) == ["0", "3", "6", "9"] and {k: longer[k] for k in at} == at


def test_a_gan_in_the_plane(home, tmp_path):
    words = ["--preset", "smoke", "--dataset", "8gaussians", "--loss", "wgan_gp_linear"]
    done = run_script(home, "jax", "rsgan/train.py", *words, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    (results,) = tmp_path.rglob("results.json")
    assert results.parent.name == "8gaussians-2-smoke-loss-wgan_gp_linear-s0"
    metrics = json.loads(results.read_text())["metrics"]
    assert metrics["swd"] > 5 * metrics["swd_floor"] > 0 and 0 <= metrics["near"] < 0.9
    for name in ("samples.png", "distance.png", "curves.png"):
        assert_not_blank(results.parent / "figures" / name)


def test_methods_are_compared_on_the_same_terms(home, tmp_path):
    words = ["--methods", "sgan", "--once", "wgan", "--seeds", "1", "--jobs", "2", "--out", tmp_path]
    done = run_script(home, "tensorflow", "rsgan/compare.py", *SMOKE[2:], *words, "--preset", "smoke")
    assert done.returncode == 0, done.stderr
    where = tmp_path / "rsgan/compare-toy_faces"
    rows = (where / "table.md").read_text().splitlines()
    assert [row.split("|")[1].strip() for row in rows[2:4]] == ["sgan", "wgan"]
    metrics = json.loads((where / "results.json").read_text())["metrics"]
    assert metrics["FID/sgan/0"] != metrics["FID/wgan/0"]
    starts = [json.loads(path.read_text())["0"] for path in where.rglob("distances.json")]
    assert len(starts) == 2 and starts[0] == starts[1], "both begin with the same networks"
    for name in ("samples.png", "samples-all.png", "convergence.png"):
        assert_not_blank(where / "figures" / name)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--loss", "rsgam"], "rsgan_gp"),
        (["--loss", "sgan", "--penalty-weight", "3"], "sgan has no penalty"),
        (["--n-d", "3"], "--trainer alternating"),
        (["--width", "3"], "--width must be a multiple of"),
        (["--features", "classifier"], "toy_faces has no classes"),
    ],
)
def test_wrong_words_get_one_line(home, tmp_path, words, said):
    done = run_script(home, "jax", "rsgan/train.py", *SMOKE, *words, "--out", tmp_path)
    assert done.returncode == 2
    assert said in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir()), "nothing was begun"
