"""Compare variants of one GAN script over seeds: a table of metrics, a grid of samples and convergence curves."""

import argparse
import re
from pathlib import Path

import imageio.v3 as iio

from common.data.toy_2d import TOYS
from common.errors import UserError
from common.experiments.sweep import KILLED, comparison_dir, run_variants
from common.experiments.tables import floors_line, lowest, write_table
from common.plots.animation import of_usual_size
from common.plots.charts import blank_figure, plot_seeds, write_figure
from common.plots.images import SAMPLE_COLUMNS
from common.plots.planes import AXIS_NAMES, FRAME_COLOUR, inside_of_panel
from common.plots.words import in_words, seeds_in_words
from common.training.run_files import MetricHistory, read_metrics

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
    "memory, MiB": "peak_memory_mb",
}
DATA_COLUMN = -1  # in the place of a step, before all of them
GRID_STEPS = 6  # columns of the grid: the same latents at six steps of the training


class FinishedRun:
    """Results of a finished training.

    `metrics` are those of `results.json`, and `half_way`: the distance to the data at the step nearest to the middle,
    if one within an eighth of the training was measured. Of few images none is: the curve is empty then.

    Args:
        run_dir: path of the run directory.

    Raises:
        UserError: if one of the run's files is damaged.
    """

    def __init__(self, run_dir):
        self.run_dir = run_dir
        self.distance_curve = MetricHistory(run_dir / "distances.json").curve()
        self.mode_curve = MetricHistory(run_dir / "modes.json").curve()  # of empty lists if modes are unknown
        metrics = read_metrics(run_dir, with_memory=True)
        self.metrics = metrics | half_way(*self.distance_curve)


def half_way(steps, distances):
    """Return {"half_way": distance} of a curve, or an empty dict."""
    near = [(abs(step / steps[-1] - 0.5), i) for i, step in enumerate(steps) if steps[-1]]
    gap, i = min(near, default=(1, 0))
    return {"half_way": distances[i]} if gap <= 1 / 8 else {}


def compare_gans(args, article, flag, kinds, single_seed_kinds=(), name="compare", train_flags=()):
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
        train_flags: list of str, flags of every training besides those of `args.forwarded`.

    Raises:
        UserError: if all trainings of `kinds` failed, or, after everything is written, if one was killed.
    """
    args = argparse.Namespace(**vars(args) | {"forwarded": [*args.forwarded, *train_flags]})
    output_dir = comparison_dir(args, article, name)
    script = Path(__file__).parents[2] / article / "train.py"
    single_seed_kinds = [kind for kind in single_seed_kinds if kind not in kinds]

    # training
    failed = {}
    run_dirs = run_variants(script, flag, kinds, output_dir, args, failed)
    single_seed_args = argparse.Namespace(**vars(args) | {"seeds": 1})
    run_dirs |= run_variants(script, flag, single_seed_kinds, output_dir, single_seed_args, failed)

    report_gans(args, output_dir, flag, kinds, single_seed_kinds, run_dirs, failed)


def report_gans(args, output_dir, flag, kinds, single_seed_kinds, run_dirs, failed):
    """Write and print the results of finished GANs side by side; see `compare_gans`.

    Args:
        args: see `compare_gans`.
        output_dir: path of the folder to write to.
        flag: see `compare_gans`.
        kinds: see `compare_gans`.
        single_seed_kinds: see `compare_gans`.
        run_dirs: dict "<kind>-<seed>" -> run directory.
        failed: dict "<kind>-<seed>" -> reason, of the trainings that failed.

    Raises:
        UserError: see `compare_gans`.
    """
    finished = {run_name: FinishedRun(run_dir) for run_name, run_dir in run_dirs.items()}
    runs = {
        kind: [finished[f"{kind}-{seed}"] for seed in range(args.seeds) if f"{kind}-{seed}" in finished]
        for kind in (*kinds, *single_seed_kinds)
    }
    runs = {kind: runs_of_kind for kind, runs_of_kind in runs.items() if runs_of_kind}
    kinds = [kind for kind in kinds if kind in runs]
    if not kinds:
        raise UserError(reasons_of(failed))

    # table
    is_toy = args.dataset in TOYS
    first_run = next(iter(finished.values()))
    measured = {key for run in finished.values() for key in run.metrics}
    columns = {title: key for title, key in TABLE_COLUMNS.items() if key in measured}
    rows = {
        kind: {title: [r.metrics[key] for r in runs_of_kind if key in r.metrics] for title, key in columns.items()}
        for kind, runs_of_kind in runs.items()
    }
    distance = "sliced Wasserstein" if is_toy else "FID"
    footer = _floors_line(first_run, columns)
    if distance not in columns:
        footer += "not measured: the distances; there are too few images, see log.txt in the folder of a run\n"
    without_recall = [run_name for run_name, run in finished.items() if run.metrics.get("recall") == 0]
    if without_recall:
        footer += f"recall 0, so that precision and density say nothing: {', '.join(without_recall)}\n"
    footer += "".join(f"failed: {run_name}: {reason}\n" for run_name, reason in failed.items())
    text = write_table(output_dir, flag.removeprefix("--"), rows, args, footer, failed=failed)

    # figures
    figures = output_dir / "figures"
    grid = {kind: _samples_over_training(runs_of_kind[0].run_dir, is_toy) for kind, runs_of_kind in runs.items()}
    grid_title = f"Samples, {in_words(args.dataset)}: training from left to right, the same latents"
    _draw_grid(figures / "samples.png", {kind: grid[kind] for kind in kinds}, grid_title)
    if single_seed_kinds:
        _draw_grid(figures / "samples-all.png", grid, grid_title)
    title = f"{in_words(args.dataset)}, {seeds_in_words(args.seeds)}, by {in_words(flag.removeprefix('--'))}"
    plot_seeds(
        figures / "convergence.png",
        {kind: [run.distance_curve for run in runs[kind]] for kind in kinds},
        "sliced Wasserstein distance" if is_toy else "Frechet distance",
        title,
        logy=True,
        references={"two samples of the data": first_run.metrics.get("floor/on_the_way")},
    )
    plot_seeds(
        figures / "modes.png", {kind: [run.mode_curve for run in runs[kind]] for kind in kinds}, "modes found", title
    )

    print(text)
    if distance in columns and len(kinds) > 1:
        print("nearest to the data:", lowest({kind: rows[kind][distance] for kind in kinds}, args.seeds))
    print(f"{figures}/samples.png")
    refuse_killed(failed)


def reasons_of(failed):
    """Return the reasons of failed trainings in one line, each once."""
    names = {reason: [name for name in failed if failed[name] == reason] for reason in failed.values()}
    return "; ".join(f"{', '.join(names[reason])}: {reason}" for reason in names)


def refuse_killed(failed):
    """Raise `UserError` if a training was killed: it says nothing about its kind, unlike one that diverged."""
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
    if "floor/on_the_way" in run.metrics:
        floors["half-way, of fewer samples,"] = run.metrics["floor/on_the_way"]
    return floors_line(floors)


def _samples_over_training(run_dir, is_toy, rows=2, columns=4):
    """Return {step: picture of the samples} at `GRID_STEPS` steps of a run, doubling towards its end.

    A picture shows the first `rows` x `columns` images, or of points the inside of the samples' panel. That of the
    data's panel comes first, under the key `DATA_COLUMN`. Damaged pictures are left out.
    """
    names = re.compile(r"step-\d+\.png")
    paths = [path for path in sorted((run_dir / "samples").glob("step-*.png")) if names.fullmatch(path.name)]
    paths = of_usual_size(paths[1:])  # without the untrained networks
    # the last, the one after half of the steps, a quarter, ...
    indices = {max(0, len(paths) // 2**i - 1) for i in range(GRID_STEPS)}
    pictures = {}
    for path in (paths[i] for i in sorted(indices) if paths):
        try:
            picture = iio.imread(path, mode="RGB")
        except Exception as error:  # a damaged file fails in many ways
            print(f"{path} is damaged ({error}); the grid leaves it out", flush=True)
            continue
        image_side = len(picture) // SAMPLE_COLUMNS
        step = int(path.stem.split("-")[1])
        if is_toy:
            pictures.setdefault(DATA_COLUMN, inside_of_panel(picture, 0, 2))
            pictures[step] = inside_of_panel(picture, 1, 2)
        else:
            pictures[step] = picture[: rows * image_side, : columns * image_side]
    return pictures


def _draw_grid(path, pictures, title):
    """Draw 6110-F1: kinds down, training across; all pictures show the same latents.

    Args:
        path: PNG to write.
        pictures: dict kind -> {step: picture (h, w, 3)}. A step that a kind lacks stays blank. Without any step,
            nothing is written.
        title: str.
    """
    steps = sorted({step for by_step in pictures.values() for step in by_step})
    if not steps:
        print(f"not drawn: {path} (there is no picture of the samples)", flush=True)
        return
    is_toy = steps[0] == DATA_COLUMN
    height, width = next(picture for by_step in pictures.values() for picture in by_step.values()).shape[:2]
    figure_height = (1.7 * height / width + 0.02) * len(pictures) + (0.8 if is_toy else 0.6)
    figure = blank_figure(1.7 * len(steps) + 1.2, figure_height)
    figure.suptitle(title, fontsize=10, parse_math=False)
    axes = figure.subplots(len(pictures), len(steps), squeeze=False)
    for ax, step in zip(axes[0], steps, strict=True):
        ax.set_title("data" if step == DATA_COLUMN else f"step {step:,}", fontsize=8)
    for row, (kind, by_step) in zip(axes, pictures.items(), strict=True):
        for ax, step in zip(row, steps, strict=True):
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(is_toy and step in by_step)  # of a step that a kind lacks: an empty box
            ax.spines[:].set_color(FRAME_COLOUR)
            if step in by_step:
                interpolation = "antialiased" if by_step[step].shape[0] > 200 else "nearest"
                ax.imshow(by_step[step], interpolation=interpolation)
        row[0].set_ylabel(in_words(kind), parse_math=False, rotation=0, ha="right", va="center", fontsize=8)
        if is_toy:
            row[-1].yaxis.set_label_position("right")
            row[-1].set_ylabel(AXIS_NAMES[1], fontsize=8, rotation=0, ha="left", va="center")
    for ax in axes[-1] if is_toy else ():
        ax.set_xlabel(AXIS_NAMES[0], fontsize=8)
    write_figure(path, figure)
