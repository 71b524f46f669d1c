"""Runs everything that the lists of the articles name, `<article>/reproduction.toml`, in order.

    python -m common.reproduce --preset quick
    python -m common.reproduce --only ogan,flow/mixing      # these, and what they need
    python -m common.reproduce --check                      # is every listed picture there, and not blank?

A run trains on the article's own data where that is found without a download, else on its fallback, which is drawn by
code; one that has none is left out. Each has a folder `<out>/reproduction/<preset>/<run>/` with its `log.txt`. What is
finished is not done again, what fails is named at the end. `<out>/reproduction.json` says how every run stands.
"""

import contextlib
import glob
import os
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

from common import datasets
from common.cli import Parser, dataset, main, positive_int
from common.errors import UserError
from common.runs import read_json, write_json
from common.sweep import last_line

ROOT = Path(__file__).parents[1]
PRESETS = ("smoke", "quick", "paper")
PATIENCE = 60  # seconds that a run has to save what it has when it is stopped
NEWS = 60  # seconds between two lines about what is going on
# else TensorFlow and JAX take nearly all memory of an accelerator, and a second run finds none
SHARING = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}


def flags():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    add = p.add_argument
    add("--preset", choices=PRESETS, default="quick", help="of every run that knows it (default quick)")
    add("--dataset", type=dataset, help="images for every run that has a fallback, in place of the article's own")
    add("--data-dir", help="where your downloads lie (else $DATA_DIR, the Keras cache)")
    add("--only", help="articles or runs, separated by commas: ogan,flow/mixing")
    add("--jobs", type=positive_int, help="runs at a time (default 2; 1 with --preset paper)")
    add("--out", default="runs", help="folder that holds the run directories (default runs)")
    add("--check", action="store_true", help="run nothing: exit code 1 if a listed picture is missing or blank")
    return p


# the lists


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
        if ready and before.get("command") == self.command and self.found():
            self.state, self.seconds = "finished", before["seconds"]

    def start(self, data_dir):
        """Its process, in a group of its own, so that Ctrl-C reaches it through us alone and once."""
        (ROOT / self.home).mkdir(parents=True, exist_ok=True)
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


# running them


def carry_out(runs, jobs, data_dir, note):
    """Runs what waits, `jobs` at a time, in order, and goes on when one fails. `note()` is called at every change."""
    going, told = {}, time.monotonic()

    def say(run, what):
        print(f"[{settled(runs):2d}/{len(runs)}] {run.key}: {what}", flush=True)
        note()

    note()
    try:
        while going or any(run.state == "waiting" for run in runs):
            for run in (run for run in runs if run.state == "waiting"):
                if run.needs and run.needs.state in ("failed", "not at hand", "held up"):
                    run.state, run.why = "held up", f"it needs {run.needs.key}"
                    say(run, f"held up, {run.why}")
                elif len(going) < jobs and (not run.needs or run.needs.state == "finished"):
                    going[run.key] = run, run.start(data_dir)
                    say(run, f"begun{f' on {run.data}' if run.data else ''}; {run.log}")
            time.sleep(0.1)
            for run, process in [pair for pair in going.values() if pair[1].poll() is not None]:
                del going[run.key]
                run.end(process.returncode)
                what = "finished" if run.state == "finished" else f"FAILED, {run.why}"
                say(run, f"{what}, after {run.seconds / 60:.1f} min; {time_left(runs, jobs)}")
                told = time.monotonic()
            if time.monotonic() - told > NEWS:
                told = time.monotonic()
                print(f"        {', '.join(going)} going on; {time_left(runs, jobs)}", flush=True)
    except KeyboardInterrupt:
        print("\nstopping: what is being trained is saved", flush=True)
        raise KeyboardInterrupt(f"{settled(runs)} of {len(runs)} runs are done; the same command goes on") from None
    finally:
        stop([process for _, process in going.values()])
        for run, _ in going.values():
            run.state = "waiting"
        note()


def settled(runs):
    return sum(run.state not in ("waiting", "running") for run in runs)


def time_left(runs, jobs):
    """In words: the declared minutes of what is not done, at the pace of what was measured."""
    measured = [run for run in runs if run.seconds and run.state == "finished"]
    pace = sum(run.seconds for run in measured) / sum(60 * run.minutes for run in measured) if measured else 1.0
    left = sum(60 * pace * run.minutes for run in runs if run.state == "waiting")
    going = [60 * pace * run.minutes - (time.monotonic() - run.begun) for run in runs if run.state == "running"]
    left += sum(max(0, seconds) for seconds in going)
    return f"about {max(1, round(left / jobs / 60))} min left" if left else "nothing left"


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


def record(path, plan, preset):
    """Writes `reproduction.json`: how every run stands, with paths relative to its folder."""
    here = lambda name: os.path.relpath(ROOT / name, path.parent)
    rows = {
        run.key: {
            "state": run.state,
            "why": run.why,
            "command": f"python {shlex.join(run.command)}",
            "seconds": round(run.seconds, 1),
            "directory": here(run.found()) if run.state == "finished" else None,
            "log": here(run.log),
            "preset": run.preset if isinstance(run.listed["minutes"], dict) else None,
            "dataset": run.data,
            "fallback": run.data != run.listed.get("dataset"),
        }
        for run in plan.values()
    }
    write_json(path, {"preset": preset, "runs": rows})


def faults(runs):
    """What is wrong with the listed pictures, in words. A picture is blank if it is all of nearly one colour."""
    import imageio.v3 as iio

    for run in (run for run in runs if run.state != "not at hand"):
        where = run.found()
        if not where:
            yield f"{run.key}: {', '.join(run.listed['leaves'])} not all there; {run.log}"
            continue
        for leaf in run.listed["leaves"]:
            if leaf.endswith((".png", ".gif")) and iio.imread(ROOT / where / leaf).std() <= 1:
                yield f"{run.key}: {where}/{leaf} is blank"


def run(args):
    out = os.path.relpath(args.out, ROOT)
    plan = make_plan(args.preset, out, args.dataset, args.data_dir)
    runs = choose(plan, args.only)
    if args.check:
        found = list(faults(runs))
        print(*found or [f"the pictures of all {len(runs)} runs are there, but of those without data"], sep="\n")
        sys.exit(bool(found))

    print(f"{len(runs)} runs, {settled(runs)} of them done or without data; preset {args.preset}", flush=True)
    jobs, path = args.jobs or (1 if args.preset == "paper" else 2), ROOT / out / "reproduction.json"
    # both stop us, and what we start hears SIGINT again where a shell made its background jobs deaf to it
    before = {sign: signal.signal(sign, signal.default_int_handler) for sign in (signal.SIGINT, signal.SIGTERM)}
    try:
        carry_out(runs, jobs, args.data_dir, lambda: record(path, plan, args.preset))
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
    for other in runs:
        if other.state != "finished":
            print(f"{other.key}: {other.state}, {other.why}" + f"; {other.log}" * (other.state == "failed"))
    print(f"{sum(r.state == 'finished' for r in runs)} of {len(runs)} runs are finished; make compare shows them")
    sys.exit(any(other.state == "failed" for other in runs))


if __name__ == "__main__":
    main(run, flags())
