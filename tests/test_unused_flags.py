"""A flag that a run would not use is refused in one line before anything is written, in every script."""

import pytest

from tests.helpers.scripts import error_line

GANS = ("energy_gan/train.py", "fgan/train.py", "rsgan/train.py")
OF_IMAGES = ["--initializer=dcgan", "--negative-slope=0.1", "--kernel-size=4", "--size=32"]


@pytest.mark.parametrize(
    ("script", "flag"),
    [(script, flag) for script in GANS for flag in OF_IMAGES]
    + [("energy_gan/train.py", "--without=0"), ("rsgan/train.py", "--batch-norm")]
    + [("fgan/estimate.py", "--size=32"), ("flow/realnvp.py", "--size=32")],
)
def test_flags_of_images_for_points(script, flag, tmp_path):
    flags = ["--preset", "smoke", "--dataset", "8gaussians", flag, "--out", tmp_path / "runs"]
    flags += ["--against", "25gaussians"] if script == "fgan/estimate.py" else []
    assert f"{flag.partition('=')[0]} is for images" in error_line(script, *flags)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("script", "flags", "message"),
    [
        ("flow/glow.py", ["--input", "scaled", "--noise", "article", "--alpha", "0.05"], "is for --input logit"),
        ("flow/realnvp.py", ["--coupling", "affine", "--bins", "32"], "--bins is for --coupling spline"),
        ("flow/realnvp.py", ["--dataset", "toy_faces", "--layers", "7"], "--layers is for points of the plane"),
        ("flow/realnvp.py", ["--limit", "100"], "--limit is for images; the plane has --points: omit it"),
        ("glann/imle.py", ["--margin", "0.5"], "--margin is for --loss reverse"),
        ("rnn/train.py", ["--cell", "tanh", "--forget-bias", "4"], "--forget-bias is for the cells lstm, gru"),
        ("rnn/train.py", ["--cell", "keras_lstm", "--forget-bias", "4"], "--forget-bias is for the cells lstm, gru"),
        ("energy_gan/train.py", ["--energy", "wgan_div", "--penalty-weight", "10"], "for --energy zero_centred"),
        ("energy_gan/train.py", ["--energy", "hinge", "--margin", "1"], "--margin is for --energy ebgan"),
        ("energy_gan/train.py", ["--energy", "ebgan", "--spectral-norm"], "is for --energy zero_centred or hinge"),
    ],
)
def test_flags_without_effect(script, flags, message, tmp_path):
    assert message in error_line(script, "--preset", "smoke", *flags, "--out", tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
