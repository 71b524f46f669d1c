"""How much gradient penalty? Samples against the weight of the penalty, for several methods and seeds.

    python rsgan/penalty.py                                          # 25 Gaussians of the plane, three seeds
    python rsgan/penalty.py --dataset mnist --preset quick --every 500 --seeds 2

Networks, seeds and all other settings are equal; only --penalty-weight differs. For each method a table, the grid of
samples and the curves go to `<out>/rsgan/penalty-<method>-<dataset>/`, and the curve over the weights to
`<out>/rsgan/penalty-<dataset>/`. Flags that it does not know are passed to `rsgan/train.py`. Finished runs are not
repeated.
"""

from common.cli import float_in, main
from common.data.toy_2d import TOYS
from common.experiments.sweep import sweep_parser
from rsgan.methods import METHODS

PENALISED = tuple(name for name, method in METHODS.items() if method.penalty)
# columns of the tables, of which the first that was measured is drawn -> label of its axis
AXES = {
    "FID": "Frechet distance",
    "near a mode": "share near a mode",
    "sliced Wasserstein": "sliced Wasserstein distance",
}


def make_parser():
    p = sweep_parser(__doc__, "25gaussians", TOYS)
    p.add_argument(
        "--methods", nargs="+", choices=PENALISED, default=["sgan_r1", "r3gan"], metavar="NAME",
        help=f"methods with a penalty: {', '.join(PENALISED)} (default sgan_r1 r3gan)",
    )  # fmt: skip
    p.add_argument(
        "--weights", nargs="+", type=float_in(1e-9, 1e9), default=[0.01, 0.1, 1.0, 10.0, 100.0], metavar="WEIGHT",
        help="weights of the penalty (default 0.01 0.1 1 10 100)",
    )  # fmt: skip
    return p


def run(args):
    from common.experiments.compare_gans import compare_gans
    from common.experiments.sweep import comparison_dir
    from common.plots.charts import plot_curves
    from common.plots.words import in_words, seeds_in_words
    from common.training.run_files import read_metrics

    weights = [f"{weight:g}" for weight in sorted(set(args.weights))]
    metrics = {}
    for method in dict.fromkeys(args.methods):
        compare_gans(
            args, "rsgan", "--penalty-weight", weights, name=f"penalty-{method}", train_flags=["--loss", method]
        )
        metrics[method] = read_metrics(comparison_dir(args, "rsgan", f"penalty-{method}"))

    measured = {key.split("/")[0] for of_method in metrics.values() for key in of_method}
    column = next(name for name in AXES if name in measured)
    curves = {}
    for method, of_method in metrics.items():
        values = [[of_method.get(f"{column}/{weight}/{seed}") for weight in weights] for seed in range(args.seeds)]
        trained = [i for i, of_weight in enumerate(zip(*values, strict=True)) if None not in of_weight]
        if trained:  # with every seed
            x = [float(weights[i]) for i in trained]
            curves[method] = [(x, [of_seed[i] for i in trained]) for of_seed in values]
    if curves:
        path = comparison_dir(args, "rsgan", "penalty") / "figures/weights.png"
        title = f"{in_words(args.dataset)}, {seeds_in_words(args.seeds)}"
        plot_curves(
            path, curves, "weight of the gradient penalty", AXES[column], title, logx=True, logy=column == "FID"
        )
        print(path)


if __name__ == "__main__":
    main(run, make_parser(), forward_unknown=True, backend_needed=False)
