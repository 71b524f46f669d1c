"""The runs that the articles list in `<article>/reproduction.toml`, and the state of each."""

import glob
import os
import re
import shlex
import time
from dataclasses import dataclass
from pathlib import Path

from common.errors import UserError
from common.experiments.processes import GPU_SHARING_ENV, start_process
from common.experiments.sweep import failure_reason
from common.files import shortened, write_json
from common.locks import hold_lock
from common.reproduce import lists
from common.reproduce.available import how_to_get, is_available
from common.reproduce.paths import move_aside
from common.reproduce.run_files import RUN_STATE, read
from common.reproduce.schema import summarise

ROOT = Path(__file__).parents[2]
PRESETS = lists.PRESETS


def read_lists():
    """Return {article folder: content of its `reproduction.toml`}, as `lists.read_lists` checks and sorts them."""
    return lists.read_lists(ROOT)


@dataclass
class Run:
    """One run of an article's list. All its paths are relative to `ROOT`.

    Args:
        key: `<article>/<name>`, such as "ogan/train".
        spec: dict, the `[[run]]` table of the list.
        preset: preset that the script gets.
        minutes: expected duration, as the list declares it.
        dataset: data set that the script gets, or None.
        run_dir: folder of this run alone.
        log: file with the script's output.
        needs: Run that must be finished first, or None.
        extra_args: flags that the list adds for this preset and for the user's photos.
        photos: path of the user's photos, or None.
        figure_format: "svg" or "pdf", in which every figure is to be written too, or None.
        state: "waiting", "running", "finished", "failed", "data missing", or "blocked" (the run that it needs cannot
            finish).
        reason: why it failed or was not started.
        seconds: time spent on it, without the process that is running now.
        started_at: `time.monotonic()` at the start of the process that is running now.
    """

    key: str
    spec: dict
    preset: str
    minutes: float
    dataset: str | None
    run_dir: str
    log: str
    needs: "Run | None" = None
    extra_args: str = ""
    photos: str | None = None
    figure_format: str | None = None
    state: str = "waiting"
    reason: str = ""
    seconds: float = 0.0
    started_at: float = 0.0

    def fill_placeholders(self, text, quote=str):
        """Return `text` with {dataset}, {preset}, {out} and {<name of the needed run>} filled in.

        Args:
            text: str from the list.
            quote: function that escapes what is filled in.
        """
        values = {"dataset": self.dataset, "preset": self.preset, "out": self.run_dir, "photos": self.photos}
        if self.needs:
            values[self.needs.spec["name"]] = self.needs.output_dir() or "RUN"
        return lists.fill(text, {name: quote(str(value)) for name, value in values.items()})

    @property
    def command(self):
        """List of the arguments after `python`."""
        words = shlex.split(f"{self.spec['command']} {self.extra_args}")
        format_flags = ["--format", self.figure_format] if self.figure_format else []
        return [*map(self.fill_placeholders, words), *format_flags]

    @property
    def signature(self):
        """The command without the parent folder of all runs, so that it still matches after the folder was moved.

        The format of the figures is no part of it: a script writes a second format without training again.
        """
        out, _, _ = self.run_dir.rpartition("/reproduction/")
        words = self.command[:-2] if self.figure_format else self.command
        return [word.replace(f"{out}/reproduction/", "{out}/reproduction/") for word in words]

    def output_dir(self):
        """Return the newest folder that holds all expected files, or None."""
        pattern = self.fill_placeholders(self.spec["folder"], glob.escape)
        if not self.needs or not self.spec["folder"].startswith(f"{{{self.needs.spec['name']}}}"):
            pattern = f"{glob.escape(self.run_dir)}/{pattern}"
        expected_files = self.spec["leaves"]

        def is_complete(folder):
            return all(os.path.isfile(ROOT / folder / name) for name in expected_files)

        def modification_time(folder):
            return (ROOT / folder / expected_files[0]).stat().st_mtime

        return max(filter(is_complete, glob.glob(pattern, root_dir=ROOT)), key=modification_time, default=None)

    def saved_state(self):
        """Return (what `save_state` wrote into the run's folder, errors); {} if it is missing or damaged."""
        saved, errors = read(ROOT / self.run_dir / "run.json", RUN_STATE)
        return ({} if errors else saved), errors

    def save_state(self, finished=False):
        """Write the command, the seconds spent and whether it finished to `run.json`."""
        state = {"signature": self.signature, "seconds": round(self.seconds, 1), "finished": finished}
        write_json(ROOT / self.run_dir / "run.json", state)

    def mark_if_finished(self):
        """Set the state to finished if the same command finished before and all its files still exist."""
        saved, _ = self.saved_state()
        needs_met = not self.needs or self.needs.state == "finished"
        if needs_met and saved and saved["finished"] and saved["signature"] == self.signature and self.has_figures():
            self.state, self.seconds = "finished", saved["seconds"]

    def has_figures(self):
        """Return whether all expected files exist, those in the second format of the figures too."""
        folder = self.output_dir()
        pictures = [name for name in self.spec["leaves"] if self.figure_format and name.endswith(".png")]
        return bool(folder) and all(
            (ROOT / folder / name).with_suffix(f".{self.figure_format}").is_file() for name in pictures
        )

    def prepare_dir(self):
        """Create the run folder; if a different command wrote it, rename it to `.old-N` first.

        A script must not resume a training that was started with other flags.
        """
        saved, errors = self.saved_state()
        if errors:
            print(f"{self.run_dir}/run.json is damaged: {summarise(errors)}; the run is repeated", flush=True)
        if saved and saved["signature"] != self.signature:
            move_aside(ROOT / self.run_dir)
            saved = {}
        self.seconds = saved.get("seconds", 0.0)
        self.save_state()

    def start(self, data_dir, env=None):
        """Start the process, with a lock on `<run_dir>.lock`: it may outlive the program that started it.

        Args:
            data_dir: str or None, passed to the script as $DATA_DIR.
            env: dict of further environment variables (default none).

        Returns:
            subprocess.Popen, or None if another process still runs it or has finished it.
        """
        with hold_lock(ROOT / f"{self.run_dir}.lock") as lock:
            if lock is None:
                return None
            self.mark_if_finished()
            if self.state == "finished":
                return None
            self.prepare_dir()
            self.state, self.started_at = "running", time.monotonic()
            data_env = {"DATA_DIR": os.path.abspath(os.path.expanduser(data_dir))} if data_dir else {}
            with open(ROOT / self.log, "a") as log:
                print("$ python", shlex.join(self.command), file=log, flush=True)
                return start_process(
                    self.command, log, lock, GPU_SHARING_ENV | os.environ | data_env | (env or {}), cwd=ROOT
                )

    def end(self, exit_code):
        """Update and save the state after the process ended.

        Args:
            exit_code: int, or None if we stopped the process, so that the run waits to be continued.
        """
        self.seconds += time.monotonic() - self.started_at
        if exit_code is None:
            self.state = "waiting"
        elif exit_code == 0 and self.output_dir():
            self.state = "finished"
        else:
            self.state = "failed"
            missing_files = f"it did not write {', '.join(self.spec['leaves'])}"
            self.reason = failure_reason(exit_code, ROOT / self.log) if exit_code else missing_files
        self.save_state(self.state == "finished")


def make_plan(preset, out, images=None, data_dir=None, photos=None, figure_format=None):
    """Return {key: Run} of all lists.

    Args:
        preset: one of `PRESETS`.
        out: path relative to `ROOT`, parent folder of all runs.
        images: data set for every run that has a fallback, instead of the article's own.
        data_dir: str or None, folder of the user's data sets.
        photos: str or None, absolute path of the user's photos.
        figure_format: see `Run`.
    """
    plan = {}
    for article, content in read_lists().items():
        for spec in content["run"]:
            key, minutes = f"{article}/{spec['name']}", spec["minutes"]
            # a single number: the script has no presets; a script without preset `paper` uses `quick`
            minutes_of = minutes if isinstance(minutes, dict) else {preset: minutes}
            effective_preset = preset if preset in minutes_of else "quick"
            article_dataset = dataset = spec.get("dataset")
            if "fallback" in spec:
                dataset = images or (article_dataset if is_available(article_dataset, data_dir) else spec["fallback"])
            suffix = shortened(f"@{dataset}".replace("/", "_")) if dataset != article_dataset else ""
            run_dir = f"{out}/reproduction/{preset}/{key}{suffix}"
            run = Run(
                key=key,
                spec=spec,
                preset=effective_preset,
                minutes=minutes_of[effective_preset],
                dataset=dataset,
                run_dir=run_dir,
                log=f"{run_dir}/log.txt",
                needs=plan[f"{article}/{spec['after']}"] if "after" in spec else None,
                extra_args=" ".join([spec.get(effective_preset, ""), spec.get("photos", "") if photos else ""]),
                photos=photos,
                figure_format=figure_format,
            )
            run.mark_if_finished()
            needed = [] if "fallback" in spec or not dataset else [dataset, *([spec["also"]] if "also" in spec else [])]
            missing = [name for name in needed if not is_available(name, data_dir)]
            if missing and run.state != "finished":
                run.state = "data missing"
                run.reason = "; ".join(f"{name} is not on this machine: get {how_to_get(name)}" for name in missing)
            plan[key] = run
    return plan


def select_runs(plan, only):
    """Return the runs that `only` names and the runs that these need, in the order of `plan`.

    Args:
        plan: dict key -> Run.
        only: str, articles and runs separated by commas; empty or None selects all.

    Raises:
        UserError: if a name is unknown.
    """
    selected = set()
    names = [name for part in (only or "").split(",") if (name := part.strip())]
    for name in names or sorted({key.split("/")[0] for key in plan}):
        matches = [run for key, run in plan.items() if key == name or key.startswith(f"{name.rstrip('/')}/")]
        if not matches:
            raise UserError(f"--only {name}: {_why_unknown(name, plan)}")
        for run in matches:
            while run and run.key not in selected:
                selected.add(run.key)
                run = run.needs
    return [run for key, run in plan.items() if key in selected]


def part_of(runs, index, count):
    """Return the runs of one of several parts that have no run in common and are expected to take equally long.

    A run stays with the run that it needs. The parts depend on nothing but the list, so that each of several machines
    can take its own.

    Args:
        runs: list of Run, with all that these need.
        index: int, number of the part, from 1 on.
        count: int, number of parts.
    """
    groups = {}  # key of the first run that the others need -> keys
    for run in runs:
        first = run
        while first.needs:
            first = first.needs
        groups.setdefault(first.key, []).append(run)
    minutes = {key: sum(run.minutes for run in group) for key, group in groups.items()}
    parts = [set() for _ in range(count)]
    spent = [0.0] * count
    for key in sorted(groups, key=lambda key: (-minutes[key], key)):  # the longest first, to the part with least
        least = spent.index(min(spent))
        spent[least] += minutes[key]
        parts[least].update(run.key for run in groups[key])
    return [run for run in runs if run.key in parts[index - 1]]


def _why_unknown(name, plan):
    """Return why no run matches a name of --only."""
    folder = name.split("/")[0]
    is_article = re.fullmatch(r"\w[\w-]*", folder) and (ROOT / folder).is_dir() and folder not in ("common", "tests")
    if is_article and not (ROOT / folder / "reproduction.toml").exists():
        return f"{folder} has no reproduction.toml; write one, as CONTRIBUTING.md shows"
    return f"no such article or run; there are {', '.join(plan)}"
