"""Compare ways to come to a large character model: enlarge a trained small one, or train the large one from scratch.

    python enlarge/compare.py                                   # three seeds, on Python's documentation
    python enlarge/compare.py --dataset text:novel.txt          # on a text of yours
    python enlarge/compare.py --dataset couplet --seeds 1

A small model is trained for --steps, made --factor times as wide (article 8444) and trained for as many steps
again: with exact copies, with copies and noise, and with copies that share their outgoing weights unevenly. Beside
them the small model goes on, and a large one is trained from scratch, both for all the steps. Writes a table and
the curves to `<out>/enlarge/compare-<dataset>/`, with --steps N to `compare-N-steps-<dataset>/`. Flags that it does
not know are passed to `enlarge/train.py`. Finished runs are not repeated, and a run that was stopped goes on.
"""

import functools

from common.cli import figure_parser, main
from common.flag_types import IntRange, count_int, positive_int, text_dataset, width_int
from enlarge import train
from enlarge.corpus import DRAWN

WAYS = {  # way of enlarging: flags of `enlarge/train.py`
    "exact copies": (),
    "copies and noise": ("--noise", 0.1),
    "uneven shares": ("--spread", 0.4),
}
SMALL, SCRATCH = "small model goes on", "large from scratch"


def make_parser():
    p = figure_parser(__doc__)
    p.add_argument(
        "--dataset", type=functools.partial(text_dataset, drawn=(DRAWN,)), default=DRAWN,
        help=f"text, as enlarge/train.py takes it (default {DRAWN})",
    )  # fmt: skip
    p.add_argument(
        "--preset", choices=sorted(train.PRESETS), default="quick", help="see enlarge/train.py (default quick)"
    )
    p.add_argument("--seeds", type=count_int, default=3, help="number of seeds, from 0 on (default 3)")
    p.add_argument(
        "--steps", type=positive_int, help="steps before the enlargement, and after it (default: the preset's)"
    )
    p.add_argument("--width", type=width_int, help="width of the small model (default: the preset's)")
    p.add_argument("--factor", type=IntRange(2, 64), default=2, help="how many times as wide it becomes (default 2)")
    return p


def trained(*words):
    """Train a model with flags of `enlarge/train.py`, or go on with it, and return its run directory."""
    from common.experiments.flags import refuse_repeated
    from common.training.run_dir import run_dir_of

    refuse_repeated(words)
    args = train.make_parser().parse_args([*map(str, words), "--resume", "--new"])
    train.run(args)
    return run_dir_of(args, train.ARTICLE)


def run(args):
    """Train all models, one after the other, then write the table and the curves."""
    from common.experiments.sweep import comparison_dir

    # with other steps the small models, from which the large ones began, would change
    name = f"compare-{args.steps}-steps" if args.steps else "compare"
    output_dir = comparison_dir(args, train.ARTICLE, name)
    steps = args.steps or train.PRESETS[args.preset]["steps"]
    width = args.width or train.PRESETS[args.preset]["width"]
    common = ["--dataset", args.dataset, "--preset", args.preset, *args.forwarded]
    common += ["--format", args.format] if args.format else []

    run_dirs = {way: [] for way in (SMALL, SCRATCH, *WAYS)}
    for seed in range(args.seeds):
        place = lambda way, seed=seed: ["--seed", seed, "--out", output_dir / f"{way.replace(' ', '_')}-{seed}"]
        small = trained(*common, *place("small"), "--width", width, "--steps", steps)
        for way, extra in WAYS.items():
            flags = ["--enlarge", small, "--factor", args.factor, "--steps", steps, *extra]
            run_dirs[way].append(trained(*common, *place(way), *flags))
        for way, factor in ((SMALL, 1), (SCRATCH, args.factor)):
            flags = ["--width", factor * width, "--steps", 2 * steps]
            run_dirs[way].append(trained(*common, *place(way), *flags))
    report(args, output_dir, steps, run_dirs)


def report(args, output_dir, steps, run_dirs):
    """Write the table and the curves.

    Args:
        args: flags.
        output_dir: path.
        steps: int, steps before the enlargement.
        run_dirs: dict way -> run directories, one per seed.
    """
    from common.experiments.tables import lowest, write_table
    from common.plots.charts import plot_curves
    from common.training.run_files import read_history, read_metrics

    rows, curves = {}, {}
    for way, dirs in run_dirs.items():
        offset = steps if way in WAYS else 0
        metrics = [read_metrics(run_dir) for run_dir in dirs]
        histories = [
            {int(step) + offset: loss for step, loss in read_history(run_dir / "held_out.json").items()}
            for run_dir in dirs
        ]
        curves[way] = [tuple(zip(*sorted(h.items())[not offset :], strict=True)) for h in histories]
        rows[way] = {
            "loss at the switch": [h[steps] for h in histories if steps in h],
            "loss at the end": [m["held_out"] for m in metrics],
            "parameters": [m["parameters"] for m in metrics],
            "seconds of training": [m["train_seconds"] for m in metrics if "train_seconds" in m],
            "gap of the copies": [m["gap_of_copies"] for m in metrics if offset],
            "jump at the switch": [
                m["held_out/step 0"] - m["held_out/small model"] for m in metrics if offset and "held_out/step 0" in m
            ],
        }
    at_the_end = {way: row["loss at the end"] for way, row in rows.items()}
    footer = f"\nlowest loss at the end: {lowest(at_the_end, max(map(len, at_the_end.values())))}\n"
    jumps = {way: max(map(abs, row["jump at the switch"])) for way, row in rows.items() if row["jump at the switch"]}
    footer += "".join(f"greatest jump at the switch, {way}: {jump:.1e}\n" for way, jump in jumps.items())
    print(write_table(output_dir, "model", rows, args, footer))
    path = output_dir / "figures/loss.png"
    title = f"A character model, made {args.factor} times as wide after {steps} steps"
    plot_curves(path, curves, "step", "loss on held-out text (nats per character)", title)
    print(output_dir / "table.md", path, sep="\n")


if __name__ == "__main__":
    main(run, make_parser(), forward_unknown=True)
