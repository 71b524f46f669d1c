"""Speed as a ratio: jobs timed in turn within one run, because machines are noisy and seconds alone say little."""

import statistics
import time


def time_interleaved(jobs, rounds):
    """Calls every job once to compile it, then all of them in turn, `rounds` times.

    Args:
        jobs: dict name -> function without arguments.

    Returns:
        A list of `rounds` dicts name -> seconds.
    """

    def seconds(job):
        start = time.perf_counter()
        job()
        return time.perf_counter() - start

    for job in jobs.values():
        job()
    return [{name: seconds(job) for name, job in jobs.items()} for _ in range(rounds)]


def ratio(times, name, to):
    """What `time_interleaved` found of one job as a multiple of another: (median, least, greatest) over the rounds."""
    ratios = sorted(row[name] / row[to] for row in times)
    return statistics.median(ratios), ratios[0], ratios[-1]


def print_ratios(times, to, steps):
    """Prints milliseconds of one of the `steps` steps of the job `to`, and the others' ratio to it, a line each."""
    print(f"{to}: {1000 * statistics.median(row[to] for row in times) / steps:.0f} ms for one step of both players")
    for name in times[0]:
        if name != to:
            print("{} / {}: {:.2f} (from {:.2f} to {:.2f})".format(name, to, *ratio(times, name, to)))


def random_image_batches(size, channels, batch_size):
    """`EndlessBatches` of uint8 noise in the place of images (size, size, channels): a step costs the same on it."""
    import numpy as np

    from common.data.batches import EndlessBatches

    pixels = np.random.default_rng(0).integers(0, 256, (4 * batch_size, size, size, channels), dtype=np.uint8)
    return EndlessBatches(pixels, batch_size)
