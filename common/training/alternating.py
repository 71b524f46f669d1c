"""Alternating training: n_d critic steps, then n_g generator steps, with the losses of the single-loss form."""

from collections import Counter

from keras import callbacks as keras_callbacks

from common import backend


class Alternating:
    """A trainer that updates two `SingleLoss` models in turn. It has the methods of `keras.Model` that we use.

    The two models share their networks. Each is compiled with its own optimiser and trains only its own networks
    (`trainable_layers`). Neither computes more than its own step needs.

    Args:
        critic: compiled `SingleLoss` model that trains the critic.
        generator: compiled `SingleLoss` model that trains the generator.
        n_d: int, critic steps in one round (default 1). Every step takes a new batch.
        n_g: int, generator steps in one round (default 1).

    Raises:
        ValueError: if `n_d` or `n_g` is below 1.
    """

    def __init__(self, critic, generator, n_d=1, n_g=1):
        if n_d < 1 or n_g < 1:
            raise ValueError(f"n_d and n_g must be at least 1. Received: n_d={n_d}, n_g={n_g}")
        self.critic, self.generator, self.n_d, self.n_g = critic, generator, n_d, n_g
        self.stop_training = False
        self._totals, self._counts = Counter(), Counter()  # over the steps of an epoch

    def training_state(self):
        """Return all variables that training changes."""
        return self.critic.training_state() + self.generator.training_state()

    def interval_state(self):
        """Return the sums of the epoch in progress, {name: number}."""
        counts = {f"count-{name}": count for name, count in self._counts.items()}
        return counts | {f"total-{name}": total for name, total in self._totals.items()}

    def restore_interval(self, state):
        """Continue the sums of an interrupted epoch. Called at its beginning."""
        for key, value in state.items():
            kind, _, name = key.partition("-")
            (self._counts if kind == "count" else self._totals)[name] = value.item()

    @property
    def optimizer(self):
        """The generator's optimiser, because Keras's TensorBoard callback shows the learning rate of one optimiser."""
        return self.generator.optimizer

    def model_for_step(self, step):
        """Return the model that step number `step` (from 0) trains."""
        return self.critic if step % (self.n_d + self.n_g) < self.n_d else self.generator

    def jax_state_sync(self):
        """Do nothing: `train_on_batch` keeps the variables up to date."""

    def fit(self, data, steps_per_epoch, initial_epoch=0, epochs=1, callbacks=(), verbose=1, shuffle=False):
        """Train as `keras.Model.fit` does. It returns no history.

        Args:
            data: `EndlessBatches`. Its global step determines the position within a round.
            steps_per_epoch: int.
            initial_epoch: int (default 0).
            epochs: int, last epoch, not the number of epochs, as in Keras (default 1).
            callbacks: list of Keras callbacks.
            verbose: int, 0 for no progress bar.
            shuffle: ignored; the data sets the order.
        """
        callback_list = keras_callbacks.CallbackList(
            list(callbacks),
            add_progbar=verbose != 0,
            model=self.generator,
            epochs=epochs,
            steps=steps_per_epoch,
            verbose=verbose,
        )
        for callback in callback_list.callbacks:
            callback._model = self  # so that a callback that sets `model.stop_training` stops this loop
        self.stop_training = False
        callback_list.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            self._totals, self._counts = Counter(), Counter()
            callback_list.on_epoch_begin(epoch)
            for i in range(steps_per_epoch):
                callback_list.on_train_batch_begin(i)
                step = (epoch - initial_epoch) * steps_per_epoch + i
                model = self.model_for_step(data.start + step)
                for name, value in backend.train_on_batch(model, data[step]).items():
                    if name == "loss":
                        name = "critic_loss" if model is self.critic else "generator_loss"
                    self._totals[name] += float(value)
                    self._counts[name] += 1
                logs = {name: total / self._counts[name] for name, total in self._totals.items()}
                callback_list.on_train_batch_end(i, logs)
                if self.stop_training:
                    break
            callback_list.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
        callback_list.on_train_end()
