"""Which GAN comes nearer to the data, and which comes there sooner? Variants of one script, over seeds."""

import argparse
from pathlib import Path

import imageio.v3 as iio
import numpy as np

from common.data.toy_2d import TOYS
from common.errors import UserError
from common.experiments.gan import MetricHistory
from common.experiments.sweep import KILLED, comparison_dir, run_variants, write_table
from common.files import read_json
from common.plots.charts import blank_figure, plot_curves, write_figure

SHOWN = {
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
COLUMNS = 6  # moments of the training that the grid of samples shows


def compare_gans(args, article, flag, kinds, single_seed_kinds=(), name="compare"):
    """Trains `<article>/train.py` once per kind and seed, and writes what came out side by side.

    To `<out>/<article>/<name>-<dataset>/`: `table.md`, `results.json`, `figures/samples.png` (kinds down, training
    across, as in 6110-F1), `figures/convergence.png`, and `figures/modes.png` where modes can be counted. What is
    finished is not trained again. A training that failed, as one whose loss stopped being a number, is named below the
    table and left out of it; of one that was killed, `UserError` is raised in the end.

    Args:
        args: flags of `common.experiments.sweep.sweep_parser`, and `rest`, handed to the training.
        flag: str, of the training: "--loss", say.
        kinds: what it takes; compared over all seeds.
        single_seed_kinds: more of them, with seed 0 alone: in the table and in `figures/samples-all.png`.
    """
    where, script = comparison_dir(args, article, name), Path(__file__).parents[2] / article / "train.py"
    single_seed_kinds = [kind for kind in single_seed_kinds if kind not in kinds]
    failed = {}
    runs = run_variants(script, flag, kinds, where, args, failed)
    single = argparse.Namespace(**vars(args) | {"seeds": 1})
    runs |= run_variants(script, flag, single_seed_kinds, where, single, failed)
    seeds = {kind: [s for s in range(args.seeds) if f"{kind}-{s}" in runs] for kind in (*kinds, *single_seed_kinds)}
    seeds = {kind: of for kind, of in seeds.items() if of}
    kinds = [kind for kind in kinds if kind in seeds]
    if not kinds:
        raise UserError("; ".join(f"{name}: {line}" for name, line in failed.items()))

    # the table
    results = {run: read_json(path / "results.json")["metrics"] for run, path in runs.items()}
    curves = {run: MetricHistory(path / "distances.json").curve() for run, path in runs.items()}
    toy = args.dataset in TOYS
    distance = "swd" if toy else "fid"
    for run, metrics in results.items():
        metrics["half_way"] = curves[run][1][(len(curves[run][1]) - 1) // 2]
    shown = {title: key for title, key in SHOWN.items() if key in next(iter(results.values()))}
    rows = {k: {n: [results[f"{k}-{s}"][key] for s in seeds[k]] for n, key in shown.items()} for k in seeds}
    first = next(iter(results.values()))
    floors = {title: first[f"{key}_floor"] for title, key in shown.items() if f"{key}_floor" in first}
    floors["half-way, of fewer samples,"] = first["floor/on_the_way"]
    below = "\nfloors, between two samples of the data: " + ", ".join(f"{n} {v:.3f}" for n, v in floors.items()) + "\n"
    below += "".join(f"failed: {name}: {line}\n" for name, line in failed.items())
    text = write_table(where, flag.removeprefix("--"), rows, args, below, failed=failed)

    # the figures
    grid = {kind: _samples_over_training(runs[f"{kind}-{of[0]}"], COLUMNS, toy) for kind, of in seeds.items()}
    _draw_grid(where / "figures/samples.png", {kind: grid[kind] for kind in kinds})
    if single_seed_kinds:
        _draw_grid(where / "figures/samples-all.png", grid)
    title = f"{args.dataset}, {args.seeds} seed{'s' * (args.seeds > 1)}"
    series = {kind: [curves[f"{kind}-{s}"] for s in seeds[kind]] for kind in kinds}
    axis = "sliced Wasserstein distance" if toy else "Frechet distance"
    how = {"logy": True, "references": {"two samples of the data": first["floor/on_the_way"]}}
    plot_curves(where / "figures/convergence.png", series, "step", axis, title, **how)
    if all((path / "modes.json").exists() for path in runs.values()):
        found = {k: [MetricHistory(runs[f"{k}-{s}"] / "modes.json").curve() for s in seeds[k]] for k in kinds}
        plot_curves(where / "figures/modes.png", found, "step", "modes found", title)
    best = min(rows, key=lambda kind: np.mean([results[f"{kind}-{s}"][distance] for s in seeds[kind]]))
    print(text, f"nearest to the data: {best}", f"{where}/figures/samples.png", sep="\n")
    killed = [f"{name}: {line}" for name, line in failed.items() if line.startswith(KILLED)]
    if killed:  # nothing was learned of those
        raise UserError(f"{'; '.join(killed)}; the same command tries them again")


def _samples_over_training(run, count, toy, across=4, down=2, grid=9):
    """{step: a corner of the samples then} at `count` moments of a run, doubling towards the end.

    Of points it is the panel of the samples, the right half of their picture.
    """
    paths = sorted((run / "samples").glob("step-*.png"))[1:]
    chosen = sorted({max(0, len(paths) // 2**i - 1) for i in range(count)})[-count:]
    corner = {}
    for i in chosen:
        picture = iio.imread(paths[i], mode="RGB")
        side = len(picture) // grid
        part = picture[:, picture.shape[1] // 2 :] if toy else picture[: down * side, : across * side]
        corner[int(paths[i].stem.split("-")[1])] = part
    return corner


def _draw_grid(path, rows):
    """6110-F1: methods down, training across, samples from the same latents in a column."""
    steps = list(next(iter(rows.values())))
    height, width = next(iter(rows.values()))[steps[0]].shape[:2]
    figure = blank_figure(1.7 * len(steps) + 1.2, (1.7 * height / width + 0.02) * len(rows) + 0.3)
    axes = figure.subplots(len(rows), len(steps), squeeze=False)
    for ax, step in zip(axes[0], steps, strict=True):
        ax.set_title(f"step {step}", fontsize=8)
    for line, (kind, cells) in zip(axes, rows.items(), strict=True):
        for ax, step in zip(line, steps, strict=True):
            ax.imshow(cells[step], interpolation="antialiased" if cells[step].shape[0] > 300 else "nearest")
            ax.set(xticks=[], yticks=[])
        line[0].set_ylabel(kind, rotation=0, ha="right", va="center", fontsize=8)
    write_figure(path, figure)
