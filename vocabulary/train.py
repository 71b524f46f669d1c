"""Find the words of a domain without labels: discovery, contrast and semantic growth (article 6540).

    python vocabulary/train.py                                                   # a language with a known lexicon
    python vocabulary/train.py --dataset hotel --against shopping couplet --data-dir ~/Downloads
    python vocabulary/train.py --dataset text:my.txt --against text:other.txt    # your own texts

The article (https://kexue.fm/archives/6540) finds words in the text of a domain and in a general one by the mutual
information of adjacent characters, keeps those that the domain has more of, trains skip-gram word vectors on the
domain, and grows a set of terms from seeds: words whose cosine to a term is above a threshold that rises with the
distance from the seeds.

The run directory gets `terms.txt`, `table.md` with the first words of each step, the vectors, pictures and numbers.
`vocabulary/grow.py --run RUN_DIR` grows from seeds of your choice without training again.
"""

from common.cli import apply_preset, float_in, main, parser
from common.errors import UserError
from common.flag_types import count_int, positive_int, sample_int, text_dataset, width_int
from common.parsers import add_text_flags
from vocabulary.corpus import LANGUAGE

ARTICLE = "vocabulary"
COMMON = {"negatives": 10, "learning_rate": 5e-3, "window": 5}
PRESETS = {
    "smoke": COMMON | {"dimensions": 16, "batch_size": 512, "steps": 60, "every": 30, "limit": 1500},
    "quick": COMMON | {"dimensions": 64, "batch_size": 4096, "steps": 1500, "every": 300},
    # the author's vectors have 100 dimensions; their number of steps is not known
    "paper": COMMON | {"dimensions": 100, "batch_size": 4096, "steps": 20_000, "every": 1000},
}
MIN_PROBA = 1e-6
S_MIN, ALPHA = 0.6, 0.35  # the article's schedule of the threshold
S_MIN_OF_TEXT = 0.7  # of real text, where 0.6 takes in too much
SEEDS = 8  # words from which the set of terms grows


def make_parser():
    p = parser(__doc__, PRESETS, None)
    add_text_flags(p, LANGUAGE, "a language with a known lexicon, drawn by code")
    p.add_argument(
        "--against", nargs="+", type=text_dataset, metavar="TEXT",
        help="general texts that the domain is set against, as --dataset takes them (needed but for the language)",
    )  # fmt: skip
    p.add_argument(
        "--min-pmi", type=float_in(-10, 20),
        help="least mutual information, in nats, of adjacent characters of a word (default 1; language: 2)",
    )  # fmt: skip
    p.add_argument(
        "--min-proba", type=float_in(0, 1), default=MIN_PROBA,
        help=f"least relative frequency of such a pair, and of a word (default {MIN_PROBA:g})",
    )  # fmt: skip
    p.add_argument(
        "--s-min", type=float_in(-1, 1),
        help=f"threshold at the seeds, a cosine (default {S_MIN_OF_TEXT}; language: {S_MIN}, the article's)",
    )  # fmt: skip
    p.add_argument("--window", type=count_int, help="greatest distance of two neighbours in a text, in words")
    p.add_argument("--dimensions", type=width_int, help="length of the vectors")
    p.add_argument("--negatives", type=count_int, help="noise words drawn for each neighbour")
    p.add_argument("--learning-rate", type=float_in(1e-8, 1), help="learning rate of Adam")
    p.add_argument("--every", type=positive_int, help="steps between rows of the log and checkpoints")
    p.add_argument("--limit", type=sample_int, help="use only the first N texts of each kind (default all)")
    return p


def default_min_pmi(args):
    """Return the default of --min-pmi. The language has few symbols, so more of its pairs meet by chance."""
    return 2.0 if args.dataset == LANGUAGE else 1.0


def default_s_min(args):
    """Return the default of --s-min."""
    return S_MIN if args.dataset == LANGUAGE else S_MIN_OF_TEXT


def run(args):
    import numpy as np

    from common.errors import errors_begin_with
    from common.experiments.setup import begin_run, prepare
    from common.files import atomic_write
    from common.training.log import train_seconds
    from common.training.loop import train
    from common.training.run_dir import write_results
    from common.training.skip_gram import build_skip_gram, neighbour_pairs
    from vocabulary import report, toy_language
    from vocabulary.contrast import contrast
    from vocabulary.corpus import load_corpora
    from vocabulary.discovery import divide, find_words
    from vocabulary.rules import read_rules

    apply_preset(args, make_parser(), PRESETS, min_pmi=default_min_pmi, s_min=default_s_min)
    rules = None if args.dataset == LANGUAGE else read_rules()  # the symbols of the language have no meaning
    prepare(args, ARTICLE)

    # words
    codes = load_corpora(args.dataset, args.against, args.data_dir, args.limit, args.seed)
    (domain, text), (general, _) = (find_words(c, args.min_pmi, args.min_proba) for c in codes)
    if not domain:
        raise UserError(
            f"no piece of {args.dataset} is frequent enough for a word: lower --min-proba, or give more text"
        )
    scores = contrast(domain, general)
    words, ids, texts = divide(text, domain)
    data = neighbour_pairs(ids, texts, args.window)
    print(f"{len(domain):,} and {len(general):,} words in {len(codes[0]):,} and {len(codes[1]):,} characters")
    print(f"{len(words):,} words of the domain get vectors, from {len(data):,} pairs of neighbours")

    # seeds
    of_words = np.array([[domain.get(w, 0), general.get(w, 0), scores.get(w, 0)] for w in words])
    arrays = {"words": np.array(words), "counts": of_words[:, :2], "scores": of_words[:, 2]}
    language = toy_language.make_language(args.seed) if args.dataset == LANGUAGE else None
    seeds = report.candidates(arrays, rules)
    seeds = [word for word in seeds if not language or word in set(language.terms)][:SEEDS]
    if not seeds:
        raise UserError(
            f"no word of {args.dataset} can be a term: lower --min-pmi, give more text, or see vocabulary/rules.toml"
        )

    # vectors
    run_dir, devices = begin_run(args, ARTICLE, data)
    with devices:
        frequencies = np.bincount(data[:, 1], minlength=len(words)).astype("float64")
        trainer, table, _ = build_skip_gram(
            frequencies, args.dimensions, args.learning_rate, args.negatives, seed=args.seed
        )
    rows = train(
        trainer, data, run_dir, batch_size=args.batch_size, steps=args.steps, save_every=args.every, seed=args.seed,
        on_interval=lambda step: None, devices=devices,
    )  # fmt: skip

    # results
    with errors_begin_with(f"after step {args.steps}"):
        arrays["vectors"] = np.asarray(table.embeddings.numpy(), "float32")
        atomic_write(run_dir / "words.npz", lambda path: np.savez(path, **arrays))
        metrics = {"words of the domain": len(domain), "general words": len(general)}
        if language:
            metrics |= report.known_lexicon(run_dir, language, codes, domain, general, arrays)
        text, more = report.terms(run_dir, arrays, seeds, args.s_min, ALPHA, rules)
        metrics |= more | train_seconds(rows) | {"steps": args.steps}
        write_results(run_dir, metrics)
        print(text, *(f"{name:40s}{value:.6g}" for name, value in metrics.items()), sep="\n")
        print("pictures:", *sorted((run_dir / "figures").glob("*.png")), sep="\n  ")


if __name__ == "__main__":
    main(run, make_parser())
