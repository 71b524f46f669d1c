"""Stopping, resuming and averaging: a run that was cut is the run that was not."""

import importlib.util
import os
import signal

import keras
import numpy as np
import pytest
from keras import layers, ops

from common.data.batches import EndlessBatches
from common.errors import UserError
from common.losses.correlation import correlation
from common.models.layers import Latent
from common.training import checkpoint
from common.training.alternating import Alternating
from common.training.ema import WeightEMA, recalibrate_batch_norm
from common.training.loop import (
    TrainingLog,
    _finish_step_on_interrupt,
    images_per_second,
    read_log,
    split_into_epochs,
    train,
)
from common.training.single_loss import SingleLoss, generator_only
from tests.helpers.arrays import numpy

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 4, 4, 1), dtype=np.uint8)


def gan(kind="single", rate=1e-2, poison=None):
    keras.utils.set_random_seed(0)
    encoder = keras.Sequential(
        [keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(8), layers.BatchNormalization(), layers.Dense(5)]
    )
    generator = keras.Sequential([keras.Input((5,)), layers.Dense(16, activation="tanh"), layers.Reshape((4, 4, 1))])
    x = keras.Input((4, 4, 1))
    z = Latent(5, seed=1)(x)
    x_fake = generator(z)
    codes = {"real": encoder(x), "fake": encoder(x_fake), "fake_ng": encoder(ops.stop_gradient(x_fake))}

    def critic(z, real, fake, fake_ng):
        value = ops.mean(fake_ng, -1) - ops.mean(real, -1) + 0.01 * ops.mean(real**2 + fake_ng**2, -1)
        return {"loss": value if poison is None else value * poison(value), "z_corr": correlation(z, fake_ng)}

    def gen(z, real, fake, fake_ng):
        return {"loss": generator_only(lambda f: -ops.mean(f, -1), fake, fake_ng)}

    def single(**t):
        return critic(**t) | {"loss": critic(**t)["loss"] + gen(**t)["loss"]}

    def compiled(loss, *trains):
        model = SingleLoss(x, {"z": z, **codes}, loss, trains or None)
        model.compile(keras.optimizers.RMSprop(rate))
        return model

    trainer = (
        compiled(single) if kind == "single" else Alternating(compiled(critic, encoder), compiled(gen, generator), 2, 1)
    )
    return trainer, WeightEMA([encoder, generator], 0.9)


def fit(run, steps, kind="single", every=5, on_interval=lambda step: None, **how):
    trainer, averages = gan(kind, **how)
    rows = train(
        trainer,
        IMAGES,
        run,
        batch_size=8,
        steps=steps,
        every=every,
        seed=3,
        on_interval=on_interval,
        averages=averages,
        flip=True,
    )
    return [numpy(v) for v in [*trainer.training_state(), *averages.variables]], rows


@pytest.fixture(autouse=True)
def _no_tensorboard(monkeypatch):
    monkeypatch.setattr("common.backend.tensorboard", lambda log_dir: [])


@pytest.mark.parametrize("kind", ["single", "alternating"])
def test_a_run_in_parts_is_the_run_in_one_to_the_last_bit(tmp_path, kind):
    whole, rows = fit(tmp_path / "whole", 23, kind)
    start = [numpy(v) for v in gan(kind)[0].training_state()]
    assert any(np.any(a != b) for a, b in zip(start, whole, strict=False))
    assert [r["step"] for r in rows] == [5, 10, 15, 20, 23]
    assert read_log(tmp_path / "whole/log.csv") == rows
    for cuts in [(5,), (10, 13)]:  # after one stretch; after two, and inside one
        for steps in (*cuts, 23):
            parts, rows_of_parts = fit(tmp_path / f"{len(cuts)}-cuts", steps, kind)
        for a, b in zip(whole, parts, strict=True):
            np.testing.assert_array_equal(a, b)
        assert rows[-1]["z_corr"] == rows_of_parts[-1]["z_corr"]


def test_a_crash_between_checkpoints_costs_a_stretch_and_changes_nothing(tmp_path):
    whole, _ = fit(tmp_path / "whole", 15)

    def crash(step):
        if step == 10:
            raise RuntimeError("power cut")  # log.csv has the row of step 10, the checkpoint is that of step 5

    with pytest.raises(RuntimeError, match="power cut"):
        fit(tmp_path / "cut", 15, on_interval=crash)
    after, rows = fit(tmp_path / "cut", 15)
    for a, b in zip(whole, after, strict=True):
        np.testing.assert_array_equal(a, b)
    assert [r["step"] for r in rows] == [5, 10, 15]


@pytest.mark.parametrize("kind", ["single", "alternating"])
def test_ctrl_c_inside_a_stretch_saves_the_step_and_the_rest_follows(tmp_path, kind, monkeypatch, capsys, request):
    whole, _ = fit(tmp_path / "whole", 15, kind)
    plain = TrainingLog.on_train_batch_end

    def interrupt(self, batch, logs=None):
        if self.step == 6:
            os.kill(os.getpid(), signal.SIGINT)
        plain(self, batch, logs)

    monkeypatch.setattr(TrainingLog, "on_train_batch_end", interrupt)
    handler = lambda *_: None  # of whoever runs the tests; Ctrl-C may even be ignored there
    kept = signal.signal(signal.SIGINT, handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, kept))
    with pytest.raises(KeyboardInterrupt, match="stopped at step 7 of 15; add --resume"):
        fit(tmp_path / "cut", 15, kind)
    monkeypatch.undo()
    monkeypatch.setattr("common.backend.tensorboard", lambda log_dir: [])
    assert signal.getsignal(signal.SIGINT) is handler
    after, _ = fit(tmp_path / "cut", 15, kind)
    assert "going on from step 7" in capsys.readouterr().out
    for a, b in zip(whole, after, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_finished_run_is_left_as_it_is(tmp_path, capsys):
    first, _ = fit(tmp_path, 5)
    second, _ = fit(tmp_path, 5)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert "is finished: 5 steps are done" in capsys.readouterr().out
    with pytest.raises(UserError, match="has had 5 steps, more than the 4 asked for; use another --out"):
        fit(tmp_path, 4)


def test_a_nan_stops_the_run_and_leaves_the_last_good_checkpoint(tmp_path):
    fit(tmp_path, 5)
    before = (tmp_path / "checkpoint.npz").read_bytes()
    with pytest.raises(UserError, match=r"loss stopped being a number near step 6.*lower --learning-rate"):
        fit(tmp_path, 15, poison=lambda value: value * float("nan"))
    assert (tmp_path / "checkpoint.npz").read_bytes() == before


def test_damaged_or_foreign_checkpoints_are_refused_in_one_line(tmp_path):
    fit(tmp_path, 5)
    path = tmp_path / "checkpoint.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="is damaged"):
        fit(tmp_path, 10)
    path.write_bytes(whole)
    other = keras.layers.Dense(3)
    other.build((None, 2))
    before = numpy(other.kernel)
    with pytest.raises(UserError, match="belongs to other networks"):
        checkpoint.load(path, other.variables)
    np.testing.assert_array_equal(numpy(other.kernel), before)


def test_checkpoint_keeps_every_value_once(tmp_path):
    layer = keras.layers.Dense(3)
    layer.build((None, 2))
    values = [numpy(v) for v in layer.variables]
    checkpoint.save(tmp_path / "c.npz", layer.variables + layer.variables, 7)
    layer.kernel.assign(np.zeros((2, 3)))
    assert checkpoint.load(tmp_path / "c.npz", layer.variables) == 7
    for variable, value in zip(layer.variables, values, strict=True):
        np.testing.assert_array_equal(numpy(variable), value)
    assert checkpoint.load(tmp_path / "none.npz", layer.variables) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["c.npz"]  # no temporary file is left


@pytest.mark.parametrize(
    ("start", "steps", "parts"),
    [
        (0, 20, [(10, 0, 2)]),
        (0, 25, [(10, 0, 2), (5, 2, 3)]),
        (3, 25, [(7, 0, 1), (10, 1, 2), (5, 2, 3)]),
        (13, 18, [(5, 1, 2)]),
        (0, 4, [(4, 0, 1)]),
        (10, 20, [(10, 1, 2)]),
    ],
)
def test_stretches_end_on_multiples_and_at_the_end(start, steps, parts):
    assert split_into_epochs(start, steps, 10) == parts
    assert start + sum(length * (last - first) for length, first, last in parts) == steps


def test_pace_is_the_median_and_leaves_the_first_stretch_out():
    rows = [{"step": 10 * i, "seconds": s} for i, s in [(1, 60.0), (2, 61.0), (3, 62.0), (4, 64.0)]]
    assert images_per_second(rows, 8) == 80
    assert images_per_second(rows[:1], 8) == 0


def test_averages_follow_the_formula_over_all_weights(tmp_path):
    trainer, averages = gan()
    encoder = averages.sources[0]
    shadow = [numpy(w) for w in encoder.weights]
    moved = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            from common import backend

            backend.sync_jax_state(self.model)
            moved.append([numpy(w) for w in encoder.weights])

    trainer.fit(EndlessBatches(IMAGES, 8), steps_per_epoch=4, verbose=0, shuffle=False, callbacks=[Watch(), averages])
    for weights in moved:
        shadow = [0.9 * s + 0.1 * w for s, w in zip(shadow, weights, strict=True)]
    for expected, variable in zip(shadow, averages.models[0].weights, strict=True):
        np.testing.assert_allclose(numpy(variable), expected, atol=1e-6)
    assert any(np.abs(s - w).max() > 1e-3 for s, w in zip(shadow, moved[-1], strict=True))


def test_refreshed_statistics_are_those_of_the_batches():
    model = keras.Sequential([keras.Input((3,)), layers.BatchNormalization()])
    batches = list(np.random.default_rng(0).normal([1, 2, 3], [1, 2, 3], (4, 50, 3)).astype("float32"))
    recalibrate_batch_norm(model, batches)
    norm = model.layers[0]
    np.testing.assert_allclose(numpy(norm.moving_mean), np.mean(batches, (0, 1)), rtol=1e-4)
    np.testing.assert_allclose(numpy(norm.moving_variance), np.mean(np.var(batches, 1), 0), rtol=1e-4)
    assert norm.momentum == 0.99


def test_log_is_refused_when_damaged(tmp_path):
    (tmp_path / "log.csv").write_text("step,seconds\n5,abc\n")
    with pytest.raises(UserError, match=r"log.csv is damaged"):
        read_log(tmp_path / "log.csv")


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="TensorBoard needs TensorFlow")
@pytest.mark.parametrize("kind", ["single", "alternating"])
def test_tensorboard_follows_either_training(tmp_path, kind):
    trainer, _ = gan(kind)
    board = keras.callbacks.TensorBoard(str(tmp_path), write_graph=False)
    trainer.fit(EndlessBatches(IMAGES, 8), steps_per_epoch=3, callbacks=[board], verbose=0, shuffle=False)
    assert list(tmp_path.rglob("events.out.*"))


def test_an_ignored_ctrl_c_stays_ignored(request):
    kept = signal.signal(signal.SIGINT, signal.SIG_IGN)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, kept))
    with _finish_step_on_interrupt(checkpoint_callback=None):
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
