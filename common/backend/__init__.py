"""What `keras.ops` does not offer: functions with a TensorFlow, a JAX and a PyTorch branch.

No module outside this package names a backend, but for the PyTorch programs of `bench/peers/`. Its functions import the
backend when they are called.
"""

import contextlib
import gc
import importlib.util
import itertools
import os
import sys

from common.backend.devices import (  # noqa: F401
    Devices,
    accelerators,
    distribution,
    peak_device_memory,
    predict,
    prepare_for_replicas,
    replica_id_and_count,
    rows_of_replica,
    scale_loss,
    share_of_process,
    train_on_batch,
    undistributed,
)
from common.backend.fast_layers import speed_up  # noqa: F401
from common.backend.gradients import input_gradient, score_and_input_gradient, split_gradient  # noqa: F401
from common.backend.name import backend_name
from common.backend.processes import (  # noqa: F401
    any_process,
    join_processes,
    leave,
    lost_another,
    part_of,
    process_index_and_count,
    temporary_folder,
)
from common.errors import UserError
from common.keras_settings import check_backend, check_chosen_backend
from common.streams import muted_stderr, stage


@stage("starting Keras")
def import_backend():
    """Import Keras and its backend without TensorFlow's start-up messages, and with its faster convolutions.

    TensorFlow leaves those of oneDNN out where the CPU has no AVX-512 for neural networks. There too they take half
    the time. Set TF_ENABLE_ONEDNN_OPTS=0 to do without them.

    The environment variable KERAS_BACKEND chooses the backend, else Keras's file `keras.json` (default TensorFlow). The
    file's other settings are not used: networks here are float32 and channels_last. Set TF_CPP_MIN_LOG_LEVEL to see the
    messages.

    Raises:
        UserError: if the chosen backend is unknown or not installed, or if `keras.json` is damaged.
    """
    unused = ["sklearn", *(["jax"] if check_chosen_backend() == "tensorflow" else [])]
    quiet = "TF_CPP_MIN_LOG_LEVEL" not in os.environ
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    try:
        with muted_stderr() if quiet else contextlib.nullcontext(), without(unused), uncollected():
            import keras

            # also on JAX, where `keras.utils.set_random_seed` would import TensorFlow later and print the messages
            if importlib.util.find_spec("tensorflow"):
                import tensorflow  # noqa: F401
    except Exception as error:  # a broken installation raises anything
        raise UserError(
            f"Keras cannot start ({type(error).__name__}: {error}): install that backend, or set KERAS_BACKEND to "
            "tensorflow, jax or torch"
        ) from None
    check_backend(backend_name())
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy("float32")


@contextlib.contextmanager
def uncollected():
    """Let Python look for garbage neither while Keras is imported nor, later, among the half million objects of it.

    This takes a tenth of a short run. Nothing changes if Keras is imported already.
    """
    if "keras" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()


@contextlib.contextmanager
def without(packages):
    """Let packages look as if they were not installed, unless they are imported already.

    Keras imports scikit-learn at once, and TensorFlow JAX. A script needs neither of them to start.

    Args:
        packages: list of str, their names.
    """
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def to_fast_dataset(batches, model):
    """Return the same batches in the same order, in the form on which `fit` trains fastest.

    On TensorFlow this is a `tf.data.Dataset` with a thread of its own. Keras's own conversion shares the threads of the
    kernels, and now and then a whole `fit` then computes on one core. Of several processes, each gets its own rows.

    Args:
        batches: `common.data.batches.EndlessBatches`.
        model: `keras.Model` that is trained on them.
    """
    index, count = share_of_process(model)
    if backend_name() != "tensorflow":
        return batches if count == 1 else ((part_of(batches[i], index, count),) for i in itertools.count())
    import keras
    import tensorflow as tf

    strategy = model.distribute_strategy
    replicas = strategy.num_replicas_in_sync // count if count > 1 else 1  # of this process

    def generate():
        for i in itertools.count():
            own_rows = part_of(batches[i], index, count)
            yield from (part_of(own_rows, replica, replicas) for replica in range(replicas))

    signature = keras.tree.map_structure(lambda x: tf.TensorSpec(batches.shape_of(x), x.dtype), batches[0])
    data = tf.data.Dataset.from_generator(generate, output_signature=signature)
    options = tf.data.Options()
    options.autotune.enabled = False
    options.threading.private_threadpool_size = 1
    data = data.prefetch(2).with_options(options)
    return strategy.distribute_datasets_from_function(lambda context: data) if count > 1 else data


def make_ema_update(shadows, weights):
    """Return a function that sets every shadow to momentum * shadow + (1 - momentum) * weight.

    It takes the momentum, and the model whose `fit` changes the weights (default: none does). It is compiled: sixty
    small assignments one by one would take longer than a training step of a small model.

    Args:
        shadows: list of Keras variables, the averages.
        weights: list of Keras variables, in the order of `shadows`.
    """
    pairs = list(zip(shadows, weights, strict=True))
    if backend_name() == "tensorflow":
        import tensorflow as tf

        @tf.function
        def update(momentum):
            for shadow, weight in pairs:
                m = tf.cast(momentum, shadow.value.dtype)
                shadow.value.assign(m * shadow.value + (1 - m) * weight.value)

        return lambda momentum, model=None: update(tf.constant(momentum, tf.float64))

    def mix(a, b, momentum):
        return [momentum * x + (1 - momentum) * y for x, y in zip(a, b, strict=True)]

    read = lambda model: [weight.value for weight in weights]
    if backend_name() == "jax":
        import jax

        mix, read = jax.jit(mix), _reader_of_jax_state(weights)

    def update(momentum, model=None):
        values = mix([shadow.value for shadow in shadows], read(model), momentum)
        for shadow, value in zip(shadows, values, strict=True):
            shadow.assign(value)

    return update


def _reader_of_jax_state(variables):
    """Return a function of a model, or None, that returns the arrays of the variables, during the model's `fit` too.

    There JAX keeps the arrays apart. To copy all of them into the variables after each step, and out again before the
    next, takes longer than a step of a small network on a GPU.
    """
    places = {}  # position in `variables` -> (list of the state, position there)

    def read(model):
        apart = getattr(model, "_jax_state", None)  # Keras's own, not public: without it, all is copied
        if not apart or getattr(model, "_jax_state_synced", True):
            if model is not None:
                sync_jax_state(model)
            return [variable.value for variable in variables]
        if not places:
            kinds = ("trainable_variables", "non_trainable_variables")
            known = {id(v): (kind, i) for kind in kinds for i, v in enumerate(getattr(model, kind))}
            places.update({i: known[id(v)] for i, v in enumerate(variables) if id(v) in known})
        return [apart[places[i][0]][places[i][1]] if i in places else v.value for i, v in enumerate(variables)]

    return read


def jit_for_small_operations():
    """Return the `jit_compile` for a network of many small operations: XLA, which Keras leaves off on a CPU."""
    if backend_name() != "tensorflow":
        return "auto"
    import tensorflow as tf

    return "auto" if tf.distribute.has_strategy() else True


def sync_jax_state(model):
    """Copy the state of a running `fit` into the variables of `model`: JAX keeps it apart while it trains."""
    if backend_name() == "jax":
        model.jax_state_sync()


def tensorboard(log_dir):
    """Return (`tf.summary`, a writer of event files into `log_dir`), or None, with a note, without TensorFlow."""
    if importlib.util.find_spec("tensorflow") is None:
        print("TensorBoard is off: it needs TensorFlow, which is not installed here (log.csv has the same numbers)")
        return None
    import tensorflow as tf

    if backend_name() != "tensorflow":  # its device would take the memory of the GPU
        with contextlib.suppress(RuntimeError):  # it has begun already
            tf.config.set_visible_devices([], "GPU")
    return tf.summary, tf.summary.create_file_writer(str(log_dir))
