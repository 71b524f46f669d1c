"""Every script prints its help without importing a heavy package."""

import importlib
import json

import pytest

from rsgan import train
from tests.helpers.scripts import ROOT, run_script

SCRIPTS = sorted(
    str(path.relative_to(ROOT))
    for folder in (ROOT / "common", *(path.parent for path in ROOT.glob("*/reproduction.toml")))
    for path in folder.rglob("*.py")
    if "\n    main(run" in path.read_text(encoding="utf-8")
)
# prints {script: [text, heavy packages imported so far]}, all from one process: starting one takes the most time
PRINT_HELP = """
import contextlib, io, json, runpy, sys
results = {}
for script in sys.argv[1:]:
    sys.argv, text = [script, "--help"], io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        runpy.run_path(script, run_name="__main__")
    results[script] = text.getvalue(), sorted({"keras", "tensorflow", "jax", "torch"} & set(sys.modules))
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def help_of(home):
    done = run_script(home, "tensorflow", "-c", PRINT_HELP, *SCRIPTS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_scripts_are_found():
    assert {"ogan/train.py", "flow/compare.py", "common/reproduce/__main__.py"} <= set(SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_needs_no_heavy_package(help_of, script):
    """So it takes a fraction of a second."""
    text, heavy_packages = help_of[script]
    assert text.startswith("usage") and "--help" in text
    assert not heavy_packages


def test_help_ends_with_the_values_of_the_presets(help_of):
    lines = help_of["rsgan/train.py"][0].splitlines()
    tables = [lines.index(f"values of the presets{where}:") for where in ("", " for points of the plane")]
    assert lines[tables[0] + 1].split() == ["smoke", "quick", "paper"]
    for preset, values in (("quick", train.PRESETS["quick"]), ("paper", train.PRESETS["paper"])):
        column = 1 + ["smoke", "quick", "paper"].index(preset)
        shown = {row.split()[0]: row.split() for row in lines[tables[0] + 2 : tables[1] - 1]}
        assert shown["--steps"][column] == str(values["steps"])


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_flag_has_help(script):
    parser = importlib.import_module(script.removesuffix(".py").replace("/", ".")).make_parser()
    assert not [action.option_strings or action.dest for action in parser._actions if not action.help]
