"""Does O-GAN need the correlation, and does the mean square error fail in its place (article 6409)?

    python ogan/ablation.py --dataset lfw --steps 1500

Trains correlation, mse and none from the same seeds, everything else equal, and writes a table and a figure to
`<out>/ogan/ablation-<dataset>-.../`. Every flag it does not know is handed to `ogan/train.py`. What is finished is
not trained again.
"""

import re
import subprocess
import sys
from pathlib import Path

from common.cli import Parser, main, positive_int
from common.cli import dataset as dataset_name

KINDS = ("correlation", "mse", "none")
SHOWN = {
    "z_corr": "z_corr",
    "recon / mean image": "reconstruction_ratio",
    "pca_frechet": "pca_frechet",
    "critic gap": "critic_gap",
    "probe R^2": "probe_r2_mean",
}


def flags():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("--dataset", type=dataset_name, default="toy_faces")
    p.add_argument("--seeds", type=positive_int, default=3, help="how many, from 0 on")
    p.add_argument("--jobs", type=positive_int, default=1, help="trainings at a time")
    p.add_argument("--out", default="runs")
    return p


def run(args):
    from concurrent.futures import ThreadPoolExecutor

    from common import figures
    from common.errors import UserError
    from common.runs import read_json, write_json, write_whole

    where = Path(args.out) / "ogan" / ("ablation-" + re.sub(r"[^\w.-]+", "_", args.dataset))
    script = Path(__file__).with_name("train.py")
    runs = {}

    def train(kind, seed):
        home = where / f"{kind}-{seed}"
        command = [script, "--dataset", args.dataset, "--seed", seed, "--latent-loss", kind, "--out", home]
        home.mkdir(parents=True, exist_ok=True)
        with open(home / "log.txt", "a") as log:
            command = [sys.executable, *map(str, command), "--resume", *args.rest]
            done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT)
        if done.returncode:
            raise UserError(f"{kind}, seed {seed}: {(home / 'log.txt').read_text().strip().splitlines()[-1]}")
        found = sorted(home.glob("ogan/*/results.json"), key=lambda path: path.stat().st_mtime)
        print(f"{kind}, seed {seed}: {found[-1]}", flush=True)
        runs[kind, seed] = found[-1].parent
        metrics = read_json(found[-1])["metrics"]
        return metrics | {"reconstruction_ratio": metrics["reconstruction_mse"] / metrics["mean_image_mse"]}

    jobs = [(kind, seed) for seed in range(args.seeds) for kind in KINDS]
    with ThreadPoolExecutor(args.jobs) as pool:
        results = dict(zip(jobs, pool.map(lambda job: train(*job), jobs), strict=True))

    shown = {name: key for name, key in SHOWN.items() if key in next(iter(results.values()))}
    seeds = range(args.seeds)
    values = {name: {kind: [results[kind, s][key] for s in seeds] for kind in KINDS} for name, key in shown.items()}
    write_json(where / "results.json", {"metrics": _flat(values), "seeds": args.seeds, "train_flags": args.rest})
    table = _table(values)
    write_whole(where / "table.md", lambda path: path.write_text(table))
    figures.save_png(where / "figures/pictures.png", _side_by_side([runs[kind, 0] for kind in KINDS]))
    bounded = {name: row for name, row in values.items() if name != "pca_frechet"}  # the rest fits on one axis
    figures.bars(where / "figures/ablation.png", bounded, "value", f"O-GAN on {args.dataset}, {args.seeds} seeds")
    print(table, f"{where}/figures/ablation.png", sep="\n")


def _side_by_side(runs, pixels=256):
    """A corner of each run's samples, and of its reconstructions below them; a column for each run."""
    import imageio.v3 as iio
    import numpy as np

    corners = [
        [iio.imread(run / f"figures/{n}.png")[:pixels, :pixels] for n in ("samples", "reconstructions")] for run in runs
    ]
    gutter = lambda corner: np.pad(corner, ((0, 8), (0, 8), (0, 0)), constant_values=255)
    columns = [np.concatenate([gutter(corner) for corner in column]) for column in corners]
    return np.concatenate(columns, 1)[:-8, :-8]


def _flat(values):
    rows = ((f"{name}/{kind}", numbers) for name, row in values.items() for kind, numbers in row.items())
    return {f"{row}/{seed}": value for row, numbers in rows for seed, value in enumerate(numbers)}


def _table(values):
    """Mean and range over the seeds, a row for each latent loss."""

    def cell(numbers):
        return f"{sum(numbers) / len(numbers):.3f} ({min(numbers):.3f} to {max(numbers):.3f})"

    lines = [f"| latent loss | {' | '.join(values)} |", f"|---|{'---|' * len(values)}"]
    lines += [f"| {kind} | {' | '.join(cell(row[kind]) for row in values.values())} |" for kind in KINDS]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(run, flags(), rest=True)
