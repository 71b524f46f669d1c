"""One training in several processes, on one machine or on many (`--distribute`).

The processes are started by Slurm (`srun`), or by hand with the variables that the backend reads: TF_CONFIG for
TensorFlow, KERAS_DISTRIBUTION_* for JAX. Each runs the whole script, on its own rows of every batch. The first one
alone prints and writes into the run directory.
"""

import atexit
import json
import os
import shutil
import sys
import tempfile
import time
import traceback

from common.backend.name import backend_name
from common.errors import UserError

_joined = {}  # "strategy" of the processes once they are connected: TensorFlow's, or None on JAX
_folders = []  # temporary ones


def is_one_of_many():
    """Return whether the environment says that this process shares a training with others.

    Raises:
        UserError: if TF_CONFIG or KERAS_DISTRIBUTION_NUM_PROCESSES is damaged.
    """
    if int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        return True
    name = "TF_CONFIG" if backend_name() == "tensorflow" else "KERAS_DISTRIBUTION_NUM_PROCESSES"
    value = os.environ.get(name)
    try:
        if value is None or backend_name() == "torch":
            return False
        return (len(json.loads(value)["cluster"]["worker"]) if name == "TF_CONFIG" else int(value)) > 1
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"the variable {name} does not describe the processes of a training. Received: {value}"
        ) from None


def join_processes(enabled=True):
    """Connect this process with the others of its training, before anything is computed, and mute all but the first.

    Without others, or without `enabled`, nothing is done.
    """
    if not enabled or not is_one_of_many():
        return
    if backend_name() == "tensorflow":
        import tensorflow as tf

        if "TF_CONFIG" not in os.environ:
            os.environ["TF_CONFIG"] = _tf_config_of_slurm()
        _joined["strategy"] = tf.distribute.MultiWorkerMirroredStrategy()
    elif backend_name() == "jax":
        import keras

        keras.distribution.initialize()
        _joined["strategy"] = None
    if process_index_and_count()[0]:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 1)
        os.close(devnull)
    sys.excepthook = lambda *error: (traceback.print_exception(*error), leave(1))


def _tf_config_of_slurm():
    """Return the TF_CONFIG of a task of Slurm. Of several GPUs it gets one, as on JAX."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if len(gpus) > 1:
        tf.config.set_visible_devices(gpus[int(os.environ["SLURM_LOCALID"])], "GPU")
    # it wants to share GPUs among the tasks of a node, and divides by 0 where there are none
    resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
        gpus_per_node=2**10, gpus_per_task=1, auto_set_gpu=False
    )
    cluster, (kind, index) = resolver.cluster_spec().as_dict(), resolver.get_task_info()
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


def strategy_of_processes():
    """Return TensorFlow's strategy of the processes that have joined, or None."""
    return _joined.get("strategy")


def process_index_and_count():
    """Return (index of this process, number of processes) of the training, (0, 1) without others."""
    if not _joined:
        return 0, 1
    if backend_name() == "tensorflow":
        resolver = _joined["strategy"].cluster_resolver
        return resolver.task_id, len(resolver.cluster_spec().as_dict()["worker"])
    import jax

    return jax.process_index(), jax.process_count()


def any_process(flag):
    """Return whether `flag` is true in any process. Each waits here for all others."""
    if not _joined:
        return flag
    if backend_name() == "tensorflow":
        import tensorflow as tf

        return float(_joined["strategy"].reduce("SUM", tf.constant(float(flag)), axis=None)) > 0
    import numpy as np
    from jax.experimental import multihost_utils

    return bool(multihost_utils.process_allgather(np.array(flag)).any())


def part_of(batch, i, n):
    """Return part i of n equal parts of a batch, an array or a structure of arrays: rows that follow each other."""
    import keras

    return keras.tree.map_structure(lambda x: x[i * len(x) // n : (i + 1) * len(x) // n], batch)


def temporary_folder():
    """Return the path of a new folder that is removed when this process ends."""
    _folders.append(tempfile.mkdtemp(prefix="kexue-"))
    atexit.register(shutil.rmtree, _folders[-1], ignore_errors=True)
    return _folders[-1]


def lost_another(error):
    """Return whether an error means that another process of the training has ended."""
    return bool(_joined) and (type(error).__name__ == "UnavailableError" or "Gloo" in str(error))


def leave(code):
    """End this process with an exit code other than 0.

    One of several does not wait for the others, as at a normal exit: they may be waiting for it.
    """
    if not _joined:
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    time.sleep(1)  # they may have the same error, and tell more about it than that a process has ended
    for folder in _folders:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(code)
