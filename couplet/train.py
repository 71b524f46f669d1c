"""Train a network that answers the upper line of a couplet, by convolution and tagging (article 6270).

    python couplet/train.py                                             # a grammar, nothing to download
    python couplet/train.py --dataset couplet --data-dir ~/Downloads    # couplet.tar.gz, also unpacked
    python couplet/train.py --dataset couplet --model bilstm
    python couplet/answer.py --run RUN_DIR 晚风摇树树还挺

The article (https://kexue.fm/archives/6270) needs no seq2seq: both lines have one length and match character by
character, so each position of the upper line is tagged with the character below it. Gated convolutions of kernel 3
see `--depth` characters to each side. All lines of a batch have one length, so none is padded.

The run directory gets the model (`tagger.keras`, averaged over the steps unless `--ema` is 0; `alphabet.json`), answers
to twenty held-out lines (`answers.md`), the scores beside those of count tables, and the curves.
"""

from common.cli import apply_preset, float_in, main, parser, positive_int
from common.flag_types import count_int, sample_int, width_int
from common.parsers import add_text_flags

ARTICLE = "couplet"
KNOWN, FILES = ("couplet",), "a folder or archive with in.txt and out.txt"  # what --dataset takes
MODELS = ("gated", "plain", "bilstm", "transformer")
COMMON = {"width": 128, "depth": 6, "batch_size": 128, "learning_rate": 1e-3, "ema": 0.999}
PRESETS = {
    "smoke": COMMON | {"width": 16, "depth": 2, "batch_size": 32, "steps": 30, "every": 15, "limit": 500},
    "quick": COMMON | {"steps": 8000, "every": 1000},
    "paper": COMMON | {"batch_size": 64, "steps": 100_000, "every": 1000, "ema": 0.0},
}
DROPOUT = 0.25  # after the embedding, as in the article
SHOWN = 20  # answers
MEASURED = 1000  # held-out couplets that are measured during the training


def make_parser():
    p = parser(__doc__, PRESETS, None)
    add_text_flags(p, "grammar", "couplets of a small grammar, drawn by code", KNOWN, FILES)
    p.add_argument(
        "--model", choices=MODELS, default="gated",
        help="gated convolutions (default), plain residual ones, a BiLSTM or a Transformer, all of about one size",
    )  # fmt: skip
    p.add_argument("--width", type=width_int, help="length of the vectors of characters")
    p.add_argument("--depth", type=count_int, help="number of gated blocks; other models get as many parameters")
    p.add_argument("--learning-rate", type=float_in(1e-8, 1), help="learning rate of Adam")
    p.add_argument("--ema", type=float_in(0, 0.99999), help="momentum of the averages of all weights; 0 turns them off")
    p.add_argument("--every", type=positive_int, help="steps between measurements and checkpoints")
    p.add_argument("--limit", type=sample_int, help="train on the first N couplets only (default all)")
    return p


def build(args, characters):
    """Return (trainer, tagger): a compiled `SingleLoss` on couplets, int32 (batch, 2, length), and the network.

    Args:
        args: flags, with the preset applied.
        characters: int, size of the alphabet.
    """
    import keras
    from keras import ops

    from common.training.single_loss import SingleLoss
    from couplet.networks import build_tagger

    tagger = build_tagger(args.model, characters, args.width, args.depth, DROPOUT, args.seed)
    x = keras.Input((2, None), dtype="int32")
    logits = ops.cast(tagger(x[:, 0]), "float32")
    error = ops.sparse_categorical_crossentropy(x[:, 1], logits, from_logits=True)  # (batch, length)
    trainer = SingleLoss(x, {"error": error}, lambda error: {"loss": ops.mean(error, axis=-1)})
    trainer.compile(keras.optimizers.Adam(args.learning_rate))
    return trainer, tagger


def run(args):
    import numpy as np

    from common.data.batches import SameLengthBatches
    from common.errors import errors_begin_with
    from common.experiments.setup import begin_run, prepare
    from common.files import atomic_write, write_json
    from common.streams import stage
    from common.training.ema import WeightEMA, measured_network
    from common.training.log import log_curves, train_seconds
    from common.training.loop import train
    from common.training.run_dir import write_results
    from common.training.run_files import MetricHistory
    from couplet import report
    from couplet.data import load_couplets
    from couplet.measure import measure_tagger

    apply_preset(args, make_parser(), PRESETS)
    prepare(args, ARTICLE)

    # data
    couplets = load_couplets(args.dataset, args.data_dir, args.limit)
    print(f"{len(couplets.train):,} couplets, {len(couplets.test):,} held out, {len(couplets.alphabet):,} characters")
    run_dir, devices = begin_run(args, ARTICLE, couplets.train)
    write_json(run_dir / "alphabet.json", couplets.alphabet)

    # network and training
    with devices, stage("building the network"):
        trainer, tagger = build(args, len(couplets.alphabet))
        averages = WeightEMA([tagger], args.ema) if args.ema else None
    tagger = averages.models[0] if averages else tagger
    history = MetricHistory(run_dir / "held_out.json")
    measure = lambda step: history.record(
        step, float(np.log(measure_tagger(tagger, couplets.test[:MEASURED])[0]["perplexity"]))
    )
    rows = train(
        trainer, couplets.train, run_dir, batch_size=args.batch_size, steps=args.steps, save_every=args.every,
        seed=args.seed, on_interval=measure, devices=devices, averages=averages, batches=SameLengthBatches,
    )  # fmt: skip

    # results
    with errors_begin_with(f"after step {args.steps}"):
        history.complete(args.steps, measure)
        atomic_write(run_dir / "tagger.keras", tagger.save)
        metrics, text = report.measure_all(tagger, couplets, args.dataset)
        metrics |= {"parameters": tagger.count_params(), "parameters of the blocks": report.block_parameters(tagger)}
        metrics |= train_seconds(rows) | {"steps": args.steps}
        write_results(run_dir, metrics, network=measured_network(averages))
        report.write_answers(run_dir / "answers.md", tagger, couplets, SHOWN)
        report.draw_training(run_dir / "figures/loss.png", log_curves(rows, "loss"), history)
        print((run_dir / "answers.md").read_text(encoding="utf-8"), text, sep="\n")
        print(run_dir / "answers.md", run_dir / "figures/loss.png", sep="\n")


if __name__ == "__main__":
    main(run, make_parser())
