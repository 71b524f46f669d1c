"""Compare values of one flag of any training script over seeds, such as a script with a loss of your own.

    python -m common.experiments.compare rsgan/train.py --vary penalty-weight --values 1 10 --loss rsgan_gp
    python -m common.experiments.compare my_gan/train.py --vary weight --values 0 0.5 1 --dataset mnist --steps 3000

Networks, seeds and all other settings are equal; only the flag differs. Writes a table to
`<out>/<folder of the script>/compare-<flag>-<dataset>/` (without --dataset `compare-<flag>/`), and of GANs the grid of
samples and the curves. Flags that it does not know are passed to the training script. Finished runs are not repeated.
"""

from pathlib import Path

from common.cli import main
from common.experiments.sweep import comparison_dir, run_variants, sweep_parser
from common.flag_types import nonempty, script_path


def make_parser():
    """Return the parser of `python -m common.experiments.compare`."""
    p = sweep_parser(__doc__, None)
    p.add_argument("--dataset", type=nonempty, help="training data, as the script takes it (default: its own default)")
    p.add_argument("script", metavar="SCRIPT", type=script_path, help="training script, e.g. rsgan/train.py")
    p.add_argument("--vary", type=nonempty, required=True, metavar="FLAG", help="its flag that varies, without the --")
    p.add_argument("--values", type=nonempty, nargs="+", required=True, metavar="VALUE", help="values of that flag")
    return p


def run(args):
    """Train with every value and seed, then write the table."""
    from common.errors import UserError
    from common.experiments.compare_gans import reasons_of, refuse_killed, report_gans
    from common.experiments.tables import disjoint, write_table
    from common.training.run_files import read_flags, read_metrics

    script = Path(args.script).resolve()
    flag, values = f"--{args.vary.lstrip('-')}", list(dict.fromkeys(args.values))
    output_dir = comparison_dir(args, script.parent.name, f"compare-{flag[2:]}")
    failed = {}
    run_dirs = run_variants(script, flag, values, output_dir, args, failed)
    if not run_dirs:
        raise UserError(reasons_of(failed))
    if all((run_dir / "distances.json").exists() for run_dir in run_dirs.values()):  # every GAN measures them
        args.dataset = args.dataset or read_flags(next(iter(run_dirs.values())), "dataset").dataset
        report_gans(args, output_dir, flag, values, (), run_dirs, failed)
        return

    results = {name: read_metrics(run_dir) for name, run_dir in run_dirs.items()}
    of_value = {value: [r for name, r in results.items() if name.rpartition("-")[0] == value] for value in values}
    of_value = {value: runs for value, runs in of_value.items() if runs}
    rows = {
        metric: {value: [r[metric] for r in runs if metric in r] for value, runs in of_value.items()}
        for metric in dict.fromkeys(metric for metrics in results.values() for metric in metrics)
    }
    apart = [metric for metric, row in rows.items() if disjoint(row)]
    footer = f"\nranges over seeds that do not overlap: {', '.join(apart) or 'none'}\n"
    footer += "".join(f"failed: {name}: {reason}\n" for name, reason in failed.items())
    print(write_table(output_dir, f"metric, by {flag}", rows, args, footer, failed=failed))
    print(output_dir / "table.md")
    refuse_killed(failed)


if __name__ == "__main__":
    main(run, make_parser(), forward_unknown=True, backend_needed=False)
