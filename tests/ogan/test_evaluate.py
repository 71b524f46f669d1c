"""Metrics and figures of O-GAN on linear networks, whose codes and images are known exactly."""

import argparse

import imageio.v3 as iio
import keras
import numpy as np
import pytest

from common.data.images import to_float, to_uint8
from common.errors import UserError
from common.metrics.pca import pca_codes
from common.plots import labels
from common.plots.images import save_png
from ogan import evaluate
from ogan.codes import linear_probe_r2

RNG = np.random.default_rng(0)
N = 12  # values of an image of 2 x 2 pixels in colour


class Linear(keras.Model):
    """A stand-in for a Keras network: x -> x @ matrix + offset, of the shape `shape`."""

    def __init__(self, matrix, shape, offset=0.0, name=None):
        super().__init__(name=name)
        self.matrix, self.shape, self.offset = np.asarray(matrix, "float32"), shape, offset

    def predict_on_batch(self, x):
        return self(x)

    def __call__(self, x):
        return (np.reshape(x, (len(x), -1)) @ self.matrix + self.offset).reshape(len(x), *self.shape)


GENERATOR = Linear(np.eye(N), (2, 2, 3))  # the image is the latent
ENCODER = Linear(np.eye(N), (N,))  # the code is the image
BLIND_ENCODER = Linear(np.zeros((N, N)), (N,))


def images(n, size=2):
    return RNG.integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def standardise(codes):
    return (codes - codes.mean(-1, keepdims=True)) / codes.std(-1, keepdims=True)


def test_a_code_is_free_of_the_scale_and_mean_of_the_encoder():
    matrix, x = RNG.normal(size=(N, N)), images(7)
    codes = evaluate.encode(Linear(matrix, (N,)), x)
    np.testing.assert_allclose(codes.mean(-1), 0, atol=1e-5)
    np.testing.assert_allclose(codes.std(-1), 1, atol=1e-4)
    np.testing.assert_allclose(codes, standardise(to_float(x).reshape(7, N) @ matrix), atol=1e-4)
    np.testing.assert_allclose(evaluate.encode(Linear(5 * matrix, (N,), offset=3), x), codes, atol=1e-4)


def test_floats_and_bytes_have_the_same_code_over_several_batches(monkeypatch):
    x, encoder = images(7), Linear(RNG.normal(size=(N, N)), (N,))
    codes = evaluate.encode(encoder, x)
    monkeypatch.setattr(evaluate, "BATCH", 3)
    np.testing.assert_allclose(evaluate.encode(encoder, x), codes, atol=1e-5)
    np.testing.assert_allclose(evaluate.encode(encoder, to_float(x)), codes, atol=1e-5)


def test_a_code_is_scaled_by_the_authors_factor_before_it_is_decoded():
    codes = standardise(RNG.normal(size=(7, N)))
    np.testing.assert_allclose(evaluate.decode(GENERATOR, codes).reshape(7, N), 0.9 * codes, atol=1e-6)
    np.testing.assert_allclose(evaluate.decode(GENERATOR, codes, 0.5).reshape(7, N), 0.5 * codes, atol=1e-6)


@pytest.mark.parametrize(
    ("encoder", "z_corr"),
    [(ENCODER, 1), (Linear(-np.eye(N), (N,)), -1), (BLIND_ENCODER, 0)],
    ids=["perfect", "negative", "blind"],
)
def test_correlation_of_latents_and_codes(encoder, z_corr):
    metrics = evaluate.latent_metrics(encoder, GENERATOR, latent_dim=N, seed=0, n=50)
    assert metrics == {"z_corr": pytest.approx(z_corr, abs=1e-4)}


def test_reconstruction_error_of_a_perfect_pair_and_of_a_blind_encoder():
    x = images(40)
    pixels = to_float(x)
    mean_image = pixels.mean(0)
    perfect = evaluate.reconstruction_metrics(ENCODER, GENERATOR, x, mean_image)
    flat = pixels.reshape(40, N)
    assert perfect["reconstruction_mse"] == pytest.approx(np.mean((0.9 * standardise(flat) - flat) ** 2), rel=1e-4)
    assert perfect["mean_image_mse"] == pytest.approx(pixels.var(0).mean(), rel=1e-4)
    blind = evaluate.reconstruction_metrics(BLIND_ENCODER, GENERATOR, x, mean_image)
    assert blind["reconstruction_mse"] == pytest.approx(np.mean(pixels**2), rel=1e-4)  # G(0) is a gray image
    assert blind["mean_image_mse"] == perfect["mean_image_mse"]


def test_reconstruction_error_of_other_scales_and_of_the_raw_code():
    x = images(40)
    flat = to_float(x).reshape(40, N)
    encoder = Linear(2 * np.eye(N), (N,), offset=1)
    metrics = evaluate.code_metrics(encoder, GENERATOR, x)
    expected = {
        f"reconstruction_mse/shrink_{scale}": np.mean((scale * standardise(flat) - flat) ** 2)
        for scale in (1.0, 0.8, 0.7, 0.6, 0.5)
    }
    expected |= {"reconstruction_mse/not_standardised": np.mean((flat + 1) ** 2), "code_mean": 2 * flat.mean() + 1}
    assert metrics == {name: pytest.approx(value, rel=1e-3) for name, value in expected.items()}


def test_linear_probe_scores_each_factor_on_the_test_images():
    """Factors are pixels: all components know them, and a standardised code nearly does."""

    def labelled(n, sign):
        x = images(n)
        factors = sign * to_float(x).reshape(n, N)[:, [0, -1]]
        return argparse.Namespace(array=x, labels=factors, label_names=("first", "last"))

    train, test = labelled(300, 1), labelled(200, -1)  # with the sign turned the prediction is -y
    metrics = evaluate.probe_metrics(ENCODER, train, test)
    names = ("mean", "first", "last")
    assert metrics.keys() == {f"{kind}_r2{'_' if n == 'mean' else '/'}{n}" for kind in ("probe", "pca") for n in names}
    y = test.labels
    expected = 1 - np.sum((2 * y) ** 2, 0) / np.sum((y - y.mean(0)) ** 2, 0)
    pca_r2 = [metrics["pca_r2/first"], metrics["pca_r2/last"]]
    np.testing.assert_allclose(pca_r2, expected, atol=0.02)
    assert metrics["pca_r2_mean"] == pytest.approx(np.mean(pca_r2))
    codes = [standardise(to_float(x.array).reshape(-1, N)) for x in (train, test)]
    probe_r2 = linear_probe_r2(codes[0], train.labels, codes[1], test.labels)
    assert metrics["probe_r2/first"] == pytest.approx(probe_r2[0], abs=1e-3)
    assert metrics["probe_r2/last"] == pytest.approx(probe_r2[1], abs=1e-3)
    assert metrics["probe_r2_mean"] == pytest.approx(np.mean(probe_r2), abs=1e-3)
    same = evaluate.probe_metrics(ENCODER, train, train)
    assert same["pca_r2_mean"] == pytest.approx(1, abs=1e-2) and same["probe_r2_mean"] > 0.5


def test_the_baseline_of_the_probe_has_as_many_components_as_a_code_has_entries():
    x = images(300)
    first = argparse.Namespace(array=x, labels=to_float(x).reshape(300, N)[:, :1], label_names=("first",))
    encoder = Linear(np.eye(N)[:, :4], (4,))
    codes = pca_codes(x, x, 4)
    expected = linear_probe_r2(codes[0], first.labels, codes[1], first.labels)[0]
    assert evaluate.probe_metrics(encoder, first, first)["pca_r2/first"] == pytest.approx(expected)


def test_interpolation_has_the_originals_at_its_ends_and_decoded_codes_between():
    x = images(2, size=8)
    encoder = Linear(RNG.normal(size=(192, N)), (N,))
    generator = Linear(RNG.normal(size=(N, 192)) * 0.01, (8, 8, 3))
    picture = evaluate.interpolations(encoder, generator, x[:1], x[1:], steps=3)
    assert picture.shape == (8, 8 + 1 + 3 * 8 + 1 + 8, 3)  # white columns between originals and steps
    np.testing.assert_array_equal(picture[:, :8], x[0])
    np.testing.assert_array_equal(picture[:, -8:], x[1])
    left, right = evaluate.encode(encoder, x)
    decoded = to_uint8(evaluate.decode(generator, np.stack([left, (left + right) / 2, right])))
    for i, expected in enumerate(decoded):
        np.testing.assert_allclose(picture[:, 9 + 8 * i : 17 + 8 * i].astype(int), expected, atol=1)  # rounding
    assert np.abs(decoded[0].astype(int) - decoded[2]).max() > 10


def test_the_first_images_are_interpolated_to_as_many_after_them():
    x = images(20)
    for n, rows in ((2, 1), (5, 2), (20, 8)):
        left, right = evaluate.interpolation_endpoints(x[:n])
        np.testing.assert_array_equal(left, x[:rows])
        np.testing.assert_array_equal(right, x[rows : 2 * rows])
    for end in evaluate.interpolation_endpoints(x[:1]):  # a single image is both ends
        np.testing.assert_array_equal(end, x[:1])


def test_reconstructions_stand_to_the_right_of_the_originals():
    x = images(3)
    picture = evaluate.reconstructions(ENCODER, GENERATOR, x)
    decoded = to_uint8(evaluate.decode(GENERATOR, evaluate.encode(ENCODER, x)))
    for i in range(3):
        np.testing.assert_array_equal(picture[:2, 4 * i : 4 * i + 2], x[i])
        np.testing.assert_array_equal(picture[:2, 4 * i + 2 : 4 * i + 4], decoded[i])


def probe_set(n, factors=3):
    """Return n images with the values of their first pixels as factors."""
    x = images(n)
    names = ("tilt", "gaze", "smile")[:factors]
    return argparse.Namespace(array=x, labels=to_float(x).reshape(n, N)[:, :factors], label_names=names)


@pytest.mark.parametrize("n_train", [1, 2, 3, 5, 11, 12, 20])
def test_probe_of_few_training_images_has_no_baseline(capsys, n_train):
    metrics = evaluate.probe_metrics(ENCODER, probe_set(n_train), probe_set(10))
    kinds = ("probe_r2", "pca_r2") if n_train >= N else ("probe_r2",)  # a code has twelve entries
    assert metrics.keys() == {f"{k}{n}" for k in kinds for n in ("_mean", "/tilt", "/gaze", "/smile")}
    line = f"not measured: pca_r2 (at least {N} are needed; there are only {n_train} training images)\n"
    assert capsys.readouterr().out == ("" if n_train >= N else line)
    assert np.isfinite(list(metrics.values())).all()


def test_probe_of_small_images_has_no_baseline(capsys):
    encoder = Linear(RNG.normal(size=(N, 20)), (20,))
    metrics = evaluate.probe_metrics(encoder, probe_set(30), probe_set(30))
    assert "probe_r2_mean" in metrics and not any(name.startswith("pca") for name in metrics)
    assert "there are only 12 pixels in an image" in capsys.readouterr().out


@pytest.mark.parametrize("n_test", [1, 2, 3, 5])
def test_probe_leaves_out_factors_that_few_test_images_do_not_vary(capsys, n_test):
    test = probe_set(n_test)
    test.labels[:, 1] = 0.1
    metrics = evaluate.probe_metrics(ENCODER, probe_set(40), test)
    varied = () if n_test == 1 else ("tilt", "smile")
    assert metrics.keys() == {f"{kind}/{name}" for kind in ("probe_r2", "pca_r2") for name in varied}
    names = ("gaze",) if n_test > 1 else ("tilt", "gaze", "smile")
    listed = ", ".join(f"{kind}_r2/{name}" for kind in ("probe", "pca") for name in names)
    reason = f"the {n_test} test images do not differ in them"
    assert capsys.readouterr().out == f"not measured: {listed} and the means ({reason})\n"
    full = probe_set(40)
    everything = evaluate.probe_metrics(ENCODER, full, full)
    without = argparse.Namespace(array=full.array, labels=full.labels.copy(), label_names=full.label_names)
    without.labels[:, 1] = 0.1
    for name, value in evaluate.probe_metrics(ENCODER, full, without).items():
        assert value == pytest.approx(everything[name])


@pytest.mark.parametrize("n", [1, 2, 3, 5, 10])
def test_few_images_have_all_other_metrics_and_figures(tmp_path, n):
    x, rows = images(n), [{"step": 1, "seconds": 1.0, "z_corr": 0.5, "critic_gap": 0.1}]
    (tmp_path / "samples").mkdir()
    save_png(tmp_path / "samples/step-0000000.png", x[0])
    metrics = (
        evaluate.reconstruction_metrics(ENCODER, GENERATOR, x, to_float(x).mean(0))
        | evaluate.code_metrics(ENCODER, GENERATOR, x)
        | evaluate.latent_metrics(ENCODER, GENERATOR, N, 0, n)
    )
    assert len(metrics) == 10 and np.isfinite(list(metrics.values())).all()
    paths = evaluate.save_figures(tmp_path, ENCODER, GENERATOR, x, RNG.normal(size=(4, N)), rows, 1)
    names = ["samples.png", "reconstructions.png", "interpolations.png", "curves.png", "training.gif"]
    assert [path.name for path in paths] == names and all(path.exists() for path in paths)
    scales = [iio.imread(tmp_path / f"figures/code-scales/{scale:.1f}.png") for scale in evaluate.SHOWN_CODE_SCALES]
    assert len({scale.shape for scale in scales}) == 1 and not np.array_equal(scales[0], scales[-1])


def test_figures_without_a_log_or_pictures_are_the_others(tmp_path, capsys):
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples/step-0000000.png").write_bytes(b"")
    paths = evaluate.save_figures(tmp_path, ENCODER, GENERATOR, images(3), RNG.normal(size=(4, N)), [], 1)
    assert [path.name for path in paths] == ["samples.png", "reconstructions.png", "interpolations.png"]
    assert "step-0000000.png: damaged" in capsys.readouterr().out


def test_figures_show_images_drawn_by_lot(tmp_path):
    """The first images of a folder of class folders would all be of one class."""
    x = np.zeros((300, 2, 2, 3), "uint8")
    x[150:] = 255
    evaluate.save_figures(tmp_path, ENCODER, GENERATOR, x, RNG.normal(size=(4, N)), [], 1)
    pairs = iio.imread(tmp_path / "figures/reconstructions.png")[..., :3]
    left, top = labels.MARGIN, labels.TITLE_LINE + labels.LINE
    pairs = pairs[top : top + 16, left : left + 16]  # 32 pairs of 2 x 2 pixels, in rows of 4
    originals = pairs.reshape(8, 2, 4, 2, 2, 3)[:, :, :, 0].mean((1, 3, 4))
    assert 8 <= np.sum(originals == 255) <= 24 and np.sum(originals == 0) == 32 - np.sum(originals == 255)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_networks_that_give_no_numbers_are_named(value):
    bad_encoder = Linear(np.eye(N), (N,), value, "encoder")
    bad_generator = Linear(np.eye(N), (2, 2, 3), value, "generator")
    for measure in (evaluate.reconstruction_metrics, lambda e, g, x, _: evaluate.reconstructions(e, g, x)):
        with pytest.raises(UserError, match="3 of the 3 outputs of the encoder are NaN or infinite"):
            measure(bad_encoder, GENERATOR, images(3), np.zeros((2, 2, 3)))
        with pytest.raises(UserError, match="3 of the 3 outputs of the generator are NaN or infinite"):
            measure(ENCODER, bad_generator, images(3), np.zeros((2, 2, 3)))
