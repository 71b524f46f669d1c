"""Compare an encoder that is fine-tuned shared and unshared over seeds (article 7187).

    python albert/compare.py                                                # strings of a grammar, five seeds
    python albert/compare.py --dataset reviews --data-dir ~/Downloads       # reviews in Chinese, five seeds

Runs `albert/train.py` with every seed: it pre-trains an encoder and fine-tunes it on every task in four ways. The table
has the columns of the article's. The gain is the accuracy of "unshared" minus that of "shared" with the same seed, and
the tasks stand in the order of their difficulty, that is, of the errors of "shared" on the test set. Writes the tables
and figures to `<out>/albert/compare-<dataset>/` (`compare-<preset>-<dataset>/` for another preset than quick). Flags
that it does not know are passed to `albert/train.py`. Finished runs are not repeated, and a run that was stopped goes
on.
"""

import functools
from pathlib import Path

from albert.data import GRAMMAR, KNOWN
from albert.train import PRESETS, VARIANTS
from common.cli import main
from common.experiments.sweep import sweep_parser
from common.flag_types import text_dataset


def make_parser():
    p = sweep_parser(__doc__, None)
    add = p.add_argument
    add(
        "--dataset", type=functools.partial(text_dataset, drawn=(GRAMMAR,), known=KNOWN), default=GRAMMAR,
        help=f"data, as albert/train.py takes it (default {GRAMMAR})",
    )  # fmt: skip
    add("--preset", choices=sorted(PRESETS), default="quick", help="of the trainings, see albert/train.py (quick)")
    p.set_defaults(seeds=5)
    next(action for action in p._actions if action.dest == "seeds").help = "number of seeds, from 0 on (default 5)"
    return p


def run(args):
    """Train with every seed, then write the tables and the figures."""
    from albert import report
    from common.experiments.sweep import comparison_dir, sweep
    from common.experiments.tables import write_table
    from common.training.run_files import read_metrics

    output_dir = comparison_dir(args, "albert", "compare" if args.preset == "quick" else f"compare-{args.preset}")
    further = [*args.forwarded, *(["--format", args.format] if args.format else [])]
    jobs = {
        f"seed-{seed}": ["--dataset", args.dataset, "--preset", args.preset, "--seed", seed, *further]
        for seed in range(args.seeds)
    }
    run_dirs = sweep(Path(__file__).with_name("train.py"), jobs, output_dir, args.jobs)
    runs = [read_metrics(run_dir) for run_dir in run_dirs.values()]
    results = report.by_task(runs, VARIANTS)
    rows = {
        f"{task}, {variant}": {column: values[column] for column in report.COLUMNS}
        for task, variants in results.items()
        for variant, values in variants.items()
    }
    gains = report.gains(results)
    text = report.gain_table(gains)
    print(write_table(output_dir, "task", rows, args, footer=f"\n{text}", gains=gains))
    report.draw_comparison(output_dir / "figures", results, gains)
    print("pictures:", *sorted((output_dir / "figures").glob("*.png")), sep="\n  ")
    print(output_dir / "table.md")


if __name__ == "__main__":
    main(run, make_parser(), forward_unknown=True, backend_needed=False)
