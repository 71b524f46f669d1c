"""No long silence: a script that prints nothing shows the stage it is at, and what it prints appears at once."""

import io
import itertools
import os
import pty
import subprocess
import sys
import types

import pytest

from common import streams
from common.streams import SILENCE, Ticker, stage
from tests.helpers.scripts import ROOT

# its standard input ends only after its output was seen
SCRIPT = """
import sys, time
from common import streams
from common.cli import Parser, main
streams.SILENCE_OF_LINES = streams.SILENCE = 0.1

@streams.stage("measuring")
def run(args):
    print("begun")
    sys.stdin.readline()
    print("done")

main(run, Parser(), backend_needed=False)
"""


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """The time in seconds, as a list of one number."""
    now = [0.0]
    monkeypatch.setattr(streams, "SILENCE", SILENCE)
    monkeypatch.setattr(streams, "time", types.SimpleNamespace(perf_counter=lambda: now[0]))
    return now


def silent_for(clock, ticker, seconds):
    """Let a number of seconds pass in which a ticker is the only one that writes."""
    for _ in range(2 * seconds):
        clock[0] += 0.5
        ticker.tick(clock[0])


def write(ticker, text):
    """Write a text as a script does."""
    streams._Guarded(ticker.stream, None, ticker).write(text)


def test_a_terminal_shows_the_innermost_stage_in_one_line_that_is_erased(clock):
    ticker = Ticker(Terminal(), clock[0])
    write(ticker, "begun\n")
    with stage("outside"), stage("inside"):
        silent_for(clock, ticker, 3)
    silent_for(clock, ticker, 1)
    with stage(lambda: "step 7\nof 9"):
        silent_for(clock, ticker, 1)
    write(ticker, "done\n")
    lines = ticker.stream.getvalue().split(streams.ERASE_LINE)
    expected = ["begun\n", "inside (2 s)", "inside (3 s)", "working (4 s)", "working (4 s)"]
    assert lines == [*expected, "step 7 of 9 (0 s)", "step 7 of 9 (1 s)", "done\n"]


def test_a_progress_bar_on_a_terminal_stays_longer(clock):
    ticker = Ticker(Terminal(), clock[0])
    write(ticker, "[===>   ]")
    silent_for(clock, ticker, SILENCE)
    assert ticker.stream.getvalue() == "[===>   ]"
    silent_for(clock, ticker, 1)
    assert ticker.stream.getvalue().startswith(f"[===>   ]{streams.ERASE_LINE}working (")


def test_a_file_gets_lines_that_become_rare(clock):
    ticker = Ticker(io.StringIO(), clock[0])
    write(ticker, "a line that is not ended")
    with stage("training"):
        silent_for(clock, ticker, 36_000)
    first, *lines = ticker.stream.getvalue().splitlines()
    assert first == "a line that is not ended"
    times = [0, *(int(line.removeprefix("training (").removesuffix(" s)")) for line in lines)]
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert all(gap <= max(SILENCE, 0.1 * time) + 1.5 for gap, time in zip(gaps, times[1:], strict=True))
    assert 36_000 - times[-1] < 4_000 and len(lines) < 100, "ten hours do not fill a page"


def test_scripts_on_a_terminal_and_in_a_pipe_are_not_silent():
    """Each process goes on only after its line was read, so the test ends only if that comes without more output."""
    for is_terminal in (True, False):
        reader, writer = pty.openpty() if is_terminal else os.pipe()
        command = [sys.executable, "-c", SCRIPT]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=writer, stderr=writer) as process:
            os.close(writer)
            seen = b""  # a read waits for output, and fails once there is none
            while b"measuring (" not in seen:
                seen += os.read(reader, 1000)
            process.communicate(b"go on\n")
        os.close(reader)
        assert process.returncode == 0
        assert seen.splitlines()[0] == b"begun" and b"done" not in seen
