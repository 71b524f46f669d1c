"""Training with log, checkpoints and resume: a few callbacks around plain `fit`.

The training is divided into intervals of `save_every` steps, which are epochs for Keras. After each interval the run
directory gets a row of `log.csv`, the pictures and a checkpoint, in this order. So a kill at any moment costs at most
one interval.
"""

import math
import shutil
import sys
import time
from pathlib import Path

import keras
import numpy as np
from keras import ops

from common import backend
from common.data.batches import EndlessBatches
from common.errors import UserError, errors_begin_with
from common.files import atomic_write
from common.streams import SILENCE, last_output_at, stage
from common.training import checkpoint
from common.training.interrupts import finish_step_on_interrupt
from common.training.log import displayed, format_log, progress_line, read_log
from common.training.run_dir import accept_run
from common.training.run_files import forget_steps
from common.training.tensorboard import tensorboard_writer


class TrainingLog(keras.callbacks.Callback):
    """Callback that counts steps and, after each interval, writes the log, the pictures and a checkpoint.

    Args:
        run_dir: path of the run directory.
        trainer: what is trained, `SingleLoss` or `Alternating`.
        averages: `WeightEMA` or None.
        save_every: int, steps per interval.
        total_steps: int, length of the whole training.
        on_interval: function of the step number, called after each interval.
        stateful: dict name -> object with `state()`, a dict of arrays, and `restore(dict)`.
    """

    def __init__(self, run_dir, trainer, averages, save_every, total_steps, on_interval, stateful):
        super().__init__()
        self.run_dir, self.trainer, self.averages, self.stateful = Path(run_dir), trainer, averages, stateful
        self.save_every, self.total_steps, self.on_interval = save_every, total_steps, on_interval
        self.step, self.seconds = 0, 0.0  # seconds in training steps, over all parts of a resumed run
        self.stop_requested = self.is_stopping = False  # a request of this process, and the decision of all
        self.progress_bar = self.tensorboard = self.latest_logs = None  # logs of the last step
        self.rows, self.spoke_at = [], time.perf_counter()  # time of the last line of output

    def variables(self):
        """Return the list of variables for the checkpoint."""
        return self.trainer.training_state() + (self.averages.variables if self.averages else [])

    def restore(self):
        """Load the last checkpoint if there is one, and return its step (else 0)."""
        self.step, extra = checkpoint.load(self.run_dir / "checkpoint.npz", self.variables())
        rows = [row for row in read_log(self.run_dir / "log.csv") if row["step"] <= self.step]
        self.seconds = float(extra.get("seconds", rows[-1]["seconds"] if rows else 0.0))
        rows = [row for row in rows if self.stays(row["step"])]
        self.rows = rows
        # a checkpoint of an older version does not say whether a stop made it
        self.is_inside = bool(extra.get("inside", rows and rows[-1]["step"] < self.step))
        self.interval_state = _part(extra, "interval-") if self.step % self.save_every else {}
        for name, callback in self.stateful.items():
            callback.restore(_part(extra, f"{name}-"))
        if self.averages:
            self.averages.updates = self.step
        return self.step

    def stays(self, step):
        """Return whether a log row or picture of a step is one of this training's, up to the checkpoint.

        The short last interval of a shorter training becomes part of a full one.
        """
        return step <= self.step and (self.step == self.total_steps or step % self.save_every == 0)

    def on_train_begin(self, logs=None):
        """Start a progress bar on a terminal."""
        # One bar for the whole training: Keras's own covers one epoch, and is wider than many terminals.
        if self.progress_bar is None and sys.stdout is not None and sys.stdout.isatty():
            self.first_step = self.step
            free_columns = shutil.get_terminal_size().columns - 2 * len(str(self.total_steps)) - 64
            self.progress_bar = keras.utils.Progbar(self.total_steps - self.step, width=max(3, min(20, free_columns)))

    def on_epoch_begin(self, epoch, logs=None):
        """Start the clock, and continue the means of an interval that was interrupted: Keras has just reset them."""
        if self.interval_state:
            self.trainer.restore_interval(self.interval_state)
            self.interval_state = {}
        self.started_at = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        """Count the step, stop at NaN, and save a checkpoint if a stop is requested inside an interval."""
        self.step += 1
        bad = ", ".join(sorted(name for name, value in (logs or {}).items() if not math.isfinite(value)))
        if bad:
            self._refuse(bad)
        if self.progress_bar:
            self.progress_bar.stateful_metrics = set(logs or ())
            self.progress_bar.update(self.step - self.first_step, displayed(logs or {}), self.step == self.total_steps)
        self.latest_logs = logs or {}
        silent = time.perf_counter() - max(self.spoke_at, last_output_at())
        if not self.progress_bar and silent > max(SILENCE, 0.1 * self._seconds_so_far()):
            self._print_progress(self.latest_logs)
        if self.step < self.total_steps and self.step % self.save_every and self._agree_to_stop():
            self._stop_clock()
            self._save(inside=True)

    def on_epoch_end(self, epoch, logs=None):
        """Write the log, the pictures and a checkpoint at the end of an interval."""
        if self.step % self.save_every and self.step != self.total_steps:
            return  # stopped inside an interval: the checkpoint is written, --resume does the rest
        self._stop_clock()
        backend.sync_jax_state(self.model)
        row = {"step": self.step, "seconds": round(self.seconds, 3), **{k: float(v) for k, v in logs.items()}}
        self.rows.append(row)
        atomic_write(self.run_dir / "log.csv", lambda path: path.write_text(format_log(self.rows), encoding="utf-8"))
        self.call_on_interval()
        self.tensorboard(row)
        self._save()
        if not self.progress_bar:
            self._print_progress(logs)
        self._agree_to_stop()

    def _agree_to_stop(self):
        """Stop the training if any process was asked to, and return whether it stops: all do at the same step."""
        self.is_stopping = backend.any_process(self.stop_requested)
        if self.is_stopping:  # on JAX, to touch `self.model` copies all weights
            self.model.stop_training = True
        return self.is_stopping

    def call_on_interval(self):
        """Call `on_interval` as on a single device. An error of the user's is told with the step."""
        about = f"drawing and measuring samples of step {self.step}"
        with errors_begin_with(f"at step {self.step}"), backend.undistributed(), stage(about):
            self.on_interval(self.step)

    def _seconds_so_far(self):
        return self.seconds + time.perf_counter() - self.started_at

    def status(self):
        """Return what the training is doing, in a few words."""
        if self.latest_logs is None:
            return "compiling the first step"
        return progress_line(self.step, self.total_steps, self._seconds_so_far(), self.latest_logs)

    def _print_progress(self, logs):
        print(progress_line(self.step, self.total_steps, self._seconds_so_far(), logs), flush=True)
        self.spoke_at = time.perf_counter()

    def _stop_clock(self):
        self.seconds, self.started_at = self._seconds_so_far(), time.perf_counter()

    def _first_bad_weight(self):
        backend.sync_jax_state(self.model)
        for variable in self.variables():
            values = ops.convert_to_numpy(ops.convert_to_tensor(variable))
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                return f" (the first weight that is not finite: {variable.path})"
        return ""

    def _refuse(self, what):
        message = f"{what} became NaN or infinite near step {self.step}{self._first_bad_weight()}; "
        message += "try a lower --learning-rate"
        path = self.run_dir / "checkpoint.npz"
        raise UserError(message + f"; the last good state is in {path}" * path.exists(), topic="nan")

    def _save(self, inside=False):
        backend.sync_jax_state(self.model)
        # the loss, which is of the step before, does not show it yet
        if self._first_bad_weight():
            self._refuse("a weight")
        extra = {"seconds": self.seconds, "inside": inside}
        if self.step % self.save_every:
            extra |= {f"interval-{name}": value for name, value in self.trainer.interval_state().items()}
        for name, callback in self.stateful.items():
            extra |= {f"{name}-{key}": value for key, value in callback.state().items()}
        checkpoint.save(self.run_dir / "checkpoint.npz", self.variables(), self.step, extra)


def _part(extra, prefix):
    """Return the entries whose names have the prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in extra.items() if name.startswith(prefix)}


def train(
    trainer,
    images,
    run_dir,
    *,
    batch_size,
    steps,
    save_every,
    seed,
    on_interval,
    devices=None,
    averages=None,
    callbacks=(),
    stateful=None,
    flip=False,
    dtype="float32",
    with_rows=False,
    batches=EndlessBatches,
):
    """Train up to step number `steps`, starting from the run's checkpoint if it has one.

    Args:
        trainer: a compiled `SingleLoss` or an `Alternating`.
        images: `common.data.images.Images`, uint8 array of images or float32 array of points.
        run_dir: path of the run directory.
        batch_size: int, images per step, shared by all devices.
        steps: int, length of the whole training in steps.
        save_every: int, steps between two rows of the log, pictures and checkpoints.
        seed: int, seed of the order of the data.
        on_interval: function of the step number, called before the first step and after every interval.
        devices: `common.backend.Devices` of the run (default: a single device).
        averages: `common.training.ema.WeightEMA`, saved in the checkpoint too.
        callbacks: list of Keras callbacks, called before those of this function.
        stateful: dict name -> object with `state()`, a dict of arrays, and `restore(dict)`, for the checkpoint.
        flip: bool, mirror images at random.
        dtype: dtype of the batches of images: "float32" in [-1, 1] (default), or "uint8" unchanged.
        with_rows: bool, give the positions of the samples too, see `EndlessBatches` (default False).
        batches: subclass of `EndlessBatches`, or a function with its arguments that returns one.

    Returns:
        List of dicts, the rows of `log.csv`.

    Raises:
        KeyboardInterrupt: after Ctrl-C, once the step in progress is finished and all processes have saved it.
        UserError: if a loss becomes NaN or infinite (the last checkpoint is kept), or if the run has more steps.
    """
    devices = devices or backend.distribution(False)
    checkpoint_callback = TrainingLog(run_dir, trainer, averages, save_every, steps, on_interval, stateful or {})
    all_callbacks = [*callbacks, *([averages] if averages else []), checkpoint_callback]
    start = checkpoint_callback.restore()
    if start > steps:
        raise UserError(f"{run_dir} has {start} steps already, more than --steps {steps}; use another --out")
    if start == steps and checkpoint_callback.is_inside:
        raise UserError(f"{run_dir} was stopped at step {start}, inside an interval: give --steps {start + 1} or more")
    accept_run(run_dir)
    forget_steps(run_dir, checkpoint_callback.stays)
    if start == steps:
        print(f"{run_dir} is finished: {start} steps are done")
        if not checkpoint_callback.rows:
            print(f"note: {run_dir}/log.csv is missing, so the results lack what it held")
        return checkpoint_callback.rows
    checkpoint_callback.tensorboard = tensorboard_writer(run_dir)
    if start:
        print(f"going on from step {start}")
    else:
        checkpoint_callback.call_on_interval()
        checkpoint_callback.tensorboard({"step": 0})
    with finish_step_on_interrupt(checkpoint_callback), devices.fitting(), stage(checkpoint_callback.status):
        for length, first, last in split_into_epochs(start, steps, save_every):
            data = batches(images, batch_size, seed, checkpoint_callback.step, flip, dtype, with_rows)
            epochs = {"steps_per_epoch": length, "initial_epoch": first, "epochs": last}
            trainer.fit(data, callbacks=all_callbacks, verbose=0, shuffle=False, **epochs)
            if backend.any_process(checkpoint_callback.stop_requested):
                raise KeyboardInterrupt(f"stopped at step {checkpoint_callback.step} of {steps}; add --resume to go on")
    return checkpoint_callback.rows


def split_into_epochs(start, steps, save_every):
    """Return the calls of `fit` that train from step `start` to step `steps`.

    The first call finishes an interval that was stopped inside. The next does the full intervals, the last a shorter
    one at the end. Calls without work are left out.

    Args:
        start: int, steps done so far.
        steps: int, steps of the whole training.
        save_every: int, steps per full interval.

    Returns:
        List of (steps per epoch, initial epoch, last epoch). An epoch is an interval, counted from 0.
    """
    calls = []
    if start % save_every:
        end = min(steps, start - start % save_every + save_every)
        calls.append((end - start, start // save_every, start // save_every + 1))
        start = end
    full_intervals = (steps - start) // save_every
    if full_intervals:
        calls.append((save_every, start // save_every, start // save_every + full_intervals))
        start += full_intervals * save_every
    if start < steps:
        calls.append((steps - start, start // save_every, start // save_every + 1))
    return calls
