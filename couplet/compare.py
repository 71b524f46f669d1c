"""Compare networks that answer couplets, by how far they see and how well they answer (article 6270).

    python couplet/compare.py                                                      # the grammar, three seeds
    python couplet/compare.py --dataset couplet --seeds 1 --data-dir ~/Downloads

Runs `couplet/train.py` for gated convolutions of several depths, and for the other networks of the size of six gated
blocks. A network of depth L sees L characters to each side: in the grammar it can answer the last word by the key only
if that is within its reach. On other couplets only depth 6 is trained. Writes a table and a figure to
`<out>/couplet/compare-<dataset>/`. Flags that it does not know are passed to `couplet/train.py`. Finished runs are not
repeated.
"""

import functools
from pathlib import Path

from common.cli import main
from common.experiments.sweep import sweep_parser
from common.flag_types import count_int, text_dataset
from couplet.train import FILES, KNOWN, MODELS, PRESETS

DEPTHS = [2, 4, 6, 8, 10]
DEPTH = 6  # of the networks that are compared
GRAMMAR = "grammar"
# what the grammar needs at `quick`: fewer steps and units, and no averages
SMALL = {"--width": 64, "--steps": 3000, "--ema": 0}


def make_parser():
    p = sweep_parser(__doc__, None)
    p.add_argument(
        "--dataset", type=functools.partial(text_dataset, drawn=(GRAMMAR,), known=KNOWN, what=FILES), default=GRAMMAR,
        help=f"couplets, as couplet/train.py takes them (default {GRAMMAR})",
    )  # fmt: skip
    p.add_argument(
        "--preset",
        choices=sorted(PRESETS),
        default="quick",
        help="of the trainings, see couplet/train.py (default quick)",
    )
    p.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help="networks to train (default all)")
    p.add_argument(
        "--depths", nargs="+", type=count_int, metavar="L",
        help="depths of the gated network (default 2 4 6 8 10 for the grammar, else 6)",
    )  # fmt: skip
    return p


def kinds_of(dataset, models=MODELS, depths=None):
    """Return {name: flags of `couplet/train.py`} of the networks that are trained on a data set."""
    kinds = {}
    for model in dict.fromkeys(models):
        if model == "gated":
            for depth in depths or (DEPTHS if dataset == GRAMMAR else [DEPTH]):
                kinds[f"gated, depth {depth}"] = ["--model", model, "--depth", depth]
        else:
            kinds[model] = ["--model", model, "--depth", DEPTH]
    return kinds


def run(args):
    """Train all networks, then write the table and the figure."""
    from common.experiments.sweep import comparison_dir, sweep
    from common.experiments.tables import write_table
    from common.plots.charts import plot_bars, plot_curves
    from common.training.run_files import read_metrics

    output_dir = comparison_dir(args, "couplet", "compare" if args.preset == "quick" else f"compare-{args.preset}")
    common = ["--dataset", args.dataset, "--preset", args.preset]
    if args.dataset == GRAMMAR and args.preset == "quick":
        given = {word.partition("=")[0] for word in args.forwarded}
        common += [word for flag, value in SMALL.items() if flag not in given for word in (flag, value)]
    common += [*args.forwarded, *(["--format", args.format] if args.format else [])]
    kinds = kinds_of(args.dataset, args.models, args.depths)
    jobs = {
        f"{name.replace(', ', '-').replace(' ', '_')}-{seed}": [*common, *flags, "--seed", seed]
        for seed in range(args.seeds) for name, flags in kinds.items()
    }  # fmt: skip
    run_dirs = list(sweep(Path(__file__).with_name("train.py"), jobs, output_dir, args.jobs).values())
    results = {name: [read_metrics(d) for d in run_dirs[i :: len(kinds)]] for i, name in enumerate(kinds)}
    columns = {"perplexity": "perplexity", "top-1": "top-1", "whole lines": "whole lines"}
    columns |= {"seconds of training": "train_seconds", "parameters of the blocks": "parameters of the blocks"}
    lengths = (2, 3, 4, 5) if args.dataset == GRAMMAR else ()
    columns |= {f"last of {n} words": f"last word/{n} words" for n in lengths}
    rows = {
        name: {c: [m[key] for m in metrics if key in m] for c, key in columns.items()}
        for name, metrics in results.items()
    }
    first = results[next(iter(kinds))][0]
    for table in ("table of characters", "table of neighbours"):
        rows[table] = {c: [first[f"{table}/{c}"]] for c in ("perplexity", "top-1", "whole lines")}
    for ceiling in ("ceiling", "ceiling without the key"):
        if f"{ceiling}/top-1" in first:  # the grammar has them
            rows[ceiling] = {c: [first[f"{ceiling}/{c}"]] for c in ("top-1", "whole lines")}
    path = output_dir / "figures" / ("staircase.png" if lengths else "perplexity.png")
    if lengths:
        ceilings = {
            which: sum(first[f"last word/{n} words, {which}"] for n in lengths) / len(lengths)
            for which in ("ceiling", "ceiling without the key")
        }
        distances = [2 * n for n in lengths]
        last = lambda metrics: [metrics[f"last word/{n} words"] for n in lengths]
        curves = {name: [(distances, last(metrics)) for metrics in of_seeds] for name, of_seeds in results.items()}
        xlabel, ylabel = "characters from the key to the end of the last word", "accuracy of the last word's characters"
        plot_curves(
            path, curves, xlabel, ylabel, "A network of depth L sees L characters to each side", references=ceilings
        )
    else:
        bars = {name: {"perplexity": row["perplexity"]} for name, row in rows.items()}
        plot_bars(path, bars, "perplexity of held-out characters", "Answers to held-out upper lines")
    print(write_table(output_dir, "network", rows, args))
    print(output_dir / "table.md", path, sep="\n")


if __name__ == "__main__":
    main(run, make_parser(), forward_unknown=True, backend_needed=False)
