"""Which parts of Glow matter (5807), and where does exp(x y^T) stand (6407)? The same flow with one part changed.

    python flow/compare.py --dataset mnist --steps 1500                     # what mixes the channels (5807-F7)
    python flow/compare.py --dataset mnist --steps 1500 --vary coupling     # additive or affine
    python flow/compare.py --dataset mnist --steps 1500 --vary start        # Actnorm as the identity, or from data

Trains each variant from the same seeds, everything else equal, and writes a table and the loss curves to
`<out>/flow/<what varies>-<dataset>/`. Every flag it does not know is handed to `flow/glow.py`. What is finished is not
trained again.
"""

from pathlib import Path

from common.cli import main
from common.experiments.sweep import comparison_dir, run_variants, sweep_parser, write_table

OPTIONS = {
    "mixing": ("reverse", "shuffle", "1x1", "exp"),
    "coupling": ("additive", "affine"),
    "start": ("zero", "data"),
}
BASE = {"mixing": "shuffle", "coupling": "additive", "start": "zero"}  # the author's, from which differences are taken


def make_parser():
    p = sweep_parser(__doc__, "mnist")
    p.add_argument("--vary", choices=OPTIONS, default="mixing", help="flag of flow/glow.py (default mixing)")
    return p


def run(args):
    import numpy as np

    from common.files import read_json
    from common.plots.charts import plot_curves
    from common.training.loop import read_log

    where, seeds, kinds, base = (
        comparison_dir(args, "flow", args.vary),
        range(args.seeds),
        OPTIONS[args.vary],
        BASE[args.vary],
    )
    runs = run_variants(Path(__file__).with_name("glow.py"), f"--{args.vary}", kinds, where, args)

    results = {name: read_json(run / "results.json")["metrics"] for name, run in runs.items()}
    name = "bits_per_dim" if "bits_per_dim/last_stretch" in results[f"{base}-0"] else "loss"  # the article's noise
    unit = name.replace("_per_", "/")
    shown = {
        # of the last step's weights: over so few steps averages would still remember where they began
        f"test {unit}": f"{name}/test_last_step",
        f"training {unit}, last stretch": f"{name}/last_stretch",
        "parameters": "parameters",
        "seconds": "train_seconds",
    }
    rows = {kind: {n: [results[f"{kind}-{s}"][key] for s in seeds] for n, key in shown.items()} for kind in kinds}
    # runs of one seed share the order of the data and the nets they start from: their difference says more
    for kind in kinds:
        rows[kind][f"minus {base}, same seed"] = list(
            np.subtract(rows[kind][f"test {unit}"], rows[base][f"test {unit}"])
        )
    text = write_table(where, args.vary, rows, args)

    logs = {name: read_log(run / "log.csv") for name, run in runs.items()}
    late = {name: log[len(log) // 4 :] for name, log in logs.items()}  # the first quarter dwarfs the differences
    curve = lambda log: ([row["step"] for row in log], [row[name] for row in log])
    series = {kind: [curve(late[f"{kind}-{s}"]) for s in seeds] for kind in kinds}
    title = f"the same Glow on {args.dataset}, {args.seeds} seed{'s' * (args.seeds > 1)}"
    plot_curves(where / f"figures/{args.vary}.png", series, "step", f"training {unit}", title)
    print(text, f"{where}/figures/{args.vary}.png", sep="\n")


if __name__ == "__main__":
    main(run, make_parser(), forward_unknown=True)
