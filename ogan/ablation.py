"""Compare O-GAN's latent losses: is the correlation needed, and does the mean square error fail (article 6409)?

    python ogan/ablation.py --dataset lfw --steps 1500
    python ogan/ablation.py --dataset lfw --latent-loss correlation mse --lam 128     # the weight as printed

Trains with `correlation`, `mse` and `none` from the same seeds, all other settings equal. Writes a table and a figure
to `<out>/ogan/ablation-<dataset>/`. Flags that it does not know are passed to `ogan/train.py`. Finished runs are not
repeated.
"""

from pathlib import Path

from common.cli import main
from common.experiments.sweep import comparison_dir, run_variants, sweep_parser
from common.experiments.tables import write_table

LATENT_LOSSES = ("correlation", "mse", "none")
TABLE_COLUMNS = {  # title: metric
    "z_corr": "z_corr",
    "recon / mean image": "reconstruction_ratio",
    "pca_frechet": "pca_frechet",
    "critic gap": "critic_gap",
    "probe R^2": "probe_r2_mean",
}


def make_parser():
    p = sweep_parser(__doc__, "toy_faces")
    p.add_argument(
        "--latent-loss", nargs="+", choices=LATENT_LOSSES, default=LATENT_LOSSES, metavar="NAME",
        help=f"latent losses to compare: {', '.join(LATENT_LOSSES)} (default all)",
    )  # fmt: skip
    return p


def run(args):
    from common.plots.charts import plot_bars
    from common.plots.labels import save_labelled
    from common.plots.words import in_words, seeds_in_words
    from common.training.run_files import read_metrics

    output_dir, latent_losses = comparison_dir(args, "ogan", "ablation"), args.latent_loss
    runs = run_variants(Path(__file__).with_name("train.py"), "--latent-loss", latent_losses, output_dir, args)

    # the table
    results = {name: read_metrics(run_dir) for name, run_dir in runs.items()}
    rows = table_rows(results, latent_losses, args.seeds)
    text = write_table(output_dir, "latent loss", rows, args)

    # the figures
    picture = _side_by_side([runs[f"{name}-0"] for name in latent_losses])
    data = in_words(args.dataset)
    title = f"O-GAN on {data}, by latent loss"
    columns = list(map(in_words, latent_losses))
    save_labelled(output_dir / "figures/pictures.png", picture, title, columns, ("samples", "real, decoded"))
    # pca_frechet is larger than the others by far; they fit on one axis
    titles = [title for title in rows[latent_losses[0]] if title != "pca_frechet"]
    bars = {title: {name: rows[name][title] for name in latent_losses} for title in titles}
    plot_bars(output_dir / "figures/ablation.png", bars, "value", f"O-GAN on {data}, {seeds_in_words(args.seeds)}")
    print(text, f"{output_dir}/figures/ablation.png", sep="\n")


def table_rows(results, latent_losses, seeds):
    """Return the rows of the table, {latent loss: {column title: numbers over seeds}}.

    Args:
        results: dict "<latent loss>-<seed>" -> metrics of that run.
        latent_losses: names of the rows.
        seeds: int, number of seeds.
    """

    def with_ratio(metrics):
        if not metrics["mean_image_mse"]:  # all images are equal
            return metrics
        return metrics | {"reconstruction_ratio": metrics["reconstruction_mse"] / metrics["mean_image_mse"]}

    metrics_of = {name: with_ratio(metrics) for name, metrics in results.items()}
    measured = {metric for metrics in metrics_of.values() for metric in metrics}
    columns = {title: metric for title, metric in TABLE_COLUMNS.items() if metric in measured}

    def over_seeds(name, metric):
        runs = (metrics_of[f"{name}-{seed}"] for seed in range(seeds))
        return [metrics[metric] for metrics in runs if metric in metrics]

    return {name: {title: over_seeds(name, metric) for title, metric in columns.items()} for name in latent_losses}


def _side_by_side(run_dirs, pixels=256, gutter=8):
    """Return one picture of several runs: a column each, with a corner of its samples above its reconstructions.

    Args:
        run_dirs: paths of run directories.
        pixels: int, size of a corner (default 256).
        gutter: int, white pixels between the corners (default 8).

    Returns:
        uint8 (height, width, channels).
    """
    import imageio.v3 as iio
    import numpy as np

    def corner(run_dir, name):
        last = max((run_dir / name).glob("step-*.png"))
        picture = iio.imread(last, mode="RGB")[:pixels, :pixels]
        return np.pad(picture, ((0, gutter), (0, gutter), (0, 0)), constant_values=255)

    columns = [np.concatenate([corner(d, name) for name in ("samples", "reconstructions")]) for d in run_dirs]
    return np.concatenate(columns, 1)[:-gutter, :-gutter]


if __name__ == "__main__":
    main(run, make_parser(), forward_unknown=True, backend_needed=False)
