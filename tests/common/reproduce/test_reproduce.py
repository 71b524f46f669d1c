"""The lists of the articles, and what runs them. Nothing here trains: the runs are stubs."""

import json
import os
import shutil
import signal
import string
import subprocess
import sys
import time

import pytest

from common.errors import UserError
from common.reproduce import __main__ as reproduce
from common.reproduce import plan, report
from tests.helpers.commands import LISTS, parser_of, rest_of
from tests.helpers.scripts import ROOT

RUNS = [(folder, run) for folder, content in LISTS.items() for run in content["run"]]
KEYS = {
    "article": ({"title", "place", "idea", "links"}, set()),
    "run": (
        {"name", "command", "folder", "leaves", "minutes"},
        {"dataset", "fallback", "after", "smoke", "quick", "paper"},
    ),
    "figure": ({"caption", "ours"}, {"run", "file", "blog", "committed", "kept"}),
    "claim": ({"says", "verdict", "numbers", "link"}, set()),
    "number": ({"what", "published", "protocol", "readme"}, {"run", "key", "preset", "steps"}),
}


# the lists


@pytest.mark.parametrize("folder", LISTS)
def test_a_list_is_well_formed(folder):
    content = LISTS[folder]
    assert content.keys() <= {*KEYS, "not_run"}
    for kind, (needed, allowed) in KEYS.items():
        for entry in [content["article"]] if kind == "article" else content.get(kind, []):
            assert needed <= entry.keys() <= needed | allowed, f"[[{kind}]] {entry}"
    runs = {run["name"]: run for run in content["run"]}
    assert len(runs) == len(content["run"]), "names are told apart"
    for figure in content.get("figure", []):
        assert ("run" in figure) == ("file" in figure) and ("run" in figure or "blog" in figure)
        assert "run" not in figure or figure["file"] in runs[figure["run"]]["leaves"]
        assert figure.get("blog", "https://kexue.fm/").startswith("https://kexue.fm/")
        assert "committed" not in figure or (ROOT / folder / "figures" / figure["committed"]).is_file()
    assert {claim["verdict"] for claim in content.get("claim", [])} <= set(report.VERDICTS)
    for number in content.get("number", []):
        assert ("run" in number) == ("key" in number) == ("preset" in number)
        assert number.get("run") in {None, *runs}


# how many figures an article has
NUMBERED = {"5776": range(1, 6), "5807": range(17), "6110": range(1, 2), "6316": range(1, 6), "6409": range(1, 13)}


def test_every_figure_of_the_articles_is_listed_once():
    captions = [figure["caption"] for content in LISTS.values() for figure in content.get("figure", [])]
    numbered = [caption.split(":")[0] for caption in captions if not caption.startswith("No figure of the blog: ")]
    assert sorted(numbered) == sorted(f"{article}-F{n}" for article, of in NUMBERED.items() for n in of)
    assert len(set(captions)) == len(captions), "captions are told apart"


def test_every_figure_of_the_blog_has_its_address():
    for content in LISTS.values():
        for figure in content.get("figure", []):
            own = figure["caption"].startswith("No figure of the blog: ")
            assert ("blog" in figure) != own, figure["caption"]


# too long for a list that is gone through as a whole; their README has the commands
ON_REQUEST = {"energy_gan/25gaussians-none-maps.png", "rsgan/mnist-samples-all.png"}


@pytest.mark.parametrize("folder", LISTS)
def test_every_kept_picture_is_listed(folder):
    kept = {f"{folder}/{figure.get('committed')}" for figure in LISTS[folder].get("figure", [])}
    there = {f"{folder}/{path.name}" for path in (ROOT / folder / "figures").iterdir()}
    assert there <= kept | ON_REQUEST
    for name in there & ON_REQUEST:
        assert f"figures/{name.split('/')[1]}" in (ROOT / folder / "README.md").read_text()


@pytest.mark.parametrize("folder", LISTS)
def test_links_lead_to_headings_of_the_readme(folder):
    claims = LISTS[folder].get("claim", [])
    if not claims:
        pytest.skip(f"{folder} lists no claims")
    lines = [line for line in (ROOT / folder / "README.md").read_text().splitlines() if line.startswith("#")]
    kept = string.ascii_lowercase + string.digits + " -_"
    anchors = {"".join(c for c in line.lstrip("# ").lower() if c in kept).replace(" ", "-") for line in lines}
    assert {claim["link"] for claim in claims} <= anchors


def test_every_script_is_run_or_said_not_to_be():
    scripts = {
        str(p.relative_to(ROOT)) for f in LISTS for p in (ROOT / f).glob("*.py") if "\n    main(run" in p.read_text()
    }
    run = {listed["command"].split()[0] for _, listed in RUNS}
    not_run = {f"{folder}/{name}" for folder, content in LISTS.items() for name in content.get("not_run", {})}
    assert run | not_run == scripts and not run & not_run
    assert {p.parent.name for p in ROOT.glob("*/train.py")} <= LISTS.keys(), "every article has a list"


@pytest.mark.parametrize("preset", plan.PRESETS)
def test_flows_can_halve_their_images(preset):
    """Said at run time only: 28 pixels have two halves, and the article's Glow has three scales."""
    from common.cli import apply_preset
    from flow import glow, nice
    from flow.training.run_images import image_size

    for key, run in plan.make_plan(preset, "runs", "mnist").items():
        script, *words = run.command
        module = {"flow/glow.py": glow, "flow/compare.py": glow, "flow/nice.py": nice}.get(script)
        if module:
            if script == "flow/compare.py":
                words = parser_of(script)[0]().parse_known_args(words)[1]
            args = apply_preset(
                module.make_parser().parse_args([*words, "--dataset", "mnist"]), module.make_parser(), module.PRESETS
            )
            args.levels = getattr(args, "levels", 0)
            assert image_size(args) % 2**args.levels == 0, key


@pytest.mark.parametrize("preset", plan.PRESETS)
def test_the_scripts_know_every_flag_of_the_commands(preset):
    runs = plan.make_plan(preset, "runs")
    for folder, listed in RUNS:
        command = runs[f"{folder}/{listed['name']}"].command
        assert not rest_of(command), f"{command[0]} does not know {rest_of(command)}"


def test_a_run_that_needs_another_comes_after_it():
    for folder, content in LISTS.items():
        before = set()
        for run in content["run"]:
            assert run.get("after", None) in {None, *before}, f"{folder}/{run['name']}"
            before.add(run["name"])


def test_data_is_the_articles_own_where_it_is_at_hand(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("DATA_DIR", raising=False)
    runs = plan.make_plan("smoke", "runs")
    assert runs["flow/nice"].data == "toy_faces" and runs["flow/nice"].state == "waiting"
    assert runs["flow/glow-mnist"].state == "not at hand" and "mnist.npz" in runs["flow/glow-mnist"].reason
    (tmp_path / "mnist.npz").write_bytes(b"only looked for, not read")
    runs = plan.make_plan("smoke", "runs", data_dir=tmp_path)
    assert runs["flow/nice"].data == runs["flow/glow-mnist"].data == "mnist"
    assert runs["flow/glow-mnist"].state == "waiting"
    runs = plan.make_plan("smoke", "runs", images="lfw", data_dir=tmp_path)
    assert runs["flow/nice"].data == "lfw", "what was asked for"
    assert runs["flow/glow-mnist"].data == "mnist", "has no fallback: keeps its own"


def test_what_is_small_is_fetched_and_what_fails_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("DATA_DIR", raising=False)
    asked = []

    def find(name, split, data_dir=None):
        asked.append(name)
        raise UserError("no network here")

    monkeypatch.setattr(plan.catalog, "find", find)
    runs = plan.make_plan("smoke", "runs")
    plan.download_small([runs["ogan/train"], runs["energy_gan/landscape"]])
    plan.download_small([runs["flow/nice"]], "toy_faces")
    assert not asked, "nobody wants it, and faces are large"
    plan.download_small([runs["rsgan/modes"]])
    assert asked.pop() == "mnist", "stacked digits are made of it"
    plan.download_small([runs["flow/nice"], runs["flow/glow-mnist"]])
    assert asked == ["mnist"] and capsys.readouterr().out == 2 * "no network here; going on without it\n"
    (tmp_path / "mnist.npz").write_bytes(b"only looked for, not read")
    plan.download_small([runs["flow/nice"]], data_dir=tmp_path)
    assert asked == ["mnist"], "at hand"


# running them

STUB = """
import sys, time, numpy as np, imageio.v3 as iio
from pathlib import Path
what, out = sys.argv[1], Path(sys.argv[2]) / "figures"
if what == "fail": sys.exit("stub: error: no luck today")
if what == "die": print("step 400 of 2000", flush=True); __import__("os").kill(__import__("os").getpid(), 9)
if what == "nap": time.sleep(1); print("awake", flush=True)
if what == "wait": print("waiting", flush=True); time.sleep(60)
out.mkdir(parents=True, exist_ok=True)
with open(out / "calls", "a") as calls: calls.write(what)
picture = np.zeros((8, 8, 3), "uint8")
iio.imwrite(out / "a.png", picture if what == "blank" else picture + np.arange(8, dtype="uint8")[:, None] * 30)
"""
HEAD = '[article]\ntitle = "Stubs"\nplace = 1\nidea = "None."\nlinks = {}\n'


def listed(name, what, **more):
    lines = {"name": name, "command": f"stubs/stub.py {what} {{out}}/x", "folder": "x"} | more
    text = "".join(f'{key} = "{value}"\n' for key, value in lines.items())
    return f'[[run]]\n{text}leaves = ["figures/a.png"]\nminutes = 0.1\n'


@pytest.fixture
def stubs(tmp_path, monkeypatch):
    """A function that makes a project of the runs given; what it returns runs them and gives the exit code."""
    monkeypatch.setattr(plan, "ROOT", tmp_path)
    (tmp_path / "stubs").mkdir()
    (tmp_path / "stubs/stub.py").write_text(STUB)

    def make(*runs):
        (tmp_path / "stubs/reproduction.toml").write_text(HEAD + "".join(runs))

        def go(*words):
            with pytest.raises(SystemExit) as end:
                reproduce.run(reproduce.make_parser().parse_args(["--out", str(tmp_path / "runs"), *words]))
            return int(end.value.code)

        return go

    return make


def records(tmp_path):
    return json.loads((tmp_path / "runs/reproduction.json").read_text())["runs"]


def test_one_fails_and_the_others_go_on(stubs, tmp_path, capsys):
    late = listed("late", "late", after="good", command="stubs/stub.py late {good}/late", folder="{good}/late")
    held = listed("held", "held", after="bad")
    go = stubs(listed("bad", "fail"), held, listed("good", "good"), late)
    assert go("--jobs", "2") == 1
    said = capsys.readouterr().out
    assert "stubs/bad: failed, stub: error: no luck today; runs/reproduction/quick/stubs/bad/log.txt" in said
    assert "about 60 seconds left" in said and "[ 4/4]" in said
    states = {key: record["state"] for key, record in records(tmp_path).items()}
    assert states == {
        "stubs/bad": "failed",
        "stubs/held": "held up",
        "stubs/good": "finished",
        "stubs/late": "finished",
    }
    late = records(tmp_path)["stubs/late"]
    assert late["directory"] == "reproduction/quick/stubs/good/x/late"
    assert late["command"] == "python stubs/stub.py late runs/reproduction/quick/stubs/good/x/late"


def test_what_is_finished_is_not_done_again(stubs, tmp_path):
    go = stubs(listed("one", "1"), listed("two", "2"))
    calls = lambda name: (tmp_path / f"runs/reproduction/quick/stubs/{name}/x/figures/calls").read_text()
    assert go("--only", "stubs/one") == 0
    assert {key: r["state"] for key, r in records(tmp_path).items()} == {
        "stubs/one": "finished",
        "stubs/two": "waiting",
    }
    assert go() == go() == 0
    assert (calls("one"), calls("two")) == ("1", "2")
    (tmp_path / "runs/reproduction/quick/stubs/two/x/figures/a.png").unlink()
    go = stubs(listed("one", "3"), listed("two", "2"))
    assert go() == 0
    assert (calls("one"), calls("two")) == ("3", "22"), "another command begins afresh, a picture that is gone does not"
    old = tmp_path / "runs/reproduction/quick/stubs/one.old-1"
    assert (old / "x/figures/calls").read_text() == "1", "what the other command left is kept"


def test_what_another_command_only_began_is_not_gone_on_with(stubs, tmp_path):
    where = tmp_path / "runs/reproduction/quick/stubs/one"
    assert stubs(listed("one", "fail"))() == 1
    assert not json.loads((where / "run.json").read_text())["finished"]
    (where / "half").write_text("")
    go = stubs(listed("one", "good"))
    assert go() == go() == 0
    assert not (where / "half").exists() and (where.with_name("one.old-1") / "half").exists()
    assert (where / "x/figures/calls").read_text() == "good", "once"


def test_several_machines_can_share_a_folder(stubs, tmp_path, monkeypatch):
    go = stubs(listed("one", "1"), listed("two", "2"))
    assert go("--only", "stubs/two") == 0
    was = plan.make_plan

    def planned(*asked):  # when the other one has not done its part yet
        runs = was(*asked)
        runs["stubs/two"].state = "waiting"
        return runs

    monkeypatch.setattr(plan, "make_plan", planned)
    assert go("--only", "stubs/one") == 0
    assert {record["state"] for record in records(tmp_path).values()} == {"finished"}


def test_what_was_asked_for_before_stays_on_record(stubs, tmp_path):
    bad = listed("bad", "fail").replace("minutes = 0.1", "minutes = { quick = 0.1, paper = 0.1 }")
    go = stubs(listed("one", "1"), listed("two", "2"), bad)
    assert go() == 1
    before = records(tmp_path)
    assert go("--preset", "paper", "--only", "stubs/one") == 0
    assert records(tmp_path)["stubs/two"] == before["stubs/two"], "finished with another preset"
    assert records(tmp_path)["stubs/bad"] == before["stubs/bad"], "and failed with it"
    assert records(tmp_path)["stubs/one"]["directory"] == "reproduction/paper/stubs/one/x"


def test_a_folder_of_runs_may_be_moved(stubs, tmp_path):
    go = stubs(
        listed("one", "1"), listed("late", "2", after="one", command="stubs/stub.py 2 {one}/y", folder="{one}/y")
    )
    assert go() == 0
    moved = tmp_path / "deeper [1]/moved"  # nor do brackets and blanks in a path matter
    moved.parent.mkdir()
    (tmp_path / "runs").rename(moved)
    with pytest.raises(SystemExit) as end:
        reproduce.run(reproduce.make_parser().parse_args(["--out", str(moved)]))
    assert end.value.code == 0
    home = moved / "reproduction/quick/stubs"
    assert (home / "one/x/figures/calls").read_text() == "1" and (home / "one/x/y/figures/calls").read_text() == "2"
    assert not list(home.glob("*.old-*"))


@pytest.mark.parametrize("damage", ["", "[]", "null", "{}", '{"finished": true}'])
def test_a_damaged_note_costs_one_run(stubs, tmp_path, damage):
    go = stubs(listed("one", "1"), listed("two", "2"))
    assert go() == 0
    home = tmp_path / "runs/reproduction/quick/stubs"
    (home / "one/run.json").write_text(damage)
    assert go() == 0
    calls = [(home / f"{name}/x/figures/calls").read_text() for name in ("one", "two")]
    assert calls == ["11", "2"]


def test_two_runs_never_share_a_folder():
    for images in (None, *plan.catalog.DATASETS, "toy_faces", "folder:/a/b"):
        homes = [run.run_dir for run in plan.make_plan("quick", "runs", images).values()]
        assert len(set(homes)) == len(homes), images


def test_a_run_that_outlived_who_began_it_is_waited_for(stubs, tmp_path, capsys):
    go = stubs(listed("slow", "nap"), listed("next", "good"))
    slow = plan.make_plan("quick", "runs")["stubs/slow"]
    outlived = slow.start(None)  # and nobody will note its end
    assert go() == 0
    said = capsys.readouterr().out
    assert outlived.wait() == 0
    assert "stubs/slow: still going on, begun by another; waiting for it" in said
    log = (tmp_path / slow.log).read_text()
    assert log.index("nap") < log.index("awake") < log.rindex("$ python"), "the second began when the first had ended"


def test_a_killed_run_says_so(stubs, tmp_path):
    assert stubs(listed("gone", "die"))() == 1
    assert records(tmp_path)["stubs/gone"]["why"] == "killed by signal 9; the last it printed: step 400 of 2000"


def test_a_finished_run_that_disappears_is_no_ones_end(stubs, tmp_path, monkeypatch):
    go = stubs(listed("one", "1"), listed("two", "2"))
    assert go("--only", "stubs/one") == 0
    plain = plan.Run.start

    def start(run, data_dir):
        shutil.rmtree(tmp_path / "runs/reproduction/quick/stubs/one", ignore_errors=True)
        return plain(run, data_dir)

    monkeypatch.setattr(plan.Run, "start", start)
    assert go() == 0
    assert records(tmp_path)["stubs/two"]["state"] == "finished"


def test_names_may_have_blanks_between_them(stubs):
    go = stubs(listed("one", "1"), listed("two", "2"))
    assert go("--only", " stubs/one, stubs/two,") == 0


def test_a_blank_or_missing_picture_is_found(stubs, capsys):
    go = stubs(listed("good", "good"), listed("empty", "blank"))
    assert go("--check") == 1
    assert "figures/a.png not all there" in capsys.readouterr().out
    assert go() == 0
    capsys.readouterr()
    assert go("--check") == 1
    assert (
        capsys.readouterr().out.strip() == "stubs/empty: runs/reproduction/quick/stubs/empty/x/figures/a.png is blank"
    )
    assert go("--check", "--only", "stubs/good") == 0


def test_a_run_that_leaves_nothing_has_failed(stubs, tmp_path):
    assert stubs(listed("lost", "good", folder="elsewhere"))() == 1
    assert records(tmp_path)["stubs/lost"]["why"] == "it did not leave figures/a.png"


def test_wrong_names_get_one_line(stubs, tmp_path):
    go = stubs(listed("one", "1"))
    with pytest.raises(UserError, match="--only stubs/onne: there is no such article or run; there are stubs/one"):
        reproduce.run(reproduce.make_parser().parse_args(["--out", str(tmp_path / "runs"), "--only", "stubs/onne"]))
    (tmp_path / "stubs/reproduction.toml").write_text("[article")
    with pytest.raises(UserError, match=r"cannot read .*reproduction.toml"):
        go()


def test_ctrl_c_ends_what_was_started_and_says_how_to_go_on(stubs, tmp_path):
    stubs(listed("slow", "wait"), listed("next", "wait"))
    code = "from common.reproduce import plan as p, __main__ as r; from pathlib import Path; "
    code += f"p.ROOT = Path({str(tmp_path)!r})\n"
    code += "try: r.run(r.make_parser().parse_args(['--out', p.ROOT.joinpath('runs').as_posix()]))\n"
    code += "except KeyboardInterrupt as stop: print(stop)"
    ours = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    log = tmp_path / "runs/reproduction/quick/stubs/slow/log.txt"
    while ours.poll() is None and not (log.exists() and "\nwaiting" in log.read_text()):
        time.sleep(0.05)
    ours.send_signal(signal.SIGTERM)
    said, _ = ours.communicate(timeout=20)
    assert said.rstrip().endswith("0 of 2 runs are done; the same command goes on")
    assert "KeyboardInterrupt" in log.read_text(), "the run was told, and has ended"
    assert records(tmp_path)["stubs/slow"]["state"] == "waiting"


def test_the_time_left_goes_by_what_was_measured():
    run = lambda state, seconds: plan.Run("a/b", {}, "quick", 10.0, None, "x", "x/log", state=state, seconds=seconds)
    assert reproduce.time_left([run("waiting", 0.0)] * 6, 2) == "about 30 minutes left"
    runs = [run("finished", 1200.0), *[run("waiting", 0.0)] * 6]
    assert reproduce.time_left(runs, 1) == "about 120 minutes left", "twice as slow as declared"
    assert reproduce.time_left([run("waiting", 300.0)], 1) == "about 5 minutes left", "half of it was done before"
    late = run("running", 0.0)
    late.started_at = time.monotonic() - 3600
    assert reproduce.time_left([late], 1) == "about 60 seconds left", "not nothing, while it goes on"
    assert [plan.format_duration(s) for s in (99, 100, 9000, 15000, 86400 * 3)] == [
        "99 seconds",
        "2 minutes",
        "150 minutes",
        "4 hours",
        "3 days",
    ]
    assert reproduce.time_left(runs[:1], 1) == "nothing left"


def test_the_makefile_hands_its_words_on():
    words = ["PRESET=smoke", "DATASET=lfw", "ONLY=ogan,flow/nice", "DATA_DIR=a b", "OUT=x", "JOBS=2"]
    env = {k: v for k, v in os.environ.items() if k not in ("DATA_DIR", "OUT", "DATASET", "MAKEFLAGS")}
    done = subprocess.run(["make", "-n", "reproduce-all", *words], cwd=ROOT, env=env, capture_output=True, text=True)
    (line,) = [line for line in done.stdout.splitlines() if "common.reproduce" in line]  # make names folders, too
    asked = " ".join(line.partition("common.reproduce")[2].split())
    assert asked == '--preset "smoke" --dataset "lfw" --only "ogan,flow/nice" --data-dir "a b" --jobs "2" --out "x"'
