"""A progress bar that appears only if the work takes long."""

import sys
import time
from collections.abc import Callable


def progress_bar(total: int, title: str, delay: float = 2.0) -> Callable[[int], None]:
    """Return a function to call with the number of newly done images; it shows a bar after a while.

    Args:
        total: number of images.
        title: line above the bar.
        delay: seconds until the bar appears (default 2).
    """
    begin, bar, done = time.monotonic(), None, 0

    def advance(count):
        nonlocal bar, done
        done += count
        if bar is None and time.monotonic() - begin > delay:
            import keras

            print(title, flush=True)
            bar = keras.utils.Progbar(total, interval=0.2 if sys.stdout.isatty() else 10)
        if bar is not None:
            bar.update(done)

    return advance
