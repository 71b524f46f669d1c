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

CHANCE = "(of two that are equal, one comes out so once in 3 comparisons)"
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


@pytest.mark.parametrize(
    ("steps", "expected"),
    [([0, 5, 10], 5), ([0, 4, 8, 12, 15], 8), ([0, 10, 20, 30], None), ([0], None), ([], None), ([0, 1, 9, 20], 9)],
)
def test_half_way_is_near_the_middle(steps, expected):
    assert module.half_way(steps, steps) == ({} if expected is None else {"half_way": expected})


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
        "| bad | 3.5 (3.0 to 4.0) | 7 | 60 |",
        "| good | 1.5 (1.0 to 2.0) | 7 | 60 |",
        "| once | 2 | 7 | 60 |",
        "",
        "floors, between two samples of the data: FID 0.250, half-way, of fewer samples, 0.500",
    ]
    output = capsys.readouterr().out
    assert (
        output
        == f"{table}\nnearest to the data: good, with every seed {CHANCE}\n{compare.output_dir}/figures/samples.png\n"
    )
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
    with pytest.raises(UserError, match=r"^good-0, good-1: no memory; bad-0: other; bad-1: no$"):
        reasons = {"good-0": "no memory", "good-1": "no memory", "bad-0": "other", "bad-1": "no"}
        compare(["good", "bad"], failures=reasons)
    assert not (compare.output_dir / "table.md").exists()


def test_the_grid_doubles_its_steps_and_leaves_out_the_untrained_networks(tmp_path):
    write_run(tmp_path, 1.0, 0, False)
    pictures = module._samples_over_training(tmp_path, is_toy=False)
    assert list(pictures) == [10, 30, 60, 120]
    assert all((picture == 2 * step).all() for step, picture in pictures.items())
    assert {picture.shape for picture in pictures.values()} == {(2 * 10, 4 * 10, 3)}  # two rows of four images of 10 px
    points = module._samples_over_training(tmp_path, is_toy=True)
    assert list(points) == [module.DATA_COLUMN, *pictures]


@pytest.fixture
def change_runs(monkeypatch):
    """Return a function that changes each run, once written, by a function of its directory."""

    def change(function):
        write = write_run

        def changed(run_dir, *args):
            write(run_dir, *args)
            function(run_dir)

        monkeypatch.setitem(globals(), "write_run", changed)

    return change


def edit_metrics(run_dir, edit):
    """Apply a function to the metrics of a run."""
    results = json.loads((run_dir / "results.json").read_text())
    edit(results["metrics"])
    (run_dir / "results.json").write_text(json.dumps(results))


def test_runs_of_too_few_images_have_no_distances(compare, change_runs, capsys):
    def forget(run_dir):
        edit_metrics(run_dir, lambda m: [m.pop(key) for key in ("fid", "fid_floor", "floor/on_the_way")])
        (run_dir / "distances.json").unlink()

    change_runs(forget)
    compare(["good", "bad"])
    lines = (compare.output_dir / "table.md").read_text().splitlines()
    note = "not measured: the distances; there are too few images, see log.txt in the folder of a run"
    assert lines == ["| loss | seconds |", "|---|---|", "| good | 60 |", "| bad | 60 |", "", note]
    figures = {path.name for path in (compare.output_dir / "figures").iterdir()}
    assert figures == {"samples.png"} and "nearest" not in capsys.readouterr().out


def test_a_metric_that_one_run_lacks_is_left_out_of_its_mean(compare, change_runs, capsys):
    change_runs(lambda run_dir: run_dir.parent.name == "good-0" and edit_metrics(run_dir, lambda m: m.pop("fid")))
    compare(["good", "bad"])
    assert (compare.output_dir / "table.md").read_text().splitlines()[2:4] == [
        "| good | 2 | 7 | 60 |",
        "| bad | 3.5 (3.0 to 4.0) | 7 | 60 |",
    ]
    assert (
        "nearest to the data: undecided; the range of bad over seeds overlaps that of good" in capsys.readouterr().out
    )


def test_a_recall_of_0_is_named_below_the_table(compare, change_runs):
    recall = {"good-0": 0.0, "good-1": 0.5, "bad-0": 0.0, "bad-1": 0.0}
    precision_1 = lambda m, recall: m.update(precision=1.0, recall=recall)
    change_runs(lambda run_dir: edit_metrics(run_dir, lambda m: precision_1(m, recall[run_dir.parent.name])))
    compare(["good", "bad"])
    last = (compare.output_dir / "table.md").read_text().splitlines()[-1]
    assert last == "recall 0, so that precision and density say nothing: good-0, bad-0, bad-1"


def empty_picture(run_dir):
    (run_dir / "samples/step-0000060.png").write_bytes(b"")


def truncated_picture(run_dir):
    path = run_dir / "samples/step-0000060.png"
    path.write_bytes(path.read_bytes()[:-20])


def foreign_names(run_dir):
    (run_dir / "samples/step-0000060.png").rename(run_dir / "samples/step-new.png")


@pytest.mark.parametrize("damage", [empty_picture, truncated_picture, foreign_names])
@pytest.mark.parametrize("victims", [("good-0",), ("good-0", "bad-0")])
def test_a_damaged_picture_costs_at_most_its_place_in_the_grid(compare, change_runs, damage, victims):
    change_runs(lambda run_dir: run_dir.parent.name in victims and damage(run_dir))
    compare(["good", "bad"])
    assert_not_blank(compare.output_dir / "figures/samples.png")


def test_without_pictures_there_is_no_grid(compare, change_runs, capsys):
    change_runs(lambda run_dir: [path.unlink() for path in (run_dir / "samples").iterdir()])
    compare(["good"])
    assert "samples.png (there is no picture of the samples)" in capsys.readouterr().out
    assert not (compare.output_dir / "figures/samples.png").exists()


def test_seeds_measured_at_different_steps_have_no_common_curve(compare, change_runs, capsys):
    change_runs(
        lambda run_dir: run_dir.parent.name == "good-1" and (run_dir / "distances.json").write_text('{"0": 2, "9": 1}')
    )
    compare(["good", "bad"])
    assert "convergence.png (the seeds were measured at different steps)" in capsys.readouterr().out
    assert not (compare.output_dir / "figures/convergence.png").exists()


@pytest.mark.parametrize("content", ["[]", "null", "{}", '{"metrics": []}', '{"metrics": {"fid": "x"}}', "{"])
def test_damaged_results_are_named(compare, change_runs, content):
    change_runs(lambda run_dir: (run_dir / "results.json").write_text(content))
    with pytest.raises(UserError, match=r"good-0/run/results\.json"):
        compare(["good"])
