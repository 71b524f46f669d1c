"""One scalar loss for both players (article 6387), carried by the model itself (article 6311).

A model is built from the functional graph of the networks, as the author did, and trained by plain `fit`:

    x = Input(image_shape)
    z = Latent(latent_dim)(x)
    x_fake = generator(z)
    x_fake_ng = ops.stop_gradient(x_fake)
    outputs = dict(real=critic(x), fake=critic(x_fake), fake_ng=critic(x_fake_ng))
    model = SingleLoss(x, outputs, loss=gan_loss)
    model.compile(optimizer)
    model.fit(data)

There is no `train_step`, so the same script runs on the TensorFlow, JAX and PyTorch backends.
"""

import keras
from keras import ops

from common import backend
from common.data.batches import EndlessBatches


def generator_only(fn, x, x_ng):
    """fn(x) - fn(x_ng), where x_ng is x with its gradient stopped: value 0, gradient into the producer of x alone.

    The rule of article 6387: grad L(D, G) - grad L(D, sg G) = (0, grad_G L), whatever L is, so this is how a loss
    reaches the generator without touching the critic. Needs a critic that answers alike both times: no dropout, no
    state that moves between the two calls.
    """
    return fn(x) - fn(x_ng)


def reverse_gradient(x, weight=1.0):
    """x, but what flows back through it is turned and weighed: the gradient times -weight.

    Where the generator's loss is the critic's with the sign turned (`Loss.zero_sum`), one pass of the critic over the
    fakes then serves both players: critic(reverse_gradient(x_fake)), with the critic's loss alone. Any other loss
    needs the two passes of `generator_only` (6387 found that with LSGAN). Made of `stop_gradient`, for any backend.
    """
    stopped = ops.stop_gradient(x)
    return stopped + weight * (stopped - x)


class SingleLoss(keras.Model):
    """A model that carries its own loss and metrics.

    Args:
        inputs: `keras.Input`; `fit` feeds it and nothing else (no y).
        outputs: dict name -> symbolic tensor, everything the loss looks at.
        loss: function of those names as keyword arguments, made of `keras.ops`; returns a dict of tensors.
            `"loss"` is what is minimised (its mean); the others are averaged and shown as metrics.
        trains: list of layers or models inside the graph whose weights `fit` moves; all of them if `None`. Says what
            the old `trainable = False` idiom meant, but Keras 3 lets that flag switch batch norm to inference too.

    Under `tf.distribute` the loss is scaled as Keras's own losses are, so that gradients are of the global batch mean.
    """

    def __init__(self, inputs, outputs, loss, trainable_layers=None, **kwargs):
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        self._trained_ids = (
            None
            if trainable_layers is None
            else {id(v) for layer in trainable_layers for v in layer.trainable_variables}
        )
        self.loss_function = loss
        names = loss(**outputs)  # on symbolic tensors: costs nothing and tells what will be measured
        if "loss" not in names:
            raise ValueError(f"The loss function must return a dict with the key 'loss'. Received: {sorted(names)}")
        self.metric_means = {name: keras.metrics.Mean(name=name) for name in names if name != "loss"}

    @property
    def trainable_variables(self):
        return [v for v in super().trainable_variables if self._trained_ids is None or id(v) in self._trained_ids]

    @property
    def non_trainable_variables(self):
        moved = {id(v) for v in self.trainable_variables}
        return [v for v in self.variables if id(v) not in moved]

    @property
    def trainable_weights(self):
        return self.trainable_variables

    def compile(self, *args, **kwargs):
        """Builds the optimiser too: under `tf.distribute` its slots can be made in the strategy's scope alone."""
        super().compile(*args, **kwargs)
        self.optimizer.build(self.trainable_variables)

    def fit(self, x, **kwargs):
        """As `keras.Model.fit`, without y; `common.data.batches.EndlessBatches` in the form that trains fastest."""
        return super().fit(backend.to_fast_dataset(x) if isinstance(x, EndlessBatches) else x, **kwargs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        values = self.loss_function(**y_pred)
        for name, mean in self.metric_means.items():
            mean.update_state(values[name])
        total = ops.mean(ops.cast(values["loss"], "float32"))
        for extra in self.losses:  # what layers added on their way (regularisers)
            total = total + ops.cast(extra, "float32")
        return backend.scale_loss(total)

    def training_state(self):
        """All variables that training moves: weights, random streams, running metrics, optimiser slots."""
        return [*self.variables, *self.optimizer.variables]
