"""Averaged weights: the shadow copies that the author's 256 px O-GAN samples from (article 6409)."""

import keras

from common import backend


class WeightEMA(keras.callbacks.Callback):
    """After every step, shadow <- momentum * shadow + (1 - momentum) * weight, over all weights, batch statistics too.

    The shadows start at the initial weights and live in copies of the models, `self.models`, in the given order.
    Keras's `use_ema` is another thing: it leaves the batch statistics out and overwrites the weights after `fit`.

    Args:
        models: list of built `keras.Model`.
        momentum: float in [0, 1), e.g. .999.
    """

    def __init__(self, models, momentum):
        super().__init__()
        self.models = [keras.models.clone_model(model) for model in models]
        for shadow, model in zip(self.models, models, strict=True):
            shadow.set_weights(model.get_weights())
        self.sources = models
        sources = [weight for model in models for weight in model.weights]
        pairs = zip(self.variables, sources, strict=True)
        pairs = [(a, b) for a, b in pairs if "int" not in a.dtype]  # a permutation, say, stays what it is
        self.update = backend.make_ema_update(*zip(*pairs, strict=True), momentum)

    @property
    def variables(self):
        return [weight for copy in self.models for weight in copy.weights]

    def on_train_batch_end(self, batch, logs=None):
        backend.sync_jax_state(self.model)
        self.update()


def recalibrate_batch_norm(model, batches):
    """Sets the moving mean and variance of every batch norm to those of `batches`, seen one after another.

    Averaged weights need it: the moving statistics that are averaged with them belong to the networks of other
    moments, and an averaged network is a network of its own. (Over the author's 100,000 steps the difference fades;
    over a few thousand the averaged generator paints gray.)

    Args:
        model: `keras.Model` with one input.
        batches: list of arrays, equally long; empty ones are left out.
    """
    norms = [getattr(layer, "batch_norm", layer) for layer in model.layers]
    norms = [layer for layer in norms if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    try:
        for i, batch in enumerate(batch for batch in batches if len(batch)):
            for layer in norms:
                layer.momentum = i / (i + 1)  # the running mean of all batches so far
            model(batch, training=True)
    finally:
        for layer, momentum in zip(norms, momenta, strict=True):
            layer.momentum = momentum
