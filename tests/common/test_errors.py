"""Errors that a page helps with: each names its heading of docs/troubleshooting.md, and the line ends with the link."""

import argparse
import ast
import functools
import pickle

import pytest

from common import cli
from common.errors import UserError, errors_begin_with
from tests.helpers.scripts import ROOT
from tests.test_architecture import SOURCES
from tests.test_readme import anchors


@functools.cache
def topics():
    """Return the topics that the code names."""
    texts = [text for text in (path.read_text("utf-8") for path in SOURCES) if "topic=" in text]
    calls = [node for text in texts for node in ast.walk(ast.parse(text)) if is_error(node)]
    values = [keyword.value for call in calls for keyword in call.keywords if keyword.arg == "topic"]
    return {value.value for value in values if isinstance(value, ast.Constant)}


def is_error(node):
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "UserError"


def line_of(error, capsys):
    """Return the line of a script whose run raises an error."""

    def run(args):
        raise error

    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr("sys.argv", ["script.py"])
        cli.main(run, argparse.ArgumentParser(prog="script.py"), backend_needed=False)
    return capsys.readouterr().err


@pytest.mark.parametrize("name", ["troubleshooting.md", "troubleshooting.zh.md"])
def test_every_topic_is_a_heading(name):
    assert topics() >= {"nan", "downloads-that-fail"}
    assert topics() | {"out-of-memory"} <= anchors((ROOT / "docs" / name).read_text("utf-8"))


def test_the_line_ends_with_the_link(capsys):
    assert line_of(UserError("no file"), capsys) == "script.py: error: no file\n"
    line = "script.py: error: it became NaN (more: docs/troubleshooting.md#nan)\n"
    assert line_of(UserError("it became NaN", topic="nan"), capsys) == line
    assert line_of(UserError("x\n" * 5000, topic="nan"), capsys).endswith("#nan)\n")
    assert "docs/troubleshooting.md#out-of-memory)\n" in line_of(MemoryError("no room"), capsys)


def test_an_error_keeps_its_topic():
    with pytest.raises(UserError, match=r"^after step 7: bad$") as raised, errors_begin_with("after step 7"):
        raise UserError("bad", topic="nan")
    assert raised.value.topic == "nan"
    assert pickle.loads(pickle.dumps(raised.value)).topic == "nan"  # as from a process that decodes images
