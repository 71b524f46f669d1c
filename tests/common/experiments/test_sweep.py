"""Sweeps: jobs that fail, the order of the runs and the table over seeds."""

import argparse
import json
import os

import pytest

from common.errors import UserError
from common.experiments import sweep as module
from common.experiments.gpus import gpu_environments
from common.experiments.sweep import (
    GPU_SHARING_ENV,
    KILLED,
    _file_states,
    comparison_dir,
    find_run,
    run_variants,
    sweep,
)
from common.files import write_json

STUB = """
import json, os, pathlib, sys
flags = dict(zip(sys.argv[1::2], sys.argv[2::2]))
if flags["--loss"] == "bad":
    print("stub.py: error: the loss became NaN")
    sys.exit(2)
if flags["--loss"] == "killed":
    print("step 400 of 2000", flush=True)
    os.kill(os.getpid(), 9)
if flags["--loss"] == "idle":
    sys.exit()
run = pathlib.Path(flags["--out"]) / "stub"
run.mkdir(parents=True, exist_ok=True)
(run / "results.json").write_text(json.dumps({"metrics": {"seed": float(flags["--seed"])}}))
"""


@pytest.fixture
def stub(tmp_path):
    path = tmp_path / "stub.py"
    path.write_text(STUB)
    return path


# Writes its run as `train.py` does: in a folder named after the flags, with the flags in `config.json`.
TRAINING = """
import json, os, pathlib, shlex, sys
flags = dict(zip(sys.argv[1:-2:2], sys.argv[2:-2:2]))
out = pathlib.Path(flags.pop("--out"))
run = out / "article" / "-".join(f"{k[2:]}={v}" for k, v in flags.items())
run.mkdir(parents=True, exist_ok=True)
config = {"flags": {k[2:]: v for k, v in flags.items()}, "command": shlex.join(["python", *sys.argv])}
for name, content in (("config", config), ("results", {"metrics": {}, "command": config["command"]})):
    (run / "part").write_text(json.dumps(content))
    os.replace(run / "part", run / f"{name}.json")
"""
FUTURE = 4e9  # seconds since 1970, in the year 2096


@pytest.fixture
def train(tmp_path):
    """Return a function that runs the job "a" with some flags, and returns the name of its run directory."""
    (tmp_path / "train.py").write_text(TRAINING)

    def run(*flags, workers=1):
        return sweep(tmp_path / "train.py", {"a": flags}, tmp_path / "out", workers)["a"].name

    run.job_dir = tmp_path / "out/a"
    return run


def test_the_run_of_this_job_is_found_whatever_the_dates(train):
    assert train("--loss", "x", "--lr", "1") == "loss=x-lr=1"
    for path in train.job_dir.rglob("*.json"):
        os.utime(path, (FUTURE, FUTURE))
    assert train("--loss", "x") == "loss=x"
    assert train("--loss", "x", "--lr", "2") == "loss=x-lr=2"
    assert train("--loss", "x", "--lr", "1") == "loss=x-lr=1"
    assert train("--loss", "x") == "loss=x"


def test_the_command_of_a_finished_run_does_not_start_again(train, capsys):
    assert train("--loss", "x") == "loss=x"
    results = train.job_dir / "article/loss=x/results.json"
    inode = results.stat().st_ino
    capsys.readouterr()
    assert train("--loss", "x") == "loss=x" and results.stat().st_ino == inode
    assert capsys.readouterr().out == f"a: ended before; {results}\n"
    assert train("--loss", "y") == "loss=y"
    results.unlink()  # it was cut off before its end
    assert train("--loss", "x") == "loss=x" and results.exists()


def test_results_of_a_shorter_training_are_not_those_of_a_longer_one_that_was_stopped(train, capsys):
    """A run that goes on names the new command in `config.json` before it has trained."""
    assert train("--loss", "x") == "loss=x"
    run_dir = train.job_dir / "article/loss=x"
    config = json.loads((run_dir / "config.json").read_text())
    command = config["command"].replace("--loss x", "--loss x --steps 9")
    write_json(run_dir / "config.json", config | {"command": command})
    capsys.readouterr()
    train("--loss", "x", "--steps", "9")
    assert "ended before" not in capsys.readouterr().out


def test_a_job_named_after_a_path_stays_in_the_folder_of_its_sweep(stub, tmp_path):
    jobs = {name: ["--loss", "a", "--seed", i] for i, name in enumerate((f"{tmp_path}/a-0", "x" * 300, "plain-0"))}
    run_dirs = sweep(stub, jobs, tmp_path / "out")
    assert list(run_dirs) == list(jobs)
    assert {run_dir.parents[1] for run_dir in run_dirs.values()} == {tmp_path / "out"}
    assert run_dirs["plain-0"].parent.name == "plain-0" and len({r.parent for r in run_dirs.values()}) == 3


def test_results_inside_a_run_are_not_a_run(train):
    """`reconstruct.py` writes into the folder of the run that it uses."""
    (train.job_dir / "article/loss=x/reconstruct").mkdir(parents=True)
    (train.job_dir / "article/loss=x/reconstruct/results.json").write_text("{}")
    os.utime(train.job_dir / "article/loss=x/reconstruct/results.json", (FUTURE, FUTURE))
    assert train("--loss", "x") == "loss=x"


def write_runs(job_dir, **configs):
    """Write runs that no job changes, with their `config.json`, and return the state of the files."""
    for name, config in configs.items():
        (job_dir / name).mkdir(parents=True)
        (job_dir / name / "results.json").write_text("{}")
        if config is not None:
            (job_dir / name / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return _file_states(job_dir)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--loss", "rsgan"], "plain"),  # by the command
        (["--loss", "rsgan", "--learning-rate", "2e-3"], "fast"),
        (["--loss=wgan", "--steps", "5"], "other"),
        (["--loss", "wgan", "--no-flip"], "other"),
        (["--loss", "wgan", "--distribute"], "split"),
        (["--loss", "wgan", "--sizes", "1", "2"], "split"),
        (["--loss", "wgan", "--learning-rate", "-1"], "split"),
    ],
)
def test_a_run_that_was_not_written_again_is_found_by_its_flags(tmp_path, arguments, expected):
    script = ["train.py", *arguments, "--out", str(tmp_path), "--resume"]
    flags = {"learning_rate": 0.001, "steps": 6, "flip": True, "distribute": False, "sizes": [1], "out": "elsewhere"}
    other = {"loss": "wgan", "steps": 5, "flip": False}
    split = {"loss": "wgan", "distribute": True, "sizes": [1, 2], "learning_rate": -1.0}
    before = write_runs(
        tmp_path,
        fast={"flags": flags | {"loss": "rsgan", "learning_rate": 0.002}, "command": ""},
        plain={
            "flags": flags | {"loss": "rsgan"},
            "command": f"python train.py --loss rsgan --out {tmp_path} --resume",
        },
        other={"flags": flags | other},
        split={"flags": flags | split},
        damaged="[]",
        empty="",
        without=None,
    )
    assert find_run(tmp_path, script, before).name == expected


def test_runs_that_cannot_be_told_apart_are_an_error(tmp_path):
    same = {"flags": {"loss": "rsgan"}}
    before = write_runs(tmp_path, one=same, two=same, three={"flags": {"loss": "wgan"}})
    with pytest.raises(UserError, match=r"several runs with the flags of this job \(one, two\)") as caught:
        find_run(tmp_path, ["train.py", "--loss", "rsgan"], before)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("workers", "shared"), [(1, False), (2, True)])
def test_several_jobs_share_a_gpu(tmp_path, monkeypatch, workers, shared):
    for name in GPU_SHARING_ENV:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KEPT", "1")
    environments = []

    def start(arguments, log, lock, env):
        environments.append(env)
        (tmp_path / "a/run").mkdir(exist_ok=True)
        (tmp_path / "a/run/results.json").write_text("{}")
        return argparse.Namespace(returncode=0, poll=lambda: 0)

    monkeypatch.setattr(module, "start_process", start)
    sweep("train.py", {"a": []}, tmp_path, workers)
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", "false")  # the user's own choice
    sweep("train.py", {"a": []}, tmp_path, workers)
    assert [{name for name in GPU_SHARING_ENV if name in env} for env in environments] == [
        set(GPU_SHARING_ENV) if shared else set(),
        set(GPU_SHARING_ENV) if shared else {"TF_FORCE_GPU_ALLOW_GROWTH"},
    ]
    assert environments[1]["TF_FORCE_GPU_ALLOW_GROWTH"] == "false" and environments[0]["KEPT"] == "1"


@pytest.mark.parametrize("name", ["x" * 300, "数" * 100, "folder:/a/" + "b/" * 200, "folder:../..", "a\0b"])
def test_any_data_set_has_a_folder_for_its_comparison(tmp_path, name):
    args = argparse.Namespace(out=tmp_path, dataset=name)
    path = comparison_dir(args, "article", "compare")
    path.mkdir(parents=True)
    assert path.parent == tmp_path / "article" and path != comparison_dir(args, "article", "ablation")
    args.dataset = f"{name}2"
    assert path != comparison_dir(args, "article", "compare")


def test_a_folder_that_cannot_be_made_is_an_error_of_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write to .*file/a: .*; choose another --out"):
        sweep("train.py", {"a": []}, tmp_path / "file")


def test_a_failed_job_ends_the_sweep_or_is_recorded(stub, tmp_path):
    jobs = {"a": ["--loss", "bad", "--seed", 0], "b": ["--loss", "good", "--seed", 1]}
    with pytest.raises(UserError, match=r"a: stub.py: error: the loss became NaN"):
        sweep(stub, jobs, tmp_path / "one")
    failed = {}
    run_dirs = sweep(stub, jobs, tmp_path / "two", failed=failed)
    assert run_dirs == {"b": tmp_path / "two/b/stub"}
    assert failed == {"a": "stub.py: error: the loss became NaN"}


def test_a_killed_job_names_its_signal_and_a_job_without_results_is_an_error(stub, tmp_path):
    failed = {}
    sweep(stub, {"a": ["--loss", "killed", "--seed", 0]}, tmp_path, failed=failed)
    assert failed == {"a": f"{KILLED} 9; last line of the log: step 400 of 2000"}
    with pytest.raises(UserError, match=r"a succeeded but wrote no results\.json"):
        sweep(stub, {"a": ["--loss", "idle", "--seed", 0]}, tmp_path / "idle", failed=failed)


def test_variants_are_kinds_times_seeds(stub, tmp_path):
    args = argparse.Namespace(dataset="8gaussians", seeds=2, forwarded=["--steps", "3"], jobs=2, format=None)
    failed = {}
    runs = run_variants(stub, "--loss", ["bad", "good"], tmp_path / "runs", args, failed)
    assert list(runs) == ["good-0", "good-1"] and sorted(failed) == ["bad-0", "bad-1"]


def test_the_trainings_write_the_second_format_too(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "sweep", lambda script, jobs, *others: jobs)
    for given in ([], ["--format", "svg"]):
        args = module.sweep_parser("", "mnist").parse_args(["--seeds", "1", *given])
        args.forwarded = ["--steps", "3"]
        (job,) = run_variants("a/train.py", "--loss", ["good"], tmp_path, args).values()
        assert job == ["--dataset", "mnist", "--seed", 0, "--loss", "good", "--steps", "3", *given]


def test_a_line_tells_when_a_training_begins_and_ends_and_how_long_it_takes(stub, tmp_path, monkeypatch, capsys):
    clock = iter(range(0, 90_000, 600))
    monkeypatch.setattr(module, "time", argparse.Namespace(monotonic=lambda: next(clock)))
    jobs = {name: ["--loss", "good", "--seed", i] for i, name in enumerate("ab")}
    sweep(stub, jobs, tmp_path)
    begun, ended, *others = capsys.readouterr().out.splitlines()
    assert begun == f"a: begun; 0 of 2 have ended; {tmp_path}/a/log.txt"
    assert ended == f"a: ended after 10 min; about 10 min left; {tmp_path}/a/stub/results.json"
    assert "b: begun; 1 of 2" in others[0] and "b: ended after 10 min; /" in others[1] and len(others) == 2
    sweep(stub, jobs, tmp_path)
    assert " left" not in capsys.readouterr().out, "those that were finished say nothing about the others"


@pytest.mark.parametrize(
    ("gpus", "jobs", "expected"),
    [("0,1", 3, "010"), ("3", 2, "--"), ("", 2, "--"), ("0,1", 1, "-"), ("GPU-a, GPU-b", 2, ["GPU-a", "GPU-b"])],
)
def test_jobs_at_the_same_time_have_a_gpu_each(monkeypatch, gpus, jobs, expected):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    chosen = [env.get("CUDA_VISIBLE_DEVICES", "-") for env in gpu_environments(jobs)]
    assert chosen == list(expected)


def test_gpus_are_asked_of_the_driver(tmp_path, monkeypatch):
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 0\necho 1\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [env["CUDA_VISIBLE_DEVICES"] for env in gpu_environments(2)] == ["0", "1"]
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho no driver\nexit 9\n")
    assert gpu_environments(2) == [{}, {}]
