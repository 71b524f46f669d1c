"""What `keras.ops` does not offer: functions with a TensorFlow, a JAX and a PyTorch branch.

No other module names a backend. Importing this one is cheap: functions import the backend when they are called.
"""

import contextlib
import importlib.util
import itertools
import os

from common.errors import UserError


def _name():
    import keras

    return keras.backend.backend()


def import_backend():
    """Import Keras and its backend without TensorFlow's start-up messages.

    The environment variable KERAS_BACKEND chooses the backend (default TensorFlow). Set TF_CPP_MIN_LOG_LEVEL to see
    the messages.

    Raises:
        UserError: if the chosen backend is unknown or not installed.
    """
    quiet = "TF_CPP_MIN_LOG_LEVEL" not in os.environ
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with _muted_stderr() if quiet else contextlib.nullcontext():
            import keras  # noqa: F401

            # also on JAX, where `keras.utils.set_random_seed` would import TensorFlow later and print the messages
            if importlib.util.find_spec("tensorflow"):
                import tensorflow  # noqa: F401
    except (ImportError, ValueError) as error:
        raise UserError(
            f"Keras cannot start ({error}): install that backend, or set KERAS_BACKEND to tensorflow, jax or torch"
        ) from None


@contextlib.contextmanager
def _muted_stderr():
    """Redirect file descriptor 2: TensorFlow's start-up messages bypass `sys.stderr`."""
    stderr_copy, devnull = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(devnull, 2)
        yield
    finally:
        os.dup2(stderr_copy, 2)
        os.close(stderr_copy)
        os.close(devnull)


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
    """Return (index, count) of the current `tf.distribute` replica, and (0, 1) outside of one.

    On JAX it is always (0, 1), because data parallelism there shards one global program.
    """
    if _name() == "tensorflow":
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            return context.replica_id_in_sync_group, context.num_replicas_in_sync
    return 0, 1


def scale_loss(loss):
    """Return the loss divided by the number of replicas.

    `tf.distribute` sums the gradients of the replicas; with this scaling the sum is their mean.
    """
    if _name() == "tensorflow":
        import tensorflow as tf

        count = tf.distribute.get_strategy().num_replicas_in_sync
        return loss / count if count > 1 else loss
    return loss


def distribution(enabled):
    """Return the context manager in which to build and compile a model.

    Args:
        enabled: bool, train on all local devices (`--distribute`).

    Raises:
        UserError: if `enabled` on a backend other than TensorFlow and JAX.
    """
    if not enabled:
        return contextlib.nullcontext()
    if _name() == "tensorflow":
        import tensorflow as tf

        return tf.distribute.MirroredStrategy().scope()
    if _name() == "jax":
        import keras

        return keras.distribution.DataParallel().scope()
    raise UserError("--distribute works on the tensorflow and jax backends; leave it out or set KERAS_BACKEND")


def to_fast_dataset(batches):
    """Return the same batches in the same order, in the form on which `fit` trains fastest.

    On TensorFlow this is a `tf.data.Dataset` with a thread of its own. In Keras's own conversion the input pipeline
    shares the threads of the kernels. Now and then a whole `fit` then computes on one core, at half the speed.

    Args:
        batches: `common.data.batches.EndlessBatches`.
    """
    if _name() != "tensorflow":
        return batches
    import tensorflow as tf

    def generate():
        return (batches[i] for i in itertools.count())

    first = batches[0]
    data = tf.data.Dataset.from_generator(
        generate, output_signature=tf.TensorSpec((None, *first.shape[1:]), first.dtype)
    )
    options = tf.data.Options()
    options.autotune.enabled = False
    options.threading.private_threadpool_size = 1
    return data.prefetch(2).with_options(options)


def make_ema_update(shadows, weights, momentum):
    """Return a function without arguments that updates an exponential moving average of weights.

    It sets every shadow to momentum * shadow + (1 - momentum) * weight. The update is compiled, because assigning
    sixty small variables one by one through Keras takes longer than a training step of a small model.

    Args:
        shadows: list of Keras variables, the averages.
        weights: list of Keras variables, in the order of `shadows`.
        momentum: float in [0, 1).
    """
    pairs = list(zip(shadows, weights, strict=True))
    if _name() == "tensorflow":
        import tensorflow as tf

        @tf.function
        def update():
            for shadow, weight in pairs:
                shadow.value.assign(momentum * shadow.value + (1 - momentum) * weight.value)

        return update
    if _name() == "jax":
        import jax

        mix = jax.jit(lambda a, b: [momentum * x + (1 - momentum) * y for x, y in zip(a, b, strict=True)])
    else:

        def mix(a, b):
            return [momentum * x + (1 - momentum) * y for x, y in zip(a, b, strict=True)]

    def update():
        values = mix([shadow.value for shadow, _ in pairs], [weight.value for _, weight in pairs])
        for (shadow, _), value in zip(pairs, values, strict=True):
            shadow.assign(value)

    return update


def sync_jax_state(model):
    """Copy the state of a running `fit` into the variables of `model`: JAX keeps it apart while it trains."""
    if _name() == "jax":
        model.jax_state_sync()


def tensorboard(log_dir):
    """Return a list with Keras's TensorBoard callback, or print a note and return [] if TensorFlow is not installed.

    Args:
        log_dir: path of the folder for the event files.
    """
    if importlib.util.find_spec("tensorflow") is None:
        print("TensorBoard is off: it needs TensorFlow, which is not installed here (log.csv has the same numbers)")
        return []
    import keras

    return [keras.callbacks.TensorBoard(str(log_dir), write_graph=False)]
