"""Pre-train an encoder whose layers share their weights, then fine-tune it shared and unshared (article 7187).

    python albert/train.py                                          # strings of a grammar, nothing to download
    python albert/train.py --dataset reviews --data-dir ~/Downloads # reviews in Chinese: sentiment and category
    python albert/train.py --dataset text:my.csv                    # your own, with a column label or cat

The article (https://kexue.fm/archives/7187) loads ALBERT, whose blocks share their weights, and lets every block have
its own copy while it is fine-tuned. Here the encoder is pre-trained with masked tokens, without labels, and then
fine-tuned on each task in four ways: shared; unshared; unshared, with the learning rate of the blocks times their
number; and as unshared blocks that were never pre-trained.

The run directory gets the pre-trained encoder (`encoder.keras`), a folder for each task and way, the table and the
curves. `albert/compare.py` repeats it with several seeds.
"""

import functools
import shutil

from albert.data import GRAMMAR, KNOWN
from common.cli import apply_preset, float_in, main, parser
from common.errors import UserError
from common.flag_types import (
    IntRange,
    count_int,
    data_folder,
    nonempty,
    positive_int,
    sample_int,
    text_dataset,
    width_int,
)
from common.parsers import preset_table

ARTICLE = "albert"
VARIANTS = ("shared", "unshared", "scaled", "random")
UNSHARED = ("unshared", "scaled")  # those that begin with copies of the shared block
RATES = {"learning_rate": 1e-3, "tune_learning_rate": 5e-4}
PRESETS = {
    "smoke": RATES | {
        "size": 12, "width": 8, "depth": 2, "heads": 2, "embedding": 4, "batch_size": 16, "steps": 8, "every": 4,
        "examples": 64, "tune_epochs": 2,
    },
    "quick": RATES | {
        "size": 32, "width": 64, "depth": 4, "heads": 4, "embedding": 16, "batch_size": 32, "steps": 1800, "every": 300,
        "examples": 1024, "tune_epochs": 6,
    },
    "paper": RATES | {
        "size": 32, "width": 64, "depth": 4, "heads": 4, "embedding": 16, "batch_size": 32, "steps": 10_000,
        "every": 1000, "examples": 8192, "tune_epochs": 10,
    },
}  # fmt: skip
REVIEW_PRESETS = {
    "smoke": PRESETS["smoke"],
    "quick": RATES | {
        "size": 64, "width": 128, "depth": 3, "heads": 4, "embedding": 64, "batch_size": 32, "steps": 3000,
        "every": 500, "examples": 3072, "tune_epochs": 4,
    },
    # the size of the author's "tiny"
    "paper": {
        "size": 128, "width": 312, "depth": 4, "heads": 12, "embedding": 128, "batch_size": 64, "steps": 20_000,
        "every": 1000, "examples": 5000, "tune_epochs": 8, "learning_rate": 5e-4, "tune_learning_rate": 1e-4,
    },
}  # fmt: skip
WARM_UP = 100  # steps in which the learning rate of the pre-training rises from 0


def make_parser():
    p = parser(__doc__, PRESETS, None)
    p.epilog += "\n\n" + preset_table(REVIEW_PRESETS, "values of the presets for reviews and your own texts:")
    add = p.add_argument
    add(
        "--dataset", type=functools.partial(text_dataset, drawn=(GRAMMAR,), known=KNOWN), default=GRAMMAR,
        help="grammar (default), strings drawn by code; reviews, those of hotels and of a shop together; hotel, "
        "shopping or waimai, each alone; or text:PATH, a .csv file with labels",
    )  # fmt: skip
    add(
        "--data-dir", type=data_folder,
        help="folder of your downloads, searched first (default none); then $DATA_DIR and the Keras cache are searched",
    )  # fmt: skip
    add("--size", type=IntRange(8, 1024), help="length of a row in tokens; a longer text is cut")
    add("--width", type=width_int, help="length of the vectors between the blocks")
    add("--depth", type=count_int, help="number of blocks")
    add("--heads", type=count_int, help="number of attention heads")
    add("--embedding", type=width_int, help="length of the vectors of the tokens")
    add("--learning-rate", type=float_in(1e-8, 1), help="learning rate of Adam in the pre-training")
    add("--every", type=positive_int, help="steps of the pre-training between measurements and checkpoints")
    add("--examples", type=sample_int, help="labelled examples of each task, at most")
    add("--tune-epochs", type=count_int, help="length of each fine-tuning in passes over these examples")
    add("--tune-learning-rate", type=float_in(1e-8, 1), help="learning rate of Adam in the fine-tuning")
    add(
        "--tasks", nargs="+", type=nonempty, metavar="NAME", help="tasks to fine-tune on (default: all of the data set)"
    )
    add(
        "--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="NAME",
        help=f"ways of fine-tuning (default all): {', '.join(VARIANTS)}",
    )  # fmt: skip
    return p


def build_mlm(args, encoder, columns):
    """Return (trainer, scorer) of the pre-training, on rows of `albert.tokens.mask_tokens`, int32 (batch, columns).

    Args:
        args: flags, with the preset applied.
        encoder: see `albert.encoder.build_encoder`.
        columns: int.
    """
    import keras
    from keras import ops

    from albert.encoder import build_mlm_head, visible_positions
    from common.training.single_loss import SingleLoss

    # wiring
    x = keras.Input((columns,), dtype="int32")
    m = (columns - args.size) // 2
    ids, positions, tokens = x[:, : args.size], x[:, args.size : -m], x[:, -m:]
    vectors = encoder([ids, visible_positions(ids)])
    vectors = ops.take_along_axis(vectors, positions[..., None], axis=1)
    logits = ops.cast(build_mlm_head(encoder)(vectors), "float32")

    # loss: of the tokens that were hidden; a row may have fewer than others
    is_hidden = ops.cast(tokens >= 0, "float32")
    error = is_hidden * ops.sparse_categorical_crossentropy(ops.maximum(tokens, 0), logits, from_logits=True)
    right = is_hidden * ops.cast(ops.equal(ops.argmax(logits, -1), tokens), "float32")
    count = ops.maximum(ops.sum(is_hidden), 1.0)
    mean = lambda error, right, count: {"loss": ops.sum(error) / count, "accuracy": ops.sum(right) / count}
    trainer = SingleLoss(x, {"error": error, "right": right, "count": count}, mean)
    rate = keras.optimizers.schedules.PolynomialDecay(args.learning_rate / WARM_UP, WARM_UP, args.learning_rate)
    trainer.compile(keras.optimizers.Adam(rate))
    return trainer, keras.Model(x, ops.stack([right, is_hidden], axis=1))


def build_tuning(args, encoder, task, variant):
    """Return (trainer, scorer) of a fine-tuning, on the rows of a `albert.tokens.Task`.

    Args:
        args: flags, with the preset applied.
        encoder: see `albert.encoder.build_encoder`, shared or not.
        task: `albert.tokens.Task`.
        variant: one of `VARIANTS`.
    """
    import keras
    from keras import ops

    from albert.encoder import block_variables, visible_positions
    from common.models.layers import full_precision
    from common.training.single_loss import SingleLoss

    # wiring
    labels = task.train.shape[1] - args.size
    x = keras.Input((args.size + labels,), dtype="int32")
    ids, y = x[:, : args.size], x[:, args.size :]
    vectors = encoder([ids, visible_positions(ids, task.source)])
    start = keras.initializers.GlorotUniform(args.seed)  # the same for every variant
    head = keras.layers.Dense(task.outputs, kernel_initializer=start, dtype=full_precision(None), name="labels")
    logits = head(vectors[:, task.first : task.first + labels])

    # loss
    error = ops.sparse_categorical_crossentropy(y, logits, from_logits=True)  # (batch, labels)
    right = ops.cast(ops.equal(ops.argmax(logits, -1), y), "float32")
    loss = lambda error, right: {"loss": ops.mean(error, axis=-1), "accuracy": ops.mean(right, axis=-1)}
    trainer = SingleLoss(x, {"error": error, "right": right}, loss)
    adam = keras.optimizers.Adam(args.tune_learning_rate)
    if variant == "scaled":
        of_blocks = keras.optimizers.Adam(args.depth * args.tune_learning_rate)
        block_ids = {id(v) for v in block_variables(encoder)}
        trainer.compile(keras.optimizers.MultiOptimizer(lambda v: of_blocks if id(v) in block_ids else adam))
    else:
        trainer.compile(adam)
    return trainer, keras.Model(x, right)


def check_shape(args):
    """Raise `UserError` if the heads do not share the width equally, or if no block is called twice to be unshared."""
    if args.width % args.heads:
        raise UserError(f"--width must be a multiple of {args.heads} for {args.heads} heads. Received: {args.width}")
    if args.depth < 2 and (copies := [v for v in args.variants if v in UNSHARED]):
        raise UserError(f"--depth 1 shares nothing: take at least 2, or leave {' and '.join(copies)} out of --variants")


def run(args):
    import keras
    import numpy as np

    from albert import report
    from albert.data import chosen_tasks, load_data
    from albert.encoder import build_encoder
    from albert.tokens import MaskedBatches, mask_tokens
    from albert.unshare import unshare
    from common.errors import errors_begin_with
    from common.experiments.setup import begin_run, prepare
    from common.files import atomic_write, write_json
    from common.models.inference import predict
    from common.streams import stage
    from common.training.log import train_seconds
    from common.training.loop import train
    from common.training.run_dir import write_results
    from common.training.run_files import MetricHistory, check_run_files

    presets = PRESETS if args.dataset == GRAMMAR else REVIEW_PRESETS
    apply_preset(args, make_parser(), presets)
    check_shape(args)
    prepare(args, ARTICLE)

    # data
    data = load_data(args)
    tasks = chosen_tasks(args, data.tasks)
    sizes = ", ".join(f"{name} {len(task.train):,}" for name, task in tasks.items())
    print(f"{len(data.unlabelled):,} rows without labels, {data.vocabulary:,} tokens; labelled examples: {sizes}")
    fixed_flags = ("steps", "epochs")  # a longer pre-training would move the encoder away from its fine-tunings
    run_dir, devices = begin_run(args, ARTICLE, data.unlabelled, fixed_flags)

    # pre-training: one block, called again and again
    def new_encoder(shared):
        shape = (args.width, args.depth, args.heads, args.embedding)
        return build_encoder(data.vocabulary, args.size, *shape, shared=shared)

    hidden = mask_tokens(data.held_out, data.vocabulary, np.random.default_rng([args.seed, 3]))
    with devices, stage("building the encoder"):
        encoder = new_encoder(shared=True)
        trainer, scorer = build_mlm(args, encoder, hidden.shape[1])
    history = MetricHistory(run_dir / "held_out.json")

    def measure_mlm(step):
        right, count = predict(scorer, hidden).sum((0, 2))
        history.record(step, float(right / count))

    batches = functools.partial(MaskedBatches, vocabulary=data.vocabulary)
    rows = train(
        trainer, data.unlabelled, run_dir, batch_size=args.batch_size, steps=args.steps, save_every=args.every,
        seed=args.seed, on_interval=measure_mlm, devices=devices, batches=batches,
    )  # fmt: skip
    history.complete(args.steps, measure_mlm)
    atomic_write(run_dir / "encoder.keras", encoder.save)
    weights = encoder.get_weights()

    # fine-tuning: the article's one line, and what it is compared with
    def tune(task_name, task, variant):
        folder = run_dir / f"{task_name}-{variant}".replace(" ", "_")
        if (folder / "scores.json").exists():
            return report.read_scores(folder / "scores.json")
        print(f"{task_name}, {variant}", flush=True)
        if folder.is_dir():
            check_run_files(folder)
        keras.utils.set_random_seed(args.seed)
        with devices:
            tuned = new_encoder(shared=variant != "random")
            if variant != "random":
                tuned.set_weights(weights)
            if variant in UNSHARED:
                tuned = unshare(tuned)
            trainer, scorer = build_tuning(args, tuned, task, variant)
        epoch = len(task.train) // args.batch_size
        scores = {part: MetricHistory(folder / f"{part}.json") for part in report.PARTS}

        def measure(step):
            right = predict(scorer, np.concatenate([task.valid, task.test]))
            for part, rows in zip(report.PARTS, np.split(right, [len(task.valid)]), strict=True):
                scores[part].record(step, float(rows.mean()))

        log = train(
            trainer, task.train, folder, batch_size=args.batch_size, steps=args.tune_epochs * epoch, save_every=epoch,
            seed=args.seed, on_interval=measure, devices=devices,
        )  # fmt: skip
        result = {part: history.curve()[1] for part, history in scores.items()}
        result |= {"seconds": [row["seconds"] for row in log], "parameters": tuned.count_params()}
        if any(len(result[name]) < args.tune_epochs for name in (*report.PARTS, "seconds")):
            print(f"note: {folder} has lost epochs; it is tuned again", flush=True)
            shutil.rmtree(folder)
            return tune(task_name, task, variant)
        write_json(folder / "scores.json", result)
        return result

    results = {(name, v): tune(name, task, v) for name, task in tasks.items() for v in args.variants}

    # results
    with errors_begin_with(f"after step {args.steps}"):
        metrics = {"masked tokens": history.values[str(args.steps)]} | report.metrics(results)
        write_results(run_dir, metrics | train_seconds(rows) | {"steps": args.steps})
        print(report.write_table(run_dir, results))
        report.draw(run_dir / "figures", results, history)
        print("pictures:", *sorted((run_dir / "figures").glob("*.png")), sep="\n  ")


if __name__ == "__main__":
    main(run, make_parser())
