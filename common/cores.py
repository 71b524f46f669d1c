"""The cores that this process may use."""

import contextlib
import math
import os
from pathlib import Path

# Where Linux tells a container the CPU time it may have in a period, both in microseconds: cgroup v2, and v1.
CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
CFS_QUOTA, CFS_PERIOD = (Path(f"/sys/fs/cgroup/cpu/cpu.cfs_{name}_us") for name in ("quota", "period"))


def usable_cores() -> int:
    """Return how many cores this process may use: a job of a cluster or a container often has fewer than its machine.

    Of a container that may use 2.5 cores' time, this is 3.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1  # not on macOS
    return math.ceil(min(allowed, _quota()))


def _quota():
    """Return the cores' worth of CPU time that the container may use, infinity without a limit or off Linux."""
    for read in (lambda: CPU_MAX.read_text().split(), lambda: (CFS_QUOTA.read_text(), CFS_PERIOD.read_text())):
        with contextlib.suppress(OSError, ValueError):  # "max" and -1 stand for no limit
            quota, period = map(int, read())
            if quota > 0 and period > 0:
                return quota / period
    return math.inf
