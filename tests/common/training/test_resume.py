"""What a training forgets, keeps and refuses when it goes on from another step than it would have reached directly."""

import signal

import imageio.v3 as iio
import keras
import numpy as np
import pytest
from keras import layers, ops

from common.errors import UserError
from common.training import checkpoint, loop
from common.training.loop import train
from common.training.run_files import MetricHistory
from common.training.single_loss import SingleLoss

POINTS = np.random.default_rng(0).normal(size=(40, 2)).astype("float32")


def build():
    keras.utils.set_random_seed(0)
    x = keras.Input((2,))
    trainer = SingleLoss(x, {"y": layers.Dense(1)(x)}, lambda y: {"loss": ops.square(y - 1)[:, 0]})
    trainer.compile(keras.optimizers.SGD(1e-2))
    return trainer


def fit(run_dir, steps, on_interval=lambda step: None):
    """Train with intervals of 5 steps and return the rows of the log."""
    return train(build(), POINTS, run_dir, batch_size=8, steps=steps, save_every=5, seed=0, on_interval=on_interval)


def test_a_longer_training_has_the_histories_and_pictures_of_a_direct_one(tmp_path):
    """Those of the short last interval of the shorter one are dropped, as its row of the log is."""
    (tmp_path / "samples").mkdir()
    history = MetricHistory(tmp_path / "distances.json")

    def measure(step):
        history.record(step, float(step))
        iio.imwrite(tmp_path / f"samples/step-{step:07d}.png", np.zeros((8, 8), "uint8"))

    fit(tmp_path, 13, measure)
    steps = lambda: [int(step) for step in history.values]
    assert steps() == [0, 5, 10, 13]
    fit(tmp_path, 20, measure)
    assert steps() == [0, 5, 10, 15, 20]
    assert sorted(path.stem for path in tmp_path.glob("samples/*")) == [f"step-{step:07d}" for step in steps()]
    measure(25)  # a kill before its checkpoint
    fit(tmp_path, 22, measure)
    assert steps() == [0, 5, 10, 15, 20, 22] and not (tmp_path / "samples/step-0000025.png").exists()


def test_a_step_inside_an_interval_is_no_end(tmp_path):
    """There the log has no row, and no averages were recalibrated."""
    fit(tmp_path, 5)
    trainer = build()
    checkpoint.load(tmp_path / "checkpoint.npz", trainer.training_state())
    checkpoint.save(tmp_path / "checkpoint.npz", trainer.training_state(), 7, {"seconds": 1.0})
    with pytest.raises(UserError, match="was stopped at step 7, inside an interval: give --steps 8 or more"):
        fit(tmp_path, 7)
    assert [row["step"] for row in fit(tmp_path, 8)] == [5, 8]


def test_nor_is_one_inside_the_first_interval(tmp_path, monkeypatch):
    stop = loop.TrainingLog.on_train_batch_end

    def stop_at_3(self, batch, logs=None):
        self.stop_requested = self.stop_requested or self.step == 2
        stop(self, batch, logs)

    monkeypatch.setattr(loop.TrainingLog, "on_train_batch_end", stop_at_3)
    with pytest.raises(KeyboardInterrupt, match="stopped at step 3 of 20"):
        fit(tmp_path, 20)
    monkeypatch.undo()
    with pytest.raises(UserError, match="was stopped at step 3, inside an interval"):
        fit(tmp_path, 3)
    assert [row["step"] for row in fit(tmp_path, 5)] == [5]


def test_a_shorter_training_that_is_refused_changes_nothing(tmp_path):
    history = MetricHistory(tmp_path / "distances.json")
    fit(tmp_path, 13, lambda step: history.record(step, 1.0))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(UserError, match="has 13 steps already, more than --steps 10"):
        fit(tmp_path, 10)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_a_stop_in_the_last_interval_is_not_lost(tmp_path):
    """Else the next part of a script would train on, and a scheduler's only signal would be gone."""
    # not SIGINT, which a job in the background is started to ignore
    stop = lambda step: signal.raise_signal(signal.SIGTERM) if step == 10 else None
    with pytest.raises(KeyboardInterrupt, match="stopped at step 10 of 10"):
        fit(tmp_path, 10, stop)
    assert [row["step"] for row in fit(tmp_path, 10)] == [5, 10]
