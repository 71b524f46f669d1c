"""Stop and resume: a run in parts equals the run in one piece, to the last bit."""

import functools
import importlib.util
import os
import signal
import types

import keras
import numpy as np
import pytest
from keras import layers, ops

from common.data.batches import EndlessBatches
from common.errors import UserError
from common.losses.correlation import correlation
from common.models.layers import Latent
from common.training import checkpoint, loop
from common.training.alternating import Alternating
from common.training.ema import WeightEMA
from common.training.interrupts import finish_step_on_interrupt
from common.training.log import read_log
from common.training.loop import TrainingLog, split_into_epochs, train
from common.training.single_loss import SingleLoss, generator_only
from tests.helpers.arrays import numpy

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 4, 4, 1), dtype=np.uint8)
KINDS = ["single", "alternating"]


def gan(kind="single", loss_factor=None):
    """Return a small GAN as (trainer, averages). `loss_factor` maps the critic's loss to a factor on it."""
    keras.utils.set_random_seed(0)
    # the ReLU matters: without it batch norm makes the mean code, and so the generator's loss, constant
    encoder = keras.Sequential(
        [keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(8), layers.BatchNormalization(), layers.ReLU()]
        + [layers.Dense(5)]
    )
    generator = keras.Sequential([keras.Input((5,)), layers.Dense(16, activation="tanh"), layers.Reshape((4, 4, 1))])
    x = keras.Input((4, 4, 1))
    z = Latent(5, seed=1)(x)
    x_fake = generator(z)
    codes = {"real": encoder(x), "fake": encoder(x_fake), "fake_ng": encoder(ops.stop_gradient(x_fake))}

    def critic_loss(z, real, fake, fake_ng):
        value = ops.mean(fake_ng, -1) - ops.mean(real, -1) + 0.01 * ops.mean(real**2 + fake_ng**2, -1)
        value = value if loss_factor is None else value * loss_factor(value)
        return {"loss": value, "z_corr": correlation(z, fake_ng)}

    def generator_loss(z, real, fake, fake_ng):
        return {"loss": generator_only(lambda f: -ops.mean(f, -1), fake, fake_ng)}

    def single_loss(**tensors):
        values = critic_loss(**tensors)
        return values | {"loss": values["loss"] + generator_loss(**tensors)["loss"]}

    def compile_model(loss, trainable_layers=None):
        model = SingleLoss(x, {"z": z, **codes}, loss, trainable_layers)
        model.compile(keras.optimizers.RMSprop(1e-2))
        return model

    if kind == "single":
        trainer = compile_model(single_loss)
    else:
        trainer = Alternating(compile_model(critic_loss, [encoder]), compile_model(generator_loss, [generator]), 2, 1)
    return trainer, WeightEMA([encoder, generator], 0.9)


def values_of(rows):
    """Return the rows of a log without their times."""
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def fit(run_dir, steps, kind="single", on_interval=lambda trainer, averages, step: None, loss_factor=None):
    """Train a new `gan` in a run directory and return (its state, the rows of the log)."""
    trainer, averages = gan(kind, loss_factor)
    rows = train(
        trainer, IMAGES, run_dir, batch_size=8, steps=steps, save_every=5, seed=3, averages=averages, flip=True,
        on_interval=lambda step: on_interval(trainer, averages, step),
    )  # fmt: skip
    return state(trainer, averages), rows


def state(trainer, averages):
    return [numpy(v) for v in [*trainer.training_state(), *averages.variables]]


def save_untrained(run_dir, step):
    """Save the state of an untrained `gan` as the checkpoint of a step, and return its path."""
    trainer, averages = gan()
    checkpoint.save(run_dir / "checkpoint.npz", [*trainer.training_state(), *averages.variables], step)
    return run_dir / "checkpoint.npz"


def assert_equal_states(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(autouse=True)
def _no_tensorboard(monkeypatch):
    monkeypatch.setattr("common.backend.tensorboard", lambda log_dir: None)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """Function of the kind -> ({step: state}, rows, run directory) of a run of 23 steps in one piece."""

    @functools.cache
    def run(kind):
        states = {}
        run_dir = tmp_path_factory.mktemp(kind)

        def record(trainer, averages, step):
            states[step] = state(trainer, averages)

        states["end"], rows = fit(run_dir, 23, kind, on_interval=record)
        return states, rows, run_dir

    return run


@pytest.mark.parametrize("kind", KINDS)
def test_run_in_parts_equals_the_run_in_one_piece_to_the_last_bit(tmp_path, kind, whole_run):
    states, rows, run_dir = whole_run(kind)
    for before, after in zip(gan(kind)[0].training_state(), states["end"], strict=False):
        if before.path.endswith("kernel"):
            assert np.abs(numpy(before) - after).max() > 1e-3, f"{before.path} was not trained"
    assert [r["step"] for r in rows] == [5, 10, 15, 20, 23]
    assert read_log(run_dir / "log.csv") == rows
    for steps in (5, 10, 13, 23):  # cut after one interval, after two, and inside one
        state_in_parts, rows_in_parts = fit(tmp_path, steps, kind)
        if steps in states:
            assert_equal_states(state_in_parts, states[steps])
    assert_equal_states(state_in_parts, states["end"])
    assert values_of(rows_in_parts) == values_of(rows)


def test_crash_between_checkpoints_costs_one_interval_and_changes_nothing(tmp_path, whole_run):
    def crash(trainer, averages, step):
        if step == 10:
            raise RuntimeError("power cut")  # log.csv has the row of step 10, the checkpoint is that of step 5

    with pytest.raises(RuntimeError, match="power cut"):
        fit(tmp_path, 15, on_interval=crash)
    assert read_log(tmp_path / "log.csv")[-1]["step"] == 10
    resumed, rows = fit(tmp_path, 15)
    assert_equal_states(resumed, whole_run("single")[0][15])
    assert [r["step"] for r in rows] == [5, 10, 15]


@pytest.mark.parametrize("kind", KINDS)
def test_ctrl_c_inside_an_interval_saves_the_step_and_resume_continues(
    tmp_path, kind, monkeypatch, capsys, request, whole_run
):
    states, rows, _ = whole_run(kind)
    on_train_batch_end = TrainingLog.on_train_batch_end

    def interrupt(self, batch, logs=None):
        if self.step == 6:
            os.kill(os.getpid(), signal.SIGINT)
        on_train_batch_end(self, batch, logs)

    monkeypatch.setattr(TrainingLog, "on_train_batch_end", interrupt)
    handler = lambda *_: None  # the handler of whoever runs the tests; Ctrl-C may even be ignored there
    previous = signal.signal(signal.SIGINT, handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, previous))
    with pytest.raises(KeyboardInterrupt, match="stopped at step 7 of 15; add --resume"):
        fit(tmp_path, 15, kind)
    assert signal.getsignal(signal.SIGINT) is handler
    monkeypatch.setattr(TrainingLog, "on_train_batch_end", on_train_batch_end)
    resumed, resumed_rows = fit(tmp_path, 15, kind)
    assert "going on from step 7" in capsys.readouterr().out
    assert_equal_states(resumed, states[15])
    assert values_of(resumed_rows) == values_of(rows[:3]), "means over all steps of the interval"


def test_a_slow_interval_is_not_silent(tmp_path, monkeypatch, capsys):
    clock = iter(range(0, 90_000, 6))
    monkeypatch.setattr(loop, "time", types.SimpleNamespace(perf_counter=lambda: next(clock)))
    fit(tmp_path, 23)
    steps = [int(line.split()[1]) for line in capsys.readouterr().out.splitlines() if line.startswith("step ")]
    assert steps[0] == 1 and {5, 10, 15, 20, 23} < set(steps) < set(range(1, 24)), "later ones are fewer"


def test_finished_run_is_left_unchanged(capsys, whole_run):
    states, rows, run_dir = whole_run("single")
    before = {path: path.read_bytes() for path in run_dir.iterdir()}
    again, rows_again = fit(run_dir, 23)
    assert_equal_states(again, states["end"])
    assert rows_again == rows
    assert "is finished: 23 steps are done" in capsys.readouterr().out
    with pytest.raises(UserError, match="has 23 steps already, more than --steps 22; use another --out"):
        fit(run_dir, 22)
    assert {path: path.read_bytes() for path in run_dir.iterdir()} == before


def test_nan_stops_the_run_and_keeps_the_last_checkpoint(tmp_path):
    save_untrained(tmp_path, step=5)
    before = (tmp_path / "checkpoint.npz").read_bytes()
    with pytest.raises(UserError, match=r"loss became NaN or infinite near step 6.*lower --learning-rate"):
        fit(tmp_path, 15, loss_factor=lambda value: value * float("nan"))
    assert (tmp_path / "checkpoint.npz").read_bytes() == before


def test_a_weight_that_is_not_finite_is_not_saved(tmp_path, monkeypatch):
    """The logged loss is from before the last update, so it may still be finite."""
    save_untrained(tmp_path, step=5)
    before = (tmp_path / "checkpoint.npz").read_bytes()
    monkeypatch.setattr(loop.TrainingLog, "_first_bad_weight", lambda self: " (dense/kernel)")
    with pytest.raises(UserError, match=r"a weight became NaN .* \(dense/kernel\); .*last good state is in"):
        fit(tmp_path, 15)
    assert (tmp_path / "checkpoint.npz").read_bytes() == before


def test_damaged_and_foreign_checkpoints_are_refused(tmp_path):
    path = save_untrained(tmp_path, step=5)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="is damaged"):
        fit(tmp_path, 10)
    path.write_bytes(content)
    other = keras.layers.Dense(3)
    other.build((None, 2))
    before = numpy(other.kernel)
    with pytest.raises(UserError, match="belongs to other networks"):
        checkpoint.load(path, other.variables)
    np.testing.assert_array_equal(numpy(other.kernel), before)


def test_checkpoint_stores_every_value_once(tmp_path):
    layer = keras.layers.Dense(3)
    layer.build((None, 2))
    values = [numpy(v) for v in layer.variables]
    checkpoint.save(tmp_path / "c.npz", layer.variables + layer.variables, 7)
    with np.load(tmp_path / "c.npz") as stored:
        assert len(stored.files) == 1 + len(layer.variables)  # and the step
    layer.kernel.assign(np.zeros((2, 3)))
    assert checkpoint.load(tmp_path / "c.npz", layer.variables) == (7, {})
    for variable, value in zip(layer.variables, values, strict=True):
        np.testing.assert_array_equal(numpy(variable), value)
    assert checkpoint.load(tmp_path / "none.npz", layer.variables) == (0, {})
    assert [p.name for p in tmp_path.iterdir()] == ["c.npz"]  # no temporary file is left


@pytest.mark.parametrize(
    ("start", "steps", "calls"),
    [
        (0, 20, [(10, 0, 2)]),
        (0, 25, [(10, 0, 2), (5, 2, 3)]),
        (3, 25, [(7, 0, 1), (10, 1, 2), (5, 2, 3)]),
        (13, 18, [(5, 1, 2)]),
        (0, 4, [(4, 0, 1)]),
        (10, 20, [(10, 1, 2)]),
    ],
)
def test_intervals_end_on_multiples_and_at_the_end(start, steps, calls):
    assert split_into_epochs(start, steps, 10) == calls
    assert start + sum(length * (last - first) for length, first, last in calls) == steps


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="TensorBoard needs TensorFlow")
@pytest.mark.parametrize("kind", KINDS)
def test_keras_own_tensorboard_callback_takes_both_kinds_of_training(tmp_path, kind):
    trainer, _ = gan(kind)
    tensorboard = keras.callbacks.TensorBoard(str(tmp_path), write_graph=False)
    trainer.fit(EndlessBatches(IMAGES, 8), steps_per_epoch=3, callbacks=[tensorboard], verbose=0, shuffle=False)
    assert list(tmp_path.rglob("events.out.*"))


def test_ignored_ctrl_c_stays_ignored(request):
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, previous))
    with finish_step_on_interrupt(checkpoint_callback=None):
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
