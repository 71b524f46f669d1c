"""Does a 1x1 convolution beat a shuffle, and a shuffle reversal (5807), and where does exp(x y^T) stand (6407)?

    python flow/compare_mixing.py --dataset mnist --steps 1500

Trains the same Glow with each way to mix channels, from the same seeds, and draws the four loss curves (5807-F7) into
`<out>/flow/mixing-<dataset>/`. Every flag it does not know is handed to `flow/glow.py`. What is finished is not trained
again.
"""

from pathlib import Path

from common.cli import main
from common.sweep import flags, home, variants, write_table

KINDS = ("reverse", "shuffle", "1x1", "exp")
# of the last step's weights: over so few steps averages would still remember where they began
SHOWN = {
    "test bits/dim": "bits_per_dim/test_last_step",
    "training bits/dim, last stretch": "bits_per_dim/last_stretch",
    "parameters": "parameters",
}


def run(args):
    import numpy as np

    from common import figures
    from common.runs import read_json
    from common.training import read_log

    where, seeds = home(args, "flow", "mixing"), range(args.seeds)
    runs = variants(Path(__file__).with_name("glow.py"), "--mixing", KINDS, where, args)

    results = {name: read_json(run / "results.json")["metrics"] for name, run in runs.items()}
    rows = {kind: {n: [results[f"{kind}-{s}"][key] for s in seeds] for n, key in SHOWN.items()} for kind in KINDS}
    # runs of one seed share the order of the data and the nets they start from: their difference says more
    for kind in KINDS:
        rows[kind]["minus shuffle, same seed"] = list(
            np.subtract(rows[kind]["test bits/dim"], rows["shuffle"]["test bits/dim"])
        )
    text = write_table(where, "mixing", rows, args)

    logs = {name: read_log(run / "log.csv") for name, run in runs.items()}
    late = {name: log[len(log) // 4 :] for name, log in logs.items()}  # the first quarter dwarfs the differences
    curve = lambda log: ([row["step"] for row in log], [row["bits_per_dim"] for row in log])
    series = {kind: [curve(late[f"{kind}-{s}"]) for s in seeds] for kind in KINDS}
    title = f"the same Glow on {args.dataset}, {args.seeds} seeds"
    figures.curves(where / "figures/mixing.png", series, "step", "training bits/dim", title)
    print(text, f"{where}/figures/mixing.png", sep="\n")


if __name__ == "__main__":
    main(run, flags(__doc__, "mnist"), rest=True)
