"""Train a small character model, or go on with an enlarged one (article 8444, https://kexue.fm/archives/8444).

    python enlarge/train.py                                     # a small model on Python's documentation
    python enlarge/train.py --enlarge runs/enlarge/python_docs-64-quick-s0 --factor 2 --spread 0.4
    python enlarge/train.py --dataset text:novel.txt            # a text of yours
    python enlarge/train.py --dataset couplet --data-dir ~/Downloads

The model is a causal Transformer that predicts the next character. `--enlarge` takes the model of a finished run, makes
it `--factor` times as wide and goes on. At step 0 its loss is that of the small one, unless `--noise` is added.
"""

import math
import zlib

from common.cli import apply_preset, float_in, main, parser, positive_int
from common.errors import UserError
from common.flag_types import IntRange, count_int, run_folder, text_size, width_int
from common.parsers import add_text_flags
from enlarge.corpus import DRAWN

ARTICLE = "enlarge"
COMMON = {"size": 64, "batch_size": 16, "depth": 2, "heads": 4, "learning_rate": 2e-3}
PRESETS = {
    "smoke": COMMON | {"size": 16, "width": 8, "depth": 1, "heads": 2, "steps": 6, "every": 3},
    "quick": COMMON | {"width": 32, "steps": 600, "every": 50},
    "paper": COMMON
    | {"size": 256, "batch_size": 64, "width": 256, "depth": 6, "heads": 8, "steps": 20_000, "every": 1000},
}  # the article trains nothing: `paper` is a model for a GPU
WARM_UP = 100  # steps in which the learning rate rises from 0: Adam's first steps are as long as any later one
SHAPE = ("width", "depth", "heads")  # flags that --enlarge takes from its run
CHARACTERS = 200  # of a text that the trained model writes
MOST_HELD_OUT = 200  # examples on which the loss is measured


def make_parser():
    p = parser(__doc__, PRESETS, None)
    add_text_flags(p, DRAWN, "Python's language reference, on every machine")
    p.add_argument("--size", type=text_size, help="length of the examples in characters")
    p.add_argument("--width", type=width_int, help="length of the vectors between the blocks")
    p.add_argument("--depth", type=count_int, help="number of blocks")
    p.add_argument("--heads", type=count_int, help="number of attention heads")
    p.add_argument("--learning-rate", type=float_in(1e-8, 1), help="learning rate of Adam, after 100 steps of warm-up")
    p.add_argument("--every", type=positive_int, help="steps between measurements and checkpoints")
    p.add_argument(
        "--enlarge", type=run_folder, metavar="RUN_DIR",
        help="go on with the model of this finished run, made wider (default: a new model)",
    )  # fmt: skip
    p.add_argument("--factor", type=IntRange(1, 64), help="how many times as wide the model of --enlarge becomes")
    p.add_argument(
        "--spread", type=float_in(0, 10), default=0.0,
        help="how unevenly copies share their outgoing weights, see enlarge/lossless.py; 0.4 serves (default 0: copies "
        "are equal and stay so)",
    )  # fmt: skip
    p.add_argument(
        "--noise", type=float_in(0, 10), default=0.0,
        help="noise added to each weight after the enlargement, as a multiple of the root mean square of its array; "
        "not lossless (default 0)",
    )  # fmt: skip
    return p


def build(args, decoder):
    """Build the loss.

    Args:
        args: flags, with the preset applied.
        decoder: model from ids (batch, size) to logits (batch, size, characters).

    Returns:
        (trainer, scorer): a compiled `SingleLoss` on examples, int32 (batch, size + 1); and a model from examples to
        the error of each prediction in nats, (batch, size).
    """
    import keras
    from keras import ops

    from common.training.single_loss import SingleLoss

    x = keras.Input((args.size + 1,), dtype="int32")
    logits = ops.cast(decoder(x[:, :-1]), "float32")
    error = ops.sparse_categorical_crossentropy(x[:, 1:], logits, from_logits=True)
    trainer = SingleLoss(x, {"error": error}, lambda error: {"loss": ops.mean(error, axis=-1)})
    rate = keras.optimizers.schedules.PolynomialDecay(args.learning_rate / WARM_UP, WARM_UP, args.learning_rate)
    trainer.compile(keras.optimizers.Adam(rate))
    return trainer, keras.Model(x, error)


def load_small(args, alphabet):
    """Return the model of the run that --enlarge names.

    Raises:
        UserError: if the run is not finished, or was trained on another text or size.
    """
    from common.files import read_json
    from common.models.inference import load_model

    small = load_model(f"{args.enlarge}/decoder.keras", (args.size,), (args.size, None))
    if read_json(f"{args.enlarge}/alphabet.json") != alphabet:
        raise UserError(f"{args.enlarge} was trained on a text with other characters: give its --dataset")
    return small


def check_origin(run_dir, small):
    """Write `enlarged_from.json`, a checksum of the small model, or refuse to go on from another one.

    Raises:
        UserError: if the run was enlarged from other weights.
    """
    import numpy as np

    from common.files import read_json, write_json

    path = run_dir / "enlarged_from.json"
    origin = {"crc32": zlib.crc32(b"".join(np.asarray(w).tobytes() for w in small.get_weights()))}
    if path.exists() and read_json(path) != origin:
        raise UserError(f"{run_dir} was enlarged from other weights than those of --enlarge now: use another --out")
    write_json(path, origin)


def add_noise(model, noise, seed):
    """Add normal noise to each weight of a model, `noise` times the root mean square of its array."""
    import numpy as np
    from keras import ops

    rng = np.random.default_rng([seed, 1])
    for weight in model.trainable_weights:
        value = ops.convert_to_numpy(weight)
        weight.assign(value + noise * np.sqrt(np.mean(value**2)) * rng.normal(size=value.shape))


def gap_of_copies(model, factor):
    """Return how far the copies of a hidden unit are apart, as a fraction of the size of their incoming weights.

    Args:
        model: an enlarged model of `enlarge.transformer`.
        factor: int, number of copies.

    Returns:
        The root mean square deviation from the mean of the copies, over that of the weights: 0 for equal copies, and
        sqrt(1 - 1 / factor) for copies that have nothing in common.
    """
    import numpy as np
    from keras import ops

    from enlarge.lossless import part_of

    kernels = [ops.convert_to_numpy(layer.kernel) for layer in model.layers if part_of(layer) == "feedforward_1"]
    groups = np.stack([kernel.reshape(len(kernel), -1, factor) for kernel in kernels])
    return float(np.sqrt(groups.var(-1).mean() / (groups**2).mean()))


def continue_text(decoder, start, steps, seed):
    """Return texts that a model writes: int array (rows, steps) of character numbers.

    Args:
        decoder: model from ids (rows, size) to logits.
        start: int array (rows, size), what it goes on from.
        steps: int, characters to draw.
        seed: int.
    """
    import numpy as np

    ids, size, rng = start, start.shape[1], np.random.default_rng([seed, 2])
    for _ in range(steps):
        logits = np.asarray(decoder.predict_on_batch(ids[:, -size:])[:, -1], "float64")
        drawn = (logits + rng.gumbel(size=logits.shape)).argmax(-1)
        ids = np.concatenate([ids, drawn[:, None].astype("int32")], axis=1)
    return ids[:, size:]


def write_sample(path, decoder, held_out, alphabet, seed):
    """Write how a model goes on from three held-out examples."""
    from common.files import atomic_write

    start = held_out[:: -(-len(held_out) // 3)][:3, :-1]
    in_words = lambda ids: "".join(alphabet[i] for i in ids)
    drawn = continue_text(decoder, start, CHARACTERS, seed)
    parts = [f"{in_words(a)}[ the model goes on: ]{in_words(b)}" for a, b in zip(start, drawn, strict=True)]
    text = f"\n\n{'-' * 40}\n\n".join(parts) + "\n"
    atomic_write(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def run(args):
    """Train as the flags say, and measure the loss on held-out text."""
    from common.streams import stage

    given = [flag for flag in SHAPE if getattr(args, flag) is not None]
    if args.enlarge and given:
        raise UserError(f"--{given[0]} is that of the model of --enlarge: leave it out")
    if bool(args.enlarge) != bool(args.factor):
        raise UserError("--enlarge RUN_DIR and --factor belong together: give both, or none for a new model")
    if not args.enlarge and (args.spread or args.noise):
        raise UserError("--spread and --noise are for an enlarged model: give --enlarge RUN_DIR")
    apply_preset(args, make_parser(), PRESETS)
    if args.enlarge:
        args.width = args.depth = args.heads = None

    from common import backend
    from common.experiments.setup import begin_run, prepare
    from common.files import atomic_write, write_json
    from common.plots.charts import plot_curves
    from common.training.log import log_curves, train_seconds
    from common.training.loop import train
    from common.training.run_dir import write_results
    from common.training.run_files import MetricHistory
    from enlarge import transformer
    from enlarge.corpus import load_examples
    from enlarge.lossless import enlarge

    # data
    prepare(args, ARTICLE)
    with stage("reading the text"):
        examples, held_out, alphabet = load_examples(args.dataset, args.size, args.data_dir)
    held_out = held_out[:: -(-len(held_out) // MOST_HELD_OUT)]
    small = load_small(args, alphabet) if args.enlarge else None
    run_dir, devices = begin_run(args, ARTICLE, examples)
    write_json(run_dir / "alphabet.json", alphabet)
    if small:
        check_origin(run_dir, small)

    # model and loss
    with devices, stage("building the model"):
        if small:
            decoder = enlarge(small, args.factor, args.spread, args.seed)
            add_noise(decoder, args.noise, args.seed)
        else:
            decoder = transformer.decoder(len(alphabet), args.size, args.width, args.depth, args.heads)
        trainer, scorer = build(args, decoder)
    loss_of = lambda model: float(backend.predict(model, held_out, 64).mean(dtype="float64"))
    small_loss = {"held_out/small model": loss_of(build(args, small)[1])} if small else {}

    # training
    history = MetricHistory(run_dir / "held_out.json")
    measure = lambda step: history.record(step, loss_of(scorer))
    rows = train(
        trainer, examples, run_dir, batch_size=args.batch_size, steps=args.steps, save_every=args.every,
        seed=args.seed, on_interval=measure, devices=devices,
    )  # fmt: skip

    # results
    atomic_write(run_dir / "decoder.keras", decoder.save)
    write_sample(run_dir / "sample.txt", decoder, held_out, alphabet, args.seed)
    history.complete(args.steps, measure)
    final = history.values[str(args.steps)]
    metrics = {
        "held_out": final,
        **({"held_out/step 0": history.values["0"]} if "0" in history.values else {}),  # not after a damage
        **small_loss,
        **({"gap_of_copies": gap_of_copies(decoder, args.factor)} if args.factor else {}),
        "bits_per_character": final / math.log(2),
        "parameters": decoder.count_params(),
        "characters": len(alphabet),
        **train_seconds(rows),
        "steps": args.steps,
    }
    write_results(run_dir, metrics)
    steps = sorted(map(int, history.values))
    curves = {"training": log_curves(rows, "loss")["loss"]} if rows else {}
    curves["held out"] = (steps, [history.values[str(step)] for step in steps])
    plot_curves(run_dir / "figures/loss.png", curves, "step", "loss (nats per character)", "A character model")
    print(*(f"{name:30s}{value:.6g}" for name, value in metrics.items()), sep="\n")
    print(run_dir / "sample.txt", run_dir / "figures/loss.png", sep="\n")


if __name__ == "__main__":
    main(run, make_parser())
