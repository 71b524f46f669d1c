"""Runs that a script made by itself: the page shows them, and `make figures` collects their pictures."""

import json
import shutil

import pytest

from common.reproduce import figures, report
from tests.helpers.page import Page
from tests.helpers.stub_project import ARTICLE, call_main

LIST = """
[[run]]
name = "train"
command = "stubs/train.py --loss a --dataset {dataset} --preset {preset} --out {out} --resume"
folder = "stubs/*"
leaves = ["results.json", "figures/a.png"]
minutes = { quick = 1 }
dataset = "mnist"
fallback = "toy_faces"
[[run]]
name = "faces"
command = "stubs/train.py --loss a --dataset {dataset} --preset {preset} --out {out} --resume"
folder = "stubs/*"
leaves = ["results.json", "figures/a.png"]
minutes = { quick = 1 }
dataset = "lfw"
[[run]]
name = "after"
command = "stubs/after.py {train}"
after = "train"
folder = "{train}/after"
leaves = ["b.png"]
minutes = 1
[[figure]]
caption = "6409-F1"
run = "train"
file = "figures/a.png"
ours = "Samples of the stub"
[[figure]]
caption = "6409-F2"
run = "faces"
file = "figures/a.png"
ours = "Faces of the stub"
[[figure]]
caption = "6409-F3"
run = "after"
file = "b.png"
ours = "What comes after"
"""


@pytest.fixture
def train(project):
    """Return a function that writes what a training by hand leaves, and returns its folder."""
    (project.root / "stubs/reproduction.toml").write_text(ARTICLE + LIST)

    def train(name, flags, dataset, results=None):
        folder = project.out / "stubs" / name
        (folder / "figures").mkdir(parents=True)
        shutil.copy(project.root / "stubs/gradient.png", folder / "figures/a.png")
        command = f"python /somewhere/stubs/train.py {flags}"
        config = {"command": command, "flags": {"dataset": dataset, "preset": "quick"}, "versions": {}}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "results.json").write_text(json.dumps(results or {"metrics": {"train_seconds": 120}}))
        return folder

    return train


def shown(project, *only):
    return Page(report.render(project.out, *only))


def test_a_run_of_the_listed_command_is_shown_as_that_run(train, project):
    folder = train("x", "--loss a --dataset toy_faces --steps 5 --seed 3", "toy_faces")
    (folder / "after").mkdir()
    shutil.copy(project.root / "stubs/gradient.png", folder / "after/b.png")
    page = shown(project)
    first, faces, after = page.figures.values()
    assert first["pictures"] == ["../stubs/x/figures/a.png"] and after["pictures"] == ["../stubs/x/after/b.png"]
    assert "preset quick, on toy_faces instead of mnist" in first["text"]
    assert not faces["pictures"] and "missing" in faces["text"], "no data set may stand in for the faces"
    assert "finished stubs/train preset quick, on toy_faces, 2 minutes" in page.text
    newer = train("y", "--loss a --dataset lfw", "lfw")
    first, faces, _ = shown(project).figures.values()
    assert faces["pictures"] == [f"../stubs/{newer.name}/figures/a.png"]


@pytest.mark.parametrize("flags", ["--loss b", "--loss a --width 3", "", "--no-loss --loss a"])
def test_a_run_with_other_flags_is_shown_below_the_listed_ones(train, project, flags):
    train("x", flags, "mnist")
    page = shown(project)
    assert not page.figures["stubs/train/figures/a.png"]["pictures"]
    assert "finished stubs/x preset quick, on mnist, 2 minutes" in page.text
    assert "../stubs/x/figures/a.png" in [attrs["src"] for _, attrs in page.all("img")]


def test_a_comparison_is_one_run_and_its_trainings_are_none(train, project):
    comparison = train("compare", "--loss c", "mnist", {"metrics": {}, "seeds": 1, "train_flags": []})
    shutil.copytree(comparison, comparison / "a-0/stubs/run")
    text = shown(project).text
    assert "finished stubs/compare" in text and "a-0" not in text


def test_exported_samples_are_no_run(train, project):
    folder = train("x", "--loss b", "mnist")
    (folder / "export").mkdir()
    shutil.copy(project.root / "stubs/gradient.png", folder / "export/00000.png")
    page = shown(project)
    assert "finished stubs/x " in page.text and "export" not in str(page.all("img"))


def test_only_what_is_asked_for_is_on_the_page(train, project):
    train("x", "--loss a --dataset lfw", "lfw")
    page = shown(project, "stubs/faces")
    assert page.figures.keys() == {"stubs/faces/figures/a.png"} and page.runs.keys() == {"stubs-faces"}
    code, error = call_main(report, "--out", str(project.out), "--only", "stubs/none")
    assert code == 2 and "no such article or run" in error and error.count("\n") == 1


def test_figures_are_collected_with_their_captions(train, project):
    folder = train("x y", "--loss a --dataset lfw", "lfw")
    (folder / "figures/a.svg").write_text("<svg/>")
    (folder / "figures/a.gif").write_text("gif")
    assert call_main(figures, "--out", str(project.out))[0] == 0
    names = {path.name for path in (project.out / "figures").iterdir()}
    assert names == {"index.md", *(f"stubs-x_y-a.{ending}" for ending in ("png", "svg", "gif"))}
    index = (project.out / "figures/index.md").read_text()
    assert "![Samples of the stub](<stubs-x_y-a.png>)" in index and "From `stubs/x y/figures/a.png`." in index
    assert "stubs/a.png" not in shown(project).text, "the collected figures are no run"
    figures.collect(project.out, "zh")
    index = (project.out / "figures/index.md").read_text(encoding="utf-8")
    assert index.startswith("# 图\n") and "Samples of the stub。来自 `stubs/x y/figures/a.png`。" in index
