"""Running, sharing and stopping the runs of a list. The runs are stubs; nothing is trained."""

import json
import shutil
import signal
import subprocess
import sys
import time

import imageio.v3 as iio
import numpy as np
import pytest

from common.experiments.sweep import KILLED
from common.reproduce import __main__ as reproduce
from common.reproduce import plan
from tests.helpers.scripts import ROOT
from tests.helpers.stub_project import stub_run


def test_one_run_fails_and_the_others_continue(project, capsys):
    needs_good = {"after": "good", "command": "stubs/stub.py late {good}/late", "folder": "{good}/late"}
    project.write_list(
        stub_run("bad", "fail"),
        stub_run("blocked", "1", after="bad"),
        stub_run("blocked-too", "1", after="blocked"),
        stub_run("good", "good"),
        stub_run("late", "late", **needs_good),
    )
    assert project.reproduce("--jobs", "2") == 1
    printed = capsys.readouterr().out
    assert "stubs/bad: failed, stub: error: no luck today; runs/reproduction/quick/stubs/bad/log.txt" in printed
    assert "stubs/blocked-too: blocked, it needs stubs/blocked\n" in printed
    assert "about 60 seconds left" in printed and "[ 5/5]" in printed
    assert project.states() == {
        "bad": "failed",
        "blocked": "blocked",
        "blocked-too": "blocked",
        "good": "finished",
        "late": "finished",
    }
    late = project.record()["stubs/late"]
    assert late["directory"] == "reproduction/quick/stubs/good/x/late"
    assert late["command"] == "python stubs/stub.py late runs/reproduction/quick/stubs/good/x/late"


def test_a_run_without_its_data_blocks_only_the_run_that_needs_it(project, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_HOME", str(project.root / "keras"))
    monkeypatch.delenv("DATA_DIR", raising=False)
    no_data = stub_run("no-data", "1", dataset="celeba_hq")
    project.write_list(no_data, stub_run("blocked", "1", after="no-data"), stub_run("good", "good"))
    assert project.reproduce() == 0
    assert project.states() == {"no-data": "data missing", "blocked": "blocked", "good": "finished"}
    assert "3 runs, 1 of them done or without data" in capsys.readouterr().out
    assert project.reproduce("--check", "--only", "stubs/no-data,stubs/good") == 0
    assert capsys.readouterr().out == "no picture of the 2 runs is missing or blank; runs without data skipped\n"


def test_a_second_format_of_the_figures_is_added_to_a_finished_run(project):
    project.write_list(stub_run("one", "1"))
    assert project.reproduce() == 0 and project.calls("one") == "1"
    for _ in range(2):
        assert project.reproduce("--format", "svg") == 0 and project.calls("one") == "11", "in the same folder, once"
    assert (project.run_dir("one") / "x/figures/a.svg").is_file()
    assert project.record()["stubs/one"]["command"].endswith("one/x --format svg")
    assert project.reproduce() == 0 and project.calls("one") == "11"


def test_photos_reach_the_runs_that_take_them(project):
    project.write_list(stub_run("one", "1", photos="--images {photos}"), stub_run("two", "2"))
    assert project.reproduce("--images", str(project.root / "stubs")) == 0
    command = lambda name: project.record()[f"stubs/{name}"]["command"]
    assert command("one").endswith(f"one/x --images {project.root}/stubs") and "images" not in command("two")
    assert project.reproduce() == 0 and "images" not in command("one"), "it is another run"
    assert project.calls("one") == "1" and project.calls("two") == "2"


def test_no_more_runs_at_a_time_than_jobs(project):
    project.write_list(stub_run("one", "alone"), stub_run("two", "alone"), stub_run("three", "alone"))
    assert project.reproduce("--jobs", "1") == 0


def test_what_is_finished_is_not_repeated(project):
    project.write_list(stub_run("one", "1"), stub_run("two", "2"))
    assert project.reproduce("--only", "stubs/one") == 0
    assert project.states() == {"one": "finished", "two": "waiting"}
    assert project.reproduce() == project.reproduce() == 0
    assert (project.calls("one"), project.calls("two")) == ("1", "2")
    (project.run_dir("two") / "x/figures/a.png").unlink()
    project.write_list(stub_run("one", "3"), stub_run("two", "2"))
    assert project.reproduce() == 0
    assert project.calls("one") == "3", "another command starts in an empty folder"
    assert project.calls("two") == "22", "after a picture was deleted, the same command runs again in its folder"
    old = project.run_dir("one.old-1")
    assert (old / "x/figures/calls").read_text() == "1", "the output of the other command is kept"


def test_an_unfinished_run_of_another_command_is_not_continued(project):
    run_dir = project.run_dir("one")
    project.write_list(stub_run("one", "fail"))
    assert project.reproduce() == 1
    assert not json.loads((run_dir / "run.json").read_text())["finished"]
    (run_dir / "half").write_text("")
    project.write_list(stub_run("one", "good"))
    assert project.reproduce() == project.reproduce() == 0
    assert not (run_dir / "half").exists() and (project.run_dir("one.old-1") / "half").exists()
    assert project.calls("one") == "good", "once"


def test_what_another_machine_finishes_meanwhile_counts_as_finished(project):
    project.write_list(stub_run("one", "deliver"), stub_run("two", "2"))
    assert project.reproduce("--only", "stubs/two") == 0
    project.run_dir("two").rename(project.root / "delivery")  # run "one" puts it back, as another machine would
    (project.out / "reproduction.json").unlink()  # its old entry would be kept, and hide that nobody looked again
    assert project.plan()["stubs/two"].state == "waiting"
    assert project.reproduce("--only", "stubs/one") == 0
    assert project.states() == {"one": "finished", "two": "finished"}
    assert project.record()["stubs/two"]["directory"] == "reproduction/quick/stubs/two/x"
    assert project.calls("two") == "2", "not repeated"


def test_a_run_that_outlives_the_program_that_started_it_is_waited_for(project, monkeypatch, capsys):
    project.write_list(stub_run("slow", "wait-for-release"), stub_run("next", "good"))
    slow = project.plan()["stubs/slow"]
    process = slow.start(None)  # nobody calls slow.end
    write_record = reproduce.write_record
    printed = ""

    def write_and_release(*args):
        nonlocal printed
        write_record(*args)
        printed += capsys.readouterr().out
        if "already running" in printed:
            (project.root / "release").touch()

    monkeypatch.setattr(reproduce, "write_record", write_and_release)
    assert project.reproduce() == 0
    assert process.wait() == 0
    assert "stubs/slow: already running in another process; waiting for it; " in printed
    log = (project.root / slow.log).read_text()
    assert log.startswith("$ python") and log.count("$ python") == 2
    assert log.index("released") < log.rindex("$ python"), "the second process started after the first had ended"


def test_a_killed_run_reports_the_signal_and_its_last_line(project):
    project.write_list(stub_run("gone", "die"))
    assert project.reproduce() == 1
    reason = project.record()["stubs/gone"]["why"]
    assert reason.startswith(f"{KILLED} 9") and reason.endswith("step 400 of 2000")


def test_a_finished_run_may_disappear_while_others_run(project, monkeypatch):
    project.write_list(stub_run("one", "1"), stub_run("two", "2"))
    assert project.reproduce("--only", "stubs/one") == 0
    start = plan.Run.start

    def delete_and_start(run, *others):
        shutil.rmtree(project.run_dir("one"), ignore_errors=True)
        return start(run, *others)

    monkeypatch.setattr(plan.Run, "start", delete_and_start)
    assert project.reproduce() == 0
    assert project.states()["two"] == "finished"


def test_check_names_exactly_the_missing_and_blank_pictures(project, capsys):
    project.write_list(stub_run("good", "good"), stub_run("empty", "blank"))
    missing = "stubs/{0}: figures/a.png missing, some or all; see runs/reproduction/quick/stubs/{0}/log.txt"
    blank = "stubs/{0}: runs/reproduction/quick/stubs/{0}/x/figures/a.png is blank"
    assert project.reproduce("--check") == 1
    assert capsys.readouterr().out.splitlines() == [missing.format("good"), missing.format("empty")]
    assert project.reproduce() == 0
    capsys.readouterr()
    assert project.reproduce("--check") == 1
    assert capsys.readouterr().out.splitlines() == [blank.format("empty")]
    assert project.reproduce("--check", "--only", "stubs/good") == 0
    noise = np.random.default_rng(0).integers(100, 103, (8, 8, 3), "uint8")  # standard deviation 0.8 of 255
    iio.imwrite(project.run_dir("good") / "x/figures/a.png", noise)
    capsys.readouterr()
    assert project.reproduce("--check") == 1
    assert capsys.readouterr().out.splitlines() == [blank.format("good"), blank.format("empty")], "nearly one colour"


def test_check_names_damaged_pictures(project, capsys):
    project.write_list(stub_run("good", "good"))
    assert project.reproduce() == 0
    path = project.run_dir("good") / "x/figures/a.png"
    half = path.read_bytes()[: path.stat().st_size // 2]
    for content in (b"", b"<html>", half):
        path.write_bytes(content)
        capsys.readouterr()
        assert project.reproduce("--check") == 1
        (line,) = capsys.readouterr().out.splitlines()
        assert line.startswith("stubs/good: runs/reproduction/quick/stubs/good/x/figures/a.png is damaged: it is ")
        assert line.endswith("; delete it to make it again")
    path.unlink()
    assert project.reproduce() == project.reproduce("--check") == 0


def test_a_run_without_the_expected_files_has_failed(project):
    project.write_list(stub_run("lost", "good", folder="elsewhere"))
    assert project.reproduce() == 1
    assert project.record()["stubs/lost"]["why"] == "it did not write figures/a.png"


# runs the stub project at `root` as a user would, and prints why it was interrupted
MAIN = """
import signal
from pathlib import Path
from common.reproduce import __main__ as reproduce, plan

plan.ROOT = Path({root!r})
if {ignore_sigint}:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
try:
    reproduce.run(reproduce.make_parser().parse_args(["--out", str(plan.ROOT / "runs")]))
except KeyboardInterrupt as interrupt:
    print(interrupt)
"""


@pytest.mark.parametrize(("number", "ignore_sigint"), [(signal.SIGINT, False), (signal.SIGTERM, True)])
def test_a_signal_stops_all_running_jobs_and_says_how_to_continue(project, number, ignore_sigint):
    """With `ignore_sigint`, the program starts as a shell's background job does; its runs must still hear SIGINT."""
    project.write_list(stub_run("slow", "wait"), stub_run("slow-too", "wait"), stub_run("next", "wait"))
    code = MAIN.format(root=str(project.root), ignore_sigint=ignore_sigint)
    program = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    logs = [project.run_dir(name) / "log.txt" for name in ("slow", "slow-too")]
    while program.poll() is None and not all(log.exists() and "\nwaiting" in log.read_text() for log in logs):
        time.sleep(0.05)
    program.send_signal(number)
    printed, _ = program.communicate(timeout=20)
    assert printed.rstrip().endswith("0 of 3 runs are done; run the same command again to continue")
    for log in logs:
        assert "KeyboardInterrupt" in log.read_text(), "the run received SIGINT and has ended"
    assert project.states() == dict.fromkeys(("slow", "slow-too", "next"), "waiting")
    assert not project.run_dir("next").exists(), "never started"
