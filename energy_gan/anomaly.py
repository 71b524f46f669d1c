"""Test whether the energy recognises a digit that it never saw (arXiv 1901.08508).

    python energy_gan/anomaly.py --data-dir DIR                 # digits 1, 4, 5, 7, 9, as published; three seeds

For each digit and seed, the script trains on the MNIST training images without that digit. Then it scores every test
image by its energy U(x) and by ||grad U(x)||; the digit that was left out should score highest. The table gives the
area under the precision-recall curve (average precision) of both scores and the published one. Beside them stands the
fraction of that digit among the test images, which an uninformed score gets.

The results go to `<out>/energy_gan/anomaly-mnist/`. Flags that this script does not know are passed on to
`energy_gan/train.py`. A training that has finished is not run again.
"""

from pathlib import Path

import numpy as np

from common.cli import main, nonnegative_int
from common.errors import UserError
from common.experiments.sweep import comparison_dir, run_variants, sweep_parser
from common.experiments.tables import write_table
from common.streams import stage

DIGITS = (1, 4, 5, 7, 9)
PUBLISHED = {1: 0.281, 4: 0.401, 5: 0.402, 7: 0.290, 9: 0.342}  # AUPRC of MEG, table of arXiv 1901.08508


def make_parser():
    p = sweep_parser(__doc__, "mnist")
    digits_help = "digits to leave out, one at a time (default 1 4 5 7 9)"
    p.add_argument("--digits", nargs="+", type=nonnegative_int, default=DIGITS, metavar="DIGIT", help=digits_help)
    return p


def average_precision(scores, positive):
    """Return the area under the precision-recall curve.

    This is the mean, over the positives, of the precision at the score of each. Tied scores count as one threshold, so
    the order of the data does not matter.

    Args:
        scores: array (n,), high where a positive is suspected.
        positive: bools (n,), at least one of them true.
    """
    positive = np.asarray(positive, bool)
    order = np.argsort(-np.asarray(scores), kind="stable")
    hits = np.cumsum(positive[order])
    last_of_ties = np.append(np.diff(np.asarray(scores)[order]) != 0, True)
    precision = hits[last_of_ties] / (1 + np.flatnonzero(last_of_ties))
    recall = hits[last_of_ties] / positive.sum()
    return float(np.sum(precision * np.diff(recall, prepend=0.0)))


@stage("scoring the test images")
def energy_and_slope(critic, images):
    """Return U(x) and ||grad U(x)|| of images, two arrays (n,).

    Args:
        critic: model, images in [-1, 1] -> (n, 1), -U.
        images: uint8 (n, size, size, channels).
    """
    import keras
    from keras import ops

    from common.data.images import to_float
    from common.losses.gradient_penalties import ScoreAndSquaredGradientNorm
    from common.models.inference import predict

    x = keras.Input(critic.input_shape[1:])
    score, squared_norm = ScoreAndSquaredGradientNorm(critic)(x)
    model = keras.Model(x, ops.stack([-score[:, 0], ops.sqrt(squared_norm)], axis=-1), name="energy")
    return predict(model, to_float(images)).T


def run(args):
    from common.data.images import load_images
    from common.metrics.sample_size import is_enough
    from common.models.inference import load_model
    from common.plots.charts import plot_bars
    from common.plots.words import in_words
    from common.training.run_files import read_flags

    if args.dataset not in ("mnist", "fashion_mnist"):
        raise UserError(f"{args.dataset} cannot be scored without a class: use mnist or fashion_mnist")
    output_dir = comparison_dir(args, "energy_gan", "anomaly")
    run_dirs = run_variants(Path(__file__).with_name("train.py"), "--without", args.digits, output_dir, args)
    rows = {}
    for digit in args.digits:
        flags = read_flags(run_dirs[f"{digit}-0"], "size", "data_dir", "limit")  # the same for all seeds
        test = load_images(args.dataset, flags.size, "test", flags.data_dir, limit=flags.limit)
        positive = test.labels == digit
        counts = {f"test images of {digit}": positive.sum(), "test images of other digits": (~positive).sum()}
        if not is_enough(f"AUPRC without {digit}", 1, counts):
            continue
        auprc = {"energy": [], "slope": []}
        for seed in range(args.seeds):
            critic = load_model(run_dirs[f"{digit}-{seed}"] / "critic.keras", test.array.shape[1:], (1,))
            scores = energy_and_slope(critic, np.asarray(test.array))
            for name, score in zip(auprc, scores, strict=True):
                auprc[name].append(average_precision(score, positive))
        row = {
            "AUPRC of U": auprc["energy"],
            "AUPRC of its slope": auprc["slope"],
            "knowing nothing": [float(positive.mean())],
        }
        if args.dataset == "mnist" and digit in PUBLISHED:
            row["published"] = [PUBLISHED[digit]]
        rows[f"without {digit}"] = row
    text = write_table(output_dir, "", rows, args)
    print(text)
    if rows:
        title = f"A digit that was left out of {in_words(args.dataset)}: is it found?"
        plot_bars(output_dir / "figures/auprc.png", rows, "area under the precision-recall curve", title)
        print(output_dir / "figures/auprc.png")


if __name__ == "__main__":
    main(run, make_parser(), forward_unknown=True)
