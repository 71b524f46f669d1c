"""What the scripts build: losses, noise and numbers of weights."""

import math
import re

import keras
import numpy as np
import pytest
from keras import ops

from common.cli import apply_preset
from common.data.batches import EndlessBatches
from common.data.images import load_images
from common.errors import UserError
from flow import glow, nice, realnvp
from flow.layers import Actnorm, AdditiveCoupling, AffineCoupling, Logit, Squeeze
from flow.layers.likelihood import UniformNoise, log_normal
from flow.layers.networks import uniform_mlp
from flow.training import run_images
from tests.helpers.flows import assert_close, random_array, to_numpy
from tests.helpers.scripts import ROOT

SHAPE, DIMS = (4, 4, 1), 16
IMAGES = np.random.default_rng(0).integers(0, 256, (5, *SHAPE), dtype=np.uint8)


def build(script, *arguments, shape=SHAPE, preset="smoke", presets=None):
    """Return (trainer, flow) of a script for these flags."""
    parser = script.make_parser()
    args = parser.parse_args(["--preset", preset, *arguments])
    return script.build(apply_preset(args, parser, presets or script.PRESETS), shape)


def randomise(flow):
    """Add random numbers to all trainable weights."""
    for i, weight in enumerate(flow.trainable_weights):
        weight.assign(ops.convert_to_numpy(weight) + 0.1 * random_array(*weight.shape, seed=i))


def loss_and_outputs(trainer, x, training=False):
    """Return the dict of loss and metrics per sample, z and log_det, as numpy arrays."""
    outputs = trainer(x, training=training)
    metrics = {name: ops.convert_to_numpy(value) for name, value in trainer.loss_function(**outputs).items()}
    return metrics, *to_numpy([outputs["z"], outputs["log_det"]])


@pytest.mark.parametrize("coupling", ["affine", "spline"])
def test_both_coordinates_of_the_plane_pass_through_a_curve(coupling):
    """If all couplings changed the same one, the other would only be shifted and scaled."""
    flags = ["--dataset", "two_moons", "--coupling", coupling, "--couplings", "4"]
    _, flow = build(realnvp, *flags, shape=(2,), presets=realnvp.PLANE_PRESETS)
    randomise(flow)
    x = random_array(50, 2)
    z = lambda x: np.asarray(to_numpy([flow(x.astype("float32"))[0]])[0], "float64")
    for i in (0, 1):
        step = 0.1 * np.eye(2)[i]
        assert abs(z(x + step) + z(x - step) - 2 * z(x))[:, i].max() > 1e-3


@pytest.mark.parametrize("start", ["data", "zero"])
def test_glow_starts_from_the_first_batch_if_it_should(tmp_path, monkeypatch, start):
    flows = []

    def stop(trainer, *_, **__):
        flows.append(next(layer for layer in trainer._flatten_layers() if layer.name == "flow"))
        raise UserError("enough")

    monkeypatch.setattr(run_images, "train", stop)
    parser = glow.make_parser()
    flags = ["--preset", "smoke", "--dataset", "toy_faces", "--size", "32", "--start", start, "--batch-size", "32"]
    args = parser.parse_args([*flags, "--out", str(tmp_path)])
    with pytest.raises(UserError, match="enough"):
        glow.run(args)
    images = load_images("toy_faces", 32, "train", limit=200)
    x = (EndlessBatches(images, 32, seed=0, dtype="uint8")[0].astype("float32") + 0.5) / 256
    norms = [layer for layer in flows[0]._flatten_layers() if isinstance(layer, Actnorm)]
    first = next(layer for layer in norms if layer.bias.shape == (12,))  # the later ones see 24 channels
    y = ops.convert_to_numpy(first(Squeeze()(Logit(1e-4)(x)[0])[0])[0])
    if start == "data":
        assert_close(y.mean((0, 1, 2)), np.zeros(12))
        assert_close(y.std((0, 1, 2)), np.ones(12))
    else:
        assert not any(ops.convert_to_numpy(w).any() for layer in norms for w in layer.weights)


def test_the_loss_of_nice_is_the_article_s():
    trainer, flow = build(nice, "--noise", "none")
    randomise(flow)
    metrics, z, _ = loss_and_outputs(trainer, IMAGES)
    k = ops.convert_to_numpy(flow.layers[-1].k)
    assert metrics.keys() == {"loss"}
    assert_close(metrics["loss"], (z**2).sum(1) / 2 - k.sum())
    assert_close(z, flow(IMAGES / np.float32(255))[0])


def test_only_the_normal_density_has_a_constant_to_leave_out():
    trainer, flow = build(nice, "--noise", "none", "--prior", "logistic")
    randomise(flow)
    metrics, z, _ = loss_and_outputs(trainer, IMAGES)
    k = ops.convert_to_numpy(flow.layers[-1].k)
    assert_close(metrics["loss"], (np.log1p(np.exp(z)) + np.log1p(np.exp(-z))).sum(1) - k.sum())


def test_the_noise_of_nice_is_there_in_training_only():
    trainer, flow = build(nice, "--noise", "article")
    restore = lambda training: ops.convert_to_numpy(flow.inverse(trainer(IMAGES, training=training)["z"])[0])
    assert_close(restore(False), IMAGES / 255, 1e-5)
    noise = restore(True) - IMAGES / 255
    assert -0.01 - 1e-5 < noise.min() < -0.008 and -0.002 < noise.max() < 1e-5


def test_the_noise_of_the_article_s_glow_is_half_a_grey_step_and_in_training_only():
    trainer, flow = build(glow, "--noise", "article", "--input", "scaled")
    restore = lambda training: ops.convert_to_numpy(flow.inverse(trainer(IMAGES, training=training)["z"])[0])
    assert_close(restore(False), IMAGES / 255, 1e-4)
    noise = restore(True) - IMAGES / 255
    assert -1e-4 < noise.min() < 0.0005 and 0.0014 < noise.max() < 1 / 512 + 1e-4


def test_the_decoder_of_nice_adds_what_is_never_negative():
    _, flow = build(nice)
    couplings = [layer for layer in flow.layers if isinstance(layer, AdditiveCoupling)]
    assert len(couplings) == 4
    for coupling in couplings:
        output = ops.convert_to_numpy(coupling.net(random_array(50, DIMS // 2)))
        assert output.max() <= 0 and output.min() < 0


@pytest.mark.parametrize(
    ("script", "arguments", "presets"),
    [
        (nice, ["--noise", "uniform"], None),
        (glow, [], None),
        (glow, ["--coupling", "spline"], None),
        (realnvp, ["--dataset", "mnist"], realnvp.IMAGE_PRESETS),
        (realnvp, ["--dataset", "mnist", "--coupling", "spline"], realnvp.IMAGE_PRESETS),
    ],
    ids=["nice", "glow", "glow-spline", "realnvp", "realnvp-spline"],
)
def test_the_loss_with_uniform_noise_is_a_likelihood(script, arguments, presets):
    trainer, flow = build(script, *arguments, presets=presets)
    randomise(flow)
    metrics, z, log_det = loss_and_outputs(trainer, IMAGES)
    loss = (z**2).sum(1) / 2 + DIMS / 2 * math.log(2 * math.pi) - log_det
    assert_close(metrics["loss"], loss)
    assert_close(metrics["bits_per_dim"], loss / (DIMS * math.log(2)) + 8)
    u = 256 * ops.convert_to_numpy(flow.inverse(z)[0]).astype("float64") - IMAGES
    assert -0.05 < u.min() < 0.2 and 0.8 < u.max() < 1.05, "x + u is uniform in the cell of x"


def test_the_loss_of_the_article_s_glow_is_of_the_density_on_minus_1_to_1():
    trainer, flow = build(glow, "--noise", "article", "--input", "scaled")
    randomise(flow)
    metrics, z, _ = loss_and_outputs(trainer, IMAGES)
    z_of_scaled, log_det = flow.layers[1](IMAGES / np.float32(127.5) - 1)  # the flow without its Rescale
    assert metrics.keys() == {"loss"}
    assert_close(z, z_of_scaled)
    assert_close(metrics["loss"], -ops.convert_to_numpy(log_normal(z) + log_det))


def test_the_loss_of_points_is_a_likelihood_and_gradients_are_clipped():
    trainer, flow = build(realnvp, shape=(2,), presets=realnvp.PLANE_PRESETS)
    randomise(flow)
    points = random_array(7, 2)
    metrics, z, log_det = loss_and_outputs(trainer, points)
    assert_close(metrics["loss"], (z**2).sum(1) / 2 + math.log(2 * math.pi) - log_det)
    assert_close(z, flow(points)[0])
    assert trainer.optimizer.global_clipnorm == 1


@pytest.mark.parametrize(("step", "rate"), [(0, 2e-3), (100, 1e-3), (200, 0)])
@pytest.mark.parametrize("in_plane", [True, False])
def test_the_learning_rate_falls_along_half_a_cosine(step, rate, in_plane):
    arguments = ["--steps", "200", "--learning-rate", "2e-3"]
    if in_plane:
        trainer, _ = build(realnvp, *arguments, shape=(2,), presets=realnvp.PLANE_PRESETS)
    else:
        trainer, _ = build(glow, *arguments, "--schedule", "cosine")
    trainer.optimizer.iterations.assign(step)
    assert_close(trainer.optimizer.learning_rate, rate, 1e-6)


def test_spline_couplings_in_the_plane_are_compiled_and_affine_ones_are_not():
    compiled = {}
    for coupling in ("affine", "spline"):
        trainer, _ = build(realnvp, "--coupling", coupling, shape=(2,), presets=realnvp.PLANE_PRESETS)
        compiled[coupling] = trainer.jit_compile
    assert compiled["spline"] and (compiled["affine"] != compiled["spline"] or keras.backend.backend() == "jax")


def test_uniform_noise():
    x = np.zeros((1000, 3), "float32")
    layer = UniformNoise(-2.0, 3.0, seed=1)
    first, second = to_numpy([layer(x), layer(x)])
    assert -2 <= first.min() < -1.9 and 2.9 < first.max() <= 3
    assert_close(first.mean(), 0.5, 0.1)
    assert (first != second).mean() > 0.99, "drawn in every call"
    np.testing.assert_array_equal(to_numpy([UniformNoise(-2.0, 3.0, seed=1)(x)])[0], first)
    training_only = UniformNoise(-2.0, 3.0, training_only=True)
    np.testing.assert_array_equal(to_numpy([training_only(x)])[0], x)
    assert np.ptp(to_numpy([training_only(x, training=True)])[0]) > 4


COMPARISON = ["--width", "32"]


@pytest.mark.parametrize(
    ("script", "preset", "arguments", "shape", "weights"),
    [
        (nice, "paper", [], (28, 28, 1), 19_158_352),
        (glow, "quick", [], (28, 28, 1), 138_492),
        (glow, "quick", [*COMPARISON, "--mixing", "reverse"], (28, 28, 1), 29_676),
        (glow, "quick", [*COMPARISON, "--mixing", "shuffle"], (28, 28, 1), 29_724),
        (glow, "quick", [*COMPARISON, "--mixing", "1x1"], (28, 28, 1), 30_460),
        (glow, "quick", [*COMPARISON, "--mixing", "exp"], (28, 28, 1), 29_996),
        (glow, "quick", [*COMPARISON, "--coupling", "additive"], (28, 28, 1), 23_524),
        (glow, "quick", ["--input", "scaled", "--levels", "3"], (32, 32, 3), 577_932),
    ],
)
def test_the_numbers_of_weights_in_the_readme(script, preset, arguments, shape, weights):
    _, flow = build(script, *arguments, preset=preset, shape=shape)
    assert flow.count_params() == weights


def test_the_number_of_weights_for_photos():
    _, flow = build(glow, preset="quick", shape=(32, 32, 3), presets=glow.PHOTO_PRESETS)
    assert flow.count_params() == 1_201_740


def test_the_number_of_weights_in_the_plane():
    _, flow = build(realnvp, preset="quick", shape=(2,), presets=realnvp.PLANE_PRESETS)
    assert flow.count_params() == 58_780


def test_the_units_of_an_affine_coupling_in_the_plane_bend_at_different_places():
    """U(-1/sqrt(n), 1/sqrt(n)) has the variance 1/(3 n); a unit relu(w x + b) bends at -b/w."""
    net = uniform_mlp(1, 400, 2, 2)
    net.build((None, 1))
    for layer, n in zip(net.layers, (1, 400, 400), strict=True):
        for weights in to_numpy([layer.kernel, layer.bias]):
            assert np.abs(weights).max() <= n**-0.5
            if weights.size > 2:
                assert weights.std() == pytest.approx((3 * n) ** -0.5, rel=0.15)
    kernel, bias = to_numpy([net.layers[0].kernel, net.layers[0].bias])
    bends = -bias / kernel[0]
    # b/w of two independent uniform numbers: half of them lie within 1
    assert np.mean(np.abs(bends) < 1) == pytest.approx(0.5, abs=0.1) and len(np.unique(bends)) == 400
    _, flow = build(realnvp, "--coupling", "affine", shape=(2,), presets=realnvp.PLANE_PRESETS)
    (first, *_) = [layer for layer in flow.layers if isinstance(layer, AffineCoupling)]
    assert np.abs(to_numpy([first.net.layers[0].bias])[0]).min() > 0


@pytest.mark.parametrize("readme", ["README.md", "README.zh.md"])
def test_the_example_of_the_readme_runs(readme):
    text = (ROOT / "flow" / readme).read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names = {}
    exec(code, names)
    assert names["z"].shape == (16, 784) and names["log_det"].shape == (16,)
    assert_close(names["flow"](names["x"])[0], to_numpy([names["z"]])[0], 1e-3)
    assert_close(names["minus_log_det"], -to_numpy([names["log_det"]])[0], 1e-3)
