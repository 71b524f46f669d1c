"""Locks that processes hold on files."""

import contextlib
import fcntl
import os

from common.streams import stage


@contextlib.contextmanager
def hold_lock(path):
    """Yield an open file with the lock of a path, or None while another process holds it.

    A process that is started with the file open holds the lock until it ends, even if we end before. Where the file
    system has no locks, everybody gets one.

    Args:
        path: path of the lock file. It is made, with its folder.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock = None
        except OSError:
            pass
        yield lock


@contextlib.contextmanager
def only_one_process(path, doing):
    """Wait until no other process holds the lock of a path, then hold it. Where there are no locks, do not wait.

    Args:
        path: path of the lock file. It is made, with its folder.
        doing: str, what the other process does meanwhile, for the message.

    Yields:
        Whether the lock is held, and so no other process is at it.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as lock:
        held = False
        with contextlib.suppress(OSError), stage(f"waiting for another process that is {doing}"):
            fcntl.flock(lock, fcntl.LOCK_EX)
            held = True
        yield held
