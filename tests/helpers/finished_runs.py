"""A project with three finished runs, for tests that damage their files."""

import json
import shutil

from common.reproduce import report
from tests.helpers.page import Page
from tests.helpers.stub_project import ARTICLE

RUN = """[[run]]
name = "{name}"
command = "stubs/stub.py"
folder = "*"
leaves = ["results.json", "figures/a.png"]
minutes = {{ quick = 1 }}
dataset = "mnist"
fallback = "toy_faces"
[[figure]]
caption = "{name}"
run = "{name}"
file = "figures/a.png"
ours = "ours"
[[number]]
what = "{name}"
published = "1"
protocol = "p"
readme = "2"
run = "{name}"
key = "fid"
preset = "quick"
"""
NAMES = ("training", "comparison", "sound")
VERSIONS = {"keras": "3.15"}
CONFIG = {"flags": {"loss": "rsgan"}, "versions": VERSIONS, "git_commit": "abc", "images": 300}
FILES = {  # path below the folder of the runs -> content
    "training/results.json": {"metrics": {"fid": 1.5}, "references": {}, "versions": VERSIONS, "git_commit": "abc"},
    "training/config.json": CONFIG,
    "comparison/results.json": {
        "metrics": {"fid": 2.5},
        "seeds": 1,
        "train_flags": ["--steps"],
        "failed": {"sgan-0": "no luck"},
    },
    "comparison/sgan-0/x/config.json": CONFIG,
    "sound/results.json": {"metrics": {"fid": 3.5}},
}
ENTRY = {
    "state": "finished",
    "why": "",
    "command": "python x",
    "seconds": 60.0,
    "directory": "training",
    "log": "training/log.txt",
    "preset": "quick",
    "dataset": "mnist",
    "fallback": False,
}
RECORD = {"preset": "quick", "runs": {f"stubs/{name}": ENTRY | {"directory": name} for name in NAMES}}


def write_finished_runs(project):
    """Write the list, the runs and `reproduction.json` into a `StubProject` and return the folder of the runs."""
    (project.root / "stubs/reproduction.toml").write_text(ARTICLE + "".join(RUN.format(name=name) for name in NAMES))
    for name in NAMES:
        (project.out / name / "figures").mkdir(parents=True)
        shutil.copy(project.root / "stubs/gradient.png", project.out / name / "figures/a.png")
    for path, content in {**FILES, "reproduction.json": RECORD}.items():
        (project.out / path).parent.mkdir(parents=True, exist_ok=True)
        (project.out / path).write_text(json.dumps(content))
    return project.out


def run_cards(out):
    """Return {name: text of the run's card} of the page, after checks that hold whatever is damaged."""
    html = report.render(out)
    html.encode()
    page = Page(html)
    assert page.figures.keys() == {f"stubs/{name}/figures/a.png" for name in NAMES}
    return {card.removeprefix("stubs-"): " ".join(text.split()) for card, text in page.runs.items()}
