"""The author's collapse guard (article 5807, flow/glow.py): reload the best weights and lower the learning rate."""

import json
import math
from pathlib import Path

import keras
import numpy as np
from keras import ops

from common import backend
from common.errors import UserError
from common.files import write_json
from common.training import checkpoint


class CollapseGuard(keras.callbacks.Callback):
    """Callback that takes a collapsed training back to its best state, at a tenth of the learning rate.

    A training has collapsed if the loss of a step is NaN or infinite, if a weight is at the end of an epoch (of `fit`),
    whose last loss may not show it yet, or if the mean loss of an epoch is above `limit`. The best state is that after
    the epoch with the lowest finite mean loss. It is kept in `<run_dir>/best.npz`, and a NaN never gets there. Every
    rescue is printed and listed in `<run_dir>/rescues.json`.
    (The author's own guard: a limit of 0 after 10 epochs, from 1e-4 to 1e-5.) A learning rate that a schedule
    sets goes on as it would have.

    Pass the guard to `train` in `stateful` as well as in `callbacks`, so that the checkpoint holds its state.

    Args:
        run_dir: path of the run directory.
        variables: function that returns all variables that training changes, optimiser slots included.
        limit: float, largest mean loss of a healthy epoch. `None`: only NaN and infinity count as a collapse.
        patience: int, number of epochs at the start in which `limit` does not apply.
        factor: float by which a rescue multiplies the learning rate.
        max_rescues: int, number of rescues before the next collapse raises `UserError`.
    """

    def __init__(self, run_dir, variables, limit=None, patience=10, factor=0.1, max_rescues=5):
        super().__init__()
        self.run_dir, self.variables = Path(run_dir), variables
        self.limit, self.patience, self.factor, self.max_rescues = limit, patience, factor, max_rescues
        self.best_loss, self.best_epoch, self.rescues = math.inf, 0, []
        # A new best state waits here until the checkpoint of its epoch is written. So best.npz always matches the
        # checkpoint, even after a kill between the two.
        self._new_best = self.run_dir / "best-next.npz"

    def state(self):
        """Return the dict name -> value that the checkpoint saves."""
        return {"best": self.best_loss, "best_epoch": self.best_epoch, "rescues": json.dumps(self.rescues)}

    def restore(self, state):
        """Restore what `state` returned.

        Args:
            state: dict, empty at the beginning of a run.
        """
        if state:
            self.best_loss, self.best_epoch = float(state["best"]), int(state["best_epoch"])
            self.rescues = json.loads(str(state["rescues"]))
            if self._new_best.exists() and checkpoint.step_of(self._new_best) == self.best_epoch:
                self._new_best.replace(self.run_dir / "best.npz")
            self._write()
        self._new_best.unlink(missing_ok=True)

    def on_train_begin(self, logs=None):
        if not (self.run_dir / "best.npz").exists():
            checkpoint.save(self.run_dir / "best.npz", self.variables(), 0)

    def on_epoch_begin(self, epoch, logs=None):
        self._accept_new_best()  # by now the checkpoint of the last epoch is written
        self._batches = 0

    def on_train_end(self, logs=None):
        self._accept_new_best()

    def on_train_batch_end(self, batch, logs=None):
        self._batches += 1
        if not all(math.isfinite(value) for value in logs.values()):
            self._rescue("the loss became NaN or infinite")
            logs.clear()  # they belong to the discarded state: later callbacks must not see them

    def on_epoch_end(self, epoch, logs=None):
        if self._batches < self.params["steps"]:
            return  # the training was stopped inside this epoch, which is judged after its last step
        loss = logs.get("loss", math.inf)
        backend.sync_jax_state(self.model)
        values = (ops.convert_to_numpy(ops.convert_to_tensor(variable)) for variable in self.variables())
        if not all(np.isfinite(value).all() for value in values if value.dtype.kind == "f"):
            self._rescue("a weight became NaN or infinite")
        elif self.limit is not None and epoch >= self.patience and loss > self.limit:
            self._rescue(f"the loss is {loss:.4g}, above {self.limit:.4g}")
        elif loss < self.best_loss:
            self.best_loss, self.best_epoch = loss, epoch + 1
            checkpoint.save(self._new_best, self.variables(), epoch + 1)
            self._write()

    def _accept_new_best(self):
        if self._new_best.exists():
            self._new_best.replace(self.run_dir / "best.npz")

    def _rescue(self, reason):
        if len(self.rescues) >= self.max_rescues:
            raise UserError(
                f"{reason}, after {self.max_rescues} rescues; lower --learning-rate; "
                f"the best state is in {self.run_dir}/best.npz",
                topic="nan",
            )
        backend.sync_jax_state(self.model)
        optimizer = self.model.optimizer
        learning_rate, steps = float(optimizer.learning_rate) * self.factor, int(optimizer.iterations)
        epoch, _ = checkpoint.load(self.run_dir / "best.npz", self.variables())
        try:
            optimizer.learning_rate = learning_rate
        except TypeError:  # a schedule sets it
            optimizer.iterations.assign(steps)
            learning_rate = float(optimizer.learning_rate)
        self.model.reset_metrics()
        self.rescues.append({"why": reason, "back_to_epoch": epoch, "learning_rate": learning_rate})
        self._write()
        print(f"\n{reason}: back to the state of epoch {epoch}, learning rate {learning_rate:.3g}", flush=True)

    def _write(self):
        best_loss = self.best_loss if math.isfinite(self.best_loss) else None
        write_json(self.run_dir / "rescues.json", {"best_loss": best_loss, "rescues": self.rescues})
