"""Train the article's classifier of spectra, and then as many further steps with two losses (article 5505).

    python spectra/train.py                                     # spectra that are drawn by code
    python spectra/train.py --dataset spectra:PATH              # your own
    python spectra/train.py --loss f1 --tune none               # macro-F1 as the loss from the first step

The article (https://kexue.fm/archives/5505) trains a network of dilated convolutions with the cross-entropy, keeps the
weights with the highest macro-F1 on the validation set, and goes on from them at a lower learning rate with a
differentiable stand-in for the macro-F1 as the loss. Here a second training begins at the same weights, with as many
steps of cross-entropy at the same rate: the control that the article does not have.

PATH is a folder or an archive with an index in csv (columns id and type) and a text file for every spectrum, or a
folder of FITS files (extra `fits`).
"""

import functools

from common.cli import apply_preset, main, parser
from common.flag_types import IntRange, float_in, positive_int, sample_int, text_dataset, width_int

ARTICLE = "spectra"
RATES = {"learning_rate": 1e-3, "tune_learning_rate": 1e-4}
DRAWN = {"points": 650, "quotas": [0.55, 0.15, 0.15, 0.15]}  # the shares of the drawn classes
PRESETS = {
    "smoke": RATES | DRAWN | {
        "points": 128, "width": 4, "batch_size": 32, "limit": 400, "steps": 20, "tune_steps": 10, "every": 10,
    },
    "quick": RATES | DRAWN | {
        "width": 8, "batch_size": 64, "limit": 6000, "steps": 1500, "tune_steps": 500, "every": 100,
    },
    "paper": RATES | {
        "points": 2600, "quotas": [0.8, 0.1, 0.05, 0.05], "width": 16, "batch_size": 160, "limit": 100_000,
        "steps": 25_000, "tune_steps": 25_000, "every": 500,
    },
}  # fmt: skip
LOSSES = ("cross_entropy", "f1")
TUNINGS = {"both": ("f1", "cross_entropy"), "f1": ("f1",), "cross_entropy": ("cross_entropy",), "none": ()}
IN_WORDS = {"f1": "macro-F1", "cross_entropy": "cross-entropy"}
AFTER = {name: f"then {words}" for name, words in IN_WORDS.items()}  # names of the further trainings


def make_parser():
    p = parser(__doc__, PRESETS, None)
    add = p.add_argument
    what = "a folder or an archive of spectra"
    kind = functools.partial(text_dataset, drawn=("simulated",), known=(), prefix="spectra:", what=what)
    add(
        "--dataset", type=kind, default="simulated",
        help="simulated, spectra drawn by code (default), or spectra:PATH, your own: see above",
    )  # fmt: skip
    add("--limit", type=sample_int, help="spectra to train on; of your own, the default is all")
    add("--points", type=IntRange(1, 100_000), help="wavelengths of a spectrum that is drawn or read from FITS")
    add(
        "--quotas", nargs=4, type=float_in(0.001, 1000), metavar="SHARE",
        help="shares of star, unknown, galaxy and qso in a batch; they are scaled to add up to 1",
    )  # fmt: skip
    add("--width", type=width_int, help="channels of the first two blocks; they double after every second block")
    add("--pool", choices=["max", "average"], default="max", help="max, as in the article (default), or average")
    add("--loss", choices=LOSSES, default="cross_entropy", help="loss of the first training (default cross_entropy)")
    add(
        "--tune", choices=TUNINGS, default="both",
        help="losses of the further trainings, each of which begins at the best weights of the first (default both)",
    )  # fmt: skip
    add("--tune-steps", type=positive_int, help="length of each further training in steps")
    add("--learning-rate", type=float_in(1e-8, 1), help="learning rate of Adam")
    add("--tune-learning-rate", type=float_in(1e-8, 1), help="learning rate of Adam in the further trainings")
    add("--every", type=positive_int, help="steps between measurements on the validation set, and checkpoints")
    return p


def build(network, loss_name, learning_rate):
    """Wire the network up and compile the trainer.

    Args:
        network: see `spectra.network.build_network`.
        loss_name: one of `LOSSES`.
        learning_rate: float, of Adam.

    Returns:
        Compiled `SingleLoss` on rows (batch, points + 1, 1): a spectrum, and then its class index.
    """
    import keras
    from keras import ops

    from common.training.single_loss import SingleLoss
    from spectra.f1 import SoftMacroF1

    # wiring
    points, classes = network.input_shape[1], network.output_shape[-1]
    x = keras.Input((points + 1, 1))
    spectrum, label = x[:, :-1], x[:, -1, 0]
    scores = network(spectrum)

    # loss: the cross-entropy of each spectrum, or one number for the whole batch
    macro_f1 = SoftMacroF1()

    def loss(label, scores):
        y = ops.one_hot(ops.cast(label, "int32"), classes)
        if loss_name == "f1":
            value = macro_f1(y, ops.softmax(scores))
        else:
            value = ops.categorical_crossentropy(y, scores, from_logits=True)
        return {"loss": value, "accuracy": ops.cast(ops.argmax(scores, -1) == ops.argmax(y, -1), "float32")}

    trainer = SingleLoss(x, {"label": label, "scores": scores}, loss)
    trainer.compile(keras.optimizers.Adam(learning_rate))
    return trainer


def run(args):
    from common.errors import errors_begin_with
    from common.experiments.setup import begin_run, prepare
    from common.files import atomic_write
    from common.training.log import train_seconds
    from common.training.loop import train
    from common.training.run_dir import write_results
    from spectra import report
    from spectra.batches import QuotaBatches, quota_counts
    from spectra.best import BestWeights
    from spectra.dataset import SIMULATED, load, rows_of
    from spectra.network import build_network

    own_limit = args.limit
    apply_preset(args, make_parser(), PRESETS)
    if args.dataset != SIMULATED:
        args.limit = own_limit
    prepare(args, ARTICLE)

    # data
    quota_counts(args.quotas, args.batch_size)
    training, validation, test = load(args.dataset, args.limit, args.points, args.seed)
    rows = rows_of(training)
    run_dir, devices = begin_run(args, ARTICLE, rows, fixed_flags=("steps", "epochs"))
    batches = functools.partial(QuotaBatches, labels=training.labels, quotas=args.quotas)

    # network
    with devices:
        network = build_network(training.x.shape[1], args.width, args.pool)

    def train_from_here(folder, loss_name, learning_rate, steps):
        """Train the network, give it its best weights, and return its log and its `BestWeights`."""
        with devices:
            trainer = build(network, loss_name, learning_rate)
        best = BestWeights(network, *validation)
        log = train(
            trainer, rows, folder, batch_size=args.batch_size, steps=steps, save_every=args.every, seed=args.seed,
            on_interval=best.measure, devices=devices, stateful={"best": best}, batches=batches,
        )  # fmt: skip
        best.load()
        atomic_write(folder / "classifier.keras", network.save)
        return log, best

    # training, and then from its best weights on
    log, first = train_from_here(run_dir, args.loss, args.learning_rate, args.steps)
    results = {"first": report.measure(network, first, test)}
    for loss_name in TUNINGS[args.tune]:
        first.load()
        print(f"{args.tune_steps} further steps with the loss {loss_name}", flush=True)
        folder = run_dir / f"tune-{loss_name}"
        _, best = train_from_here(folder, loss_name, args.tune_learning_rate, args.tune_steps)
        results[AFTER[loss_name]] = report.measure(network, best, test)

    # results
    with errors_begin_with(f"after step {args.steps}"):
        metrics = report.metrics(results) | {"parameters": network.count_params()} | train_seconds(log)
        write_results(run_dir, metrics | {"steps": args.steps, "tune_steps": args.tune_steps})
        report.draw(run_dir / "figures", results, IN_WORDS[args.loss])
        print(report.write_tables(run_dir, results, test.labels))
        print(*(f"{name:32s}{value:.4g}" for name, value in metrics.items()), run_dir / "results.json", sep="\n")
        print("pictures:", *sorted((run_dir / "figures").glob("*.png")), sep="\n  ")


if __name__ == "__main__":
    main(run, make_parser())
