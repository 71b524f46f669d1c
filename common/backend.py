"""What `keras.ops` does not offer: functions with a TensorFlow, a JAX and a PyTorch branch.

No other module names a backend. Importing this one is cheap: functions import the backend when they are called.
"""

import contextlib
import importlib.util
import itertools
import os

from common.errors import UserError
from common.keras_settings import check_backend, check_chosen_backend
from common.streams import muted_stderr


def _name():
    import keras

    return keras.backend.backend()


def import_backend():
    """Import Keras and its backend without TensorFlow's start-up messages.

    The environment variable KERAS_BACKEND chooses the backend, else Keras's file `keras.json` (default TensorFlow). The
    file's other settings are not used: networks here are float32 and channels_last. Set TF_CPP_MIN_LOG_LEVEL to see the
    messages.

    Raises:
        UserError: if the chosen backend is unknown or not installed, or if `keras.json` is damaged.
    """
    check_chosen_backend()
    quiet = "TF_CPP_MIN_LOG_LEVEL" not in os.environ
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with muted_stderr() if quiet else contextlib.nullcontext():
            import keras

            # also on JAX, where `keras.utils.set_random_seed` would import TensorFlow later and print the messages
            if importlib.util.find_spec("tensorflow"):
                import tensorflow  # noqa: F401
    except Exception as error:  # a broken installation raises anything
        raise UserError(
            f"Keras cannot start ({type(error).__name__}: {error}): install that backend, or set KERAS_BACKEND to "
            "tensorflow, jax or torch"
        ) from None
    check_backend(_name())
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy("float32")


def input_gradient(fn, x):
    """Return the gradient of sum(fn(x)) with respect to x. It can be differentiated again (for gradient penalties).

    Args:
        fn: function of a tensor that returns one score per sample, (batch,) or (batch, 1).
        x: tensor, (batch, ...).

    Returns:
        Tensor of the shape of x. Row i is the gradient of fn(x)[i], provided that fn does not mix samples (no batch
        normalisation).

    Raises:
        NotImplementedError: on any other backend.
    """
    from keras import ops

    if _name() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            x = tf.convert_to_tensor(x)
            tape.watch(x)
            total = ops.sum(fn(x))
        return tape.gradient(total, x)
    if _name() == "jax":
        import jax

        return jax.grad(lambda v: ops.sum(fn(v)))(x)
    if _name() == "torch":
        import torch

        with torch.enable_grad():
            if not x.requires_grad:
                x = x.detach().requires_grad_(True)
            return torch.autograd.grad(ops.sum(fn(x)), x, create_graph=True)[0]
    raise NotImplementedError(f"input_gradient needs tensorflow, jax or torch. Received: backend={_name()}")


def accelerators():
    """Return the number of GPUs and TPUs that the backend sees."""
    if _name() == "tensorflow":
        import tensorflow as tf

        return len(tf.config.list_physical_devices("GPU")) + len(tf.config.list_physical_devices("TPU"))
    if _name() == "jax":
        import jax

        return sum(device.platform != "cpu" for device in jax.devices())
    import torch

    return torch.cuda.device_count()


def replica_id_and_count():
    """Return (index, count) of the current `tf.distribute` replica, and (0, 1) outside of one and on JAX."""
    if _name() == "tensorflow":
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            return context.replica_id_in_sync_group, context.num_replicas_in_sync
    return 0, 1


def scale_loss(loss):
    """Return the loss divided by the number of replicas: the sum of their gradients is then that of the mean loss."""
    _, count = replica_id_and_count()
    return loss / count if count > 1 else loss


def sum_gradients_first(optimizer):
    """Make a built optimiser sum the gradients of all replicas before it clips them or looks for infinite ones.

    Keras sums them last: each replica would clip its own share, and miss an overflow on another one.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)  # of a loss scale
    if _name() != "tensorflow" or inner._distribution_strategy.num_replicas_in_sync == 1:
        return
    sum_over_replicas, apply = inner._all_reduce_sum_gradients, optimizer.apply
    summed_pairs = lambda gradients, variables: sum_over_replicas(zip(gradients, variables, strict=True))
    optimizer.apply = lambda *args: apply(*zip(*summed_pairs(*args), strict=True))
    inner._all_reduce_sum_gradients = list  # they are summed already


class Devices:
    """The devices of a run: a context in which to build and compile, and with `fitting()` one in which to `fit`.

    Args:
        count: int, devices that share a batch.
        build_scope, fit_scope: functions that return a new context.
    """

    def __init__(self, count=1, build_scope=contextlib.nullcontext, fit_scope=contextlib.nullcontext):
        self.count, self._build_scope, self.fitting = count, build_scope, fit_scope

    def __enter__(self):
        self._scope = self._build_scope()
        return self._scope.__enter__()

    def __exit__(self, *error):
        return self._scope.__exit__(*error)


def distribution(enabled):
    """Return the `Devices` of a run: all local ones (`--distribute`), or the default one.

    Raises:
        UserError: on a backend that cannot share a batch among devices.
    """
    if not enabled:
        return Devices()
    if _name() == "tensorflow":
        import tensorflow as tf

        if tf.config.list_logical_devices("GPU"):
            strategy = tf.distribute.MirroredStrategy()
        else:
            # not the default devices, one CPU, nor the default reduction, which fails for a second run in one process
            cpus = [device.name for device in tf.config.list_logical_devices("CPU")]
            strategy = tf.distribute.MirroredStrategy(cpus, tf.distribute.ReductionToOneDevice())
        return Devices(strategy.num_replicas_in_sync, strategy.scope)
    if _name() == "jax":
        import keras

        parallel = keras.distribution.DataParallel()
        return Devices(int(parallel.device_mesh.devices.size), parallel.scope, parallel.scope)
    raise UserError("--distribute works on the tensorflow and jax backends; leave it out or set KERAS_BACKEND")


@contextlib.contextmanager
def undistributed():
    """Context in the middle of a distributed `fit` in which `predict` runs as without `--distribute`."""
    if _name() != "jax":
        yield
        return
    import keras

    before = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


def train_on_batch(model, batch):
    """Make one step of `model` on a batch, an equal part of it on each device, and return its logs as floats."""
    if _name() != "tensorflow" or model.distribute_strategy.num_replicas_in_sync == 1:
        return model.train_on_batch(batch, return_dict=True)
    import numpy as np
    import tensorflow as tf

    strategy = model.distribute_strategy
    parts = np.split(batch, strategy.num_replicas_in_sync)  # Keras would hand the whole batch to each replica
    part = lambda context: tf.convert_to_tensor(parts[context.replica_id_in_sync_group])
    data = strategy.experimental_distribute_values_from_function(part)
    model.make_train_function()
    model.reset_metrics()
    return {name: float(value) for name, value in model.train_function(iter([(data, None, None)])).items()}


def to_fast_dataset(batches):
    """Return the same batches in the same order, in the form on which `fit` trains fastest.

    On TensorFlow this is a `tf.data.Dataset` with a thread of its own. Keras's own conversion shares the threads of the
    kernels, and now and then a whole `fit` then computes on one core.

    Args:
        batches: `common.data.batches.EndlessBatches`.
    """
    if _name() != "tensorflow":
        return batches
    import tensorflow as tf

    def generate():
        return (batches[i] for i in itertools.count())

    first = batches[0]
    signature = tf.TensorSpec((None, *first.shape[1:]), first.dtype)
    data = tf.data.Dataset.from_generator(generate, output_signature=signature)
    options = tf.data.Options()
    options.autotune.enabled = False
    options.threading.private_threadpool_size = 1
    return data.prefetch(2).with_options(options)


def make_ema_update(shadows, weights):
    """Return a function of the momentum that sets every shadow to momentum * shadow + (1 - momentum) * weight.

    It is compiled: sixty small assignments one by one would take longer than a training step of a small model.

    Args:
        shadows: list of Keras variables, the averages.
        weights: list of Keras variables, in the order of `shadows`.
    """
    pairs = list(zip(shadows, weights, strict=True))
    if _name() == "tensorflow":
        import tensorflow as tf

        @tf.function
        def update(momentum):
            for shadow, weight in pairs:
                m = tf.cast(momentum, shadow.value.dtype)
                shadow.value.assign(m * shadow.value + (1 - m) * weight.value)

        return lambda momentum: update(tf.constant(momentum, tf.float64))

    def mix(a, b, momentum):
        return [momentum * x + (1 - momentum) * y for x, y in zip(a, b, strict=True)]

    if _name() == "jax":
        import jax

        mix = jax.jit(mix)

    def update(momentum):
        values = mix([shadow.value for shadow, _ in pairs], [weight.value for _, weight in pairs], momentum)
        for (shadow, _), value in zip(pairs, values, strict=True):
            shadow.assign(value)

    return update


def jit_for_small_operations():
    """Return the `jit_compile` for a network of many small operations: XLA, which Keras leaves off on a CPU."""
    if _name() != "tensorflow":
        return "auto"
    import tensorflow as tf

    return "auto" if tf.distribute.has_strategy() else True


def sync_jax_state(model):
    """Copy the state of a running `fit` into the variables of `model`: JAX keeps it apart while it trains."""
    if _name() == "jax":
        model.jax_state_sync()


def tensorboard(log_dir):
    """Return (`tf.summary`, a writer of event files into `log_dir`), or None, with a note, without TensorFlow."""
    if importlib.util.find_spec("tensorflow") is None:
        print("TensorBoard is off: it needs TensorFlow, which is not installed here (log.csv has the same numbers)")
        return None
    import tensorflow as tf

    return tf.summary, tf.summary.create_file_writer(str(log_dir))
