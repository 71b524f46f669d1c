"""Many runs of one script: variants times seeds, side by side or one after another, each in a folder of its own."""

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
    """Parser of a script that compares variants of another one, over seeds; it leaves all other flags to that one.

    `toys`: names that --dataset takes besides those of images.
    """
    p = Parser(description=description, formatter_class=Parser.RAW)
    p.add_argument("--dataset", type=functools.partial(dataset, toys=toys), default=default_dataset)
    p.add_argument("--seeds", type=positive_int, default=3, help="how many, from 0 on")
    p.add_argument("--jobs", type=positive_int, default=1, help="trainings at a time")
    p.add_argument("--out", default="runs")
    return p


def sweep(script, jobs, where, workers=1, failed=None):
    """Runs `script` once per job and returns {name: its run directory}. What is finished is not done again.

    Args:
        script: path of a training script that knows --out and --resume.
        jobs: dict name -> list of flags. What a job prints goes to `<where>/<name>/log.txt`.
        where: path, folder of all jobs.
        workers: int, jobs at a time.
        failed: dict; if it is given, the `ending` of a job that failed goes there, and the others go on without it.

    Raises:
        UserError: naming the job that failed, with the last line that it printed.
    """

    def one(name, flags):
        home = Path(where) / name
        home.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, script, *flags, "--out", home, "--resume"]
        with open(home / "log.txt", "a") as log:
            done = subprocess.run(list(map(str, command)), stdout=log, stderr=subprocess.STDOUT)
        if done.returncode:
            why = failure_reason(done.returncode, home / "log.txt")
            if failed is None:
                raise UserError(f"{name}: {why}")
            failed[name] = why
            print(f"{name}: {why}", flush=True)
            return None
        found = sorted(home.rglob("results.json"), key=lambda path: path.stat().st_mtime)
        if not found:
            raise UserError(f"{name} ended well and left no results.json; {home}/log.txt")
        print(f"{name}: {found[-1]}", flush=True)
        return found[-1].parent

    with ThreadPoolExecutor(workers) as pool:
        found = dict(zip(jobs, pool.map(one, jobs, jobs.values()), strict=True))
    return {name: run for name, run in found.items() if run}


def failure_reason(code, log):
    """Why a process failed, in a line: what it printed last into its log, and the signal, if one killed it."""
    last = (Path(log).read_text(errors="replace").strip().splitlines() or ["it printed nothing"])[-1]
    return f"{KILLED} {-code}; the last it printed: {last}" if code < 0 else last


def run_variants(script, flag, kinds, where, args, failed=None):
    """`sweep` over the kinds that `flag` takes and the seeds: {"<kind>-<seed>": run directory}."""
    jobs = {
        f"{kind}-{seed}": ["--dataset", args.dataset, "--seed", seed, flag, kind, *args.rest]
        for seed in range(args.seeds)
        for kind in kinds
    }
    return sweep(script, jobs, where, args.jobs, failed)


def comparison_dir(args, article, name):
    """`<out>/<article>/<name>-<dataset>`, safe as a folder name."""
    return Path(args.out) / article / re.sub(r"[^\w.-]+", "_", f"{name}-{args.dataset}")


def write_table(where, corner, rows, args, below="", **more):
    """Writes `results.json` and `table.md` of rows {kind: {column: numbers over seeds}}; returns the table.

    `below`: text under the table. `more`: entries of `results.json` beside `metrics`.
    """
    flat = {f"{n}/{kind}/{s}": float(x) for kind, row in rows.items() for n, v in row.items() for s, x in enumerate(v)}
    write_json(where / "results.json", {"metrics": flat, "seeds": args.seeds, "train_flags": args.rest, **more})
    text = table(corner, rows) + below
    atomic_write(where / "table.md", lambda path: path.write_text(text))
    return text


def table(row_header, rows):
    """Markdown table of rows {row: {column: numbers over seeds}}: their mean and, where they differ, their range."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))

    def cell(numbers):
        if min(numbers) == max(numbers):
            return f"{numbers[0]:,.0f}" if float(numbers[0]).is_integer() else f"{numbers[0]:.3f}"
        return f"{sum(numbers) / len(numbers):.3f} ({min(numbers):.3f} to {max(numbers):.3f})"

    lines = [f"| {row_header} | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    cells = lambda row: " | ".join(cell(row[column]) if column in row else "" for column in columns)
    lines += [f"| {name} | {cells(row)} |" for name, row in rows.items()]
    return "\n".join(lines) + "\n"
