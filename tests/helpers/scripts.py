"""Run the scripts as a user starts them: with one backend, TensorFlow or JAX, and no other."""

import contextlib
import importlib
import io
import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import imageio.v3 as iio

from tests.helpers.threads import COMPILE_FASTER, ONE_THREAD

ROOT = Path(__file__).parents[2]
SMOKE = ["ogan/train.py", "--preset", "smoke"]
# a `sitecustomize.py` that makes the other backends, and what only the tests need, look as if they were not installed
HIDE = """
import importlib.machinery as machinery
import os
find_spec = machinery.PathFinder.find_spec
hidden = {"tensorflow", "jax", "torch", "sklearn"} - {os.environ["BACKEND_SHOWN"]}
machinery.PathFinder.find_spec = classmethod(
    lambda cls, name, path=None, target=None: None if name.split(".")[0] in hidden else find_spec(name, path, target)
)
"""


def environment(home, backend):
    """Return the environment of a user who has one backend, and with `home` as the parent of the Keras cache.

    Args:
        home: Path, value of the fixture `home`.
        backend: "tensorflow" or "jax"; the other is hidden.
    """
    env = {k: v for k, v in os.environ.items() if not k.startswith(("TF_", "KERAS", "DATA_DIR"))}
    env |= {name: os.environ[name] for name in ONE_THREAD if name in os.environ}
    env |= {"KERAS_HOME": str(home / "cache"), "KERAS_BACKEND": backend, "BACKEND_SHOWN": backend}
    env["XLA_FLAGS"] = COMPILE_FASTER
    return env | {"PYTHONPATH": os.pathsep.join([str(home), str(ROOT)])}


def run_script(home, backend, *arguments):
    """Run `python *arguments` from the root of the repository and return the finished process."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment(home, backend), capture_output=True, text=True)


def run_here(script, *arguments):
    """Run a script in this process, as a user starts it, and return its exit code. It prints to stdout and stderr.

    Args:
        script: path, absolute or from the root of the repository.
        *arguments: command-line arguments.
    """
    with mock.patch.object(sys, "argv", [str(script), *map(str, arguments)]):
        try:
            runpy.run_path(str(ROOT / script), run_name="__main__")
        except SystemExit as stop:
            return stop.code or 0
    return 0


def run_near(home, backend, script, *arguments):
    """Run a script as `run_script` does, but in this process if it has that backend: it need not start first.

    Returns:
        Object with `returncode`, `stdout` and `stderr`.
    """
    if backend != os.environ["KERAS_BACKEND"]:
        return run_script(home, backend, script, *arguments)
    stdout, stderr = io.StringIO(), io.StringIO()
    where_to = contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr)
    with mock.patch.dict(os.environ, {"KERAS_HOME": str(home / "cache")}), where_to[0], where_to[1]:
        code = run_here(script, *arguments)
    return SimpleNamespace(returncode=code, stdout=stdout.getvalue(), stderr=stderr.getvalue())


def run_comparison(monkeypatch, home, script, *arguments):
    """Run a script that starts trainings, and those too, in this process. All must succeed.

    This saves the start of many processes. Real ones are started in `tests/common/experiments/test_sweep.py`.

    Args:
        monkeypatch: the fixture.
        home: Path, value of the fixture `home`.
        script: str, path from the root of the repository.
        *arguments: command-line arguments.
    """
    import common.models.networks  # noqa: F401 - it draws a number on import, here before the first seed is set
    from common.experiments import sweep

    def start_here(arguments, log, lock, env):
        with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            code = run_here(*arguments)
        return SimpleNamespace(returncode=code, poll=lambda: code)

    monkeypatch.setattr(sweep, "start_process", start_here)
    monkeypatch.setenv("KERAS_HOME", str(home / "cache"))
    assert run_here(script, *arguments) == 0


def metrics_of(folder):
    """Return the metrics in the `results.json` of a run directory, a Path."""
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))["metrics"]


def error_line(script, *arguments):
    """Run a script in this process, where it must fail with exit code 2 and one line on stderr. Return that line.

    The line may name only flags that the script has.

    Args:
        script: str, path from the root of the repository.
        *arguments: command-line arguments.
    """
    stderr = io.StringIO()
    with contextlib.redirect_stderr(stderr):
        assert run_here(script, *arguments) == 2
    (line,) = stderr.getvalue().splitlines()
    assert not unknown_flags(script.removesuffix(".py").replace("/", "."), line), line
    return line


def unknown_flags(module, line):
    """Return the flags that a line of output names and a script does not have; {} if it passes flags on to another.

    Args:
        module: str, dotted name of the script.
        line: str.
    """
    script = importlib.import_module(module)
    if "forward_unknown=True" in Path(script.__file__).read_text(encoding="utf-8"):
        return set()
    known = {name for action in script.make_parser()._actions for name in action.option_strings}
    return set(re.findall(r"(?<![\w-])--[a-z][\w-]*", line)) - known


def write_pngs(folder, images):
    """Write images as 0.png, 1.png, ... into a new folder and return it."""
    folder.mkdir()
    for i, image in enumerate(images):
        iio.imwrite(folder / f"{i}.png", image)
    return folder
