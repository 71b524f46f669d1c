"""Speed ratios: jobs timed in turn within one run, because seconds alone depend on the machine and its load.

The jobs of a peer, another library in a Python environment of its own, are done there: `peer` starts its script, which
ends with `serve(jobs)`, and gives functions that ask for one of them and wait.
"""

import contextlib
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from common.errors import UserError
from common.streams import stage

ROOT = Path(__file__).resolve().parents[2]
READY, DONE = "ready", "done"  # what a peer answers


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


def fit_job(trainer, batches, steps):
    """Return a function that trains for some steps, a job of `time_interleaved`.

    Args:
        trainer: compiled `SingleLoss`, or `Alternating`.
        batches: `EndlessBatches`.
        steps: int, steps of `fit`; a step of alternating trains one player.
    """
    return lambda: trainer.fit(batches, steps_per_epoch=steps, verbose=0, shuffle=False)


def random_image_batches(size, channels, batch_size):
    """Return `EndlessBatches` of four batches of uint8 noise (size, size, channels).

    A training step costs the same on noise as on images.
    """
    import numpy as np

    from common.data.batches import EndlessBatches

    pixels = np.random.default_rng(0).integers(0, 256, (4 * batch_size, size, size, channels), dtype=np.uint8)
    return EndlessBatches(pixels, batch_size)


@contextlib.contextmanager
def peer(python, script, flags, names):
    """Start the script of a peer, and give dict name -> function that has it do this job once.

    Args:
        python: path of the Python of the peer's environment.
        script: str, path from the root of the repository; it ends with `serve`.
        flags: list of str, its command line.
        names: names of its jobs.

    Raises:
        UserError: if there is no such Python, or the peer ends early; what it wrote on standard error is seen above.
    """
    command = [str(python), str(ROOT / script), *flags]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    try:
        process = subprocess.Popen(
            command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1
        )
    except OSError as error:
        raise UserError(
            f"--peer {python} does not start ({error.strerror}): `make bench PEERS=1` installs it"
        ) from None

    def wait_for(answer):
        while (line := process.stdout.readline()) != f"{answer}\n":
            if not line:
                raise UserError(f"{script} has ended with an error, which is above")
            print(line, end="")

    def ask(name):
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(f"{name}\n")
        wait_for(DONE)

    with process:  # closes the pipes and waits for its end
        try:
            wait_for(READY)
            yield {name: lambda name=name: ask(name) for name in names}
        finally:
            process.kill()
            with contextlib.suppress(BrokenPipeError):  # of a name that a dead peer did not take
                process.stdin.close()


def serve(jobs):
    """Do the jobs whose names come on standard input, one a line, and answer each (the other side of `peer`).

    Args:
        jobs: dict name -> function without arguments. What they print goes to standard error.
    """
    with contextlib.redirect_stdout(sys.stderr):
        print(READY, file=sys.__stdout__, flush=True)
        for line in sys.stdin:
            jobs[line.strip()]()
            print(DONE, file=sys.__stdout__, flush=True)


def print_table(times, baselines, steps):
    """Print a Markdown table of jobs: milliseconds per step, and the time as a ratio to that of another job.

    Args:
        times: list of dicts name -> seconds, as `time_interleaved` returns it.
        baselines: dict name -> name of the job that it is compared with, itself for none.
        steps: int, steps in one call of a job.
    """
    print("| | ms a step | ratio (least to greatest) | to |\n|---|---|---|---|")
    for name, baseline in baselines.items():
        milliseconds = 1000 * statistics.median(row[name] for row in times) / steps
        median, least, greatest = ratio(times, name, baseline)
        against = "1 | |" if name == baseline else f"{median:.2f} ({least:.2f} to {greatest:.2f}) | {baseline} |"
        shown = f"{milliseconds:,.0f}" if milliseconds >= 100 else f"{milliseconds:.3g}"
        print(f"| {name} | {shown} | {against}", flush=True)
