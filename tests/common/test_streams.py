"""Standard output and error that are closed or full: one line says so, and the script goes on."""

import io
import subprocess
import sys

import pytest

from common.cli import Parser, main
from common.errors import UserError
from tests.helpers.scripts import ROOT


class Full(io.StringIO):
    """A stream on a full disk. A true one holds text back until it is flushed."""

    def write(self, text):
        return len(text)

    def flush(self):
        raise OSError(28, "No space left on device")


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


BROKEN = {
    "full": (Full, "No space left on device"),
    "none": (lambda: None, "it is closed"),
    "closed": (closed, "closed"),
}


def call(monkeypatch, body, stdout, stderr, *arguments):
    """Call `main` with these streams and return the exit code."""
    monkeypatch.setattr("sys.argv", ["script.py", *arguments])
    monkeypatch.setattr("sys.stdout", stdout)
    monkeypatch.setattr("sys.stderr", stderr)
    try:
        main(body, Parser(prog="script.py"), backend_needed=False)
    except SystemExit as stop:
        return stop.code
    assert sys.stdout is stdout and sys.stderr is stderr
    return 0


def body(args):
    for _ in range(3):
        print("a result", flush=True)
    sys.stdout.writelines(["more", "\n"])


def fail(args):
    raise UserError("put the file there")


@pytest.mark.parametrize("kind", BROKEN)
def test_output_that_is_lost_is_named_once_and_the_script_goes_on(monkeypatch, kind):
    make, reason = BROKEN[kind]
    errors, calls = io.StringIO(), []
    code = call(monkeypatch, lambda args: calls.append(body(args)), make(), errors)
    assert (code, len(calls)) == (0, 1)
    assert errors.getvalue().count("\n") == 1
    assert (
        errors.getvalue().startswith("script.py: standard output cannot be written (") and reason in errors.getvalue()
    )


@pytest.mark.parametrize("kind", ["none", "closed"])
@pytest.mark.parametrize(("function", "arguments"), [(fail, ()), (body, ("--no-such-flag",))])
def test_error_goes_to_standard_output_if_standard_error_is_lost(monkeypatch, kind, function, arguments):
    output = io.StringIO()
    assert call(monkeypatch, function, output, BROKEN[kind][0](), *arguments) == 2
    assert output.getvalue().startswith("script.py: error: ") and output.getvalue().count("\n") == 1


def test_nothing_is_left_to_write_to(monkeypatch):
    for make, _ in BROKEN.values():
        assert call(monkeypatch, body, make(), make()) == 0
        assert call(monkeypatch, fail, make(), make()) == 2


def test_names_that_the_output_cannot_encode_are_escaped(monkeypatch):
    raw = io.BytesIO()
    output = io.TextIOWrapper(raw, encoding="ascii", errors="strict")
    assert call(monkeypatch, lambda args: print("图 a\udcff"), output, io.StringIO()) == 0
    assert raw.getvalue() == b"\\u56fe a\\udcff\n"


@pytest.mark.parametrize(
    ("redirection", "code", "stdout", "stderr"),
    [
        ("--help > /dev/full", 0, "", "conjugates.py: standard output cannot be written (No space left on device)"),
        ("--help >&-", 0, "", "conjugates.py: standard output cannot be written (it is closed)"),
        ("--out '' 2>&-", 2, "conjugates.py: error: argument --out: the path is empty", ""),
        ("--out '' 2> /dev/full", 2, "conjugates.py: error: argument --out: the path is empty", ""),
        ("--out '' > /dev/full 2>&1", 2, "", ""),
        ("--out '' <&- >&- 2>&-", 2, "", ""),
    ],
)
def test_true_descriptors(redirection, code, stdout, stderr):
    command = f"{sys.executable} fgan/conjugates.py {redirection}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == code
    for text, expected in ((done.stdout, stdout), (done.stderr, stderr)):
        assert text.startswith(expected) and text.count("\n") == bool(expected), text
