"""Speed ratios: jobs timed in turn within one process, because seconds alone depend on the machine and its load."""

import statistics
import time

from common.streams import stage


@stage("timing steps in turn")
def time_interleaved(jobs, rounds):
    """Time several jobs in turn, so that a change of the machine's load meets all of them.

    Every job is called once untimed, which compiles it.

    Args:
        jobs: dict name -> function without arguments.
        rounds: int, number of timed calls of each job.

    Returns:
        List of `rounds` dicts name -> seconds.
    """

    def seconds(job):
        start = time.perf_counter()
        job()
        return time.perf_counter() - start

    for job in jobs.values():
        job()
    return [{name: seconds(job) for name, job in jobs.items()} for _ in range(rounds)]


def ratio(times, name, baseline):
    """Return (median, minimum, maximum) over the rounds of a job's time divided by that of another job.

    Args:
        times: list of dicts name -> seconds, as `time_interleaved` returns it.
        name: str, the job.
        baseline: str, the job to divide by, in the same round.
    """
    ratios = sorted(row[name] / row[baseline] for row in times)
    return statistics.median(ratios), ratios[0], ratios[-1]


def print_ratios(times, baseline, steps):
    """Print the milliseconds per step of one job, then the ratio of every other job to it.

    Args:
        times: list of dicts name -> seconds, as `time_interleaved` returns it.
        baseline: str, the job that the others are compared with.
        steps: int, training steps in one call of a job.
    """
    milliseconds = 1000 * statistics.median(row[baseline] for row in times) / steps
    print(f"{baseline}: {milliseconds:.0f} ms for one step of both players")
    for name in times[0]:
        if name != baseline:
            median, least, greatest = ratio(times, name, baseline)
            print(f"{name} / {baseline}: {median:.2f} (from {least:.2f} to {greatest:.2f})")


def random_image_batches(size, channels, batch_size):
    """Return `EndlessBatches` of four batches of uint8 noise (size, size, channels).

    A training step costs the same on noise as on images.
    """
    import numpy as np

    from common.data.batches import EndlessBatches

    pixels = np.random.default_rng(0).integers(0, 256, (4 * batch_size, size, size, channels), dtype=np.uint8)
    return EndlessBatches(pixels, batch_size)
