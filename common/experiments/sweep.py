"""Run one training script many times, once per variant and seed, each run in a folder of its own."""

import functools
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common.cli import Parser, dataset, positive_int
from common.errors import UserError
from common.files import atomic_write, write_json

KILLED = "killed by signal"


def sweep_parser(description, default_dataset, toys=()):
    """Return the parser of a script that compares variants of a training script over seeds.

    The comparing script hands every flag that this parser does not know to the training script.

    Args:
        description: str, shown by --help as it is.
        default_dataset: str, default of --dataset.
        toys: names that --dataset takes besides those of images.
    """
    p = Parser(description=description, formatter_class=Parser.RAW)
    p.add_argument("--dataset", type=functools.partial(dataset, toys=toys), default=default_dataset)
    p.add_argument("--seeds", type=positive_int, default=3, help="number of seeds, from 0 on (default 3)")
    p.add_argument("--jobs", type=positive_int, default=1, help="number of trainings at the same time (default 1)")
    p.add_argument("--out", default="runs", help="folder that holds all results (default runs)")
    return p


def sweep(script, jobs, sweep_dir, workers=1, failed=None):
    """Run a training script once per job; a job that has finished before is not run again.

    Args:
        script: path of a training script that takes --out and --resume.
        jobs: dict name -> list of flags. The output of a job goes to `<sweep_dir>/<name>/log.txt`.
        sweep_dir: path, folder of all jobs.
        workers: int, number of jobs at the same time.
        failed: dict that receives {name: `failure_reason`} of the jobs that fail while the others go on. If `None`, a
            failure raises `UserError`.

    Returns:
        Dict name -> run directory, of the jobs that succeeded, in the order of `jobs`.

    Raises:
        UserError: if a job fails and `failed` is `None`, or if a job succeeds without a `results.json`.
    """

    def run_job(name, flags):
        job_dir = Path(sweep_dir) / name
        job_dir.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, script, *flags, "--out", job_dir, "--resume"]
        with open(job_dir / "log.txt", "a") as log:
            process = subprocess.run(list(map(str, command)), stdout=log, stderr=subprocess.STDOUT)
        if process.returncode:
            reason = failure_reason(process.returncode, job_dir / "log.txt")
            if failed is None:
                raise UserError(f"{name}: {reason}")
            failed[name] = reason
            print(f"{name}: {reason}", flush=True)
            return None
        results = sorted(job_dir.rglob("results.json"), key=lambda path: path.stat().st_mtime)
        if not results:
            raise UserError(f"{name} succeeded but wrote no results.json; see {job_dir}/log.txt")
        print(f"{name}: {results[-1]}", flush=True)
        return results[-1].parent

    with ThreadPoolExecutor(workers) as pool:
        run_dirs = dict(zip(jobs, pool.map(run_job, jobs, jobs.values()), strict=True))
    return {name: run_dir for name, run_dir in run_dirs.items() if run_dir}


def failure_reason(code, log):
    """Return why a process failed, in one line: the last line of its log, and the signal if one killed it.

    Args:
        code: int, exit code as `subprocess` gives it: negative for a signal.
        log: path of the log file.
    """
    lines = Path(log).read_text(errors="replace").strip().splitlines()
    last_line = lines[-1] if lines else "it printed nothing"
    return f"{KILLED} {-code}; last line of the log: {last_line}" if code < 0 else last_line


def run_variants(script, flag, kinds, sweep_dir, args, failed=None):
    """Run a training script for every value of a flag and every seed, with `sweep`.

    Args:
        script: path of the training script.
        flag: str, the flag that varies, e.g. "--loss".
        kinds: values of the flag.
        sweep_dir: path, folder of all runs.
        args: parsed flags of `sweep_parser`; `args.forwarded` is the list of flags for the training script.
        failed: see `sweep`.

    Returns:
        Dict "<kind>-<seed>" -> run directory, seed by seed.
    """
    jobs = {
        f"{kind}-{seed}": ["--dataset", args.dataset, "--seed", seed, flag, kind, *args.forwarded]
        for seed in range(args.seeds)
        for kind in kinds
    }
    return sweep(script, jobs, sweep_dir, args.jobs, failed)


def comparison_dir(args, article, name):
    """Return the path `<out>/<article>/<name>-<dataset>`, with a last part that is safe as a folder name."""
    return Path(args.out) / article / re.sub(r"[^\w.-]+", "_", f"{name}-{args.dataset}")


def write_table(output_dir, row_header, rows, args, footer="", **extra_results):
    """Write `results.json` and `table.md` of a comparison.

    Args:
        output_dir: path of the folder to write to.
        row_header: str, head of the first column.
        rows: dict kind -> {column: list of numbers, one per seed}.
        args: parsed flags of `sweep_parser`.
        footer: str, text under the table.
        **extra_results: entries of `results.json` besides "metrics", "seeds" and "train_flags".

    Returns:
        The text of `table.md`.
    """
    metrics = {
        f"{column}/{kind}/{i}": float(value)
        for kind, row in rows.items()
        for column, values in row.items()
        for i, value in enumerate(values)
    }
    results = {"metrics": metrics, "seeds": args.seeds, "train_flags": args.forwarded, **extra_results}
    write_json(output_dir / "results.json", results)
    text = table(row_header, rows) + footer
    atomic_write(output_dir / "table.md", lambda path: path.write_text(text))
    return text


def table(row_header, rows):
    """Return a Markdown table whose cells are "mean (minimum to maximum)" over seeds, or one number if all agree.

    Args:
        row_header: str, head of the first column.
        rows: dict row -> {column: list of numbers, one per seed}. A row may lack columns.
    """
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))

    def cell(values):
        if min(values) == max(values):
            return f"{values[0]:,.0f}" if float(values[0]).is_integer() else f"{values[0]:.3f}"
        return f"{sum(values) / len(values):.3f} ({min(values):.3f} to {max(values):.3f})"

    lines = [f"| {row_header} | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for name, row in rows.items():
        cells = [cell(row[column]) if column in row else "" for column in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
