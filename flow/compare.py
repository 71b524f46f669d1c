"""Compare variants of Glow that differ in one part (article 5807), among them mixing by exp(x y^T) (6407).

    python flow/compare.py --dataset mnist --steps 1500                     # what mixes the channels (5807-F7)
    python flow/compare.py --dataset mnist --steps 1500 --vary coupling     # additive or affine
    python flow/compare.py --dataset mnist --steps 1500 --vary start        # Actnorm as the identity, or from data
    python flow/compare.py --dataset mnist --steps 1500 --vary input        # pixels as they are, logits, or normal

Trains every variant with the same seeds and settings. A table and the loss curves go to
`<out>/flow/<what varies>-<dataset>/`. Flags that this script does not know are passed to `flow/glow.py`. Finished runs
are not trained again.
"""

from pathlib import Path

from common.cli import main
from common.experiments.sweep import comparison_dir, run_variants, sweep_parser
from common.experiments.tables import write_table

OPTIONS = {
    "mixing": ("reverse", "shuffle", "1x1", "exp"),
    "coupling": ("additive", "affine"),
    "start": ("zero", "data"),
    "input": ("scaled", "logit", "gaussianized"),
}
# the author's: differences are taken from it
BASE = {"mixing": "shuffle", "coupling": "additive", "start": "zero", "input": "scaled"}


def make_parser():
    """Return the parser of this script's flags."""
    p = sweep_parser(__doc__, "mnist")
    p.add_argument(
        "--vary", choices=OPTIONS, default="mixing", help="the flag of flow/glow.py to vary (default mixing)"
    )
    return p


def run(args):
    """Train all variants, then write their table and their loss curves."""
    import numpy as np

    from common.plots.charts import plot_seeds
    from common.plots.words import in_words, seeds_in_words
    from common.training.log import log_curves, read_log
    from common.training.run_files import read_metrics

    output_dir = comparison_dir(args, "flow", args.vary)
    kinds, base, seeds = OPTIONS[args.vary], BASE[args.vary], range(args.seeds)
    if args.vary == "input":  # the author's noise and start fit one of the three only
        args.forwarded = ["--noise", "uniform", "--start", "data", *args.forwarded]
    run_dirs = run_variants(Path(__file__).with_name("glow.py"), f"--{args.vary}", kinds, output_dir, args)

    # table
    results = {name: read_metrics(run_dir) for name, run_dir in run_dirs.items()}
    is_likelihood = "bits_per_dim/test_last_step" in results[f"{base}-0"]  # not with the article's noise
    metric = "bits_per_dim" if is_likelihood else "loss"
    unit = metric.replace("_per_", "/")
    columns = {
        # of the last step's weights, so that --ema does not matter
        f"test {unit}": f"{metric}/test_last_step",
        f"training {unit}, last stretch": f"{metric}/last_stretch",
        "parameters": "parameters",
        "seconds": "train_seconds",
    }
    rows = {
        kind: {
            column: [r[key] for r in (results[f"{kind}-{seed}"] for seed in seeds) if key in r]
            for column, key in columns.items()
        }
        for kind in kinds
    }
    # runs with the same seed share the order of the data and the initial nets: their difference says more
    test = f"test {unit}"
    for kind in kinds:
        rows[kind][f"minus {base}, same seed"] = list(np.subtract(rows[kind][test], rows[base][test]))
    text = write_table(output_dir, args.vary, rows, args)

    # loss curves, without the first quarter, beside which the differences would vanish
    def curve(run_dir):
        log = read_log(run_dir / "log.csv")
        log = log[len(log) // 4 :]
        return log_curves(log, metric).get(metric, ([], []))

    series = {kind: [curve(run_dirs[f"{kind}-{seed}"]) for seed in seeds] for kind in kinds}
    title = f"The same Glow on {in_words(args.dataset)}, {seeds_in_words(args.seeds)}, by {args.vary}"
    figure = output_dir / f"figures/{args.vary}.png"
    plot_seeds(figure, series, f"training {unit}", title)
    print(text, figure, sep="\n")


if __name__ == "__main__":
    main(run, make_parser(), forward_unknown=True, backend_needed=False)
