"""Compare max with average pooling, and cross-entropy with macro-F1 from the first step, over seeds (article 5505).

    python spectra/compare.py                                           # three seeds, 9 trainings
    python spectra/compare.py --kinds f1_from_scratch --seeds 5         # how often does it leave the plateau?

Runs `spectra/train.py` for every kind and seed. Only the article's own kind, `cross_entropy`, is trained further, with
both losses. Writes a table and a picture to `<out>/spectra/compare/` (`compare-smoke/` for that preset). Flags that it
does not know are passed to `spectra/train.py`. Finished runs are not repeated.
"""

from pathlib import Path

from common.cli import main
from common.experiments.sweep import sweep_parser
from spectra.train import PRESETS

KINDS = {  # name: flags of `spectra/train.py`
    "cross_entropy": ["--tune", "both"],
    "average_pool": ["--pool", "average", "--tune", "none"],
    "f1_from_scratch": ["--loss", "f1", "--tune", "none"],
}
COLUMNS = {  # metric of a run: column of the table
    "macro-F1/first": "macro-F1",
    "macro-F1/then macro-F1": "after further steps of macro-F1",
    "macro-F1/then cross-entropy": "after as many of cross-entropy",
    "macro-F1 minus cross-entropy": "difference of the two",
    "left the plateau": "left the plateau",
    "step of leaving": "at step",
}


def make_parser():
    p = sweep_parser(__doc__, None)
    add = p.add_argument
    add("--preset", choices=sorted(PRESETS), default="quick", help="of the trainings, see spectra/train.py (quick)")
    add(
        "--kinds", nargs="+", choices=KINDS, default=list(KINDS), metavar="NAME",
        help=f"trainings to compare (default all): {', '.join(KINDS)}",
    )  # fmt: skip
    return p


def run(args):
    """Train all kinds, then write the table and the picture."""
    from common.experiments.sweep import sweep
    from common.experiments.tables import write_table
    from common.plots.charts import plot_bars
    from common.plots.words import in_words
    from common.training.run_files import read_metrics

    output_dir = Path(args.out) / "spectra" / ("compare" if args.preset == "quick" else f"compare-{args.preset}")
    further = [*args.forwarded, *(["--format", args.format] if args.format else [])]
    kinds = list(dict.fromkeys(args.kinds))
    jobs = {
        f"{kind}-{seed}": ["--preset", args.preset, *KINDS[kind], "--seed", seed, *further]
        for seed in range(args.seeds) for kind in kinds
    }  # fmt: skip
    run_dirs = sweep(Path(__file__).with_name("train.py"), jobs, output_dir, args.jobs)

    metrics = {name: read_metrics(run_dir) for name, run_dir in run_dirs.items()}
    of_kind = {kind: [metrics[f"{kind}-{seed}"] for seed in range(args.seeds)] for kind in kinds}
    rows = {
        in_words(kind): {column: v for key, column in COLUMNS.items() if (v := [m[key] for m in runs if key in m])}
        for kind, runs in of_kind.items()
    }
    bars = {
        kind: {column: row[column] for column in list(COLUMNS.values())[:3] if column in row}
        for kind, row in zip(kinds, rows.values(), strict=True)
    }
    plot_bars(
        output_dir / "figures/compare.png", bars, "macro-F1 on the test set", "Spectra: pooling, losses, further steps"
    )
    print(write_table(output_dir, "training", rows, args))
    print(output_dir / "table.md", output_dir / "figures/compare.png", sep="\n")


if __name__ == "__main__":
    main(run, make_parser(), forward_unknown=True, backend_needed=False)
