"""Processes of trainings: the signals that stop them, and the lock that outlives the program that started them."""

import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from common.experiments.processes import THREADS, collect_stop_signals, run_processes
from common.locks import hold_lock, only_one_process
from tests.helpers.scripts import ROOT

# trains until it is told to stop; a second start finds it finished
STUB = """
import json, pathlib, sys, time
out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
begun = out / "begun"
if not begun.exists():
    begun.touch()
    try:
        while not (out / "go").exists():
            time.sleep(0.02)
    except KeyboardInterrupt:
        print("saved", flush=True)
        sys.exit(130)
(out / "run").mkdir(exist_ok=True)
(out / "run/results.json").write_text(json.dumps({"metrics": {}}))
"""
MAIN = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler if {hears} else signal.SIG_IGN)
from common.experiments.sweep import sweep
try:
    print(sorted(sweep({stub!r}, {{"a": [], "b": []}}, {out!r}, workers=2)))
except KeyboardInterrupt as interrupt:
    print(interrupt)
"""


@pytest.fixture
def start(tmp_path):
    """Return a function that starts a sweep of two trainings as a program, and waits until they have begun."""
    (tmp_path / "stub.py").write_text(STUB)
    programs = []

    def start(hears=True):
        code = MAIN.format(hears=hears, stub=str(tmp_path / "stub.py"), out=str(tmp_path))
        program = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        programs.append(program)
        while program.poll() is None and not all((tmp_path / name / "begun").exists() for name in "ab"):
            time.sleep(0.02)
        return program

    yield start
    for name in "ab":
        (tmp_path / name / "go").touch()
    for program in programs:
        program.kill()
        program.communicate()


@pytest.mark.parametrize(("number", "hears"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_a_signal_stops_all_trainings_of_a_sweep(start, tmp_path, number, hears):
    program = start(hears)
    program.send_signal(number)
    printed, _ = program.communicate(timeout=20)
    assert printed.rstrip().endswith("0 of 2 trainings have ended; run the same command again to continue")
    assert [(tmp_path / name / "log.txt").read_text() for name in "ab"] == ["saved\n"] * 2


def test_trainings_that_outlive_a_killed_sweep_are_waited_for(start, tmp_path):
    start().kill()
    second = start()
    lines = [second.stdout.readline() for _ in "ab"]
    assert all("already running in another process; waiting for it" in line for line in lines), lines
    for name in "ab":
        (tmp_path / name / "go").touch()
    printed, _ = second.communicate(timeout=20)
    assert printed.splitlines()[-1] == "['a', 'b']"
    assert len(list(tmp_path.rglob("results.json"))) == 2


def test_a_file_system_without_locks_gives_one_to_everybody(tmp_path, monkeypatch):
    with hold_lock(tmp_path / "new/lock") as first, hold_lock(tmp_path / "new/lock") as second:
        assert first and second is None

    def refuse(*args):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with hold_lock(tmp_path / "lock") as first, hold_lock(tmp_path / "lock") as second:
        assert first and second


def test_the_second_process_waits_for_the_first(tmp_path):
    order, started = [], threading.Event()

    def second():
        started.set()
        with only_one_process(tmp_path / "new/lock", "writing"):
            order.append("second")

    waiting = threading.Thread(target=second)
    with only_one_process(tmp_path / "new/lock", "writing"):
        waiting.start()
        started.wait()
        time.sleep(0.1)
        assert order == []
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]


def test_the_first_signal_asks_and_the_second_interrupts():
    signals = (signal.SIGINT, signal.SIGTERM)
    handlers = [signal.getsignal(number) for number in signals]
    with pytest.raises(KeyboardInterrupt, match="stopped at once"), collect_stop_signals() as received:
        assert received == []
        os.kill(os.getpid(), signal.SIGTERM)
        assert received == [signal.SIGTERM]
        os.kill(os.getpid(), signal.SIGINT)
    assert received == [signal.SIGTERM]
    assert [signal.getsignal(number) for number in signals] == handlers


@pytest.mark.parametrize(
    ("tasks", "workers", "expected"),
    [("a", 2, [None]), ("abc", 1, [None] * 3), ("abc", 2, ["4", "4", None]), ("abcd", 3, ["2", "2", "2", None])],
)
def test_processes_that_run_together_share_the_cores(monkeypatch, tasks, workers, expected):
    """On eight cores. All processes end before the next ones start, so the last one is alone."""
    monkeypatch.setattr("common.experiments.processes.usable_cores", lambda: 8)
    for name in THREADS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(THREADS[0], "5")  # the user's own choice
    waiting, started = list(tasks), []

    def start(task, env):
        waiting.remove(task)
        started.append(env)
        return SimpleNamespace(poll=lambda: 0, returncode=0)

    run_processes(lambda: list(waiting), start, lambda *_: None, workers, str, str)
    assert [env.get(THREADS[1]) for env in started] == expected
    assert not any(THREADS[0] in env for env in started)
