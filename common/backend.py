"""The only module that names a backend: what `keras.ops` does not offer, with a TensorFlow, a JAX and a PyTorch branch.

Importing it is cheap; the backends are imported where they are used.
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
    """Imports Keras on its backend, without TensorFlow's start-up chatter (set TF_CPP_MIN_LOG_LEVEL to see it).

    Raises:
        UserError: if the chosen backend (TensorFlow, unless KERAS_BACKEND says otherwise) is not installed.
    """
    quiet = "TF_CPP_MIN_LOG_LEVEL" not in os.environ
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with _muted_stderr() if quiet else contextlib.nullcontext():
            import keras  # noqa: F401

            if importlib.util.find_spec("tensorflow"):  # on JAX too: there `set_random_seed` would start it, aloud
                import tensorflow  # noqa: F401
    except (ImportError, ValueError) as error:
        raise UserError(
            f"Keras cannot start ({error}): install that backend, or set KERAS_BACKEND to tensorflow, jax or torch"
        ) from None


@contextlib.contextmanager
def _muted_stderr():
    """What is written before TensorFlow reads its log level goes past `sys.stderr`, straight to the descriptor."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def input_gradient(fn, x):
    """Gradient of the sum of fn(x) over the batch with respect to x, itself differentiable (for penalties).

    Args:
        fn: function of a tensor, returns per-sample scores, (batch,) or (batch, 1).
        x: tensor, (batch, ...).

    Returns:
        Tensor of the shape of x: row i is the gradient of fn(x)[i] if rows do not meet in fn (no batch norm).
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
    """Number of GPUs or TPUs that the backend sees."""
    if _name() == "tensorflow":
        import tensorflow as tf

        return len(tf.config.list_physical_devices("GPU")) + len(tf.config.list_physical_devices("TPU"))
    if _name() == "jax":
        import jax

        return sum(device.platform != "cpu" for device in jax.devices())
    import torch

    return torch.cuda.device_count()


def replica_id_and_count():
    """(index, count) of the replica that is computing now: (0, 1) unless inside a `tf.distribute` replica.

    JAX's data parallelism shards one global program, so there it is (0, 1) too.
    """
    if _name() == "tensorflow":
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            return context.replica_id_in_sync_group, context.num_replicas_in_sync
    return 0, 1


def scale_loss(loss):
    """Divides by the number of replicas: `tf.distribute` sums the replicas' gradients, and we want their mean."""
    if _name() == "tensorflow":
        import tensorflow as tf

        count = tf.distribute.get_strategy().num_replicas_in_sync
        return loss / count if count > 1 else loss
    return loss


def distribution(enabled):
    """Context in which to build and compile: all local devices (`--distribute`), or nothing special."""
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
    """Return `EndlessBatches` in the form on which `fit` trains fastest: the same batches in the same order.

    TensorFlow's own conversion lets the input pipeline share the threads of the kernels, and now and then a whole
    `fit` then computes on one core, at half the speed. A pipeline with one thread of its own does not do that.
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
    """A function without arguments that moves every shadow to momentum * shadow + (1 - momentum) * weight.

    Compiled: one by one through Keras, sixty small variables take longer than a small model's training step.
    """
    pairs = list(zip(shadows, weights, strict=True))
    if _name() == "tensorflow":
        import tensorflow as tf

        @tf.function
        def step():
            for shadow, weight in pairs:
                shadow.value.assign(momentum * shadow.value + (1 - momentum) * weight.value)

        return step
    if _name() == "jax":
        import jax

        mix = jax.jit(lambda a, b: [momentum * x + (1 - momentum) * y for x, y in zip(a, b, strict=True)])
    else:

        def mix(a, b):
            return [momentum * x + (1 - momentum) * y for x, y in zip(a, b, strict=True)]

    def step():
        values = mix([shadow.value for shadow, _ in pairs], [weight.value for _, weight in pairs])
        for (shadow, _), value in zip(pairs, values, strict=True):
            shadow.assign(value)

    return step


def sync_jax_state(model):
    """Makes `model`'s variables current in the middle of a `fit` (JAX keeps them apart while it trains)."""
    if _name() == "jax":
        model.jax_state_sync()


def tensorboard(log_dir):
    """List with Keras's TensorBoard callback; empty, with a line that says so, where there is no TensorFlow."""
    if importlib.util.find_spec("tensorflow") is None:
        print("TensorBoard is off: it needs TensorFlow, which is not installed here (log.csv has the same numbers)")
        return []
    import keras

    return [keras.callbacks.TensorBoard(str(log_dir), write_graph=False)]
