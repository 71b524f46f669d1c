"""Run one training script many times, once per variant and seed, each run in a folder of its own."""

import functools
import os
import re
import shlex
import time
from pathlib import Path

from common.cli import Parser, add_format, dataset
from common.errors import UserError
from common.experiments.flags import has_flags, refuse_repeated
from common.experiments.processes import GPU_SHARING_ENV, run_processes, start_process
from common.files import read_json, shortened
from common.flag_types import count_int, output_folder
from common.keras_settings import check_chosen_backend
from common.locks import hold_lock
from common.training.log import format_duration

KILLED = "killed by signal"
TIME_OF_STAGE = r" \(\d+ s\)$"  # at the end of a line that says at which stage a training is


def sweep_parser(description, default_dataset, toys=()):
    """Return the parser of a script that compares variants of a training script over seeds.

    The comparing script hands every flag that this parser does not know to the training script.

    Args:
        description: str, shown by --help as it is.
        default_dataset: str, default of --dataset; None for a script that makes its data and has no such flag.
        toys: names that --dataset takes besides those of images.
    """
    p = Parser(description=description, formatter_class=Parser.RAW)
    if default_dataset is not None:
        p.add_argument(
            "--dataset", type=functools.partial(dataset, toys=toys), default=default_dataset,
            help=f"training data, as the training script takes it (default {default_dataset})",
        )  # fmt: skip
    p.add_argument("--seeds", type=count_int, default=3, help="number of seeds, from 0 on (default 3)")
    p.add_argument("--jobs", type=count_int, default=1, help="number of trainings at the same time (default 1)")
    p.add_argument("--out", type=output_folder, default="runs", help="folder that holds all results (default runs)")
    add_format(p)
    return p


def sweep(script, jobs, sweep_dir, workers=1, failed=None):
    """Run a training script once per job; a job that has finished before is not run again.

    A job that another process runs, e.g. one that outlived a sweep that was killed, is waited for.

    Args:
        script: path of a training script that takes --out, --resume and --new.
        jobs: dict name -> list of flags. The output of a job goes to `<sweep_dir>/<name>/log.txt`.
        sweep_dir: path, folder of all jobs.
        workers: int, number of jobs at the same time. With more than 1 they share the GPUs, each on one of them unless
            it has the flag --distribute, and the memory of a GPU.
        failed: dict that receives {name: `failure_reason`} of the jobs that fail while the others go on. If `None`, a
            failure raises `UserError`.

    Returns:
        Dict name -> run directory, of the jobs that succeeded, in the order of `jobs`.

    Raises:
        UserError: if a job has a flag twice, if Keras has no backend that the networks run on, if a job fails and
            `failed` is `None`, or if a job succeeds and it is not clear which `results.json` is its own.
        KeyboardInterrupt: after a signal to stop. The running jobs have then saved their state.
    """
    for flags in jobs.values():
        refuse_repeated(flags)
    check_chosen_backend()
    sharing = GPU_SHARING_ENV if workers > 1 else {}
    waiting, run_dirs, before, started_at, seconds = list(jobs), {}, {}, {}, []
    arguments, elsewhere = {}, set()  # of the jobs; names of those that another process runs
    dir_of = lambda name: Path(sweep_dir) / shortened(name.replace("/", "%2F"))  # a value may be a path
    log_of = lambda name: dir_of(name) / "log.txt"
    count_ended = lambda: len(run_dirs) + len(failed or ())

    def start(name, gpu_env):
        job_dir = dir_of(name)
        arguments[name] = list(map(str, [script, *jobs[name], "--out", job_dir, "--resume", "--new"]))
        if run_dir := _finished_run(job_dir, arguments[name]):
            waiting.remove(name)
            run_dirs[name] = run_dir
            print(f"{name}: ended before; {run_dir}/results.json", flush=True)
            return None
        try:
            with hold_lock(job_dir / "lock") as lock, open(log_of(name), "a") as log:
                if lock is None:
                    if name not in elsewhere:
                        print(f"{name}: already running in another process; waiting for it; {log_of(name)}", flush=True)
                    elsewhere.add(name)
                    return None
                before[name] = _file_states(job_dir)
                print(f"{name}: begun; {count_ended()} of {len(jobs)} have ended; {log_of(name)}", flush=True)
                waiting.remove(name)
                started_at[name] = time.monotonic()
                env = sharing | os.environ | ({} if "--distribute" in arguments[name] else gpu_env)
                return start_process(arguments[name], log, lock, env)
        except OSError as error:
            raise UserError(f"cannot write to {job_dir}: {error.strerror}; choose another --out") from None

    def end(name, code):
        if code is None:  # stopped
            return
        duration = time.monotonic() - started_at[name]
        if not before[name] and not code:
            seconds.append(duration)
        if code:
            reason = failure_reason(code, log_of(name))
            if failed is None:
                raise UserError(f"{name}: {reason}")
            failed[name] = reason
            print(f"{name}: {reason}", flush=True)
            return
        run_dirs[name] = find_run(dir_of(name), arguments[name], before[name])
        remaining = len(jobs) - count_ended()
        estimate = remaining * sum(seconds) / len(seconds) / workers if remaining and seconds else None
        time_left = f"; about {format_duration(estimate)} left" if estimate else ""
        print(f"{name}: ended after {format_duration(duration)}{time_left}; {run_dirs[name]}/results.json", flush=True)

    def title(running):
        return "; ".join(f"{name}: {re.sub(TIME_OF_STAGE, '', _last_line(log_of(name)))}" for name in running)

    progress = lambda: f"{count_ended()} of {len(jobs)} trainings have ended"
    run_processes(lambda: list(waiting), start, end, workers, title, progress)
    return {name: run_dirs[name] for name in jobs if name in run_dirs}


def find_run(job_dir, arguments, before):
    """Return the run directory that a job wrote, among those of earlier jobs with other flags.

    The dates of the files play no part, because a clock may be set back.

    Args:
        job_dir: path, --out of the job.
        arguments: list of str, the script and all flags of the job.
        before: dict of the files' states before the job, see `_file_states`.

    Raises:
        UserError: if there is no `results.json`, or if several runs may be the job's.
    """
    after = _file_states(job_dir)
    if not after:
        raise UserError(f"{job_dir.name} succeeded but wrote no results.json; see {job_dir}/log.txt")
    # e.g. not `<run>/reconstruct/results.json`
    run_dirs = [run_dir for run_dir in after if not set(run_dir.parents) & after.keys()]
    is_its_own = (
        lambda run_dir: after[run_dir] != before.get(run_dir),
        lambda run_dir: has_flags(_config(run_dir), arguments),
        lambda run_dir: _has_command(run_dir, arguments),
    )
    for test in is_its_own:
        if len(run_dirs) > 1:
            run_dirs = [run_dir for run_dir in run_dirs if test(run_dir)] or run_dirs
    if len(run_dirs) > 1:
        names = ", ".join(str(run_dir.relative_to(job_dir)) for run_dir in run_dirs)
        raise UserError(f"{job_dir} has several runs with the flags of this job ({names}); move the others away")
    return run_dirs[0]


def _finished_run(job_dir, arguments):
    """Return the run directory that the very same command wrote before, to its end; None if there is none.

    Args:
        job_dir: path, --out of the job.
        arguments: list of str, the script and all flags of the job.
    """
    # `config.json` names the command that ran last, even if it was stopped; `results.json` the one that ended
    files = (run_dir / "results.json" for run_dir in _file_states(job_dir))
    ended = (path.parent for path in files if _content(path).get("command") == _command(arguments))
    return next((run_dir for run_dir in ended if _has_command(run_dir, arguments)), None)


def _has_command(run_dir, arguments):
    """Return whether a run was started last by this script with these flags, in this order."""
    return _config(run_dir).get("command") == _command(arguments)


def _command(arguments):
    return shlex.join(["python", *arguments])


def _file_states(job_dir):
    """Return {run directory: what changes whenever its `results.json` is written}."""
    stats = {path.parent: path.stat() for path in sorted(job_dir.rglob("results.json")) if path.is_file()}
    return {run_dir: (stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns) for run_dir, stat in stats.items()}


def _config(run_dir):
    """Return the `config.json` of a run, {} if it is missing or damaged."""
    return _content(run_dir / "config.json")


def _content(path):
    try:
        content = read_json(path)
    except UserError:
        return {}
    return content if isinstance(content, dict) else {}


def failure_reason(code, log):
    """Return why a process failed, in one line: the last line of its log, and the signal if one killed it.

    Args:
        code: int, exit code as `subprocess` gives it: negative for a signal.
        log: path of the log file.
    """
    last_line = _last_line(log)
    return f"{KILLED} {-code}; last line of the log: {last_line}" if code < 0 else last_line


def _last_line(log):
    lines = Path(log).read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it printed nothing"


def run_variants(script, flag, kinds, sweep_dir, args, failed=None):
    """Run a training script for every value of a flag and every seed, with `sweep`.

    Args:
        script: path of the training script.
        flag: str, the flag that varies, e.g. "--loss".
        kinds: values of the flag.
        sweep_dir: path, folder of all runs.
        args: parsed flags of `sweep_parser`; `args.forwarded` is the list of flags for the training script, which
            gets --format too.
        failed: see `sweep`.

    Returns:
        Dict "<kind>-<seed>" -> run directory, seed by seed.
    """
    further = [*args.forwarded, *(["--format", args.format] if args.format else [])]
    data = ["--dataset", args.dataset] if args.dataset else []
    jobs = {
        f"{kind}-{seed}": [*data, "--seed", seed, flag, kind, *further] for seed in range(args.seeds) for kind in kinds
    }
    return sweep(script, jobs, sweep_dir, args.jobs, failed)


def comparison_dir(args, article, name):
    """Return the path `<out>/<article>/<name>-<dataset>`, with a last part that is safe as a folder name.

    If `args.dataset` is None, so that scripts train on their default, the last part is `<name>`.
    """
    name = f"{name}-{args.dataset}" if args.dataset else name
    return Path(args.out) / article / shortened(re.sub(r"[^\w.-]+", "_", name))
