"""The author's collapse guard (article 5807, flow/glow.py): reload the best weights and lower the rate."""

import json
import math
from pathlib import Path

import keras

from common import backend
from common.errors import UserError
from common.files import write_json
from common.training import checkpoint


class CollapseGuard(keras.callbacks.Callback):
    """Callback that takes a collapsed training back to its best state, at a tenth of the learning rate.

    A training has collapsed if the loss of a step is NaN or infinite, or if the mean loss of an epoch (of `fit`) is
    above `limit`. The best state is that after the epoch with the lowest finite mean loss. It is kept in
    `<run_dir>/best.npz`, and a NaN never gets there. Every rescue is printed and listed in `<run_dir>/rescues.json`.
    (The author's own guard: a limit of 0 after 10 epochs, from 1e-4 to 1e-5.)

    Hand it to `train` in `stateful` too: what it knows is then part of the checkpoint.

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
        self.run_dir, self.variables, self.limit, self.patience = Path(run_dir), variables, limit, patience
        self.factor, self.max_rescues = factor, max_rescues
        self.best_loss, self.best_epoch, self.rescues = math.inf, 0, []
        # the best state of an epoch whose checkpoint is not written yet: a kill in between must not let it replace
        # the one that the checkpoint knows
        self._new_best = self.run_dir / "best-next.npz"

    def state(self):
        """Return what the checkpoint keeps, {name: array}."""
        return {"best": self.best_loss, "best_epoch": self.best_epoch, "rescues": json.dumps(self.rescues)}

    def restore(self, state):
        """Take back what `state` returned; {} at the beginning of a run."""
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
        self._keep_new_best()  # the checkpoint of the epoch before is written
        self._batches = 0

    def on_train_end(self, logs=None):
        self._keep_new_best()

    def on_train_batch_end(self, batch, logs=None):
        self._batches += 1
        if not all(math.isfinite(value) for value in logs.values()):
            self._rescue("the loss became NaN or infinite")
            logs.clear()  # of a state that is gone: nothing for the callbacks after this one

    def on_epoch_end(self, epoch, logs=None):
        if self._batches < self.params["steps"]:
            return  # stopped inside the epoch: it is judged when the rest has come
        loss = logs.get("loss", math.inf)
        if self.limit is not None and epoch >= self.patience and loss > self.limit:
            self._rescue(f"the loss is {loss:.4g}, above {self.limit:.4g}")
        elif loss < self.best_loss:
            backend.sync_jax_state(self.model)
            self.best_loss, self.best_epoch = loss, epoch + 1
            checkpoint.save(self._new_best, self.variables(), epoch + 1)
            self._write()

    def _keep_new_best(self):
        if self._new_best.exists():
            self._new_best.replace(self.run_dir / "best.npz")

    def _rescue(self, reason):
        if len(self.rescues) >= self.max_rescues:
            raise UserError(
                f"{reason}, after {self.max_rescues} rescues; lower --learning-rate; "
                f"the best state is in {self.run_dir}/best.npz"
            )
        backend.sync_jax_state(self.model)
        rate = float(self.model.optimizer.learning_rate) * self.factor
        epoch, _ = checkpoint.load(self.run_dir / "best.npz", self.variables())
        self.model.optimizer.learning_rate = rate
        self.model.reset_metrics()
        self.rescues.append({"why": reason, "back_to_epoch": epoch, "learning_rate": rate})
        self._write()
        print(f"\n{reason}: back to the state of epoch {epoch}, learning rate {rate:.3g}", flush=True)

    def _write(self):
        best = self.best_loss if math.isfinite(self.best_loss) else None
        write_json(self.run_dir / "rescues.json", {"best_loss": best, "rescues": self.rescues})
