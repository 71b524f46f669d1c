"""Run everything that the articles list in `<article>/reproduction.toml`, in order.

    python -m common.reproduce --preset quick
    python -m common.reproduce --only ogan,flow/mixing      # these runs and the runs that they need
    python -m common.reproduce --list                       # which runs there are
    python -m common.reproduce --check                      # does every listed picture exist, and is none blank?

A run trains on the article's own data set if it is available. MNIST, which is small, is downloaded if needed. Otherwise
a run uses its fallback, which is drawn by code; without a fallback it is skipped. Each run writes to
`<out>/reproduction/<preset>/<run>/`, with its output in `log.txt`. `<out>/reproduction.json` records the state of every
run. Finished runs are not repeated; failed runs are named at the end. Several machines may share <out>, each with its
own --part of the runs.
"""

import os
import sys
import time

from common.cli import Parser, add_format, dataset, main
from common.errors import UserError
from common.experiments.processes import run_processes
from common.flag_types import count_int, data_folder, images_path, nonempty, part
from common.keras_settings import check_chosen_backend
from common.reproduce import plan
from common.reproduce.available import download_small
from common.reproduce.page import format_duration
from common.reproduce.paths import check_writable, out_path
from common.reproduce.record import write_record
from common.reproduce.run_files import read_picture

ACTIVE_STATES = ("waiting", "running")


def make_parser():
    """Return the parser of `python -m common.reproduce`."""
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    add = p.add_argument
    add("--preset", choices=plan.PRESETS, default="quick", help="for every run that has it (default quick)")
    add("--dataset", type=dataset, help="images for every run that has a fallback (default: the article's own)")
    add("--data-dir", type=data_folder, help="folder of your downloads (default $DATA_DIR, then the Keras cache)")
    add("--only", type=nonempty, help="articles or runs, separated by commas: ogan,flow/mixing (default: all)")
    add(
        "--part", type=part, metavar="I/N",
        help="only part I of N parts that take equally long, e.g. 2/8: one for each of several machines (default: all)",
    )  # fmt: skip
    add("--jobs", type=count_int, help="runs at a time (default 2; 1 with --preset paper)")
    add(
        "--images", type=images_path, metavar="PHOTOS",
        help="your photos, a folder, an archive or one image, for O-GAN to reconstruct (default: held-out images)",
    )  # fmt: skip
    add("--out", default="runs", help="folder that holds the run directories (default runs)")
    add_format(p)
    add("--list", action="store_true", help="run nothing; list the runs with their data, duration and state")
    add("--check", action="store_true", help="run nothing; exit code 1 if a listed picture is missing or blank")
    return p


def run_all(runs, jobs, data_dir, on_change):
    """Run the waiting runs, `jobs` at a time, in the order of `waiting_runs`; the others continue if one fails.

    Args:
        runs: list of `plan.Run`.
        jobs: int, number of processes at a time.
        data_dir: str or None, folder of the user's data sets.
        on_change: function without arguments, called after every change of a state.

    Raises:
        KeyboardInterrupt: after a signal to stop; running jobs have saved their state.
    """
    running_elsewhere = set()  # keys, so that each is reported once

    def report(run, message):
        print(f"[{done_count(runs):2d}/{len(runs)}] {run.key}: {message}", flush=True)
        on_change()

    def start_if_possible(run, gpu_env):
        if run.needs and run.needs.state in ("failed", "data missing", "blocked"):
            run.state, run.reason = "blocked", f"it needs {run.needs.key}"
            report(run, f"blocked, {run.reason}")
        elif not run.needs or run.needs.state == "finished":
            try:
                process = run.start(data_dir, gpu_env)
            except OSError as error:  # the disk is full, or something lies where the run's folder should be
                raise UserError(f"cannot start {run.key}: {error}") from None
            if process:
                on_dataset = f" on {run.dataset}" if run.dataset else ""
                report(run, f"started{on_dataset}; {run.log}")
                return process
            if run.state == "finished":
                report(run, "finished by another process")
            elif run.key not in running_elsewhere:
                running_elsewhere.add(run.key)
                report(run, f"already running in another process; waiting for it; {run.log}")
        return None

    def end(run, exit_code):
        run.end(exit_code)
        if exit_code is None:
            return
        outcome = "finished" if run.state == "finished" else f"FAILED, {run.reason}"
        report(run, f"{outcome}, after {run.seconds / 60:.1f} min; {time_left(runs, jobs)}")

    on_change()
    try:
        run_processes(
            waiting=lambda: waiting_runs(runs, jobs),
            start=start_if_possible,
            end=end,
            workers=jobs,
            title=lambda running: f"running: {', '.join(run.key for run in running)}; {time_left(runs, jobs)}",
            progress=lambda: f"{done_count(runs)} of {len(runs)} runs are done",
        )
    finally:
        on_change()


def waiting_runs(runs, jobs):
    """Return the waiting runs in order, but first those that would keep one job busy when the others are done.

    Such a run, with the longest chain of runs that need it, takes longer than the rest shared out among the other jobs.
    """
    active = [run for run in runs if run.state in ACTIVE_STATES]
    total = sum(run.minutes for run in active)
    chains = {run.key: run.minutes for run in active}  # minutes of each run with the longest chain that needs it
    for run in reversed(active):  # the run that another needs stands before it
        if run.needs and run.needs.key in chains:
            chains[run.needs.key] = max(chains[run.needs.key], run.needs.minutes + chains[run.key])

    def ends_last(run):
        return jobs > 1 and chains[run.key] >= (total - chains[run.key]) / (jobs - 1)

    return sorted((run for run in runs if run.state == "waiting"), key=lambda run: not ends_last(run))


def done_count(runs):
    """Return the number of runs that neither wait nor run."""
    return sum(run.state not in ACTIVE_STATES for run in runs)


def time_left(runs, jobs):
    """Return an estimate such as "about 30 minutes left".

    It is the declared duration of the remaining runs, scaled by measured / declared duration of the finished ones.
    """
    if done_count(runs) == len(runs):
        return "nothing left"
    measured = [run for run in runs if run.seconds and run.state == "finished"]
    pace = sum(run.seconds for run in measured) / sum(60 * run.minutes for run in measured) if measured else 1.0

    def seconds_left(run):
        spent = run.seconds + (time.monotonic() - run.started_at if run.state == "running" else 0.0)
        return max(0.0, 60 * pace * run.minutes - spent)

    seconds = sum(seconds_left(run) for run in runs if run.state in ACTIVE_STATES) / jobs
    return f"about {format_duration(max(60, seconds))} left"


def picture_errors(runs):
    """Yield a line for every listed picture that is missing, damaged or blank, that is, nearly one colour."""
    for run in runs:
        if run.state == "data missing":
            continue
        output_dir = run.output_dir()
        if not output_dir:
            yield f"{run.key}: {', '.join(run.spec['leaves'])} missing, some or all; see {run.log}"
            continue
        for name in run.spec["leaves"]:
            if not name.endswith((".png", ".gif")):
                continue
            try:
                if read_picture(plan.ROOT / output_dir / name, index=None).std() <= 1:
                    yield f"{run.key}: {output_dir}/{name} is blank"
            except UserError as error:
                yield f"{run.key}: {output_dir}/{name} is damaged: {error}; delete it to make it again"


def select(all_runs, args):
    """Return the runs of --only and --part."""
    runs = plan.select_runs(all_runs, args.only)
    return plan.part_of(runs, *args.part) if args.part else runs


def run(args):
    """Run or check the runs that the flags select, and exit with code 1 if one failed."""
    # the scripts run in the root of the repository
    if (args.dataset or "").startswith("folder:"):
        args.dataset = "folder:" + os.path.abspath(os.path.expanduser(args.dataset.removeprefix("folder:")))
    if os.environ.get("DATA_DIR"):
        os.environ["DATA_DIR"] = os.path.abspath(os.path.expanduser(os.environ["DATA_DIR"]))
    out = os.path.relpath(out_path(args.out), plan.ROOT)
    photos = os.path.abspath(args.images) if args.images else None
    plan_args = args.preset, out, args.dataset, args.data_dir, photos, args.format
    if not args.check and not args.list:
        check_chosen_backend()
        selected = select(plan.make_plan(*plan_args), args)
        check_writable(plan.ROOT / out, args.out)
        download_small(selected, args.dataset, args.data_dir)
    all_runs = plan.make_plan(*plan_args)  # again: after a download, other data sets are available
    runs = select(all_runs, args)
    if args.list:
        for listed in runs:
            duration = format_duration(60 * listed.minutes)
            print(f"{listed.key:28s}{listed.dataset or '':20s}{duration:12s}{listed.state}")
        return
    if args.check:
        errors = list(picture_errors(runs))
        print(
            *errors or [f"no picture of the {len(runs)} runs is missing or blank; runs without data skipped"], sep="\n"
        )
        sys.exit(bool(errors))

    jobs = args.jobs or (1 if args.preset == "paper" else 2)
    done = f"{done_count(runs)} of them done or without data"
    print(f"{len(runs)} runs, {done}; preset {args.preset}; {time_left(runs, jobs)}", flush=True)
    other_runs = [run for run in all_runs.values() if run not in runs and run.state == "waiting"]

    def save_record():
        for other in other_runs:  # another machine may have finished it meanwhile
            other.mark_if_finished()
        write_record(plan.ROOT / out / "reproduction.json", all_runs, args.preset, runs)

    run_all(runs, jobs, args.data_dir, save_record)
    for run in runs:
        if run.state != "finished":
            log = f"; {run.log}" if run.state == "failed" else ""
            print(f"{run.key}: {run.state}, {run.reason}{log}")
    n_finished = sum(run.state == "finished" for run in runs)
    print(f"{n_finished} of {len(runs)} runs are finished; `make compare` shows the results")
    sys.exit(any(run.state == "failed" for run in runs))


if __name__ == "__main__":
    main(run, make_parser(), backend_needed=False)
