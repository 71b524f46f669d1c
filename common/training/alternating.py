"""Alternating training, n_d critic steps then n_g generator steps, over the same losses as the single-loss form."""

from collections import Counter

from keras import callbacks as keras_callbacks


class Alternating:
    """Trains two `SingleLoss` models that share their networks in turn; has the part of `keras.Model` that we use.

    Each is compiled with an optimiser of its own, so the two players may have different ones, and has `trains` set to
    the networks of its player. Neither computes more than its own step needs.

    Args:
        critic, generator: compiled `SingleLoss` models.
        n_d, n_g: ints, steps of each in one round. Every step takes a fresh batch.
    """

    def __init__(self, critic, generator, n_d=1, n_g=1):
        if n_d < 1 or n_g < 1:
            raise ValueError(f"Both players need at least one step in a round. Received: n_d={n_d}, n_g={n_g}")
        self.critic, self.generator, self.n_d, self.n_g = critic, generator, n_d, n_g
        self.stop_training = False

    def training_state(self):
        """All variables that training moves."""
        return self.critic.training_state() + self.generator.training_state()

    @property
    def optimizer(self):
        """The one whose learning rate Keras's callbacks show (TensorBoard asks for it)."""
        return self.generator.optimizer

    def model_for_step(self, step):
        """The model that step number `step` (from 0) trains."""
        return self.critic if step % (self.n_d + self.n_g) < self.n_d else self.generator

    def jax_state_sync(self):
        """Nothing is out of date here: `train_on_batch` leaves the variables current."""

    def fit(self, data, steps_per_epoch, initial_epoch=0, epochs=1, callbacks=(), verbose=1, shuffle=False):
        """As `keras.Model.fit`, over `EndlessBatches`, whose global step says where in a round we are."""
        calls = keras_callbacks.CallbackList(
            list(callbacks),
            add_progbar=verbose != 0,
            model=self.generator,
            epochs=epochs,
            steps=steps_per_epoch,
            verbose=verbose,
        )
        for callback in calls.callbacks:
            callback._model = self  # so that they can stop us
        self.stop_training = False
        calls.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            calls.on_epoch_begin(epoch)
            totals, counts = Counter(), Counter()
            for i in range(steps_per_epoch):
                calls.on_train_batch_begin(i)
                step = (epoch - initial_epoch) * steps_per_epoch + i
                player = self.model_for_step(data.start + step)
                for name, value in player.train_on_batch(data[step], return_dict=True).items():
                    if name == "loss":
                        name = "critic_loss" if player is self.critic else "generator_loss"
                    totals[name] += float(value)
                    counts[name] += 1
                logs = {name: total / counts[name] for name, total in totals.items()}
                calls.on_train_batch_end(i, logs)
                if self.stop_training:
                    break
            calls.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
        calls.on_train_end()
