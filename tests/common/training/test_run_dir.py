"""Run directories: whole files, settings that are guarded by name, honest results."""

import argparse
import json

import pytest

from common.errors import UserError
from common.files import atomic_write, read_json, write_json
from common.training.run_dir import git_commit, open_run, run_name, write_results


def args(tmp_path, **changes):
    flags = {
        "dataset": "mnist", "size": 32, "variant": "quick", "seed": 0, "steps": 10, "epochs": None,
        "out": str(tmp_path), "resume": False, "lam": 0.5, "data_dir": None,
    }  # fmt: skip
    return argparse.Namespace(**(flags | changes))


def test_a_run_is_named_and_describes_itself(tmp_path):
    run = open_run(args(tmp_path), "ogan", 60000)
    assert run == tmp_path / "ogan/mnist-32-quick-s0"
    config = read_json(run / "config.json")
    assert config["flags"]["lam"] == 0.5
    assert config["images"] == 60000
    assert {"keras", "numpy", "backend", "python"} <= config["versions"].keys()
    assert config["git_commit"] == git_commit()


def test_a_second_start_needs_resume(tmp_path):
    open_run(args(tmp_path), "ogan", 5)
    with pytest.raises(UserError, match="add --resume"):
        open_run(args(tmp_path), "ogan", 5)
    assert open_run(args(tmp_path, resume=True, steps=99, data_dir="/elsewhere"), "ogan", 5)


def test_resume_with_a_changed_setting_is_refused_by_name(tmp_path):
    run = open_run(args(tmp_path), "ogan", 5)
    before = (run / "config.json").read_text()
    with pytest.raises(UserError, match=r"--lam 0.5, not 1.0"):
        open_run(args(tmp_path, resume=True, lam=1.0), "ogan", 5)
    with pytest.raises(UserError, match="begun on 5 images, the data now has 6"):
        open_run(args(tmp_path, resume=True), "ogan", 6)
    assert (run / "config.json").read_text() == before


def test_other_versions_are_noted(tmp_path, capsys):
    run = open_run(args(tmp_path), "ogan", 5)
    config = read_json(run / "config.json")
    config["versions"]["keras"] = "2.2.4"
    write_json(run / "config.json", config)
    open_run(args(tmp_path, resume=True), "ogan", 5)
    assert "keras 2.2.4 ->" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("dataset", "name"),
    [("folder:/a/My Photos!", "folder-My_Photos_"), ("folder:../../x.zip", "folder-x.zip")],
)
def test_names_are_safe_as_folders(tmp_path, dataset, name):
    assert run_name(args(tmp_path, dataset=dataset)) == f"{name}-32-quick-s0"


def test_what_is_settled_does_not_change(tmp_path):
    open_run(args(tmp_path, steps=9), "ogan", 5, fixed_flags=("steps",))
    assert open_run(args(tmp_path, steps=9, resume=True, data_dir="/elsewhere"), "ogan", 5, fixed_flags=("steps",))
    with pytest.raises(UserError, match="begun with --steps 9, not 99; use another --out"):
        open_run(args(tmp_path, steps=99, resume=True), "ogan", 5, fixed_flags=("steps",))


def test_files_appear_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep/file.json"
    write_json(path, {"a": 1})

    def fail(temporary):
        temporary.write_text("half")
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError):
        atomic_write(path, fail)
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in path.parent.iterdir()] == ["file.json"]


def test_results_are_flat_numbers_and_never_nan(tmp_path):
    write_results(tmp_path, {"z_corr": 0.5}, {"figures": "address"})
    results = read_json(tmp_path / "results.json")
    assert results["metrics"] == {"z_corr": 0.5}
    assert results["references"] == {"figures": "address"}
    with pytest.raises(UserError, match="not finite: fid"):
        write_results(tmp_path, {"z_corr": 1.0, "fid": float("nan")})
    assert read_json(tmp_path / "results.json") == results


def test_unusable_places_are_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="choose another --out"):
        open_run(args(tmp_path / "file"), "ogan", 5)
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(UserError, match=r"cannot read .*bad.json"):
        read_json(tmp_path / "bad.json")
