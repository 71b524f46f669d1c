"""The O-GAN runner `run_ogan` with networks of one layer: which metrics it writes, and to where."""

import json

import keras
import numpy as np
import pytest
from keras import layers

from common.cli import apply_preset
from common.data import toy_faces
from common.data.images import load_images, to_float
from common.errors import UserError
from common.losses.correlation import average, correlation
from common.models.inference import load_model
from common.models.layers import Latent
from common.training.single_loss import SingleLoss
from ogan import evaluate, experiment, train
from ogan.experiment import run_ogan

METRICS = {
    "z_corr", "critic_gap", "reconstruction_mse", "mean_image_mse", "code_mean", "pca_frechet", "pca_frechet_floor",
    "images_per_second", "train_seconds", "steps", "z_corr/without_ema", "reconstruction_mse/without_ema",
    *(f"{name}/training_images" for name in ("reconstruction_mse", "mean_image_mse")),
    *(f"reconstruction_mse/shrink_{scale}" for scale in ("1.0", "0.8", "0.7", "0.6", "0.5")),
    "reconstruction_mse/not_standardised",
}  # fmt: skip


def build_small(args, channels):
    """Return (trainer, encoder, generator) of one Dense layer each, trained to agree with each other."""
    shape = (args.size, args.size, channels)
    encoder = keras.Sequential([keras.Input(shape), layers.Flatten(), layers.Dense(args.latent_dim)], name="encoder")
    generator = keras.Sequential(
        [keras.Input((args.latent_dim,)), layers.Dense(args.size**2 * channels, "tanh"), layers.Reshape(shape)],
        name="generator",
    )
    x = keras.Input(shape)
    z = Latent(args.latent_dim, seed=args.seed)(x)

    def loss(z, code, code_real):
        rho = correlation(z, code)
        return {"loss": -rho, "critic_gap": average(code) - average(code_real), "z_corr": rho}

    model = SingleLoss(x, {"z": z, "code": encoder(generator(z)), "code_real": encoder(x)}, loss)
    model.compile(keras.optimizers.Adam(1e-3))
    return model, encoder, generator


@pytest.mark.parametrize("flag", ["--flip", "--no-flip"])
def test_the_training_mirrors_images_if_it_should(tmp_path, monkeypatch, flag):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    parser = train.make_parser()
    flags = ["--preset", "smoke", "--limit", "40", flag, "--out", str(tmp_path / "runs")]
    args = apply_preset(parser.parse_args(flags), parser, train.PRESETS)

    def stop(*_, flip, **__):
        raise UserError(f"flip is {flip}")

    monkeypatch.setattr(experiment, "train", stop)
    with pytest.raises(UserError, match=f"flip is {flag == '--flip'}"):
        run_ogan(args, "ogan", build_small, {})


def test_metrics_of_drawn_faces(tmp_path, monkeypatch, capsys):
    """The probe is among them because the factors of these faces are known, the last step because of the averages."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    parser = train.make_parser()
    flags = ["--preset", "smoke", "--steps", "1", "--limit", "40", "--no-flip", "--out", str(tmp_path / "runs")]
    args = apply_preset(parser.parse_args(flags), parser, train.PRESETS)
    run_ogan(args, "ogan", build_small, {})

    (results,) = tmp_path.rglob("results.json")
    metrics = json.loads(results.read_text())["metrics"]
    factors = ["_mean", *(f"/{name}" for name in toy_faces.FACTORS)]
    assert metrics.keys() == METRICS | {f"{kind}_r2{factor}" for kind in ("probe", "pca") for factor in factors}
    assert metrics["steps"] == 1
    printed = capsys.readouterr().out
    assert all(name in printed for name in metrics)

    # the averaged networks, on images that they were not trained on, beside the mean of those that they were
    encoder, generator = (load_model(results.parent / f"{name}.keras") for name in ("encoder", "generator"))
    images, held_out = (load_images("toy_faces", args.size, split, limit=40).array for split in ("train", "test"))
    mean = to_float(images.mean(0))
    np.testing.assert_allclose(np.load(results.parent / "mean_image.npy"), mean, atol=1e-6)
    for array, end in ((held_out, ""), (images, "/training_images")):
        expected = evaluate.reconstruction_metrics(encoder, generator, np.asarray(array), mean)
        for name in ("reconstruction_mse", "mean_image_mse"):
            assert metrics[name + end] == pytest.approx(expected[name], rel=1e-4)
    z_corr = evaluate.latent_metrics(encoder, generator, args.latent_dim, args.seed, 40)["z_corr"]
    assert metrics["z_corr"] == pytest.approx(z_corr, abs=1e-5) != metrics["z_corr/without_ema"]
