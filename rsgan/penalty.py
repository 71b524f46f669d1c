"""How much penalty on the critic? Samples against its weight, for several methods and seeds.

    python rsgan/penalty.py                                          # 25 Gaussians of the plane, three seeds
    python rsgan/penalty.py --dataset mnist --preset quick --every 500 --seeds 2

Networks, seeds and all other settings are equal; only --penalty-weight differs. For each method a table, the grid of
samples and the curves go to `<out>/rsgan/penalty-<method>-<dataset>/`, and the curves over the weights to
`<out>/rsgan/penalty-<dataset>/`. Flags that it does not know are passed to `rsgan/train.py`. Finished runs are not
repeated.
"""

from common.cli import float_in, main
from common.data.toy_2d import TOYS
from common.experiments.sweep import sweep_parser
from rsgan.methods import METHODS

PENALISED = tuple(name for name, method in METHODS.items() if method.penalty)
# column of the table -> name of a figure and label of its axis; those that were measured are drawn
CURVES = {
    "FID": ("distance", "Frechet distance"),
    "sliced Wasserstein": ("distance", "sliced Wasserstein distance"),
    "near a mode": ("near", "share of samples near a mode"),
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
    from common.errors import UserError
    from common.experiments.compare_gans import compare_gans
    from common.experiments.sweep import comparison_dir
    from common.plots.charts import plot_curves
    from common.plots.words import in_words, seeds_in_words
    from common.training.run_files import read_metrics

    weights = sorted({f"{weight:.12g}" for weight in args.weights}, key=float)
    metrics, errors = {}, []
    for method in dict.fromkeys(args.methods):
        name = f"penalty-{method}"
        try:
            compare_gans(args, "rsgan", "--penalty-weight", weights, name=name, train_flags=["--loss", method])
            metrics[method] = read_metrics(comparison_dir(args, "rsgan", name))
        except UserError as error:  # the other methods are trained, and drawn
            errors.append(f"{method}: {error}")
    figures = comparison_dir(args, "rsgan", "penalty") / "figures"
    title = f"{in_words(args.dataset)}, {seeds_in_words(args.seeds)}"
    for column, (name, label) in CURVES.items():
        curves = {method: curve(values, column, weights, args.seeds) for method, values in metrics.items()}
        if curves := {method: seeds for method, seeds in curves.items() if seeds}:
            path = figures / f"{name}.png"
            plot_curves(path, curves, "weight of the penalty", label, title, logx=True, logy=name == "distance")
            print(path)
    if errors:
        raise UserError("; ".join(errors))


def curve(metrics, column, weights, seeds):
    """Return a list of (weights, values), one per seed, of the weights that have a value with every seed.

    Args:
        metrics: dict "<column>/<weight>/<seed>" -> number, of a comparison of the weights.
        column: str.
        weights: list of str.
        seeds: int, number of seeds.
    """
    values = {weight: [metrics.get(f"{column}/{weight}/{seed}") for seed in range(seeds)] for weight in weights}
    whole = {weight: of_weight for weight, of_weight in values.items() if None not in of_weight}
    if whole and len(whole) < len(weights):
        print(f"not drawn, because a seed has no {column}: weights {', '.join(w for w in weights if w not in whole)}")
    return [([float(w) for w in whole], list(of_seed)) for of_seed in zip(*whole.values(), strict=True)]


if __name__ == "__main__":
    main(run, make_parser(), forward_unknown=True, backend_needed=False)
