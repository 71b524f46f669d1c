"""The author's collapse guard (article 5807, flow/glow.py): reload the best weights and lower the rate."""

import math
from pathlib import Path

import keras

from common import backend
from common.errors import UserError
from common.files import read_json, write_json
from common.training import checkpoint


class CollapseGuard(keras.callbacks.Callback):
    """Brings a training that collapsed back to its best state, at a tenth of the learning rate, and says so.

    Collapsed is a step whose loss is not a number, or an epoch (of `fit`) whose mean loss is above `limit`. The best
    state is that of the epoch with the lowest finite loss, kept in `<run>/best.npz`; a state that is not a number never
    gets there. What was done is printed and kept in `<run>/rescues.json`. (The author's: a limit of 0 after 10 epochs,
    from 1e-4 to 1e-5.)

    Args:
        run: path of the run directory.
        variables: function that returns all variables that training moves, optimiser slots included.
        limit: float, or `None` to catch only what is not a number.
        patience: int, epochs at the start in which the limit does not hold.
        factor: float, by which the learning rate is multiplied.
        most: int, rescues after which the next one is a `UserError`.
    """

    def __init__(self, run, variables, limit=None, patience=10, factor=0.1, max_rescues=5):
        super().__init__()
        self.run, self.variables, self.limit, self.patience = Path(run), variables, limit, patience
        self.factor, self.max_rescues = factor, max_rescues
        self.best, self.rescues = math.inf, []

    def on_train_begin(self, logs=None):
        if (self.run / "rescues.json").exists():  # of the part of this run before it was stopped
            kept = read_json(self.run / "rescues.json")
            self.best = math.inf if kept["best_loss"] is None else kept["best_loss"]
            self.rescues = kept["rescues"]
        elif not (self.run / "best.npz").exists():
            checkpoint.save(self.run / "best.npz", self.variables(), 0)

    def on_train_batch_end(self, batch, logs=None):
        if not all(math.isfinite(value) for value in logs.values()):
            self._rescue("the loss is not a number")
            logs.clear()  # of a state that is gone: nothing for the callbacks after this one

    def on_epoch_end(self, epoch, logs=None):
        loss = logs.get("loss", math.inf)
        if self.limit is not None and epoch >= self.patience and loss > self.limit:
            self._rescue(f"the loss is {loss:.4g}, above {self.limit:.4g}")
        elif loss < self.best:
            backend.sync_jax_state(self.model)
            self.best = loss
            checkpoint.save(self.run / "best.npz", self.variables(), epoch + 1)
            self._write()

    def _rescue(self, why):
        if len(self.rescues) >= self.max_rescues:
            raise UserError(f"{why}, after {self.max_rescues} rescues; the best state is in {self.run}/best.npz")
        backend.sync_jax_state(self.model)
        rate = float(self.model.optimizer.learning_rate) * self.factor
        epoch = checkpoint.load(self.run / "best.npz", self.variables())
        self.model.optimizer.learning_rate = rate
        self.model.reset_metrics()
        self.rescues.append({"why": why, "back_to_epoch": epoch, "learning_rate": rate})
        self._write()
        print(f"\n{why}: back to the state of epoch {epoch}, learning rate {rate:.3g}", flush=True)

    def _write(self):
        best = self.best if math.isfinite(self.best) else None
        write_json(self.run / "rescues.json", {"best_loss": best, "rescues": self.rescues})
