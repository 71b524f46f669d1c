"""The command `kexue`. `tests/test_installed.py` calls it where the package is installed."""

import tomllib

import pytest

from common.reproduce.console import run_script
from tests.helpers.scripts import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def run(monkeypatch, *words):
    """Call the command with these words and return its exit code."""
    monkeypatch.setattr("sys.argv", ["kexue", *words])
    try:
        run_script()
    except SystemExit as stop:
        return stop.code or 0
    return 0


def test_it_runs_a_script_and_lists_them(monkeypatch, capsys):
    assert run(monkeypatch, "rsgan/train.py", "--help") == 0
    assert capsys.readouterr().out.startswith("usage: train.py")
    assert run(monkeypatch) == run(monkeypatch, "--help") == 0
    assert "\n  flow/glow.py\n" in capsys.readouterr().out
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"{PROJECT['project']['version']}\n"


@pytest.mark.parametrize("name", ["rsgan/trian.py", "flow/drawing.py"])
def test_a_wrong_script_is_one_line(monkeypatch, capsys, name):
    assert run(monkeypatch, name) == 2
    error = capsys.readouterr().err
    assert f"there is no script '{name}'" in error and error.count("\n") == 1
    assert ("did you mean rsgan/train.py?" in error) == (name == "rsgan/trian.py")
