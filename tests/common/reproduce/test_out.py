"""A folder of --out that cannot be used gets one line and exit code 2, from both programs, and nothing is begun."""

import os
import shutil
from pathlib import Path

import pytest

from common.reproduce import __main__ as reproduce
from common.reproduce import report
from tests.helpers.stub_project import call_main, stub_run

# what --out is, below the project's root -> what the line says
UNUSABLE = {
    "": "--out is empty; name a folder",
    "  ": "--out is empty; name a folder",
    "file": "--out file is not a folder; name another one",
    "pipe": "--out pipe is not a folder; name another one",
    "nowhere": "--out nowhere is not a folder; name another one",
    "link-to-file": "--out link-to-file is not a folder; name another one",
    "/dev/null": "--out /dev/null is not a folder; name another one",
    "file/below": "cannot be written to: Not a directory; name another folder",
    "/dev/null/below": "cannot be written to: Not a directory; name another folder",
    300 * "x": "cannot be written to: File name too long; name another folder",
    5000 * "x": "cannot be written to: File name too long; name another folder",
    "a\udcff": "--out b'a\\xff' is not UTF-8; name another folder",
}


@pytest.fixture
def here(project, monkeypatch):
    """The root of a project with one run, as the current folder."""
    project.write_list(stub_run("one", "1"))
    monkeypatch.chdir(project.root)
    (project.root / "file").write_text("kept")
    (project.root / "nowhere").symlink_to("nothing")
    (project.root / "link-to-file").symlink_to("file")
    os.mkfifo(project.root / "pipe")
    return project.root


@pytest.mark.parametrize("name", UNUSABLE, ids=lambda name: repr(name[:20]))
def test_an_unusable_folder_gets_one_line(here, name):
    before = sorted(here.rglob("*"))
    for module in (reproduce, report):
        code, printed = call_main(module, "--out", name)
        assert code == 2 and printed.count("\n") == 1, printed
        assert printed.startswith("program: error: --out ") and UNUSABLE[name] in printed
    assert sorted(here.rglob("*")) == before and (here / "file").read_text() == "kept"


@pytest.mark.parametrize("name", [name for name in UNUSABLE if "is not a folder" in UNUSABLE[name] or not name])
def test_check_refuses_it_too(here, name):
    code, printed = call_main(reproduce, "--check", "--out", name)
    assert code == 2 and UNUSABLE[name] in printed


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="this system has no /proc")
@pytest.mark.parametrize("name", ["/proc", "/proc/runs"])
def test_a_folder_without_the_right_to_write_gets_one_line(here, name):
    for module in (reproduce, report):
        code, printed = call_main(module, "--out", name)
        assert code == 2 and printed.count("\n") == 1
        assert printed.startswith(f"program: error: --out {name} cannot be written to: ")


@pytest.mark.parametrize("name", ["new", "new/deep/er", "a [b] {c} 'd'", "图", "link", "./x/../y/"])
def test_any_other_name_is_a_folder(here, name):
    (here / "real").mkdir()
    (here / "link").symlink_to("real")
    code, printed = call_main(reproduce, "--out", name)
    assert (code, printed) == (False, "")
    assert call_main(report, "--out", name) == (0, "")
    assert "1 finished" in Path(os.path.normpath(name), "report/index.html").read_text()


def test_check_makes_no_folder(here):
    assert call_main(reproduce, "--check", "--out", "new") == (True, "")
    assert not (here / "new").exists()


def test_a_file_in_place_of_a_runs_folder_gets_one_line(here):
    for name in ("one", "one.lock", "one/log.txt"):
        path = here / "runs/reproduction/quick/stubs" / name
        path.parent.mkdir(parents=True)
        path.write_text("") if name == "one" else path.mkdir()
        code, printed = call_main(reproduce, "--out", "runs")
        assert code == 2 and printed.count("\n") == 1 and str(path) in printed
        shutil.rmtree(here / "runs")
    (here / "runs").mkdir()
    (here / "runs/report").write_text("")
    code, printed = call_main(report)
    assert code == 2 and "report/index.html: File exists" in printed
