"""Training that can be watched, stopped and resumed: a few callbacks around plain `fit`.

The work is cut into stretches of `every` steps, which Keras sees as epochs. After each one the run directory gets a row
of `log.csv`, the pictures, and a checkpoint, in this order, so that a kill at any moment costs at most one stretch.
"""

import csv
import io
import itertools
import math
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import keras

from common import backend
from common.data.batches import EndlessBatches
from common.errors import UserError
from common.files import atomic_write
from common.training import checkpoint


class TrainingLog(keras.callbacks.Callback):
    """Keeps count of steps and writes what a stretch leaves behind."""

    def __init__(self, run, variables, every, total, on_interval):
        super().__init__()
        self.run, self.every, self.total, self.on_interval = Path(run), every, total, on_interval
        self.variables = variables  # a function: the optimiser's variables exist only once it is built
        self.step = 0
        self.seconds = 0.0  # spent in training steps, over all parts of a resumed run
        self.stop_asked = False
        self.bar = None
        self.rows = []

    def restore(self):
        """Goes back to the last checkpoint, if there is one."""
        self.step = checkpoint.load(self.run / "checkpoint.npz", self.variables())
        self.rows = [row for row in read_log(self.run / "log.csv") if row["step"] <= self.step]
        self.seconds = self.rows[-1]["seconds"] if self.rows else 0.0
        return self.step

    def on_train_begin(self, logs=None):
        # one bar for the whole training; Keras's own is for an epoch, and wider than many terminals
        if self.bar is None and sys.stdout.isatty():
            self.first_step = self.step
            digits = len(str(self.total))
            room = shutil.get_terminal_size().columns - 2 * digits - 64
            self.bar = keras.utils.Progbar(self.total - self.step, width=max(3, min(20, room)))

    def on_epoch_begin(self, epoch, logs=None):
        self.began = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        bad = [name for name, value in (logs or {}).items() if not math.isfinite(value)]
        if bad:
            raise UserError(
                f"{', '.join(sorted(bad))} stopped being a number near step {self.step}; the last good state is in "
                f"{self.run}/checkpoint.npz; try a lower --learning-rate"
            )
        if self.bar:
            done = self.step - self.first_step
            self.bar.stateful_metrics = set(logs or ())
            self.bar.update(done, self._shown(logs or {}), finalize=self.step == self.total)
        if self.stop_asked and self.step < self.total and self.step % self.every:
            self.seconds += time.perf_counter() - self.began
            self._save()
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        if self.step % self.every and self.step != self.total:
            return  # stopped inside a stretch: the checkpoint is written, the rest comes with --resume
        self.seconds += time.perf_counter() - self.began
        backend.sync_jax_state(self.model)
        row = {"step": self.step, "seconds": round(self.seconds, 3), **{k: float(v) for k, v in logs.items()}}
        self.rows.append(row)
        atomic_write(self.run / "log.csv", lambda path: path.write_text(_csv(self.rows)))
        self.on_interval(self.step)
        self._save()
        if not self.bar:
            left = (self.total - self.step) * self.seconds / self.step
            shown = "".join(f", {name} {value:.3f}" for name, value in self._shown(logs))
            print(f"step {self.step} of {self.total}, about {format_duration(left)} left{shown}", flush=True)
        if self.stop_asked:
            self.model.stop_training = True

    def _shown(self, logs):
        """What the article watches; the loss itself only if there is nothing else (a single loss tells little)."""
        parts = [(name, value) for name, value in logs.items() if not name.endswith("loss")]
        return parts or list(logs.items())

    def _save(self):
        backend.sync_jax_state(self.model)
        checkpoint.save(self.run / "checkpoint.npz", self.variables(), self.step)


def train(
    trainer,
    images,
    run,
    *,
    batch_size,
    steps,
    every,
    seed,
    on_interval,
    averages=None,
    callbacks=(),
    flip=False,
    dtype="float32",
):
    """Trains until `steps` batches have been seen, from the run's checkpoint if it has one.

    Args:
        trainer: a compiled `SingleLoss` or an `Alternating`.
        images: `common.data.images.Images`, uint8 array of images or float32 array of points.
        run: path of the run directory.
        every: int, steps between two rows of the log, pictures and checkpoints.
        on_interval: function of the step number, called before the first step and after every interval.
        averages: `common.training.ema.WeightEMA`, kept in the checkpoint too.
        callbacks: list of Keras callbacks, called before ours.
        flip: bool, mirror images at random.
        dtype: what images become, "float32" in [-1, 1] or "uint8" as they are.

    Returns:
        List of dicts, the rows of `log.csv`.

    Raises:
        KeyboardInterrupt: after Ctrl-C, once the step in progress is finished and saved.
        UserError: if a loss is no longer a number, the checkpoint of the last good stretch stays; if the run has had
            more steps than that.
    """

    def variables():
        return trainer.training_state() + (averages.variables if averages else [])

    checkpoint_callback = TrainingLog(run, variables, every, steps, on_interval)
    start = checkpoint_callback.restore()
    if start > steps:
        raise UserError(f"{run} has had {start} steps, more than the {steps} asked for; use another --out")
    if start == steps:
        print(f"{run} is finished: {start} steps are done")
        return checkpoint_callback.rows
    if start:
        print(f"going on from step {start}")
    else:
        on_interval(0)
    tensorboard = backend.tensorboard(Path(run) / "tensorboard")
    with _finish_step_on_interrupt(checkpoint_callback):
        for length, first, last in split_into_epochs(start, steps, every):
            data = EndlessBatches(images, batch_size, seed=seed, flip=flip, start=checkpoint_callback.step, dtype=dtype)
            all_callbacks = [*callbacks, *([averages] if averages else []), checkpoint_callback, *tensorboard]
            fit_kwargs = {"steps_per_epoch": length, "initial_epoch": first, "epochs": last, "shuffle": False}
            trainer.fit(data, callbacks=all_callbacks, verbose=0, **fit_kwargs)
            if checkpoint_callback.stop_asked and checkpoint_callback.step < steps:
                raise KeyboardInterrupt(f"stopped at step {checkpoint_callback.step} of {steps}; add --resume to go on")
    return checkpoint_callback.rows


def split_into_epochs(start, steps, every):
    """[(length, first, last)]: a begun stretch, the whole ones, and a shorter last one; epochs counted from 0."""
    parts = []
    if start % every:
        end = min(steps, start - start % every + every)
        parts.append((end - start, start // every, start // every + 1))
        start = end
    if whole := (steps - start) // every:
        parts.append((every, start // every, start // every + whole))
        start += whole * every
    if start < steps:
        parts.append((steps - start, start // every, start // every + 1))
    return parts


class _finish_step_on_interrupt:
    """Ctrl-C asks `checkpoint_callback` to stop after the step in progress; a second one stops at once."""

    def __init__(self, checkpoint_callback):
        self.checkpoint_callback = checkpoint_callback

    def __enter__(self):
        self.active = threading.current_thread() is threading.main_thread()
        if self.active:
            # what was started to ignore Ctrl-C (nohup, a job in a script's background) goes on ignoring it
            heard = [s for s in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(s) is not signal.SIG_IGN]
            self.before = {s: signal.signal(s, self._ask) for s in heard}

    def _ask(self, number, frame):
        if self.checkpoint_callback.stop_asked:
            raise KeyboardInterrupt("stopped at once; --resume goes on from the last checkpoint")
        self.checkpoint_callback.stop_asked = True
        print("\nfinishing this step; once more to stop at once", flush=True)

    def __exit__(self, *error):
        if self.active:
            for number, handler in self.before.items():
                signal.signal(number, handler)


def images_per_second(rows, batch_size):
    """Median over the stretches of a log, so that the first one's compilation does not count; 0 for a single row."""
    pace = [
        (b["step"] - a["step"]) * batch_size / (b["seconds"] - a["seconds"])
        for a, b in itertools.pairwise(rows)
        if b["seconds"] > a["seconds"]
    ]
    return sorted(pace)[len(pace) // 2] if pace else 0.0


def read_log(path):
    """Rows of a `log.csv` as dicts of numbers; [] if there is none."""
    try:
        with open(path, newline="") as file:
            return [{k: int(v) if k == "step" else float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} is damaged ({error}); delete it to go on without its history") from None


def _csv(rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def format_duration(seconds):
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
