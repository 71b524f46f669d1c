"""Which GPU each of several processes at a time may use."""

import os
import shutil
import subprocess


def visible_gpus():
    """Return the names of the GPUs that a process here sees, in the form of CUDA_VISIBLE_DEVICES."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [name.strip() for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name.strip()]
    if not shutil.which("nvidia-smi"):
        return []
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return []


def gpu_environments(jobs):
    """Return the environment variables of each of several processes at a time, so that they share the GPUs evenly.

    Args:
        jobs: int, number of processes at a time.

    Returns:
        List of dicts. They are empty for a single process or GPU: then nothing is to be shared out.
    """
    gpus = visible_gpus() if jobs > 1 else []
    return [{"CUDA_VISIBLE_DEVICES": gpus[i % len(gpus)]} if len(gpus) > 1 else {} for i in range(jobs)]
