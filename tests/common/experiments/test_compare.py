"""Comparison of any script over seeds, with trainings made by hand."""

import json

from tests.helpers.scripts import ROOT, error_line, run_here

# writes what a training leaves; the loss is the rate plus a tenth of the seed, and the rate 9 fails
TRAINING = """
import json, pathlib, sys
flags = dict(zip(sys.argv[1:-2:2], sys.argv[2:-2:2]))
if flags["--rate"] == "9":
    sys.exit("the loss became NaN")
run = pathlib.Path(flags["--out"]) / "run"
run.mkdir(parents=True, exist_ok=True)
metrics = {"loss": float(flags["--rate"]) + 0.1 * int(flags["--seed"]), "seconds": 5 + int(flags["--seed"])}
(run / "results.json").write_text(json.dumps({"metrics": metrics}))
"""
COMPARE = "common/experiments/compare.py"


def test_any_script_is_compared_over_seeds(tmp_path, capsys):
    script = tmp_path / "mine/train.py"
    script.parent.mkdir()
    script.write_text(TRAINING)
    flags = [script, "--vary", "rate", "--values", "1", "2", "9", "--seeds", "2", "--dataset", "mnist"]
    assert run_here(COMPARE, *flags, "--out", tmp_path / "runs") == 0
    output_dir = tmp_path / "runs/mine/compare-rate-mnist"
    assert (output_dir / "table.md").read_text().splitlines() == [
        "| metric, by --rate | 1 | 2 |",
        "|---|---|---|",
        "| loss | 1.05 (1.00 to 1.10) | 2.05 (2.00 to 2.10) |",
        "| seconds | 5.5 (5.0 to 6.0) | 5.5 (5.0 to 6.0) |",
        "",
        "ranges over seeds that do not overlap: loss",
        "failed: 9-0: the loss became NaN",
        "failed: 9-1: the loss became NaN",
    ]
    assert json.loads((output_dir / "results.json").read_text())["metrics"]["2/loss/1"] == 2.1
    assert "1-0: begun; 0 of 6 have ended" in capsys.readouterr().out


def test_a_script_without_data_or_with_a_text_is_compared_too(tmp_path):
    script = tmp_path / "mine/train.py"
    script.parent.mkdir()
    script.write_text(TRAINING + 'assert flags.get("--dataset") in (None, "text:my.txt")\n')
    flags = [script, "--vary", "rate", "--values", "1", "2", "--seeds", "1", "--out", tmp_path / "runs"]
    assert run_here(COMPARE, *flags) == 0 and run_here(COMPARE, *flags, "--dataset", "text:my.txt") == 0
    assert {path.name for path in (tmp_path / "runs/mine").iterdir()} == {
        "compare-rate", "compare-rate-text_my.txt",
    }  # fmt: skip


def test_what_cannot_be_compared_is_one_line(tmp_path):
    flags = ["--vary", "rate", "--values", "9", "--out", tmp_path]
    assert "is not a script" in error_line(COMPARE, ROOT, *flags)
    (tmp_path / "train.py").write_text(TRAINING)
    assert "9-0, 9-1, 9-2: the loss became NaN" in error_line(COMPARE, tmp_path / "train.py", *flags)


def test_a_file_that_hides_the_package_common_is_named(tmp_path):
    for name in ("train.py", "common.py"):
        (tmp_path / name).write_text("")
    line = error_line(COMPARE, tmp_path / "train.py", "--vary", "rate", "--values", "1", "--out", tmp_path)
    assert f"'{tmp_path}/common.py' hides the package common" in line
