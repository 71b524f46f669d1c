"""One training on several devices, of one machine or of several (`--distribute`)."""

import contextlib

import numpy as np

from common.backend.name import backend_name
from common.backend.processes import part_of, process_index_and_count, strategy_of_processes
from common.errors import UserError


def replica_id_and_count():
    """Return (index, count) of the current `tf.distribute` replica, and (0, 1) outside of one and on JAX."""
    if backend_name() == "tensorflow":
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            return context.replica_id_in_sync_group, context.num_replicas_in_sync
    return 0, 1


def rows_of_replica(draw, batch):
    """Return the rows of one common random draw that belong to the current replica.

    Args:
        draw: function of a number of rows that returns a tensor with so many.
        batch: int or scalar tensor, rows of this replica.
    """
    replica, replicas = replica_id_and_count()
    rows = draw(batch * replicas)
    return rows[replica * batch : (replica + 1) * batch] if replicas > 1 else rows


def scale_loss(loss):
    """Return the loss divided by the number of replicas: the sum of their gradients is then that of the mean loss."""
    _, count = replica_id_and_count()
    return loss / count if count > 1 else loss


def prepare_for_replicas(model):
    """Make a compiled model train on several replicas of TensorFlow as on one device. Elsewhere do nothing.

    Batch norm takes the statistics of the whole batch, as it does on JAX. Gradients are summed before they are clipped
    or searched for infinite ones: Keras sums them last, so that each replica would clip its own share, and miss an
    overflow on another one. In several processes, logs get the axis without which Keras fails (its issue 20585).

    Args:
        model: compiled `keras.Model` with a built optimiser.
    """
    if backend_name() != "tensorflow":
        return
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)  # of a loss scale
    if optimizer._distribution_strategy.num_replicas_in_sync == 1:
        return
    import keras
    import tensorflow as tf

    sum_over_replicas, apply = optimizer._all_reduce_sum_gradients, model.optimizer.apply
    summed_pairs = lambda gradients, variables: sum_over_replicas(zip(gradients, variables, strict=True))
    model.optimizer.apply = lambda *args: apply(*zip(*summed_pairs(*args), strict=True))
    for summed in (optimizer, *getattr(optimizer, "optimizers", ())):  # the parts of a MultiOptimizer sum too
        summed._all_reduce_sum_gradients = list  # they are summed already

    train_step, shape = model.train_step, (1,) if strategy_of_processes() else ()
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]

    def synchronized_train_step(data):
        for layer in norms:
            layer.synchronized = True  # only here: other backends cannot load a network that is saved so
        logs = train_step(data)
        for layer in norms:
            layer.synchronized = False
        return {name: tf.reshape(log, shape) for name, log in logs.items()}

    model.train_step = synchronized_train_step
    model._maybe_symbolic_build = lambda **data: None  # it is built; Keras fails here at a batch that is a dict


def peak_device_memory():
    """Return the most memory that this process has used on one accelerator so far, in bytes; `None` without one."""
    if backend_name() == "tensorflow":
        import tensorflow as tf

        gpus = [device.name.removeprefix("/physical_device:") for device in tf.config.list_physical_devices("GPU")]
        return max((tf.config.experimental.get_memory_info(gpu)["peak"] for gpu in gpus), default=None)
    if backend_name() == "jax":
        import jax

        stats = [device.memory_stats() for device in jax.local_devices() if device.platform != "cpu"]
        return max((stat["peak_bytes_in_use"] for stat in stats if stat), default=None)
    import torch

    return max(map(torch.cuda.max_memory_allocated, range(torch.cuda.device_count())), default=None)


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


def accelerators():
    """Return the number of GPUs and TPUs that the backend sees."""
    if backend_name() == "tensorflow":
        import tensorflow as tf

        return len(tf.config.list_physical_devices("GPU")) + len(tf.config.list_physical_devices("TPU"))
    if backend_name() == "jax":
        import jax

        return sum(device.platform != "cpu" for device in jax.devices())
    import torch

    return torch.cuda.device_count()


def distribution(enabled):
    """Return the `Devices` of a run: all local ones (`--distribute`), or the default one.

    Raises:
        UserError: on a backend that cannot share a batch among devices.
    """
    if not enabled:
        return Devices()
    if backend_name() == "tensorflow":
        import tensorflow as tf

        if strategy_of_processes():
            strategy = strategy_of_processes()
        elif tf.config.list_logical_devices("GPU"):
            strategy = tf.distribute.MirroredStrategy()
        else:
            # not the default devices, one CPU, nor the default reduction, which fails for a second run in one process
            cpus = [device.name for device in tf.config.list_logical_devices("CPU")]
            strategy = tf.distribute.MirroredStrategy(cpus, tf.distribute.ReductionToOneDevice())
        return Devices(strategy.num_replicas_in_sync, strategy.scope)
    if backend_name() == "jax":
        import keras

        parallel = keras.distribution.DataParallel(auto_shard_dataset=False)  # each process reads its own rows
        return Devices(int(parallel.device_mesh.devices.size), parallel.scope, parallel.scope)
    raise UserError("--distribute works on the tensorflow and jax backends; leave it out or set KERAS_BACKEND")


@contextlib.contextmanager
def undistributed():
    """Context in the middle of a distributed `fit` in which `predict` runs as without `--distribute`."""
    if backend_name() != "jax":
        yield
        return
    import keras

    before = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


def share_of_process(model):
    """Return (i, n): this process computes part i of n of each batch that `model` is now trained on.

    It is (0, 1) without other processes, and for a model that is not distributed: each process trains it whole.
    """
    if backend_name() == "tensorflow":
        is_shared = model.distribute_strategy is strategy_of_processes()
    else:
        import keras

        is_shared = keras.distribution.distribution() is not None
    return process_index_and_count() if is_shared else (0, 1)


def train_on_batch(model, batch):
    """Make one step of `model` on a batch, an equal part of it on each device, and return its logs as floats."""
    if backend_name() != "tensorflow" or model.distribute_strategy.num_replicas_in_sync == 1:
        return model.train_on_batch(part_of(batch, *share_of_process(model)), return_dict=True)
    import tensorflow as tf

    # Keras would hand the whole batch to each replica
    part = lambda context: part_of(batch, context.replica_id_in_sync_group, context.num_replicas_in_sync)
    data = model.distribute_strategy.experimental_distribute_values_from_function(
        lambda context: tf.convert_to_tensor(part(context))
    )
    model.make_train_function()
    model.reset_metrics()
    return {name: float(value) for name, value in model.train_function(iter([(data, None, None)])).items()}


def predict(model, array, batch_size):
    """Return `model.predict(array)`, computed by each process for itself."""
    if strategy_of_processes() is None:
        return _predict(model, array, batch_size)
    strategy, model._distribute_strategy = model._distribute_strategy, None
    try:
        return _predict(model, array, batch_size)
    finally:
        model._distribute_strategy = strategy


def _predict(model, array, batch_size):
    """Return `model.predict(array)`; on one device without the data set that TensorFlow would build for each call."""
    import keras

    if backend_name() == "tensorflow":
        on_one_device = model.distribute_strategy.num_replicas_in_sync == 1
    else:
        on_one_device = keras.distribution.distribution() is None
    if not on_one_device:
        return model.predict(array, batch_size=batch_size, verbose=0)
    outputs = [model.predict_on_batch(array[i : i + batch_size]) for i in range(0, len(array), batch_size)]
    return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *outputs)
