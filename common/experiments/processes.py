"""Trainings as processes: started under a lock, watched, and told to save their state when we are told to stop."""

import contextlib
import os
import signal
import subprocess
import sys
import time

from common.cores import usable_cores
from common.experiments.gpus import gpu_environments
from common.streams import stage

STOP_TIMEOUT = 60  # seconds that a stopped process has to save its state
# Let two runs share one GPU: by default TensorFlow and JAX each reserve nearly all its memory.
GPU_SHARING_ENV = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")


def start_process(arguments, log, lock, env, cwd=None):
    """Start Python in a process group of its own, so that Ctrl-C is delivered exactly once, by us.

    Args:
        arguments: list of str, after `python`.
        log: open file that gets the output.
        lock: open file of `common.locks.hold_lock`; the process holds that lock until it ends.
        env: dict of the environment variables.
        cwd: path of the working directory (default: ours).

    Returns:
        `subprocess.Popen`.
    """
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        process_group=0,
        pass_fds=[lock.fileno()],
    )


def thread_environment(processes):
    """Return the environment variables that give each of several processes its share of the cores.

    Each would start as many threads as there are cores, and they would wait for one another. A variable that the user
    has set stays.

    Args:
        processes: int, how many run at a time. A single one gets {}.
    """
    share = str(max(1, usable_cores() // processes))
    return {} if processes < 2 else {name: share for name in THREADS if name not in os.environ}


def run_processes(waiting, start, end, workers, title, progress):
    """Run the processes of several tasks, `workers` at a time, until no task waits and no process runs.

    Args:
        waiting: function that returns a list of the tasks that still wait, in their order.
        start: function (task, environment variables of its GPU and its threads) that returns a process. It returns None
            if the task cannot start now, or need not start; in the second case it must not wait any longer.
        end: function (task, exit code), called after a process has ended. The code is None if we stopped it.
        workers: int, number of processes at a time.
        title: function of the list of the running tasks that says what is going on.
        progress: function without arguments that says how much is done, for the message when we are told to stop.

    Raises:
        KeyboardInterrupt: after a signal to stop. All processes have then been told to save, and have ended.
    """
    running, free_gpus = [], gpu_environments(workers)  # (task, its process, variables of its GPU)
    with collect_stop_signals() as stop_signals, stage(lambda: title([task for task, *_ in running])):
        try:
            while not stop_signals and (running or waiting()):
                for task in waiting():
                    if len(running) == workers:
                        break
                    threads = thread_environment(min(workers, len(running) + len(waiting())))
                    if process := start(task, threads | free_gpus[0]):
                        running.append((task, process, free_gpus.pop(0)))
                time.sleep(0.1)
                for entry in [entry for entry in running if entry[1].poll() is not None]:
                    running.remove(entry)
                    task, process, gpu_env = entry
                    free_gpus.append(gpu_env)
                    end(task, process.returncode)
            if stop_signals:
                print("\nstopping: running jobs save their state", flush=True)
                raise KeyboardInterrupt(f"{progress()}; run the same command again to continue")
        finally:
            stop([process for _, process, _ in running])
            for task, *_ in running:
                end(task, None)


def stop(processes):
    """Tell process groups to save and exit; kill those that have not exited after `STOP_TIMEOUT`."""
    try:
        for process in processes:
            with contextlib.suppress(OSError):  # it has just ended
                os.killpg(process.pid, signal.SIGINT)
        deadline = time.monotonic() + STOP_TIMEOUT
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0, deadline - time.monotonic()))
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def collect_stop_signals():
    """Yield a list that receives the first signal to stop; a second signal raises KeyboardInterrupt.

    Restores SIGINT in child processes even if our shell started us with SIGINT ignored.
    """
    received = []

    def handle(number, frame):
        if received:
            raise KeyboardInterrupt("stopped at once; run the same command again to continue")
        received.append(number)

    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # `nohup` ignores it
        signals.append(signal.SIGHUP)
    previous_handlers = {number: signal.signal(number, handle) for number in signals}
    try:
        yield received
    finally:
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)
