"""The GAN runner with a generator that is not trained: what it measures of few images, and what it writes when."""

import json

import imageio.v3 as iio
import keras
import numpy as np
import pytest

from common.cli import apply_preset, gan_parser
from common.data.images import Images
from common.errors import UserError
from common.experiments import gan, sample_space
from common.experiments.gan import run_gan
from common.experiments.sample_space import ImageSpace
from common.models.inference import load_model
from common.training.run_files import MetricHistory

PRESETS = {"smoke": {"size": 16, "batch_size": 1, "latent_dim": 4, "width": 8, "steps": 4, "every": 2}}
FEW = {  # metric -> least number of training and of held-out images
    **dict.fromkeys(("fid", "fid_floor", "kid", "kid_floor", "floor/on_the_way"), 2),
    **dict.fromkeys(("precision", "recall", "density", "coverage"), 6),
    **dict.fromkeys(("swd_16", "critic_gap", "train_seconds", "images_per_second", "peak_memory_mb", "steps"), 1),
}


def test_history_is_sorted_by_step_and_leaves_out_the_untrained_networks(tmp_path):
    history = MetricHistory(tmp_path / "run" / "distances.json")
    assert history.curve() == ([], [])
    for step, value in ((0, 9.0), (1000, 2.5), (200, 4.0)):
        history.record(step, value)
    assert history.curve() == ([200, 1000], [4.0, 2.5])


def test_history_of_a_resumed_run_replaces_what_is_computed_again(tmp_path):
    first = MetricHistory(tmp_path / "modes.json")
    first.record(100, 7)
    first.record(200, 8)
    resumed = MetricHistory(tmp_path / "modes.json")
    resumed.record(200, 9)
    assert resumed.curve() == ([100, 200], [7, 9])
    assert json.loads((tmp_path / "modes.json").read_text()) == {"100": 7, "200": 9}


@pytest.mark.parametrize("content", ["[]", "null", '{"a": 1}', '{"100": "x"}', '{"100": [1]}', "{", ""])
def test_a_damaged_history_is_an_error_of_one_line(tmp_path, content):
    (tmp_path / "distances.json").write_text(content)
    with pytest.raises(UserError, match=r"distances\.json") as caught:
        MetricHistory(tmp_path / "distances.json")
    assert "\n" not in str(caught.value)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs a GAN whose training only calls what every interval calls.

    Its arguments are the numbers of training and held-out images, and the bias of the generator's images.
    """
    rows = [{"step": step, "seconds": 1.0 * step, "critic_gap": 0.5} for step in (2, 4)]

    def train(trainer, images, run_dir, *, on_interval, **_):
        for step in (0, 2, 4):
            on_interval(step)
        return rows

    def build(args, shape):
        critic = keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(1)], name="critic")
        layers = [keras.layers.Dense(int(np.prod(shape))), keras.layers.Reshape(shape)]
        generator = keras.Sequential([keras.Input((args.latent_dim,)), *layers], name="generator")
        generator.set_weights([w + run_once.bias for w in generator.get_weights()])
        return None, critic, generator

    def run_once(n_train=10, n_test=10, bias=0.0, dataset="lfw", flags=(), build=build):
        def load_images(name, size, split, data_dir, limit, crop):
            n, seed = {"train": (n_train, 0), "test": (n_test, 1)}[split]
            pixels = np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), dtype=np.uint8)
            return Images(name, pixels, [f"{i}" for i in range(n)], None, (), [])

        run_once.bias = bias
        monkeypatch.setattr(sample_space, "load_images", load_images)
        parser = gan_parser("", PRESETS)
        words = ["--preset", "smoke", "--dataset", dataset, "--out", str(tmp_path), "--resume", *flags]
        args = apply_preset(parser.parse_args(words), parser, PRESETS)
        return run_gan(args, "stub", build, {})[0]

    monkeypatch.setattr(gan, "train", train)
    without_compiling = lambda model, z, batch_size, verbose: keras.ops.convert_to_numpy(model(z))
    monkeypatch.setattr(keras.Model, "predict", without_compiling)
    return run_once


@pytest.mark.parametrize(("n_train", "n_test"), [(2, 1), (3, 10), (10, 1), (10, 2), (10, 5), (10, 10)])
def test_few_images_never_cost_the_results(run, capsys, n_train, n_test):
    run_dir = run(n_train, n_test)
    output = capsys.readouterr().out
    assert output.startswith("training stub on lfw, preset smoke, ") and f"writes to {run_dir};" in output
    metrics = json.loads((run_dir / "results.json").read_text())["metrics"]
    n = min(n_train, n_test)
    assert set(metrics) == {name for name, least in FEW.items() if n >= least}
    lines = [line for line in output.splitlines() if line.startswith("not measured")]
    assert len(lines) == (0 if n >= 6 else 1 if n >= 2 else 3) and all("at least" in line for line in lines)
    figures_dir = run_dir / "figures"
    figures = {path.name for path in figures_dir.iterdir()}
    assert figures == {"samples.png", "curves.png", "training.gif"} | ({"distance.png"} if n >= 2 else set())
    assert (run_dir / "distances.json").exists() == (n >= 2)
    side = ImageSpace.columns * 64  # as many samples are shown as for a large set
    assert iio.imread(run_dir / "samples/step-0000004.png").shape[:2] == (side, side)
    assert min(iio.imread(figures_dir / "samples.png").shape[:2]) >= side


def test_a_single_training_image_is_refused_before_the_training(run, tmp_path):
    with pytest.raises(UserError, match=r"the features pixels need at least 2 training images. Received: 1"):
        run(1, 10)
    assert not list(tmp_path.rglob("results.json"))


@pytest.mark.parametrize("dataset", ["lfw", "8gaussians"])
@pytest.mark.parametrize("bias", [np.nan, np.inf])
def test_outputs_that_are_no_numbers_are_not_drawn(run, tmp_path, dataset, bias):
    with pytest.raises(UserError, match=r"the weight .*dense\S*/kernel of the generator is NaN or infinite"):
        run(bias=bias, dataset=dataset)
    assert not list(tmp_path.rglob("*.png"))


def test_a_finished_run_exports_samples_of_its_generator(run):
    run_dir = run()
    assert not (run_dir / "export").exists()
    assert run(flags=["--export-samples", "3"]) == run_dir
    samples = np.stack([iio.imread(path) for path in sorted((run_dir / "export").iterdir())])
    assert samples.shape == (3, 16, 16, 3) and np.ptp(samples, axis=0).max() > 10


def test_results_are_written_before_the_pictures(run, tmp_path, monkeypatch):
    def fail(path, pictures):
        raise UserError("the disk is full")

    monkeypatch.setattr(gan, "save_training_gif", fail)
    with pytest.raises(UserError, match="the disk is full"):
        run()
    (results,) = tmp_path.rglob("results.json")
    assert set(json.loads(results.read_text())["metrics"]) == set(FEW)


@pytest.mark.parametrize("content", [b"", b"no picture"])
def test_a_damaged_picture_costs_one_frame(run, capsys, content):
    run_dir = run()
    (run_dir / "samples/step-0000003.png").write_bytes(content)
    run()
    assert len(iio.imread(run_dir / "figures/training.gif", index=None)) == 3  # steps 0, 2 and 4
    output = capsys.readouterr().out
    assert "without step-0000003.png: damaged" in output and (run_dir / "results.json").exists()


def test_a_lost_log_costs_its_values_only(run, monkeypatch):
    monkeypatch.setattr(gan, "train", lambda *_, on_interval, **__: on_interval(4) or [])
    metrics = json.loads((run() / "results.json").read_text())["metrics"]
    assert set(FEW) - set(metrics) == {"critic_gap", "train_seconds"}


def test_the_averaged_generator_is_measured_and_saved(run, monkeypatch):
    """A step of the average has momentum .1 at first: it moves nine tenths of the way."""

    used, kept, predict = [], [], gan.predict
    monkeypatch.setattr(gan, "predict", lambda model, z, *rest: used.append((model, z)) or predict(model, z, *rest))

    def train(*_, on_interval, averages, **__):
        kept.append(averages)
        (generator,) = averages.sources
        generator.set_weights([w + 1 for w in generator.get_weights()])
        averages.update()
        on_interval(4)
        return [{"step": 4, "seconds": 4.0, "critic_gap": 0.5}]

    monkeypatch.setattr(gan, "train", train)
    run_dir = run(flags=["--ema", "0.99"])
    (shift,) = {round(float(w.max()), 5) for w in load_model(run_dir / "generator.keras").get_weights() if w.ndim == 1}
    assert shift == pytest.approx(0.9)  # the biases began at 0
    assert json.loads((run_dir / "results.json").read_text())["network"].startswith("average over the steps")
    assert len(used) > 2 and all(model is kept[0].models[0] for model, _ in used)


def test_the_averaged_generator_has_the_batch_statistics_of_its_own_latents(run, monkeypatch):
    """Those that the average has from the training are of earlier networks."""
    normed = [keras.layers.BatchNormalization(), keras.layers.Dense(16 * 16 * 3), keras.layers.Reshape((16, 16, 3))]

    def build(args, shape):
        critic = keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(1)], name="critic")
        return None, critic, keras.Sequential([keras.Input((args.latent_dim,)), *normed], name="generator")

    monkeypatch.setattr(gan, "train", lambda *_, on_interval, **__: on_interval(4) or [])
    run_dir = run(flags=["--ema", "0.99", "--seed", "3"], build=build)
    norm = load_model(run_dir / "generator.keras").layers[0]
    z = np.random.default_rng([3, gan.RECALIBRATION_STREAM]).standard_normal((2048, 4), "float32")
    np.testing.assert_allclose(norm.moving_mean, z.mean(0), atol=1e-5)


def test_the_latents_depend_on_the_seed(run, monkeypatch):
    used, predict = [], gan.predict
    monkeypatch.setattr(gan, "predict", lambda model, z, *rest: used.append(z) or predict(model, z, *rest))
    first = []
    for seed in ("0", "1"):
        used.clear()
        run(flags=["--seed", seed])
        first.append(used[0])
    assert first[0].shape == first[1].shape and not np.array_equal(*first)
