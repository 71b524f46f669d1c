"""Run directories: atomic files, settings that must not change on resume, finite results."""

import argparse
import errno
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import UserError
from common.files import atomic_write, read_json, write_json
from common.training.run_dir import accept_run, git_commit, open_run, peak_memory, run_name, write_results
from common.training.run_files import HISTORIES
from tests.helpers.scripts import ROOT


def make_args(tmp_path, **changes):
    flags = {
        "dataset": "mnist", "size": 32, "variant": "quick", "seed": 0, "steps": 10, "epochs": None,
        "out": str(tmp_path), "resume": False, "new": False, "lam": 0.5, "data_dir": None,
    }  # fmt: skip
    return argparse.Namespace(**(flags | changes))


def test_config_json_has_flags_versions_and_commit(tmp_path):
    run_dir = open_run(make_args(tmp_path), "ogan", 60000)
    assert run_dir == tmp_path / "ogan/mnist-32-quick-s0"
    config = read_json(run_dir / "config.json")
    assert config["flags"]["lam"] == 0.5
    assert config["images"] == 60000
    assert {"keras", "numpy", "backend", "python"} <= config["versions"].keys()
    assert config["git_commit"] == git_commit()


def test_second_start_needs_resume(tmp_path):
    open_run(make_args(tmp_path), "ogan", 5)
    with pytest.raises(UserError, match="add --resume"):
        open_run(make_args(tmp_path), "ogan", 5)
    run_dir = open_run(make_args(tmp_path, resume=True, steps=99, data_dir="/elsewhere"), "ogan", 5)
    assert run_dir == tmp_path / "ogan/mnist-32-quick-s0"
    assert read_json(run_dir / "config.json")["flags"]["steps"] == 10, "what may still be refused changes nothing"
    accept_run(run_dir)
    assert read_json(run_dir / "config.json")["flags"]["steps"] == 99


def test_resume_with_another_setting_or_other_data_is_refused(tmp_path):
    run_dir = open_run(make_args(tmp_path), "ogan", 5)
    before = (run_dir / "config.json").read_text()
    with pytest.raises(UserError, match=r"--lam 0.5, not 1.0"):
        open_run(make_args(tmp_path, resume=True, lam=1.0), "ogan", 5)
    with pytest.raises(UserError, match="started with 5 images, the data now has 6"):
        open_run(make_args(tmp_path, resume=True), "ogan", 6)
    assert (run_dir / "config.json").read_text() == before


def test_other_versions_give_a_note(tmp_path, capsys):
    run_dir = open_run(make_args(tmp_path), "ogan", 5)
    config = read_json(run_dir / "config.json")
    config["versions"]["keras"] = "2.2.4"
    write_json(run_dir / "config.json", config)
    open_run(make_args(tmp_path, resume=True), "ogan", 5)
    assert "keras 2.2.4 ->" in capsys.readouterr().out


def test_another_number_of_threads_gives_a_note(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "7")
    open_run(make_args(tmp_path), "ogan", 5)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    open_run(make_args(tmp_path, resume=True), "ogan", 5)
    assert "threads 7 -> 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("dataset", "name"),
    [("folder:/a/My Photos!", "folder-My_Photos_"), ("folder:../../x.zip", "folder-x.zip")],
)
def test_run_names_are_safe_as_folder_names(tmp_path, dataset, name):
    assert run_name(make_args(tmp_path, dataset=dataset)) == f"{name}-32-quick-s0"


@pytest.mark.parametrize("resume", [False, True])
def test_a_long_name_of_the_data_makes_a_folder(tmp_path, resume):
    """File systems take 255 bytes, and a Chinese character has three."""
    runs = {
        open_run(make_args(tmp_path, dataset=f"folder:/a/{100 * '照'}{end}", resume=resume), "ogan", 5).name
        for end in "相片"
    }
    assert len(runs) == 2 and all(name.startswith("folder-照照") and name.endswith("-s0") for name in runs)


def test_a_run_that_cannot_be_written_to_is_one_line(tmp_path, monkeypatch):
    run_dir = open_run(make_args(tmp_path), "ogan", 5)
    moved = tmp_path / "elsewhere"
    shutil.copytree(run_dir, moved)  # a folder of which this process has no lock yet
    real_open = os.open

    def refuse(path, *args):
        if str(path) == str(moved / ".lock"):
            raise OSError(errno.EROFS, "Read-only file system")
        return real_open(path, *args)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UserError, match=r"cannot write to .*elsewhere: read-only file system; copy the run"):
        open_run(make_args(tmp_path, resume=str(moved)), "ogan", 5)


def test_fixed_flags_must_not_change(tmp_path):
    run_dir = open_run(make_args(tmp_path, steps=9), "ogan", 5, fixed_flags=("steps",))
    args = make_args(tmp_path, steps=9, resume=True, data_dir="/elsewhere")
    assert open_run(args, "ogan", 5, fixed_flags=("steps",)) == run_dir
    with pytest.raises(UserError, match="started with --steps 9, not 99; use another --out"):
        open_run(make_args(tmp_path, steps=99, resume=True), "ogan", 5, fixed_flags=("steps",))


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "deep/file.json"
    write_json(path, {"a": 1})

    def fail(temporary):
        temporary.write_text("half")
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError):
        atomic_write(path, fail)
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in path.parent.iterdir()] == ["file.json"]


def test_results_that_are_not_finite_are_refused(tmp_path):
    write_results(tmp_path, {"z_corr": 0.5}, {"figures": "address"})
    results = read_json(tmp_path / "results.json")
    assert results["metrics"] == {"z_corr": 0.5} and results["peak_memory_mb"] > 10
    assert results["references"] == {"figures": "address"}
    with pytest.raises(UserError, match="not finite: fid"):
        write_results(tmp_path, {"z_corr": 1.0, "fid": float("nan")})
    assert read_json(tmp_path / "results.json")["metrics"]["z_corr"] == 0.5


def test_peak_memory_lies_between_the_memory_of_now_and_the_most_of_getrusage():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert pages * resource.getpagesize() / 2**20 - 1 <= peak_memory()["peak_memory_mb"] <= most + 1


def test_unusable_paths_give_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="choose another --out"):
        open_run(make_args(tmp_path / "file"), "ogan", 5)
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(UserError, match=r"cannot read .*bad.json"):
        read_json(tmp_path / "bad.json")


def test_a_run_belongs_to_one_process(tmp_path):
    """A second process gets one line, whatever it asks for, and changes nothing."""
    run_dir = open_run(make_args(tmp_path), "ogan", 5)
    (run_dir / ".part-x").write_text("being written")
    code = (
        "import argparse, sys; from common.training.run_dir import open_run; from common.errors import UserError\n"
        "args = argparse.Namespace(**eval(sys.argv[1]))\n"
        "try: open_run(args, 'ogan', 5)\n"
        "except UserError as error: print(error)"
    )
    words = [sys.executable, "-c", code, repr(vars(make_args(tmp_path, resume=True)))]
    said = subprocess.run(words, capture_output=True, text=True, cwd=ROOT).stdout
    assert "is being trained by another process" in said
    assert (run_dir / ".part-x").exists(), "the file that a healthy training writes"
    open_run(make_args(tmp_path, resume=True), "ogan", 5)  # the same process may open it again
    assert not (run_dir / ".part-x").exists()


DAMAGE = ["", "null", "[]", "3", "{", '{"x": 1}', '{"1": null}', '{"1": "a"}', '{"1": NaN}', '{"-1": 2}', "\0"]


@pytest.mark.parametrize("name", [*HISTORIES, "log.csv"])
@pytest.mark.parametrize("content", DAMAGE)
def test_a_damaged_history_costs_what_it_holds(name, content, tmp_path, capsys):
    run_dir = open_run(make_args(tmp_path), "ogan", 5)
    (run_dir / name).write_text(content)
    open_run(make_args(tmp_path, resume=True), "ogan", 5)
    assert not (run_dir / name).exists() and (run_dir / f"{name}.damaged").read_text() == content
    (line,) = capsys.readouterr().out.splitlines()
    assert name in line and "going on without" in line


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("distances.json", '{"0": 3.5, "20": 1}'),
        ("modes.json", "{}"),
        ("bounds.json", '{"5": [1, 2.5, 0.1]}'),
        ("rescues.json", '{"best_loss": null, "rescues": []}'),
        ("log.csv", "step,seconds,gap\n5,1.5,\n10,3,2\n"),
    ],
)
def test_a_sound_history_stays(name, content, tmp_path, capsys):
    run_dir = open_run(make_args(tmp_path), "ogan", 5)
    (run_dir / name).write_text(content)
    open_run(make_args(tmp_path, resume=True), "ogan", 5)
    assert (run_dir / name).read_text() == content and not capsys.readouterr().out


@pytest.mark.parametrize("name", ["tensorboard", "samples", "log.csv"])
def test_what_stands_in_the_way_is_named(name, tmp_path):
    run_dir = open_run(make_args(tmp_path), "ogan", 5)
    if name == "log.csv":
        (run_dir / name).mkdir()
    else:
        (run_dir / name).write_text("")
    with pytest.raises(UserError, match=f"{name} is not a f"):
        open_run(make_args(tmp_path, resume=True), "ogan", 5)


def test_a_moved_folder_is_known_by_its_images(tmp_path):
    name = "folder:/a/faces"
    run_dir = open_run(make_args(tmp_path, dataset=name), "ogan", 5, fingerprint=7)
    moved = make_args(tmp_path, dataset="folder:/b/faces", resume=True)
    assert open_run(moved, "ogan", 5, fingerprint=7) == run_dir
    with pytest.raises(UserError, match="other images"):
        open_run(moved, "ogan", 5, fingerprint=8)


def test_a_resume_begins_a_run_beside_others_only_with_new(tmp_path):
    open_run(make_args(tmp_path, variant="quick", seed=1, resume=True), "ogan", 5)  # nothing is there at all
    open_run(make_args(tmp_path, variant="paper"), "ogan", 5)
    with pytest.raises(UserError, match=r"nothing to resume in .*RUN_DIR \(.*/mnist-32-paper-s0\), or .* --new$"):
        open_run(make_args(tmp_path, variant="quick", resume=True), "ogan", 5)
    assert not (tmp_path / "ogan/mnist-32-quick-s0").exists()
    assert open_run(make_args(tmp_path, variant="quick", resume=True, new=True), "ogan", 5).name == "mnist-32-quick-s0"
    open_run(make_args(tmp_path, variant="quick", resume=True), "ogan", 5)


def test_a_named_run_goes_on_whatever_its_name(tmp_path):
    run_dir = open_run(make_args(tmp_path, variant="paper"), "ogan", 5)
    command = read_json(run_dir / "config.json")["command"]
    moved = tmp_path / "my run"
    shutil.copytree(run_dir, moved)
    args = make_args(tmp_path, variant="paper", resume=str(moved), steps=99)
    assert open_run(args, "ogan", 5) == moved
    accept_run(moved)
    config = read_json(moved / "config.json")
    assert config["flags"]["steps"] == 99 and config["command"] == f"{command} --steps 99"
    for steps in (99, 120):
        open_run(make_args(tmp_path, variant="paper", resume=str(moved), steps=steps), "ogan", 5)
        accept_run(moved)
        assert read_json(moved / "config.json")["command"] == f"{command} --steps {steps}"
    with pytest.raises(UserError, match=r"my run is a run of ogan, not of flow/glow"):
        open_run(args, "flow/glow", 5)


def test_a_run_of_data_that_its_script_makes_is_named_by_its_variant(tmp_path):
    args = make_args(tmp_path)
    del args.dataset, args.size
    assert run_name(args) == "quick-s0"
    open_run(args, "rnn", 5)
    args.variant, args.resume = "quick-units-4", True
    with pytest.raises(UserError, match=r"nothing to resume in .*quick-units-4-s0: .*--resume RUN_DIR \(.*/quick-s0\)"):
        open_run(args, "rnn", 5)
