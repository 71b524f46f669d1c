"""A small project whose runs are stubs: nothing is trained, so that running and stopping can be tested in seconds."""

import contextlib
import io
import json
import sys

import imageio.v3 as iio
import numpy as np
import pytest

from common.cli import main
from common.reproduce import __main__ as reproduce
from common.reproduce import plan

STUB = """
import os, shutil, sys, time
from pathlib import Path
action, out = sys.argv[1], Path(sys.argv[2]) / "figures"
if action == "fail": sys.exit("stub: error: no luck today")
if action == "die": print("step 400 of 2000", flush=True); os.kill(os.getpid(), 9)
if action == "wait": print("waiting", flush=True); time.sleep(60)
if action == "wait-for-release":
    deadline = time.monotonic() + 30
    while not Path("release").exists():
        if time.monotonic() > deadline: sys.exit("nobody released it")
        time.sleep(0.01)
    print("released", flush=True)
if action == "alone": os.mkdir("busy"); time.sleep(0.3); os.rmdir("busy")
if action == "deliver": os.rename("delivery", "runs/reproduction/quick/stubs/two")
out.mkdir(parents=True, exist_ok=True)
with open(out / "calls", "a") as calls: calls.write(action)
shutil.copy("stubs/blank.png" if action == "blank" else "stubs/gradient.png", out / "a.png")
if "--format" in sys.argv: (out / f"a.{sys.argv[-1]}").write_text("a")
"""
ARTICLE = '[article]\ntitle = "Stubs"\nplace = 1\nidea = "None."\nlinks = {}\n'


def stub_run(name, action, **more):
    """Return a `[[run]]` table whose script does `action`; `more` replaces or adds entries."""
    entries = {"name": name, "command": f"stubs/stub.py {action} {{out}}/x", "folder": "x"} | more
    lines = "".join(f'{key} = "{value}"\n' for key, value in entries.items())
    return f'[[run]]\n{lines}leaves = ["figures/a.png"]\nminutes = 0.1\n'


def call_main(module, *flags):
    """Return (exit code, stderr) of a program that is called in this process as a user calls it.

    Args:
        module: module with `run` and `make_parser`, such as `common.reproduce.report`.
        *flags: str, its arguments.
    """
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(io.StringIO()) as stderr:
        patch.setattr(sys, "argv", ["program", *flags])
        try:
            main(module.run, module.make_parser(), backend_needed=False)
            code = 0
        except SystemExit as end:
            code = end.code
    return code, stderr.getvalue()


class StubProject:
    """A repository root with one article, "stubs", and the folder `runs`.

    Args:
        root: Path, an empty folder.
    """

    def __init__(self, root):
        self.root = root
        self.out = root / "runs"
        (root / "stubs").mkdir()
        (root / "stubs/stub.py").write_text(STUB)
        blank = np.zeros((8, 8, 3), "uint8")
        iio.imwrite(root / "stubs/blank.png", blank)
        iio.imwrite(root / "stubs/gradient.png", blank + np.arange(8, dtype="uint8")[:, None] * 30)

    def write_list(self, *runs):
        """Make these `[[run]]` tables the article's list."""
        (self.root / "stubs/reproduction.toml").write_text(ARTICLE + "".join(runs))

    def reproduce(self, *flags, out=None):
        """Call `common.reproduce` with these flags and return the exit code."""
        with pytest.raises(SystemExit) as end:
            reproduce.run(reproduce.make_parser().parse_args(["--out", str(out or self.out), *flags]))
        return int(end.value.code)

    def plan(self):
        """Return {key: Run} as a call without flags makes it."""
        return plan.make_plan("quick", "runs")

    def run_dir(self, name):
        """Return the folder of a run with preset quick."""
        return self.out / f"reproduction/quick/stubs/{name}"

    def calls(self, name):
        """Return the actions of all calls that wrote into the present folder of a run, joined."""
        return (self.run_dir(name) / "x/figures/calls").read_text()

    def record(self):
        """Return {key: entry} of `reproduction.json`."""
        return json.loads((self.out / "reproduction.json").read_text())["runs"]

    def states(self):
        """Return {name: state} of `reproduction.json`."""
        return {key.removeprefix("stubs/"): entry["state"] for key, entry in self.record().items()}
