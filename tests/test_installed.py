"""The wheel, installed in an empty environment and used from another folder."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from common.reproduce import plan
from tests.helpers.commands import LISTS
from tests.helpers.scripts import ROOT

for package, least in (("pip", 23), ("setuptools", 77)):
    versions = [int(found.version.split(".")[0]) for found in metadata.distributions(name=package)]
    if not versions or versions[0] < least:
        pytest.skip(f"{package} {least} is needed to build and install the wheel: make lint", allow_module_level=True)

BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
PACKAGES = ["common", *LISTS]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built offline from a copy of the packages."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE", "kexue.py"):
        shutil.copy(ROOT / name, source)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    (source / "tests").mkdir()
    (source / "tests/test_x.py").touch()
    subprocess.run([sys.executable, "-c", BUILD, out], cwd=source, check=True, capture_output=True)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """An environment that holds the wheel, and sees the other packages of this one but not the repository."""
    folder = tmp_path_factory.mktemp("env")
    venv.create(folder, symlinks=True)
    others = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}), "others.pth")
    others.write_text(sysconfig.get_path("purelib"))  # of this environment; the .pth files in it are not read
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin/python", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--no-compile", wheel], check=True)
    return folder


def call(environment, *words, cwd, **env):
    """Run a command of the environment in a folder and return the finished process."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [environment / "bin" / words[0], *words[1:]]
    return subprocess.run(command, cwd=cwd, env=inherited | env, capture_output=True, text=True)


def test_the_wheel_holds_every_file_that_the_code_opens(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    files = [path for name in PACKAGES for path in (ROOT / name).rglob("*") if path.is_file()]
    needed = {str(path.relative_to(ROOT)) for path in files if not path.name.endswith((".pyc", ".zh.md"))}
    assert {"common/reproduce/report.html.jinja", "common/reproduce/article/train.py.jinja"} < needed
    assert needed <= names and "kexue.py" in names
    assert not {name for name in names if name.startswith("tests")}


def test_it_lists_the_runs_from_another_folder(environment, tmp_path):
    done = call(environment, "python", "-m", "common.reproduce", "--list", cwd=tmp_path)
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(plan.make_plan("quick", "runs")), done.stderr
    imported = call(environment, "python", "-c", "import common; print(common.__file__)", cwd=tmp_path).stdout
    assert Path(imported).is_relative_to(environment)


def test_the_command_lists_scripts_and_runs_one(environment, tmp_path):
    done = call(environment, "kexue", "--help", cwd=tmp_path)
    assert done.stdout.startswith("usage: kexue SCRIPT") and "flow/glow.py" in done.stdout, done.stderr
    assert call(environment, "kexue", "rsgan/train.py", "--help", cwd=tmp_path).stdout.startswith("usage: train.py")


def test_a_file_that_hides_a_package_is_one_line(environment, tmp_path):
    for name in ("common", "flow"):
        (tmp_path / f"{name}.py").touch()
    assert call(environment, "kexue", "--version", cwd=tmp_path).returncode == 0, "that command does not look there"
    for words, env in ((["python", "-m", "kexue"], {}), (["kexue"], {"PYTHONPATH": str(tmp_path)})):
        done = call(environment, *words, "--version", cwd=tmp_path, **env)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        for name in ("common", "flow"):
            assert f"{tmp_path}/{name}.py hides the package {name}" in done.stderr
