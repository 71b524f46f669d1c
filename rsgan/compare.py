"""Which GAN comes nearer to the data, and which comes there sooner (article 6110, its figure 6110-F1)?

    python rsgan/compare.py --dataset mnist                    # the six of the article, three seeds
    python rsgan/compare.py --dataset mnist --once all         # and every other method once
    python rsgan/compare.py --dataset stacked_mnist_2 --methods sgan_r1 rsgan_r1 sgan_r1_r2 r3gan

Same networks, same seeds, same number of images seen, everything but the loss equal. Writes a table, the grid of
samples and the curves to `<out>/rsgan/compare-<dataset>/`. Every flag it does not know is handed to `rsgan/train.py`.
What is finished is not trained again.
"""

import argparse
from pathlib import Path

from common.cli import main
from common.sweep import flags, home, variants, write_table
from rsgan.methods import METHODS

SIX = ("sgan", "lsgan", "wgan_gp", "sngan", "rsgan", "rasgan")
SHOWN = {
    "FID": "fid",
    "KID": "kid",
    "precision": "precision",
    "recall": "recall",
    "modes": "modes",
    "KL of modes": "mode_kl",
    "FID half-way": "fid_half_way",
    "seconds": "train_seconds",
}
COLUMNS = 6  # moments of the training that the grid of samples shows


def all_flags():
    p = flags(__doc__, "mnist")
    p.add_argument("--methods", nargs="+", choices=METHODS, default=SIX, metavar="NAME", help="compared over all seeds")
    p.add_argument(
        "--once", nargs="+", choices=[*METHODS, "all"], default=[], metavar="NAME", help="compared with seed 0 alone"
    )
    return p


def run(args):
    import numpy as np

    from common import figures
    from common.gan import Progress
    from common.runs import read_json

    once = METHODS if "all" in args.once else args.once
    kinds = [*args.methods, *(kind for kind in once if kind not in args.methods)]
    where, script = home(args, "rsgan", "compare"), Path(__file__).with_name("train.py")
    runs = variants(script, "--loss", args.methods, where, args)
    single = argparse.Namespace(**vars(args) | {"seeds": 1})
    runs |= variants(script, "--loss", kinds[len(args.methods) :], where, single)

    # the table
    results = {name: read_json(run / "results.json")["metrics"] for name, run in runs.items()}
    curves = {name: Progress(run).curve() for name, run in runs.items()}
    for name, metrics in results.items():
        metrics["fid_half_way"] = curves[name][1][(len(curves[name][1]) - 1) // 2]
    seeds = {kind: [s for s in range(args.seeds) if f"{kind}-{s}" in runs] for kind in kinds}
    shown = {name: key for name, key in SHOWN.items() if key in next(iter(results.values()))}
    rows = {kind: {n: [results[f"{kind}-{s}"][key] for s in seeds[kind]] for n, key in shown.items()} for kind in kinds}
    text = write_table(where, "method", rows, args)
    first = results[f"{kinds[0]}-0"]
    text += f"\nfloors, between two samples of the data: FID {first['fid_floor']:.3f}, KID "
    text += f"{first['kid_floor']:.3f}; FID half-way, of fewer samples, {first['floor/on_the_way']:.3f}\n"

    # the figures
    grid = {kind: _moments(runs[f"{kind}-0"], COLUMNS) for kind in kinds}
    _draw_grid(where / "figures/samples.png", {kind: grid[kind] for kind in args.methods})
    if len(kinds) > len(args.methods):
        _draw_grid(where / "figures/samples-all.png", grid)
    series = {kind: [curves[f"{kind}-{s}"] for s in seeds[kind]] for kind in args.methods}
    title = f"{args.dataset}, {args.seeds} seed{'s' * (args.seeds > 1)}"
    references = {"two samples of the data": first["floor/on_the_way"]}
    how = {"logy": True, "references": references}
    figures.curves(where / "figures/convergence.png", series, "step", "Frechet distance", title, **how)
    lasts = np.array([np.mean(rows[kind]["FID"]) for kind in kinds])
    print(text, f"best mean FID: {kinds[lasts.argmin()]}", f"{where}/figures/samples.png", sep="\n")


def _moments(run, count, across=4, down=2, grid=9):
    """{step: a corner of the samples then} at `count` moments of a run, doubling towards the end."""
    import imageio.v3 as iio

    paths = sorted((run / "samples").glob("step-*.png"))[1:]
    chosen = sorted({max(0, len(paths) // 2**i - 1) for i in range(count)})[-count:]
    corner = {}
    for i in chosen:
        picture = iio.imread(paths[i])
        side = len(picture) // grid
        corner[int(paths[i].stem.split("-")[1])] = picture[: down * side, : across * side]
    return corner


def _draw_grid(path, rows):
    """6110-F1: methods down, training across, samples from the same latents in a column."""
    from common.figures import blank_figure, write_figure

    steps = list(next(iter(rows.values())))
    figure = blank_figure(1.7 * len(steps) + 1.2, 0.87 * len(rows) + 0.3)
    axes = figure.subplots(len(rows), len(steps), squeeze=False)
    for ax, step in zip(axes[0], steps, strict=True):
        ax.set_title(f"step {step}", fontsize=8)
    for line, (kind, cells) in zip(axes, rows.items(), strict=True):
        for ax, step in zip(line, steps, strict=True):
            ax.imshow(cells[step], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            ax.set(xticks=[], yticks=[])
        line[0].set_ylabel(kind, rotation=0, ha="right", va="center", fontsize=8)
    write_figure(path, figure)


if __name__ == "__main__":
    main(run, all_flags(), rest=True)
