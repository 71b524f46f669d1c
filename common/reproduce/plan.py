"""What there is to run: the lists of the articles, `<article>/reproduction.toml`, and how each of their runs stands."""

import fcntl
import glob
import itertools
import os
import shlex
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

from common import backend
from common.data import catalog
from common.errors import UserError
from common.experiments.sweep import failure_reason
from common.files import read_json, write_json

ROOT = Path(__file__).parents[2]
PRESETS = ("smoke", "quick", "paper")
SMALL = {name: "mnist" for name in ("mnist", "stacked_mnist", "stacked_mnist_2")}  # made of 11 MB: fetched unasked
# else TensorFlow and JAX take nearly all memory of an accelerator, and a second run finds none
GPU_SHARING_ENV = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


def read_lists():
    """{folder of the article: its `reproduction.toml`}, in the order of the report."""
    lists = {}
    for path in ROOT.glob("*/reproduction.toml"):
        try:
            lists[path.parent.name] = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read {path}: {error}") from None
    return dict(sorted(lists.items(), key=lambda item: item[1]["article"]["place"]))


@dataclass
class Run:
    """One run of a list. All its paths are relative to ROOT. Its `state` is one of

    waiting, running, finished, failed, not at hand (its data), held up (by what it needs, which is not finished).
    """

    key: str  # "ogan/train"
    spec: dict  # the [[run]] of the list
    preset: str
    minutes: float  # declared
    data: str | None
    run_dir: str  # folder that is its alone
    log: str
    needs: "Run | None" = None
    extra_args: str = ""  # of the list for this preset alone
    state: str = "waiting"
    reason: str = ""  # it failed, or was not begun
    seconds: float = 0.0  # spent on it, but for the present go
    started_at: float = 0.0  # the present go

    def fill(self, text, quote=str):
        """A text of the list with its placeholders filled: {dataset}, {preset}, {out}, {name of the run it needs}."""
        earlier = {self.needs.spec["name"]: quote(self.needs.output_dir() or "RUN")} if self.needs else {}
        return text.format(dataset=self.data, preset=self.preset, out=self.run_dir, **earlier)

    @property
    def command(self):
        """Words after `python`."""
        return [self.fill(word) for word in shlex.split(f"{self.spec['command']} {self.extra_args}")]

    @property
    def signature(self):
        """The command without where it lies: folders of runs are moved."""
        out, _, _ = self.run_dir.rpartition("/reproduction/")
        return [word.replace(f"{out}/reproduction/", "{out}/reproduction/") for word in self.command]

    def output_dir(self):
        """The newest folder with all that it must leave, or None."""
        pattern = self.fill(self.spec["folder"], glob.escape)
        pattern = pattern if self.needs else f"{glob.escape(self.run_dir)}/{pattern}"
        expected_files = self.spec["leaves"]
        whole = [
            p for p in glob.glob(pattern, root_dir=ROOT) if all((ROOT / p / leaf).is_file() for leaf in expected_files)
        ]
        return max(whole, key=lambda path: (ROOT / path / expected_files[0]).stat().st_mtime, default=None)

    def saved_state(self):
        """`signature`, `seconds` and `finished` of what lies in its folder; {} if nobody knows what does."""
        try:
            before = read_json(ROOT / self.run_dir / "run.json")
            return before if {"signature", "seconds", "finished"} <= before.keys() else {}
        except (UserError, AttributeError):
            return {}

    def save_state(self, finished=False):
        write = {"signature": self.signature, "seconds": round(self.seconds, 1), "finished": finished}
        write_json(ROOT / self.run_dir / "run.json", write)

    def mark_if_finished(self):
        """Finished, if the same command ended well before and all that it left is still there."""
        before, ready = self.saved_state(), not self.needs or self.needs.state == "finished"
        if ready and before and before["finished"] and before["signature"] == self.signature and self.output_dir():
            self.state, self.seconds = "finished", before["seconds"]

    def prepare_dir(self):
        """Its folder. What another command began there is moved aside: no script goes on with it under other flags."""
        before = self.saved_state()
        if before and before["signature"] != self.signature:
            aside = next(p for i in itertools.count(1) if not (p := ROOT / f"{self.run_dir}.old-{i}").exists())
            os.replace(ROOT / self.run_dir, aside)
            before = {}
        self.seconds = before.get("seconds", 0.0)
        self.save_state()

    def start(self, data_dir):
        """Its process, in a group of its own, so that Ctrl-C reaches it through us alone and once.

        None if it is done already, or still going on: the process holds a lock, for it may outlive who started it.
        """
        lock = ROOT / f"{self.run_dir}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        with open(lock, "w") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return None
            self.mark_if_finished()
            if self.state == "finished":
                return None
            self.prepare_dir()
            self.state, self.started_at = "running", time.monotonic()
            with open(ROOT / self.log, "a") as log:
                print("$ python", shlex.join(self.command), file=log, flush=True)
                how = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT, "process_group": 0}
                where = {"DATA_DIR": os.path.abspath(os.path.expanduser(data_dir))} if data_dir else {}
                env = GPU_SHARING_ENV | os.environ | where
                command = [sys.executable, *self.command]
                return subprocess.Popen(command, cwd=ROOT, env=env, pass_fds=[held.fileno()], **how)

    def end(self, code):
        """Of its process: `code` is how it ended; None, that it was stopped and will go on."""
        self.seconds += time.monotonic() - self.started_at
        self.state = "waiting" if code is None else "finished" if code == 0 and self.output_dir() else "failed"
        if self.state == "failed":
            self.reason = (
                failure_reason(code, ROOT / self.log) if code else f"it did not leave {', '.join(self.spec['leaves'])}"
            )
        self.save_state(self.state == "finished")


def is_available(name, data_dir=None):
    """Whether a data set can be had without a download."""
    if name not in catalog.DATASETS:  # drawn by code, or a folder of the user's
        return True
    spec = catalog.DATASETS[name]
    return any(catalog.find_in(root, spec, name, "train") for root in catalog.search_dirs(data_dir))


def download_small(runs, images=None, data_dir=None):
    """Downloads what `runs` want and is small, where it is not at hand; where that fails there is the fallback."""
    on_their_own = [run for run in runs if run.state != "finished" and not (images and "fallback" in run.spec)]
    for name in {SMALL.get(run.spec.get("dataset")) for run in on_their_own} - {None}:
        if not is_available(name, data_dir):
            try:
                backend.import_backend()
                catalog.find(name, "train", data_dir)
            except UserError as error:
                print(f"{error}; going on without it", flush=True)


def make_plan(preset, out, images=None, data_dir=None):
    """{key: Run} of all lists. `out`: path relative to ROOT. `images`: data set of the runs that have a fallback."""
    plan = {}
    for article, content in read_lists().items():
        for listed in content["run"]:
            key, minutes = f"{article}/{listed['name']}", listed["minutes"]
            # a script without presets does the same in all, and one that knows no `paper` does its `quick`
            known = minutes if isinstance(minutes, dict) else {preset: minutes}
            effective_preset = preset if preset in known else "quick"
            article_dataset = data = listed.get("dataset")
            if "fallback" in listed:
                data = images or (article_dataset if is_available(article_dataset, data_dir) else listed["fallback"])
            home = f"{out}/reproduction/{preset}/{key}" + (f"@{data}" if data != article_dataset else "").replace(
                "/", "_"
            )
            needs = plan[f"{article}/{listed['after']}"] if "after" in listed else None
            run = Run(
                key,
                listed,
                effective_preset,
                known[effective_preset],
                data,
                home,
                f"{home}/log.txt",
                needs,
                listed.get(effective_preset, ""),
            )
            run.mark_if_finished()
            if run.state != "finished" and "fallback" not in listed and data and not is_available(data, data_dir):
                run.state, run.reason = (
                    "not at hand",
                    f"{data} is not on this machine: get {catalog.DATASETS[data].how_to_get}",
                )
            plan[key] = run
    return plan


def choose(plan, only):
    """The runs that `only` names, and what they need."""
    wanted = set()
    names = [name for word in (only or "").split(",") if (name := word.strip())]
    for name in names or sorted({key.split("/")[0] for key in plan}):
        hits = [run for key, run in plan.items() if key == name or key.startswith(f"{name}/")]
        if not hits:
            raise UserError(f"--only {name}: there is no such article or run; there are {', '.join(plan)}")
        wanted |= {run.key for run in hits} | {run.needs.key for run in hits if run.needs}
    return [run for key, run in plan.items() if key in wanted]


def record(path, all_runs, preset, chosen):
    """Writes `reproduction.json`: how every run stands, with paths relative to its folder.

    What is not finished and was not asked for now stays as it was written last: with another preset, or elsewhere.
    """
    here = lambda name: os.path.relpath(ROOT / name, path.parent)
    rows = {
        run.key: {
            "state": run.state,
            "why": run.reason,
            "command": f"python {shlex.join(run.command)}",
            "seconds": round(run.seconds, 1),
            "directory": here(found) if run.state == "finished" and (found := run.output_dir()) else None,
            "log": here(run.log),
            "preset": run.preset if isinstance(run.spec["minutes"], dict) else None,
            "dataset": run.data,
            "fallback": run.data != run.spec.get("dataset"),
        }
        for run in all_runs.values()
    }
    kept = recorded(path)["runs"]
    for key in rows.keys() & kept.keys() - {run.key for run in chosen}:
        if rows[key]["state"] != "finished":
            rows[key] = kept[key]
    write_json(path, {"preset": preset, "runs": rows})


def recorded(path):
    """What `record` wrote; as of no run where there is no such file, or a damaged one."""
    try:
        found = read_json(path)
        return {"preset": found["preset"], "runs": dict(found["runs"])}
    except (UserError, KeyError, TypeError, ValueError):
        return {"preset": "quick", "runs": {}}


def format_duration(seconds):
    """A time, so that one sees its size."""
    for unit, length, least in (("days", 86400, 2), ("hours", 3600, 3), ("minutes", 60, 100 / 60)):
        if seconds >= least * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
