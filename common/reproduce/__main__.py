"""Runs everything that the lists of the articles name, `<article>/reproduction.toml`, in order.

    python -m common.reproduce --preset quick
    python -m common.reproduce --only ogan,flow/mixing      # these, and what they need
    python -m common.reproduce --check                      # is every listed picture there, and not blank?

A run trains on the article's own data where that is found (MNIST, which is small, is fetched if need be), else on its
fallback, which is drawn by code; one that has none is left out. Each has a folder `<out>/reproduction/<preset>/<run>/`
with its `log.txt`. What is finished is not done again, what fails is named at the end. `<out>/reproduction.json` says
how every run stands. Several machines may share <out>, each with its own part of the runs in --only.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time

from common.cli import Parser, dataset, main, positive_int
from common.reproduce import plan

PATIENCE = 60  # seconds that a run has to save what it has when it is stopped
ACTIVE_STATES = ("waiting", "running")
REPORT_INTERVAL = 60  # seconds between two lines about what is going on


def make_parser():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    add = p.add_argument
    add("--preset", choices=plan.PRESETS, default="quick", help="of every run that knows it (default quick)")
    add("--dataset", type=dataset, help="images for every run that has a fallback, in place of the article's own")
    add("--data-dir", help="where your downloads lie (else $DATA_DIR, the Keras cache)")
    add("--only", help="articles or runs, separated by commas: ogan,flow/mixing")
    add("--jobs", type=positive_int, help="runs at a time (default 2; 1 with --preset paper)")
    add("--out", default="runs", help="folder that holds the run directories (default runs)")
    add("--check", action="store_true", help="run nothing: exit code 1 if a listed picture is missing or blank")
    return p


def run_all(runs, jobs, data_dir, note, stopped):
    """Runs what waits, `jobs` at a time, in order, and goes on when one fails.

    Args:
        note: called without arguments at every change.
        stopped: list; once there is something in it, what is going on is asked to save and end.

    Raises:
        KeyboardInterrupt: when it was stopped.
    """
    running, elsewhere, last_report = {}, set(), time.monotonic()

    def say(run, what):
        print(f"[{done_count(runs):2d}/{len(runs)}] {run.key}: {what}", flush=True)
        note()

    note()
    try:
        while not stopped and (running or any(run.state == "waiting" for run in runs)):
            for run in (run for run in runs if run.state == "waiting"):
                if run.needs and run.needs.state in ("failed", "not at hand", "held up"):
                    run.state, run.reason = "held up", f"it needs {run.needs.key}"
                    say(run, f"held up, {run.reason}")
                elif len(running) < jobs and (not run.needs or run.needs.state == "finished"):
                    if process := run.start(data_dir):
                        running[run.key] = run, process
                        say(run, f"begun{f' on {run.data}' if run.data else ''}; {run.log}")
                    elif run.state == "finished":
                        say(run, "finished elsewhere")
                    elif run.key not in elsewhere:
                        elsewhere.add(run.key)
                        say(run, f"still going on, begun by another; waiting for it; {run.log}")
            time.sleep(0.1)
            for run, process in [pair for pair in running.values() if pair[1].poll() is not None]:
                del running[run.key]
                run.end(process.returncode)
                what = "finished" if run.state == "finished" else f"FAILED, {run.reason}"
                say(run, f"{what}, after {run.seconds / 60:.1f} min; {time_left(runs, jobs)}")
                last_report = time.monotonic()
            if time.monotonic() - last_report > REPORT_INTERVAL:
                last_report = time.monotonic()
                print(f"        {', '.join(running)} going on; {time_left(runs, jobs)}", flush=True)
        if stopped:
            print("\nstopping: what is being trained is saved", flush=True)
            raise KeyboardInterrupt(f"{done_count(runs)} of {len(runs)} runs are done; the same command goes on")
    finally:
        stop([process for _, process in running.values()])
        for run, _ in running.values():
            run.end(None)
        note()


def done_count(runs):
    return sum(run.state not in ACTIVE_STATES for run in runs)


def time_left(runs, jobs):
    """In words: the declared minutes of what is not done, at the pace of what was measured."""
    if done_count(runs) == len(runs):
        return "nothing left"
    measured = [run for run in runs if run.seconds and run.state == "finished"]
    pace = sum(run.seconds for run in measured) / sum(60 * run.minutes for run in measured) if measured else 1.0

    def left(run):
        spent = run.seconds + (time.monotonic() - run.started_at if run.state == "running" else 0.0)
        return max(0.0, 60 * pace * run.minutes - spent)

    seconds = sum(left(run) for run in runs if run.state in ACTIVE_STATES) / jobs
    return f"about {plan.format_duration(max(60, seconds))} left"


def stop(processes):
    """Asks them and what they started to save and end, and does not wait for ever."""
    try:
        for process in processes:
            with contextlib.suppress(OSError):  # it has just ended
                os.killpg(process.pid, signal.SIGINT)
        end = time.monotonic() + PATIENCE
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0, end - time.monotonic()))
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def picture_errors(runs):
    """What is wrong with the listed pictures, in words. A picture is blank if it is all of nearly one colour."""
    import imageio.v3 as iio

    for run in (run for run in runs if run.state != "not at hand"):
        where = run.output_dir()
        if not where:
            yield f"{run.key}: {', '.join(run.spec['leaves'])} not all there; {run.log}"
            continue
        for leaf in run.spec["leaves"]:
            if leaf.endswith((".png", ".gif")) and iio.imread(plan.ROOT / where / leaf).std() <= 1:
                yield f"{run.key}: {where}/{leaf} is blank"


def run(args):
    out = os.path.relpath(os.path.expanduser(args.out), plan.ROOT)
    asked = args.preset, out, args.dataset, args.data_dir
    if not args.check:
        plan.download_small(plan.choose(plan.make_plan(*asked), args.only), args.dataset, args.data_dir)
    every = plan.make_plan(*asked)
    runs = plan.choose(every, args.only)
    if args.check:
        found = list(picture_errors(runs))
        print(*found or [f"the pictures of all {len(runs)} runs are there, but of those without data"], sep="\n")
        sys.exit(bool(found))

    jobs, path = args.jobs or (1 if args.preset == "paper" else 2), plan.ROOT / out / "reproduction.json"
    done = f"{done_count(runs)} of them done or without data"
    print(f"{len(runs)} runs, {done}; preset {args.preset}; {time_left(runs, jobs)}", flush=True)
    others = [run for run in every.values() if run not in runs and run.state == "waiting"]

    def note():
        for other in others:  # another machine may have done it
            other.mark_if_finished()
        plan.record(path, every, args.preset, runs)

    with stopping() as stopped:
        run_all(runs, jobs, args.data_dir, note, stopped)
    for other in runs:
        if other.state != "finished":
            print(f"{other.key}: {other.state}, {other.reason}" + f"; {other.log}" * (other.state == "failed"))
    print(f"{sum(r.state == 'finished' for r in runs)} of {len(runs)} runs are finished; make compare shows them")
    sys.exit(any(other.state == "failed" for other in runs))


@contextlib.contextmanager
def stopping():
    """A list that gets the first signal to stop; the second one interrupts.

    What we start hears SIGINT again where a shell made its background jobs deaf to it.
    """
    stopped = []

    def ask(number, frame):
        if stopped:
            raise KeyboardInterrupt("stopped at once; the same command goes on")
        stopped.append(number)

    signs = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # else it was begun under nohup
        signs.append(signal.SIGHUP)
    before = {sign: signal.signal(sign, ask) for sign in signs}
    try:
        yield stopped
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


if __name__ == "__main__":
    main(run, make_parser(), backend_needed=False)
