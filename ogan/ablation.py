"""Does O-GAN need the correlation, and does the mean square error fail in its place (article 6409)?

    python ogan/ablation.py --dataset lfw --steps 1500
    python ogan/ablation.py --dataset lfw --latent-loss correlation mse --lam 128     # the weight as printed

Trains correlation, mse and none from the same seeds, everything else equal, and writes a table and a figure to
`<out>/ogan/ablation-<dataset>-.../`. Every flag it does not know is handed to `ogan/train.py`. What is finished is
not trained again.
"""

from pathlib import Path

from common.cli import main
from common.experiments.sweep import comparison_dir, run_variants, sweep_parser, write_table

KINDS = ("correlation", "mse", "none")
TABLE_COLUMNS = {
    "z_corr": "z_corr",
    "recon / mean image": "reconstruction_ratio",
    "pca_frechet": "pca_frechet",
    "critic gap": "critic_gap",
    "probe R^2": "probe_r2_mean",
}


def make_parser():
    p = sweep_parser(__doc__, "toy_faces")
    p.add_argument("--latent-loss", nargs="+", choices=KINDS, default=KINDS, metavar="NAME", help=", ".join(KINDS))
    return p


def run(args):
    from common.files import read_json
    from common.plots.charts import plot_bars
    from common.plots.images import save_png

    where, seeds, kinds = comparison_dir(args, "ogan", "ablation"), range(args.seeds), args.latent_loss
    runs = run_variants(Path(__file__).with_name("train.py"), "--latent-loss", kinds, where, args)

    results = {name: read_json(run / "results.json")["metrics"] for name, run in runs.items()}
    for metrics in results.values():
        metrics["reconstruction_ratio"] = metrics["reconstruction_mse"] / metrics["mean_image_mse"]
    shown = {name: key for name, key in TABLE_COLUMNS.items() if key in next(iter(results.values()))}
    rows = {kind: {n: [results[f"{kind}-{s}"][key] for s in seeds] for n, key in shown.items()} for kind in kinds}
    text = write_table(where, "latent loss", rows, args)
    save_png(where / "figures/pictures.png", _side_by_side([runs[f"{kind}-0"] for kind in kinds]))
    # the rest fits on one axis
    bounded = {n: {kind: rows[kind][n] for kind in kinds} for n in shown if n != "pca_frechet"}
    plot_bars(where / "figures/ablation.png", bounded, "value", f"O-GAN on {args.dataset}, {args.seeds} seeds")
    print(text, f"{where}/figures/ablation.png", sep="\n")


def _side_by_side(runs, pixels=256):
    """A corner of each run's samples, and of its reconstructions below them; a column for each run."""
    import imageio.v3 as iio
    import numpy as np

    corners = [
        [iio.imread(run / f"figures/{n}.png")[:pixels, :pixels] for n in ("samples", "reconstructions")] for run in runs
    ]
    gutter = lambda corner: np.pad(corner, ((0, 8), (0, 8), (0, 0)), constant_values=255)
    columns = [np.concatenate([gutter(corner) for corner in column]) for column in corners]
    return np.concatenate(columns, 1)[:-8, :-8]


if __name__ == "__main__":
    main(run, make_parser(), forward_unknown=True)
