"""Sweeps: jobs that fail, the order of the runs and the table over seeds."""

import argparse

import pytest

from common.errors import UserError
from common.experiments.sweep import KILLED, run_variants, sweep, table

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
    args = argparse.Namespace(dataset="8gaussians", seeds=2, forwarded=["--steps", "3"], jobs=2)
    failed = {}
    runs = run_variants(stub, "--loss", ["bad", "good"], tmp_path / "runs", args, failed)
    assert list(runs) == ["good-0", "good-1"] and sorted(failed) == ["bad-0", "bad-1"]


def test_the_table_shows_the_range_over_seeds():
    rows = {"one": {"FID": [1.0, 2.0, 6.0], "modes": [25.0, 25.0, 25.0]}, "two": {"FID": [0.5], "modes": [24.5]}}
    assert table("entropy", rows).splitlines() == [
        "| entropy | FID | modes |",
        "|---|---|---|",
        "| one | 3.000 (1.000 to 6.000) | 25 |",
        "| two | 0.500 | 24.500 |",
    ]
    rows["two"]["published"] = [0.3]
    assert table("entropy", rows).splitlines()[0] == "| entropy | FID | modes | published |"
    assert table("entropy", rows).splitlines()[2:] == [
        "| one | 3.000 (1.000 to 6.000) | 25 |  |",
        "| two | 0.500 | 24.500 | 0.300 |",
    ]
