"""Does the energy know what it has never seen (arXiv 1901.08508)? A digit is left out and looked for by its energy.

    python energy_gan/anomaly.py --data-dir DIR                 # digits 1, 4, 5, 7, 9, as published; three seeds

One training per digit and seed, on the MNIST training images without that digit; then every test image is scored by
its energy U(x) and by ||grad U(x)||, and the digit should come out on top. The table gives the area under the
precision-recall curve (average precision) of both scores beside the published one, and the share of that digit among
the test images, which is what a score that knows nothing gets. Writes to `<out>/energy_gan/anomaly-mnist/`; every flag
it does not know is handed to `energy_gan/train.py`. What is finished is not trained again.
"""

from pathlib import Path

import numpy as np

from common.cli import main, nonnegative_int
from common.errors import UserError
from common.experiments.sweep import comparison_dir, run_variants, sweep_parser, write_table

DIGITS = (1, 4, 5, 7, 9)
PUBLISHED = {1: 0.281, 4: 0.401, 5: 0.402, 7: 0.290, 9: 0.342}  # 1901.08508, its table of MEG's AUPRC


def make_parser():
    p = sweep_parser(__doc__, "mnist")
    p.add_argument(
        "--digits", nargs="+", type=nonnegative_int, default=DIGITS, metavar="DIGIT", help="left out, one by one"
    )
    return p


def average_precision(scores, positive):
    """Area under the precision-recall curve: the mean, over the positives, of the precision at each one's score.

    Args:
        scores: (n,), high where a positive is suspected. positive: bools (n,), at least one.

    Tied scores count as one threshold, so that the order of the data plays no part.
    """
    positive = np.asarray(positive, bool)
    order = np.argsort(-np.asarray(scores), kind="stable")
    hits = np.cumsum(positive[order])
    last = np.append(np.diff(np.asarray(scores)[order]) != 0, True)  # of those with the same score
    precision, recall = hits[last] / (1 + np.flatnonzero(last)), hits[last] / positive.sum()
    return float(np.sum(precision * np.diff(recall, prepend=0.0)))


def energy_and_slope(critic, images):
    """U(x) and ||grad U(x)|| of uint8 images, two arrays (n,)."""
    import keras
    from keras import ops

    from common.data.images import to_float
    from common.losses.gradient_penalties import SquaredGradientNorm
    from common.models.inference import predict

    x = keras.Input(critic.input_shape[1:])
    both = keras.Model(x, ops.stack([-critic(x)[:, 0], ops.sqrt(SquaredGradientNorm(critic)(x))], axis=-1))
    return predict(both, to_float(images)).T


def run(args):
    from common.data.images import load_images
    from common.files import read_json
    from common.models.inference import load_model
    from common.plots.charts import plot_bars

    if args.dataset not in ("mnist", "fashion_mnist"):
        raise UserError(f"{args.dataset} has no ten classes, one of which could be left out; use mnist")
    where = comparison_dir(args, "energy_gan", "anomaly")
    runs = run_variants(Path(__file__).with_name("train.py"), "--without", args.digits, where, args)
    rows, scores = {}, {}
    for digit in args.digits:
        found = {"energy": [], "slope": []}
        for seed in range(args.seeds):
            run = runs[f"{digit}-{seed}"]
            run_flags = read_json(run / "config.json")["flags"]
            test = load_images(args.dataset, run_flags["size"], "test", run_flags["data_dir"], limit=run_flags["limit"])
            positive = test.labels == digit
            both = energy_and_slope(load_model(run / "critic.keras"), np.asarray(test.array))
            for name, score in zip(found, both, strict=True):
                found[name].append(average_precision(score, positive))
            scores.setdefault(f"without {digit}", both[0])
        rows[f"without {digit}"] = {
            "AUPRC of U": found["energy"],
            "AUPRC of its slope": found["slope"],
            "knowing nothing": [float(positive.mean())],
        } | ({"published": [PUBLISHED[digit]]} if args.dataset == "mnist" and digit in PUBLISHED else {})
    text = write_table(where, "", rows, args)
    plot_bars(where / "figures/auprc.png", rows, "area under the precision-recall curve", args.dataset)
    print(text, where / "figures/auprc.png", sep="\n")


if __name__ == "__main__":
    main(run, make_parser(), forward_unknown=True)
