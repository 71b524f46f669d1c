"""Compare variants of one GAN script over seeds: a table of metrics, a grid of samples and convergence curves."""

import argparse
from pathlib import Path

import imageio.v3 as iio
import numpy as np

from common.data.toy_2d import TOYS
from common.errors import UserError
from common.experiments.gan import MetricHistory
from common.experiments.sample_space import ImageSpace
from common.experiments.sweep import KILLED, comparison_dir, run_variants, write_table
from common.files import read_json
from common.plots.charts import blank_figure, plot_curves, write_figure

TABLE_COLUMNS = {
    "FID": "fid",
    "KID": "kid",
    "precision": "precision",
    "recall": "recall",
    "sliced Wasserstein": "swd",
    "near a mode": "near",
    "modes": "modes",
    "KL of modes": "mode_kl",
    "width of modes": "mode_width",
    "half-way": "half_way",
    "seconds": "train_seconds",
}
GRID_STEPS = 6  # columns of the grid: the same latents at six steps of the training


class FinishedRun:
    """Results of a finished training.

    `metrics` are those of `results.json`, and `half_way`: the distance to the data in the middle of the training.

    Args:
        run_dir: path of the run directory.
    """

    def __init__(self, run_dir):
        self.run_dir = run_dir
        self.distance_curve = MetricHistory(run_dir / "distances.json").curve()
        self.mode_curve = MetricHistory(run_dir / "modes.json").curve()  # of empty lists if modes are unknown
        self.metrics = read_json(run_dir / "results.json")["metrics"]
        distances = self.distance_curve[1]
        self.metrics["half_way"] = distances[(len(distances) - 1) // 2]


def compare_gans(args, article, flag, kinds, single_seed_kinds=(), name="compare"):
    """Train `<article>/train.py` once per kind and seed, and write the results side by side.

    Writes to `<out>/<article>/<name>-<dataset>/`: `table.md`, `results.json`, `figures/samples.png` (kinds down,
    training across, as in 6110-F1), `figures/convergence.png`, and `figures/modes.png` where modes are known. A run
    that has finished before is not trained again. A failed training, e.g. one whose loss became NaN, is named below
    the table and left out of it.

    Args:
        args: flags of `common.experiments.sweep.sweep_parser`; `args.forwarded` is the list of flags for the training.
        article: str, folder of the article.
        flag: str, flag of the training that varies, e.g. "--loss".
        kinds: values of the flag, compared over all seeds.
        single_seed_kinds: further values, trained with seed 0 alone. They appear in the table and in
            `figures/samples-all.png`.
        name: str, first part of the folder's name.

    Raises:
        UserError: if all trainings of `kinds` failed, or, after everything is written, if one was killed.
    """
    output_dir = comparison_dir(args, article, name)
    script = Path(__file__).parents[2] / article / "train.py"
    single_seed_kinds = [kind for kind in single_seed_kinds if kind not in kinds]

    # training
    failed = {}
    run_dirs = run_variants(script, flag, kinds, output_dir, args, failed)
    single_seed_args = argparse.Namespace(**vars(args) | {"seeds": 1})
    run_dirs |= run_variants(script, flag, single_seed_kinds, output_dir, single_seed_args, failed)

    finished = {run_name: FinishedRun(run_dir) for run_name, run_dir in run_dirs.items()}
    runs = {
        kind: [finished[f"{kind}-{seed}"] for seed in range(args.seeds) if f"{kind}-{seed}" in finished]
        for kind in (*kinds, *single_seed_kinds)
    }
    runs = {kind: runs_of_kind for kind, runs_of_kind in runs.items() if runs_of_kind}
    kinds = [kind for kind in kinds if kind in runs]
    if not kinds:
        raise UserError("; ".join(f"{run_name}: {reason}" for run_name, reason in failed.items()))

    # table
    first_run = next(iter(finished.values()))
    columns = {title: key for title, key in TABLE_COLUMNS.items() if key in first_run.metrics}
    rows = {
        kind: {title: [run.metrics[key] for run in runs_of_kind] for title, key in columns.items()}
        for kind, runs_of_kind in runs.items()
    }
    footer = _floors_line(first_run, columns)
    footer += "".join(f"failed: {run_name}: {reason}\n" for run_name, reason in failed.items())
    text = write_table(output_dir, flag.removeprefix("--"), rows, args, footer, failed=failed)

    # figures
    figures = output_dir / "figures"
    is_toy = args.dataset in TOYS
    grid = {kind: _samples_over_training(runs_of_kind[0].run_dir, is_toy) for kind, runs_of_kind in runs.items()}
    _draw_grid(figures / "samples.png", {kind: grid[kind] for kind in kinds})
    if single_seed_kinds:
        _draw_grid(figures / "samples-all.png", grid)
    title = f"{args.dataset}, {args.seeds} seed{'s' * (args.seeds > 1)}"
    plot_curves(
        figures / "convergence.png",
        {kind: [run.distance_curve for run in runs[kind]] for kind in kinds},
        "step",
        "sliced Wasserstein distance" if is_toy else "Frechet distance",
        title,
        logy=True,
        references={"two samples of the data": first_run.metrics["floor/on_the_way"]},
    )
    if all((run_dir / "modes.json").exists() for run_dir in run_dirs.values()):
        series = {kind: [run.mode_curve for run in runs[kind]] for kind in kinds}
        plot_curves(figures / "modes.png", series, "step", "modes found", title)

    distance = "swd" if is_toy else "fid"
    best = min(runs, key=lambda kind: np.mean([run.metrics[distance] for run in runs[kind]]))
    print(text, f"nearest to the data: {best}", f"{output_dir}/figures/samples.png", sep="\n")
    # a killed training says nothing about its kind, unlike one that diverged
    killed = [f"{run_name}: {reason}" for run_name, reason in failed.items() if reason.startswith(KILLED)]
    if killed:
        raise UserError(f"{'; '.join(killed)}; run the same command again to repeat them")


def _floors_line(run, columns):
    """Return the line of noise floors below the table: metrics between two samples of the data.

    Args:
        run: `FinishedRun` whose floors stand for those of all runs.
        columns: dict title -> key of a metric.
    """
    floors = {title: run.metrics[f"{key}_floor"] for title, key in columns.items() if f"{key}_floor" in run.metrics}
    floors["half-way, of fewer samples,"] = run.metrics["floor/on_the_way"]
    listed = ", ".join(f"{title} {value:.3f}" for title, value in floors.items())
    return f"\nfloors, between two samples of the data: {listed}\n"


def _samples_over_training(run_dir, is_toy, rows=2, columns=4):
    """Return {step: picture of the samples} at `GRID_STEPS` steps of a run, doubling towards its end.

    A picture shows the first `rows` x `columns` images, or of points the right half of the plot: the samples' panel.
    """
    paths = sorted((run_dir / "samples").glob("step-*.png"))[1:]  # without the untrained networks
    # the last, the one after half of the steps, a quarter, ...
    indices = {max(0, len(paths) // 2**i - 1) for i in range(GRID_STEPS)}
    pictures = {}
    for path in (paths[i] for i in sorted(indices)):
        picture = iio.imread(path, mode="RGB")
        image_side = len(picture) // ImageSpace.columns
        step = int(path.stem.split("-")[1])
        if is_toy:
            pictures[step] = picture[:, picture.shape[1] // 2 :]
        else:
            pictures[step] = picture[: rows * image_side, : columns * image_side]
    return pictures


def _draw_grid(path, pictures):
    """Draw 6110-F1: kinds down, training across; all pictures show the same latents.

    Args:
        path: PNG to write.
        pictures: dict kind -> {step: picture (h, w, 3)}, with the same steps for all kinds.
    """
    steps = list(next(iter(pictures.values())))
    height, width = next(iter(pictures.values()))[steps[0]].shape[:2]
    figure = blank_figure(1.7 * len(steps) + 1.2, (1.7 * height / width + 0.02) * len(pictures) + 0.3)
    axes = figure.subplots(len(pictures), len(steps), squeeze=False)
    for ax, step in zip(axes[0], steps, strict=True):
        ax.set_title(f"step {step}", fontsize=8)
    for row, (kind, by_step) in zip(axes, pictures.items(), strict=True):
        for ax, step in zip(row, steps, strict=True):
            interpolation = "antialiased" if by_step[step].shape[0] > 300 else "nearest"
            ax.imshow(by_step[step], interpolation=interpolation)
            ax.set(xticks=[], yticks=[])
        row[0].set_ylabel(kind, rotation=0, ha="right", va="center", fontsize=8)
    write_figure(path, figure)
