"""Compare recurrent cells: after how many steps of noise does each still recall the first bit (article 7888)?

    python rnn/compare.py                                  # three seeds, 90 trainings
    python rnn/compare.py --seeds 1 --jobs 2               # four minutes on two CPU cores
    python rnn/compare.py --delays 200 --cells lstm gru    # longer, and only these

Runs `rnn/train.py` for every cell, delay and seed; all other settings are equal. A name with "bias_0" or "bias_1" has
that forget bias. A delay counts as recalled if the accuracy on held-out sequences is at least 0.95. Writes a table and
a figure to `<out>/rnn/compare/` (`compare-smoke/` for that preset). Flags that it does not know are passed to
`rnn/train.py`. Finished runs are not repeated.
"""

from pathlib import Path

from common.cli import main
from common.experiments.sweep import sweep_parser
from common.flag_types import IntRange
from rnn.train import PRESETS

RECALLED = 0.95
KINDS = {  # name: flags of `rnn/train.py`
    "tanh": ["--cell", "tanh"],
    "relu": ["--cell", "relu"],
    "lstm_bias_0": ["--cell", "lstm", "--forget-bias", "0"],
    "lstm_bias_1": ["--cell", "lstm", "--forget-bias", "1"],
    "gru_bias_0": ["--cell", "gru", "--forget-bias", "0"],
    "gru_bias_1": ["--cell", "gru", "--forget-bias", "1"],
    "reset_output_bias_0": ["--cell", "reset_output", "--forget-bias", "0"],
    "reset_output_bias_1": ["--cell", "reset_output", "--forget-bias", "1"],
    "keras_lstm": ["--cell", "keras_lstm"],
    "keras_gru": ["--cell", "keras_gru"],
}


def make_parser():
    p = sweep_parser(__doc__, None)
    add = p.add_argument
    add("--preset", choices=sorted(PRESETS), default="quick", help="of the trainings, see rnn/train.py (default quick)")
    add(
        "--delays", nargs="+", type=IntRange(1, 10_000), default=[20, 50, 100], metavar="T",
        help="steps of noise (default 20 50 100)",
    )  # fmt: skip
    add(
        "--cells", nargs="+", choices=KINDS, default=list(KINDS), metavar="NAME",
        help=f"cells to compare (default all): {', '.join(KINDS)}",
    )  # fmt: skip
    return p


def longest(accuracies):
    """Return the longest delay up to which every seed recalls the bit, 0 if there is none.

    Args:
        accuracies: {delay: list of accuracies, one per seed}.
    """
    best = 0
    for delay in sorted(accuracies):
        if min(accuracies[delay]) < RECALLED:
            break
        best = delay
    return best


def run(args):
    """Train all cells, then write the table and the figure."""
    from common.experiments.sweep import sweep
    from common.experiments.tables import write_table
    from common.plots.charts import plot_bars
    from common.plots.words import in_words
    from common.training.run_files import read_metrics

    output_dir = Path(args.out) / "rnn" / ("compare" if args.preset == "quick" else f"compare-{args.preset}")
    further = [*args.forwarded, *(["--format", args.format] if args.format else [])]
    cells, delays = list(dict.fromkeys(args.cells)), sorted(set(args.delays))
    jobs = {
        f"{cell}-{delay}-{seed}": ["--preset", args.preset, *KINDS[cell], "--delay", delay, "--seed", seed, *further]
        for seed in range(args.seeds) for delay in delays for cell in cells
    }  # fmt: skip
    run_dirs = sweep(Path(__file__).with_name("train.py"), jobs, output_dir, args.jobs)

    accuracy = {name: read_metrics(run_dir)["accuracy"] for name, run_dir in run_dirs.items()}
    by_cell = {
        cell: {delay: [accuracy[f"{cell}-{delay}-{seed}"] for seed in range(args.seeds)] for delay in delays}
        for cell in cells
    }
    rows = {
        in_words(cell): {f"accuracy, T = {delay}": values for delay, values in of_delay.items()}
        | {"longest T recalled": [longest(of_delay)]}
        for cell, of_delay in by_cell.items()
    }
    bars = {cell: {f"T = {delay}": v for delay, v in of_delay.items()} for cell, of_delay in by_cell.items()}
    plot_bars(
        output_dir / "figures/recall.png", bars, "accuracy on held-out sequences",
        "Which cell recalls the first bit after T steps of noise?", references={"guessing": 0.5},
    )  # fmt: skip
    print(write_table(output_dir, "cell", rows, args))
    print(output_dir / "table.md", output_dir / "figures/recall.png", sep="\n")


if __name__ == "__main__":
    main(run, make_parser(), forward_unknown=True, backend_needed=False)
