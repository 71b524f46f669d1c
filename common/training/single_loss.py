"""One scalar loss for critic and generator (article 6387), defined by the model itself (article 6311).

The model is built from the functional graph of the networks, as the author did, and trained by plain `fit`:

    x = Input(image_shape)
    z = Latent(latent_dim)(x)
    x_fake = generator(z)
    fake, fake_ng = SplitGradient(critic)(x_fake)  # equal; fake trains the generator alone, fake_ng the critic alone
    model = SingleLoss(x, dict(real=critic(x), fake=fake, fake_ng=fake_ng), loss=gan_loss)
    model.compile(optimizer)
    model.fit(data)

There is no custom `train_step`, so the same script runs on the TensorFlow, JAX and PyTorch backends.
"""

import keras
from keras import activations, layers, ops

from common import backend
from common.data.batches import EndlessBatches
from common.models.spectral_norm import SpectralNormalized


def generator_only(fn, x, x_ng):
    """Return fn(x) - fn(x_ng): zero in value; its gradient reaches only the network that produced x (the generator).

    This is the rule of article 6387: grad L(D, G) - grad L(D, sg G) = (0, grad_G L) for every L. It gives the
    generator its loss without a gradient for the critic. The critic must return the same scores both times: no dropout,
    and no state that changes between the two calls.

    Args:
        fn: function of a tensor, e.g. the loss as a function of the score.
        x: tensor, or whatever fn takes.
        x_ng: the same with `ops.stop_gradient`.
    """
    return fn(x) - fn(x_ng)


def value_zero(loss):
    """Return a loss minus its own value: zero, with the gradient of the loss."""
    return loss - ops.stop_gradient(loss)


# layers whose output for a sample depends on that sample alone, if their activation works on each entry
_OF_ONE_SAMPLE = {
    layers.Activation, layers.Add, layers.AveragePooling2D, layers.Conv1D, layers.Conv2D, layers.Conv2DTranspose,
    layers.Dense, layers.DepthwiseConv2D, layers.Dropout, layers.Flatten, layers.GlobalAveragePooling2D,
    layers.InputLayer, layers.LeakyReLU, layers.ReLU, layers.Reshape, layers.Subtract, layers.UpSampling2D,
}  # fmt: skip
_OF_ONE_ENTRY = {
    activations.elu, activations.gelu, activations.leaky_relu, activations.linear, activations.relu, activations.selu,
    activations.sigmoid, activations.silu, activations.softplus, activations.tanh,
}  # fmt: skip


def scores_samples_alone(network):
    """Return whether a model is known to return one number per sample, (batch, 1), from that sample alone.

    Of a subclass of a model or a layer this is not known. float16 does not count: its range is too small to divide by a
    small derivative.
    """

    def is_known(operation):
        if isinstance(operation, keras.Model):
            is_keras_s_own = type(operation).__module__.startswith("keras.")
            parts = operation.layers if isinstance(operation, keras.Sequential) else operation.operations
            return is_keras_s_own and all(map(is_known, parts))
        layer = operation.layer if isinstance(operation, SpectralNormalized) else operation
        if type(layer) not in _OF_ONE_SAMPLE or layer.compute_dtype == "float16":
            return False
        return getattr(layer, "activation", activations.linear) in _OF_ONE_ENTRY

    outputs = getattr(network, "outputs", None) or []
    return len(outputs) == 1 and set(outputs[0].shape[1:]) == {1} and is_known(network)


@keras.saving.register_keras_serializable("kexue")
class SplitGradient(keras.layers.Layer):
    """Layer that returns network(x) twice, from one pass: first for the network that made x, then for `network`.

    The gradient at the first output reaches x alone, that at the second the weights of `network` alone. So a generator
    loss of the first and a critic loss of the second add up to the single loss of article 6387, for every pair of
    losses: `generator_only` does the same with a second pass, whose gradients for the critic cancel.

    If the network gives every sample one number of its own, the pass backward is one as well, for every pair of losses
    (`backend.split_gradient`). A network with batch norm mixes samples and has two.

    Args:
        network: model, (batch, ...) -> tensor or list of tensors, e.g. the critic. Its state is updated once a pass.

    Call arguments: x, a tensor, or a list of tensors if the network has several inputs.

    Returns:
        Tuple (for_input, for_weights), each with the structure of network(x).
    """

    def __init__(self, network, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.network = network

    def call(self, x, training=None):
        return backend.split_gradient(self.network, x, training, one_backward_pass=scores_samples_alone(self.network))

    def compute_output_spec(self, x, training=None):
        return self.network.compute_output_spec(x), self.network.compute_output_spec(x)

    def get_config(self):
        return {**super().get_config(), "network": keras.saving.serialize_keras_object(self.network)}

    @classmethod
    def from_config(cls, config):
        """Return the layer that `get_config` describes."""
        return cls(keras.saving.deserialize_keras_object(config.pop("network")), **config)


def reverse_gradient(x, weight=1.0):
    """Return x unchanged, but multiply the gradient that flows back through it by -weight.

    If the generator's loss is minus the critic's (`Loss.zero_sum`), one pass of the fakes through the critic serves
    both networks: use critic(reverse_gradient(x_fake)) in the critic's loss. Any other loss needs `SplitGradient`, or
    the two passes of `generator_only` (6387 shows it for LSGAN). It is made of `stop_gradient`, so it works on every
    backend.

    Args:
        x: tensor.
        weight: float, weight of the generator's loss (default 1).
    """
    stopped = ops.stop_gradient(x)
    return stopped + weight * (stopped - x)


class SingleLoss(keras.Model):
    """A model that defines its own loss and metrics.

    Loss and metrics are float32 under mixed precision too: outputs in half precision are cast before the loss function
    sees them. With float16, `compile` gives the optimiser a loss scale.

    Under `tf.distribute` the loss is scaled as Keras's own losses are. So gradients are those of the mean over the
    global batch.

    Args:
        inputs: `keras.Input`, the only data of `fit` (there is no y).
        outputs: dict name -> symbolic tensor, everything that the loss needs.
        loss: function of these tensors as keyword arguments, made of `keras.ops`. It returns a dict of tensors. The
            mean of "loss" is minimised. The means of the others are metrics.
        trainable_layers: list of layers or models inside the graph that `fit` trains (default `None`: all). It replaces
            the old idiom `trainable = False`, which in Keras 3 also switches batch norm to inference.

    Raises:
        ValueError: if the dict has no key "loss".
    """

    def __init__(self, inputs, outputs, loss, trainable_layers=None, **kwargs):
        half = ("float16", "bfloat16")
        outputs = {name: ops.cast(x, "float32") if x.dtype in half else x for name, x in outputs.items()}
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        self._trained_ids = (
            None
            if trainable_layers is None
            else {id(v) for layer in trainable_layers for v in layer.trainable_variables}
        )
        self.loss_function = loss
        values = loss(**outputs)  # on symbolic tensors, to get the names of the metrics; computes nothing
        if "loss" not in values:
            raise ValueError(f"The loss function must return a dict with the key 'loss'. Received: {sorted(values)}")
        self.metric_means = {name: keras.metrics.Mean(name=name) for name in values if name != "loss"}

    @property
    def trainable_variables(self):
        """Variables of `trainable_layers`, in the order of the graph."""
        return [v for v in super().trainable_variables if self._trained_ids is None or id(v) in self._trained_ids]

    @property
    def non_trainable_variables(self):
        """All other variables."""
        trained_ids = {id(v) for v in self.trainable_variables}
        return [v for v in self.variables if id(v) not in trained_ids]

    @property
    def trainable_weights(self):
        """The same as `trainable_variables`."""
        return self.trainable_variables

    def compile(self, *args, **kwargs):
        """Compile as `keras.Model` does, and build the optimiser.

        Under `tf.distribute` the optimiser's slots can be made only in the strategy's scope.
        """
        super().compile(*args, **kwargs)
        self.optimizer.build(self.trainable_variables)
        backend.prepare_for_replicas(self)

    def fit(self, x, **kwargs):
        """Train as `keras.Model.fit` does, without y. `EndlessBatches` are converted to the fastest form."""
        return super().fit(backend.to_fast_dataset(x, self) if isinstance(x, EndlessBatches) else x, **kwargs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the mean of "loss" plus the losses of layers, and update the metrics."""
        values = self.loss_function(**y_pred)
        for name, mean in self.metric_means.items():
            mean.update_state(values[name])
        total = ops.mean(ops.cast(values["loss"], "float32"))
        for extra in self.losses:  # of layers, e.g. regularisers
            total = total + ops.cast(extra, "float32")
        return backend.scale_loss(total)

    def training_state(self):
        """Return all variables that training changes: weights, random streams, running metrics, optimiser slots."""
        return [*self.variables, *self.optimizer.variables]

    def interval_state(self):
        """Return the running means of the epoch in progress, {name: array}."""
        return {f"{i:03d}": ops.convert_to_numpy(v) for i, v in enumerate(self.metrics_variables)}

    def restore_interval(self, state):
        """Continue the running means of an interrupted epoch; called at its beginning, after Keras has reset them."""
        for i, variable in enumerate(self.metrics_variables):
            variable.assign(state[f"{i:03d}"])
