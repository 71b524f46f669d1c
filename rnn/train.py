"""Train a recurrent cell to recall the first bit after steps of noise (article 7888, https://kexue.fm/archives/7888).

    python rnn/train.py --cell lstm --delay 50      # half a minute on a CPU core
    python rnn/train.py --cell keras_gru            # keras.layers.GRU of equal size

A sequence is a bit, -1 or +1, and then --delay values of normal noise; the network must tell the bit at the end. So the
gradient has to reach back over all the noise. The cells are those of `rnn/cells.py`. Every network begins with
orthogonal U, and is trained by Adam, whose gradients are clipped to norm 1 for each weight array.
"""

from common.cli import apply_preset, main, parser
from common.flag_types import IntRange, float_in, positive_int, sample_int, width_int
from common.parsers import refuse

ARTICLE = "rnn"
PRESETS = {
    "smoke": {
        "batch_size": 16, "delay": 4, "units": 8, "forget_bias": 1.0, "learning_rate": 1e-2, "sequences": 512,
        "steps": 20, "every": 10,
    },
    "quick": {
        "batch_size": 64, "delay": 20, "units": 32, "forget_bias": 1.0, "learning_rate": 3e-3, "sequences": 20_000,
        "steps": 1000, "every": 50,
    },
    "paper": {  # the article trains nothing: this is `quick` with a longer delay and more steps
        "batch_size": 64, "delay": 100, "units": 32, "forget_bias": 1.0, "learning_rate": 3e-3, "sequences": 100_000,
        "steps": 3000, "every": 100,
    },
}  # fmt: skip
HELD_OUT = 2000  # sequences that are never trained on
WITH_BIAS = ("lstm", "gru", "reset_output")  # cells that take --forget-bias
CELLS = ("tanh", "relu", "lstm", "gru", "reset_output", "keras_lstm", "keras_gru")


def make_parser():
    p = parser(__doc__, PRESETS, default_dataset=None)
    add = p.add_argument
    add("--cell", choices=CELLS, default="lstm", help=f"cell, default lstm: {', '.join(CELLS)}", metavar="NAME")
    add("--delay", type=IntRange(1, 10_000), help="number of steps of noise between the bit and the end")
    add("--units", type=width_int, help="length of the hidden state h")
    add(
        "--forget-bias", type=float_in(-20, 20),
        help="first bias of the gate that keeps the memory: f, or 1 - z; Keras's own layers have theirs",
    )  # fmt: skip
    add("--learning-rate", type=float_in(1e-8, 1), help="learning rate of Adam")
    add("--sequences", type=sample_int, help="number of training sequences")
    add("--every", type=positive_int, help="number of steps between two rows of the log and checkpoints")
    return p


def first_bit(n, delay, seed):
    """Return sequences (n, 1 + delay, 1) in float32: a bit of -1 or +1, and then standard normal noise.

    Args:
        n: int, number of sequences.
        delay: int, number of steps of noise.
        seed: int or list of ints.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (n, 1)) * 2 - 1
    noise = rng.standard_normal((n, delay), "float32")
    return np.concatenate([bits, noise], 1, dtype="float32")[..., None]


def build_layer(args):
    """Return the recurrent layer: sequences (batch, 1 + delay, 1) -> its last h, (batch, units)."""
    from keras import layers

    from rnn.cells import GRUCell, LSTMCell, ResetOutputCell, SimpleCell

    n, bias = args.units, args.forget_bias
    if args.cell == "keras_lstm":
        return layers.LSTM(n)  # with its forget bias of 1
    if args.cell == "keras_gru":
        return layers.GRU(n)
    cells = {
        "tanh": lambda: SimpleCell(n, "tanh"),
        "relu": lambda: SimpleCell(n, "relu"),
        "lstm": lambda: LSTMCell(n, forget_bias=bias),
        "gru": lambda: GRUCell(n, forget_bias=bias),
        "reset_output": lambda: ResetOutputCell(n, forget_bias=bias),
    }
    return layers.RNN(cells[args.cell]())


def build(args):
    """Build the network, wire it up and compile the trainer.

    Args:
        args: resolved flags.

    Returns:
        Tuple (compiled `SingleLoss`, network). The network maps sequences to scores (batch,), positive for a bit of +1.
    """
    import keras
    from keras import layers, ops

    from common import backend
    from common.training.single_loss import SingleLoss

    # network
    x = keras.Input((1 + args.delay, 1))
    h = build_layer(args)(x)
    score = layers.Dense(1, dtype="float32")(h)[:, 0]
    network = keras.Model(x, score, name="network")

    # loss: minus the log-likelihood of the bit, whose probability is sigmoid(bit * score)
    def loss(bit, score):
        margin = bit * score
        return {"loss": ops.softplus(-margin), "accuracy": ops.cast(margin > 0, "float32")}

    trainer = SingleLoss(x, {"bit": x[:, 0, 0], "score": score}, loss)
    optimizer = keras.optimizers.Adam(args.learning_rate, clipnorm=1.0)
    trainer.compile(optimizer, jit_compile=backend.jit_for_small_operations())
    return trainer, network


def run(args):
    from common.errors import errors_begin_with
    from common.experiments.setup import begin_run, prepare
    from common.files import atomic_write
    from common.models.inference import predict
    from common.plots.charts import plot_curves
    from common.training.log import log_curves, train_seconds
    from common.training.loop import train
    from common.training.run_dir import write_results

    if args.cell not in WITH_BIAS:
        refuse(args, ["forget_bias"], f"is for the cells {', '.join(WITH_BIAS)}")
    apply_preset(args, make_parser(), PRESETS)
    prepare(args, ARTICLE)

    # data
    sequences = first_bit(args.sequences, args.delay, [args.seed, 0])
    held_out = first_bit(HELD_OUT, args.delay, [args.seed, 1])
    run_dir, devices = begin_run(args, ARTICLE, sequences)

    with devices:
        trainer, network = build(args)
    rows = train(
        trainer, sequences, run_dir, batch_size=args.batch_size, steps=args.steps, save_every=args.every,
        seed=args.seed, on_interval=lambda step: None, devices=devices,
    )  # fmt: skip

    with errors_begin_with(f"after step {args.steps}"):
        atomic_write(run_dir / "network.keras", network.save)
        accuracy = ((predict(network, held_out) > 0) == (held_out[:, 0, 0] > 0)).mean()
        metrics = {
            "accuracy": accuracy,
            "parameters": network.count_params(),
            **train_seconds(rows),
            "steps": args.steps,
        }
        write_results(run_dir, metrics)
        (curve,) = log_curves(rows, "accuracy").values() or [None]
        if curve:
            title = f"Recall of the first bit after {args.delay} steps of noise"
            plot_curves(
                run_dir / "figures/accuracy.png", {args.cell: curve}, "step", "accuracy", title,
                references={"guessing": 0.5},
            )  # fmt: skip
        print(*(f"{name:20s}{value:.6g}" for name, value in metrics.items()), run_dir / "results.json", sep="\n")


if __name__ == "__main__":
    main(run, make_parser())
