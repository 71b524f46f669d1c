"""Exponential moving average (EMA) of weights, from which the author's 256 px O-GAN samples (article 6409)."""

import keras

from common import backend


class WeightEMA(keras.callbacks.Callback):
    """Callback that averages all weights after every step, including the batch statistics.

    shadow <- m * shadow + (1 - m) * weight, where m is `momentum`, but at most (1 + t) / (10 + t) at step t. Without
    this warm-up the average of a short training holds on to the untrained weights. The shadows are the weights of the
    copies `self.models`, which are in the order of `models`. Keras's `use_ema` differs: it leaves the batch
    statistics out and overwrites the weights after `fit`.

    Args:
        models: list of built `keras.Model`.
        momentum: float in [0, 1), e.g. 0.999.
    """

    def __init__(self, models, momentum):
        super().__init__()
        self.models = [backend.speed_up(keras.models.clone_model(model)) for model in models]
        for shadow, model in zip(self.models, models, strict=True):
            shadow.set_weights(model.get_weights())
        self.sources = models
        weights = [weight for model in models for weight in model.weights]
        pairs = zip(self.variables, weights, strict=True)
        # integers, such as a permutation, have no average
        pairs = [(shadow, weight) for shadow, weight in pairs if "int" not in shadow.dtype]
        self.momentum, self.trained = momentum, None
        self.updates = 0  # steps averaged so far; a resumed training sets it
        self._move_shadows = backend.make_ema_update(*zip(*pairs, strict=True))

    @property
    def variables(self):
        """List of all shadow variables."""
        return [weight for shadow in self.models for weight in shadow.weights]

    def set_model(self, model):
        """Keep the trained model. Keras's own `self.model` copies all weights on JAX, at each use."""
        super().set_model(model)
        self.trained = model

    def update(self):
        """Average in the weights of one more step."""
        self._move_shadows(min(self.momentum, (1 + self.updates) / (10 + self.updates)), self.trained)
        self.updates += 1

    def on_train_batch_end(self, batch, logs=None):
        """Update the shadows."""
        self.update()


def measured_network(averages):
    """Return in words which weights a run draws and measures: the averaged ones where there are averages.

    Args:
        averages: `WeightEMA` or None.
    """
    return f"average over the steps, momentum {averages.momentum} after warm-up" if averages else "last step"


def recalibrate_batch_norm(model, batches):
    """Set the moving mean and variance of every batch norm to the means of the statistics of `batches`.

    A network with averaged weights needs this. Its averaged statistics come from the networks of earlier steps, not
    from the averaged network. Over the author's 100,000 steps the difference vanishes. After a few thousand steps the
    averaged generator draws grey images without it.

    Args:
        model: `keras.Model` with one input. The batch norm inside a `SelfModulatedBatchNormalization` counts too.
        batches: list of arrays of equal length; empty ones are skipped.
    """
    # `SelfModulatedBatchNormalization` has its batch norm in the attribute `batch_norm`
    norms = [getattr(layer, "batch_norm", layer) for layer in model.layers]
    norms = [layer for layer in norms if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    try:
        for i, batch in enumerate(batch for batch in batches if len(batch)):
            for layer in norms:
                layer.momentum = i / (i + 1)  # makes the moving average the mean over all batches so far
            model(batch, training=True)
    finally:
        for layer, momentum in zip(norms, momenta, strict=True):
            layer.momentum = momentum
