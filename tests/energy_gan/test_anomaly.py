"""What the energy has learned: its maps, and the scores of images of a class that was left out (arXiv 1901.08508)."""

import math

import keras
import numpy as np
import pytest
from keras import ops
from sklearn.metrics import average_precision_score

from common.data.images import Images
from common.errors import UserError
from common.experiments.sample_space import leave_out
from common.files import read_json, write_json
from energy_gan import anomaly
from energy_gan.anomaly import average_precision, energy_and_slope
from energy_gan.energy_maps import maps


def test_density_of_a_known_energy():
    """For U = ||x||^2 / (2 s^2), e^-U / Z is a normal density with integral 1."""
    x, s = keras.Input((2,)), 0.3
    critic = keras.Model(x, -ops.sum(ops.square(x), -1, keepdims=True) / (2 * s**2) + 5)
    energy, density = maps(critic, (-2, 2, -1.6, 1.6), cells=100)
    assert density.sum() * (4 / 100) * (3.2 / 100) == pytest.approx(1)
    assert density.max() == pytest.approx(1 / (2 * np.pi * s**2), rel=0.01)
    assert energy[50, 99] == pytest.approx((1.98**2 + 0.016**2) / (2 * s**2) - 5, rel=1e-4), "rows are y, columns x"


def test_average_precision():
    assert average_precision([0.9, 0.8, 0.7, 0.6], [True, False, True, False]) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision([3, 2, 1], [True, True, False]) == 1
    assert average_precision([1, 2, 3], [True, False, False]) == pytest.approx(1 / 3)
    assert average_precision(np.zeros(10), np.arange(10) < 3) == pytest.approx(0.3), "ties count as one threshold"
    rng = np.random.default_rng(0)
    positive = rng.random(20_000) < 0.1
    assert average_precision(rng.random(20_000), positive) == pytest.approx(0.1, abs=0.01)
    # The positives score one standard deviation higher; the exact value is the integral of precision over recall.
    scores = rng.standard_normal(20_000) + positive
    t = np.linspace(8, -8, 4001)
    tail = lambda x: np.vectorize(math.erfc)(x / np.sqrt(2)) / 2
    precision = 0.1 * tail(t - 1) / (0.1 * tail(t - 1) + 0.9 * tail(t))
    exact = np.trapezoid(precision, tail(t - 1))
    assert average_precision(scores, positive) == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("scale", [1e-30, 1, 1e30])
@pytest.mark.parametrize("share", [0, 0.2, 1])
@pytest.mark.parametrize("n", [1, 2, 300])
@pytest.mark.parametrize("tied", [False, True])
def test_average_precision_is_that_of_scikit_learn(tied, n, share, scale, dtype):
    rng = np.random.default_rng(n)
    positive = rng.random(n) < share
    positive[0] = True
    scores = rng.standard_normal(n) + positive
    scores = (scale * (scores.round() if tied else scores)).astype(dtype)
    assert average_precision(scores, positive) == pytest.approx(average_precision_score(positive, scores), rel=1e-12)


def test_energy_and_slope_of_images():
    """U = w . x + 1 has the gradient norm |w| everywhere."""
    x = keras.Input((16, 16, 1))
    w = np.random.default_rng(0).standard_normal(256).astype("float32")
    critic = keras.Model(x, -ops.sum(ops.reshape(x, (-1, 256)) * w, -1, keepdims=True) - 1)
    images = np.random.default_rng(1).integers(0, 256, (7, 16, 16, 1)).astype("uint8")
    energy, slope = energy_and_slope(critic, images)
    np.testing.assert_allclose(energy, (images.reshape(7, -1) / 127.5 - 1) @ w + 1, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(slope, np.full(7, np.linalg.norm(w)), rtol=1e-5)


def test_digit_that_no_test_image_shows_is_not_measured(tmp_path, monkeypatch, capsys):
    x = keras.Input((16, 16, 1))
    critic = keras.Model(x, ops.mean(x, (1, 2)))
    for digit in (1, 4):
        write_json(tmp_path / f"{digit}-0/config.json", {"flags": {"size": 16}})
        critic.save(tmp_path / f"{digit}-0/critic.keras")
    test = Images("mnist", np.zeros((3, 16, 16, 1), "uint8"), list("abc"), np.array([4, 7, 7]), tuple("0123456789"), [])
    monkeypatch.setattr("common.data.images.load_images", lambda *args, **kwargs: test)
    monkeypatch.setattr(
        anomaly, "run_variants", lambda *args: {f"{digit}-0": tmp_path / f"{digit}-0" for digit in (1, 4)}
    )

    def run(*digits):
        args = anomaly.make_parser().parse_args(["--seeds", "1", "--digits", *digits, "--out", str(tmp_path)])
        args.forwarded = []
        anomaly.run(args)
        return capsys.readouterr().out

    printed = run("1", "4")
    assert "not measured: AUPRC without 1 (at least 1 are needed; there are only 0 test images of 1)" in printed
    assert "| without 4 | 0.333 |" in printed and "| without 1 |" not in printed
    assert "auprc.png" not in run("1"), "nothing to draw"


@pytest.mark.parametrize(("sign", "least", "most"), [(-1, 1, 1), (1, 0, 0.2)])
def test_a_high_energy_marks_the_digit(tmp_path, monkeypatch, sign, least, most):
    """U = -critic grows with brightness, and the sevens are the brightest; with the other sign they come last."""
    x = keras.Input((16, 16, 1))
    write_json(tmp_path / "7-0/config.json", {"flags": {"size": 16}})
    keras.Model(x, sign * ops.mean(x, (1, 2))).save(tmp_path / "7-0/critic.keras")
    labels = np.arange(60) % 10
    array = np.random.default_rng(0).integers(0, 120, (60, 16, 16, 1)) + 120 * (labels == 7)[:, None, None, None]
    test = Images("mnist", array.astype("uint8"), list(map(str, labels)), labels, tuple("0123456789"), [])
    monkeypatch.setattr("common.data.images.load_images", lambda *args, **kwargs: test)
    monkeypatch.setattr(anomaly, "run_variants", lambda *args: {"7-0": tmp_path / "7-0"})
    args = anomaly.make_parser().parse_args(["--seeds", "1", "--digits", "7", "--out", str(tmp_path)])
    args.forwarded = []
    anomaly.run(args)
    (results,) = tmp_path.rglob("results.json")
    assert least <= read_json(results)["metrics"]["AUPRC of U/without 7/0"] <= most


def test_leave_out_a_class():
    labels = np.array([3, 1, 3, 0])
    array = np.arange(4, dtype="uint8").reshape(4, 1, 1, 1)
    images = Images("mnist", array, list("abcd"), labels, tuple("0123"), [])
    rest = leave_out(images, 3)
    assert rest.array.ravel().tolist() == [1, 3] and rest.names == ["b", "d"] and rest.labels.tolist() == [1, 0]
    with pytest.raises(UserError, match="no class 4"):
        leave_out(images, 4)
    with pytest.raises(UserError, match="toy_faces has no class"):
        leave_out(Images("toy_faces", array, list("abcd"), np.zeros((4, 7)), tuple("1234567"), []), 0)
