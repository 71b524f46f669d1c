"""The scripts that train f-GANs and critics, end to end, as a user starts them."""

import json

import numpy as np
import pytest

from common.errors import UserError
from fgan.estimate import pair_samples
from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import error_line, run_script


def test_train_on_images(home, tmp_path):
    flags = ["--preset", "smoke", "--limit", "100", "--divergence", "hellinger", "--swap-roles"]
    process = run_script(home, "tensorflow", "fgan/train.py", *flags, "--out", tmp_path)
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
    process = run_script(home, "jax", "fgan/estimate.py", *flags, "--out", tmp_path)
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
