"""What there is to run: the lists of the articles, `<article>/reproduction.toml`, and how each of their runs stands."""

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

from common import datasets
from common.errors import UserError
from common.runs import read_json, write_json
from common.sweep import last_line

ROOT = Path(__file__).parents[1]
PRESETS = ("smoke", "quick", "paper")
SMALL = ("mnist",)  # 11 MB: fetched unasked
# else TensorFlow and JAX take nearly all memory of an accelerator, and a second run finds none
SHARING = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


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
    listed: dict  # the [[run]] of the list
    preset: str
    minutes: float  # declared
    data: str | None
    home: str  # folder that is its alone
    log: str
    needs: "Run | None" = None
    words: str = ""  # of the list for this preset alone
    state: str = "waiting"
    why: str = ""  # it failed, or was not begun
    seconds: float = 0.0  # since it was last begun
    begun: float = 0.0

    def fill(self, text):
        """A text of the list with its placeholders filled: {dataset}, {preset}, {out}, {name of the run it needs}."""
        earlier = {self.needs.listed["name"]: self.needs.found() or "RUN"} if self.needs else {}
        return text.format(dataset=self.data, preset=self.preset, out=self.home, **earlier)

    @property
    def command(self):
        """Words after `python`."""
        return [self.fill(word) for word in shlex.split(f"{self.listed['command']} {self.words}")]

    def found(self):
        """The newest folder with all that it must leave, or None."""
        pattern = self.fill(self.listed["folder"])
        pattern = pattern if self.needs else f"{glob.escape(self.home)}/{pattern}"
        leaves = self.listed["leaves"]
        whole = [p for p in glob.glob(pattern, root_dir=ROOT) if all((ROOT / p / leaf).is_file() for leaf in leaves)]
        return max(whole, key=lambda path: (ROOT / path / leaves[0]).stat().st_mtime, default=None)

    def recognise(self):
        """Finished, if the same command ended well before and all that it left is still there."""
        path = ROOT / self.home / "run.json"
        before = read_json(path) if path.exists() else {}
        ready = not self.needs or self.needs.state == "finished"
        if ready and before.get("command") == self.command and before["seconds"] and self.found():
            self.state, self.seconds = "finished", before["seconds"]

    def make_room(self):
        """Its folder. What another command began there is moved aside: no script goes on with it under other flags."""
        note = ROOT / self.home / "run.json"
        if note.exists() and read_json(note)["command"] != self.command:
            aside = next(p for i in itertools.count(1) if not (p := ROOT / f"{self.home}.old-{i}").exists())
            os.replace(ROOT / self.home, aside)
        write_json(note, {"command": self.command, "seconds": None})

    def start(self, data_dir):
        """Its process, in a group of its own, so that Ctrl-C reaches it through us alone and once."""
        self.make_room()
        self.state, self.begun = "running", time.monotonic()
        with open(ROOT / self.log, "a") as log:
            print("$ python", shlex.join(self.command), file=log, flush=True)
            how = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT, "process_group": 0}
            env = SHARING | os.environ | ({"DATA_DIR": os.path.abspath(data_dir)} if data_dir else {})
            return subprocess.Popen([sys.executable, *self.command], cwd=ROOT, env=env, **how)

    def end(self, code):
        self.seconds = time.monotonic() - self.begun
        if code == 0 and self.found():
            self.state = "finished"
            write_json(ROOT / self.home / "run.json", {"command": self.command, "seconds": self.seconds})
        else:
            self.state = "failed"
            self.why = last_line(ROOT / self.log) if code else f"it did not leave {', '.join(self.listed['leaves'])}"


def at_hand(name, data_dir=None):
    """Whether a data set can be had without a download."""
    if name not in datasets.DATASETS:  # drawn by code, or a folder of the user's
        return True
    spec = datasets.DATASETS[name]
    return any(datasets.find_in(root, spec, name, "train") for root in datasets.roots(data_dir))


def fetch_small(runs, data_dir=None):
    """Downloads what `runs` want and is small, where it is not at hand; where that fails there is the fallback."""
    for name in SMALL:
        if any(run.listed.get("dataset") == name for run in runs) and not at_hand(name, data_dir):
            try:
                datasets.find(name, "train", data_dir)
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
            its = preset if preset in known else "quick"
            own = data = listed.get("dataset")
            if "fallback" in listed:
                data = images or (own if at_hand(own, data_dir) else listed["fallback"])
            home = f"{out}/reproduction/{preset}/{key}" + (f"-{data}" if data != own else "").replace("/", "_")
            needs = plan[f"{article}/{listed['after']}"] if "after" in listed else None
            run = Run(key, listed, its, known[its], data, home, f"{home}/log.txt", needs, listed.get(its, ""))
            run.recognise()
            if run.state != "finished" and "fallback" not in listed and data and not at_hand(data, data_dir):
                run.state, run.why = "not at hand", f"{data} is not on this machine: get {datasets.DATASETS[data].get}"
            plan[key] = run
    return plan


def choose(plan, only):
    """The runs that `only` names, and what they need."""
    wanted = set()
    for name in only.split(",") if only else sorted({key.split("/")[0] for key in plan}):
        hits = [run for key, run in plan.items() if key == name or key.startswith(f"{name}/")]
        if not hits:
            raise UserError(f"--only {name}: there is no such article or run; there are {', '.join(plan)}")
        wanted |= {run.key for run in hits} | {run.needs.key for run in hits if run.needs}
    return [run for key, run in plan.items() if key in wanted]
