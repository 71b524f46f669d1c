"""Train in two processes that talk as those of a cluster do, and compare what they learn with one process.

    python tests/cluster.py                # both backends: one to two minutes on 2 cores
    python tests/cluster.py jax

An O-GAN of images with batch norm and averages, an alternating GAN and a flow are trained by two processes on the
loopback. A second GAN is stopped by a SIGTERM to one of the two, and goes on. Of a second O-GAN one process is killed
with -9; it goes on in two processes, and in one.
"""

import argparse
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from common import cli
from common.parsers import Parser
from tests.helpers.threads import ONE_THREAD

ROOT = Path(__file__).parents[1]
CASES = {"ogan": "ogan", "gan": "alternating", "flow": "realnvp-plane"}  # name -> that of a tiny trainer
STEPS, EVERY, BATCH = 6, 4, 8
STOPPED, KILLED = 2, 5  # steps at which one process gets a SIGTERM, and a kill -9
TOLERANCE = 2e-6  # two processes add up in another order than one
PATIENCE = 300  # seconds


def train_case(name, out, distribute, signals=None):
    """Train a case up to step `STEPS`, from its checkpoint if it has one.

    Args:
        name: key of `CASES`.
        out: Path, folder of the run directory.
        distribute: bool.
        signals: dict step -> number of the signal that this process then gets.

    Returns:
        Dict of arrays: all that training changes, and the last row of the log.
    """
    import keras

    from common.experiments.setup import begin_run
    from common.training.ema import WeightEMA
    from common.training.loop import train
    from tests.helpers.arrays import numpy
    from tests.helpers.tiny_trainers import PLANE, SCRIPTS, rsgan, tiny, with_sgd

    SCRIPTS["alternating"] = rsgan.train, (*PLANE, "--trainer", "alternating")  # the cheapest of its kind
    samples = tiny(CASES[name]).samples
    args = argparse.Namespace(
        batch_size=BATCH, steps=STEPS, epochs=None, distribute=distribute, out=str(out), resume=True, new=True,
        variant=name, seed=0,
    )  # fmt: skip
    run_dir, devices = begin_run(args, "cluster", samples)
    with devices:
        case = with_sgd(tiny(CASES[name]))
        averages = WeightEMA([case.network], 0.9) if name == "ogan" else None
        if name == "flow":
            case.network.initialize_from_data(samples)

    steps_done = itertools.count(1)

    def send_signal(batch, logs):
        number = (signals or {}).get(next(steps_done))
        if number:
            os.kill(os.getpid(), number)

    state = lambda: [numpy(v) for v in case.trainer.training_state() + (averages.variables if averages else [])]
    before = state()
    rows = train(
        case.trainer, samples, run_dir, batch_size=BATCH, steps=STEPS, save_every=EVERY, seed=0, averages=averages,
        on_interval=lambda step: None, devices=devices, dtype=case.dtype,
        callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=send_signal)],
    )  # fmt: skip
    moved = max(np.abs(a - b).max(initial=0) for a, b in zip(before, state(), strict=True) if a.dtype.kind == "f")
    assert moved > 50 * TOLERANCE, f"{name} does not train: {moved}"
    logged = {column: np.float64(value) for column, value in rows[-1].items() if column != "seconds"}
    return {f"{i:04d}": value for i, value in enumerate(state())} | logged


def work(args):
    """Do the job of one process: "first" or "second" of two processes, or "one" alone. Write states into a folder."""
    from common import backend

    job, folder = args.job, args.folder
    index, count = backend.process_index_and_count()
    assert count == (1 if job == "one" else 2), "the processes did not find each other"

    def keep(label, *args, **kwargs):
        np.savez(folder / f"{job}-{label}-{index}.npz", **train_case(*args, **kwargs))

    here = folder / job
    if job == "one":
        for name in CASES:
            keep(name, name, here, False)
        keep("killed", "ogan", folder / "copy", False)
    elif job == "second":
        keep("killed", "ogan", folder / "killed", True)
    else:
        for name in CASES:
            keep(name, name, here, True)
        try:
            keep("stopped", "gan", folder / "stopped", True, {STOPPED: signal.SIGTERM} if index else None)
        except KeyboardInterrupt as stop:
            (folder / f"stop-{index}").write_text(str(stop))
        keep("stopped", "gan", folder / "stopped", True)
        keep("killed", "ogan", folder / "killed", True, {KILLED: signal.SIGKILL} if index else None)


def start(backend, job, folder, ports=(), index=0):
    """Start a process of `work` and return it: number `index` of those that listen at `ports`, or one alone."""
    addresses = [f"127.0.0.1:{port}" for port in ports]
    env = os.environ | ONE_THREAD | {"KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    env["TMPDIR"] = str(folder)  # a process that is killed leaves its copies
    env |= {"JAX_COMPILATION_CACHE_DIR": str(folder / "xla"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5"}
    if ports:
        env["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})
        env["KERAS_DISTRIBUTION_JOB_ADDRESSES"] = ",".join(addresses)
        env |= {"KERAS_DISTRIBUTION_NUM_PROCESSES": str(len(ports)), "KERAS_DISTRIBUTION_PROCESS_ID": str(index)}
    command = [sys.executable, __file__, "--job", job, "--folder", str(folder), *["--distribute"][: len(ports)]]
    with open(folder / f"{job}-{index}.log", "w") as log:
        return subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT)


def start_pair(backend, job, folder):
    """Start two processes of `work` that find each other at free ports, and return them."""
    with socket.socket() as first, socket.socket() as second:
        for listener in (first, second):
            listener.bind(("127.0.0.1", 0))
        ports = [listener.getsockname()[1] for listener in (first, second)]
    return [start(backend, job, folder, ports, index) for index in (0, 1)]


def end_of(log):
    """Return the last lines of a file."""
    return "".join(log.read_text(errors="replace").splitlines(keepends=True)[-20:])


def check(backend, folder):
    """Run all processes of a backend in a new folder, and raise `AssertionError` where two processes differ from one.

    The largest differences of all numbers that a training leaves are printed.
    """
    folder.mkdir()
    pair = start_pair(backend, "first", folder)
    codes = [process.wait(PATIENCE) for process in reversed(pair)]
    assert codes[0] == -signal.SIGKILL, f"process 1 ended with {codes[0]}:\n{end_of(folder / 'first-1.log')}"
    assert codes[1] == 2, f"process 0 ended with {codes[1]} when 1 was killed:\n{end_of(folder / 'first-0.log')}"
    stops = {(folder / f"stop-{index}").read_text() for index in (0, 1)}
    assert stops == {f"stopped at step {STOPPED} of {STEPS}; add --resume to go on"}, stops

    shutil.copytree(folder / "killed", folder / "copy")
    processes = [*start_pair(backend, "second", folder), start(backend, "one", folder)]
    for process, log in zip(processes, ("second-0.log", "second-1.log", "one-0.log"), strict=True):
        assert process.wait(PATIENCE) == 0, f"{log} ends with:\n{end_of(folder / log)}"

    def difference(a, b):
        """Return the largest difference of two states."""
        with np.load(folder / f"{a}.npz") as x, np.load(folder / f"{b}.npz") as y:
            assert x.files == y.files and x.files
            gap = lambda a, b: (np.abs(a.astype("float64") - b) / np.maximum(1, np.abs(b))).max(initial=0)
            return max(gap(x[name], y[name]) for name in x.files)

    pairs = [(f"{name}: two processes, one", f"first-{name}-0", f"one-{name}-0", TOLERANCE) for name in CASES]
    pairs += [(f"{name}: process 0, process 1", f"first-{name}-0", f"first-{name}-1", 0) for name in CASES]
    pairs += [
        ("gan: stopped by SIGTERM and resumed, uninterrupted", "first-stopped-0", "first-gan-0", 0),
        ("ogan: killed with -9 and resumed, uninterrupted", "second-killed-0", "first-ogan-0", 0),
        ("ogan: killed with -9 and resumed in one process, uninterrupted", "one-killed-0", "first-ogan-0", TOLERANCE),
    ]
    for title, a, b, largest in pairs:
        value = difference(a, b)
        print(f"{value:8.1e}  {backend}: {title}", flush=True)
        assert value <= largest, f"{title}: more than {largest}"


def main():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("backends", nargs="*", default=["tensorflow", "jax"], help="tensorflow, jax (default both)")
    p.add_argument("--job", choices=["first", "second", "one"], help=argparse.SUPPRESS)
    p.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    p.add_argument("--distribute", action="store_true", help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.job:
        return cli.main(work, p)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as pool:  # TensorFlow notices a death after 10 s
        list(pool.map(check, args.backends, [Path(folder) / backend for backend in args.backends]))
    print(f"{time.monotonic() - began:.0f} seconds")


if __name__ == "__main__":
    main()
