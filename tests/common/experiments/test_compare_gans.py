"""Comparisons of GANs: the table, the floors, what failed and the grid of samples, for trainings made by hand."""

import argparse
import json

import imageio.v3 as iio
import numpy as np
import pytest

from common.errors import UserError
from common.experiments import compare_gans as module
from common.experiments.compare_gans import compare_gans
from common.experiments.sweep import KILLED
from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import ROOT

DISTANCES = {str(10 * i): 13.0 - i for i in range(13)}  # by step, from 13 at step 0 to 1 at step 120


def write_run(run_dir, fid, seed, with_modes):
    """Write what a training leaves: metrics, distances and one picture, 90 x 90 pixels, per 10 steps."""
    (run_dir / "samples").mkdir(parents=True)
    metrics = {"fid": fid, "fid_floor": 0.25, "floor/on_the_way": 0.5 + seed, "train_seconds": 60}
    (run_dir / "results.json").write_text(json.dumps({"metrics": metrics}))
    (run_dir / "distances.json").write_text(json.dumps(DISTANCES))
    if with_modes:
        (run_dir / "modes.json").write_text(json.dumps({"0": 1, "120": 8}))
    for step in map(int, DISTANCES):
        picture = np.full((90, 90, 3), 2 * step, "uint8")
        iio.imwrite(run_dir / f"samples/step-{step:07d}.png", picture)


@pytest.fixture
def compare(tmp_path, monkeypatch):
    """Return a function that compares kinds over two seeds, with trainings that fail for given reasons."""

    def run(kinds, single=(), failures=(), with_modes=False):
        failures = dict(failures)

        def run_variants(script, flag, kinds, sweep_dir, args, failed):
            assert script == ROOT / "rsgan/train.py" and flag == "--loss"
            run_dirs = {}
            for seed in range(args.seeds):
                for kind in kinds:
                    name = f"{kind}-{seed}"
                    if name in failures:
                        failed[name] = failures[name]
                        continue
                    run_dirs[name] = sweep_dir / name / "run"
                    write_run(run_dirs[name], {"good": 1.0, "bad": 3.0, "once": 2.0}[kind] + seed, seed, with_modes)
            return run_dirs

        monkeypatch.setattr(module, "run_variants", run_variants)
        args = argparse.Namespace(dataset="mnist", seeds=2, out=str(tmp_path), forwarded=[])
        compare_gans(args, "rsgan", "--loss", kinds, single)

    run.output_dir = tmp_path / "rsgan/compare-mnist"
    return run


def test_the_table_has_a_row_per_kind_and_the_floors_below(compare, capsys):
    compare(["bad", "good"], ["once", "good"], with_modes=True)
    table = (compare.output_dir / "table.md").read_text()
    assert table.splitlines() == [
        "| loss | FID | half-way | seconds |",
        "|---|---|---|---|",
        "| bad | 3.500 (3.000 to 4.000) | 7 | 60 |",
        "| good | 1.500 (1.000 to 2.000) | 7 | 60 |",
        "| once | 2 | 7 | 60 |",
        "",
        "floors, between two samples of the data: FID 0.250, half-way, of fewer samples, 0.500",
    ]
    output = capsys.readouterr().out
    assert output == f"{table}\nnearest to the data: good\n{compare.output_dir}/figures/samples.png\n"
    results = json.loads((compare.output_dir / "results.json").read_text())
    assert results["metrics"]["FID/bad/1"] == 4 and results["failed"] == {}
    figures = compare.output_dir / "figures"
    assert_not_blank(*(figures / f"{name}.png" for name in ("samples", "samples-all", "convergence", "modes")))


def test_a_failed_training_is_named_below_the_table(compare):
    compare(["good", "bad"], failures={"good-0": "the loss became NaN", "bad-0": "no", "bad-1": "no"})
    lines = (compare.output_dir / "table.md").read_text().splitlines()
    assert lines[2] == "| good | 2 | 7 | 60 |" and lines[3] == ""
    assert lines[4].endswith("of fewer samples, 1.500")  # of the only run there is
    assert lines[5:] == ["failed: good-0: the loss became NaN", "failed: bad-0: no", "failed: bad-1: no"]
    assert not (compare.output_dir / "figures/modes.png").exists()
    assert not (compare.output_dir / "figures/samples-all.png").exists()


def test_a_killed_training_is_an_error_once_everything_is_written(compare):
    with pytest.raises(UserError, match=f"bad-1: {KILLED} 9; run the same command again") as caught:
        compare(["good", "bad"], failures={"good-0": "the loss became NaN", "bad-1": f"{KILLED} 9"})
    assert "good-0" not in str(caught.value)
    assert (compare.output_dir / "figures/convergence.png").exists()


def test_it_is_an_error_if_all_trainings_failed(compare):
    with pytest.raises(UserError, match="good-0: no memory; good-1: the loss became NaN"):
        compare(["good"], ["once"], failures={"good-0": "no memory", "good-1": "the loss became NaN"})
    assert not (compare.output_dir / "table.md").exists()


def test_the_grid_doubles_its_steps_and_leaves_out_the_untrained_networks(tmp_path):
    write_run(tmp_path, 1.0, 0, False)
    pictures = module._samples_over_training(tmp_path, is_toy=False)
    assert list(pictures) == [10, 30, 60, 120]
    assert all((picture == 2 * step).all() for step, picture in pictures.items())
    assert {picture.shape for picture in pictures.values()} == {(2 * 10, 4 * 10, 3)}  # two rows of four images of 10 px
    points = module._samples_over_training(tmp_path, is_toy=True)
    assert {picture.shape for picture in points.values()} == {(90, 45, 3)}
