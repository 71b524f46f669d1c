"""The cores that this process may use."""

import os


def usable_cores() -> int:
    """Return how many cores this process may use: a job of a cluster often has fewer of them than its machine."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
