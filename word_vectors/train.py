"""Train skip-gram word vectors by a full softmax or by negative sampling (article 6191).

    python word_vectors/train.py                                        # a small language, nothing to download
    python word_vectors/train.py --loss negative
    python word_vectors/train.py --dataset shopping --loss negative     # 62,774 Chinese reviews, with jieba
    python word_vectors/train.py --dataset text:my.txt --tokens blanks  # your own text, divided by blanks

The article (https://kexue.fm/archives/6191) comes to Skip-Gram (arXiv 1301.3781) as the library whose readers walk from
a word i to a neighbour j in a text, at the cost -log q(j|i), where q(j|i) is a softmax of <u_i, v_j> over all words. In
word2vec a word has two vectors, u and v; in the article's formula it has one (--shared). Negative sampling
(arXiv 1310.4546) tells the neighbour from k words that are drawn by their frequency to the power 0.75.

The run directory gets the vectors (`vectors.txt`, the text format of word2vec, and `vectors.npz`), the neighbours of
twenty words, pictures of the words and of the inner products against what theory says they are, and the numbers.
"""

from common.cli import apply_preset, float_in, main, parser
from common.errors import UserError
from common.flag_types import IntRange, count_int, positive_int, sample_int, width_int
from common.parsers import add_text_flags
from word_vectors.corpus import LANGUAGE, TOKENS

ARTICLE = "word_vectors"
COMMON = {"window": 4, "negatives": 5, "learning_rate": 5e-3}
PRESETS = {
    "smoke": COMMON | {"vocabulary": 300, "dimensions": 8, "batch_size": 256, "steps": 6, "every": 3, "limit": 500},
    "quick": COMMON | {"vocabulary": 5000, "dimensions": 64, "batch_size": 4096, "steps": 1500, "every": 300},
    # the article trains nothing: `paper` is for a GPU
    "paper": COMMON | {"vocabulary": 8000, "dimensions": 128, "batch_size": 16_384, "steps": 50_000, "every": 2000},
}
LEAST_COUNT = 5  # of the pairs of real texts that are compared with theory: the chance of rarer ones is not known


def make_parser():
    p = parser(__doc__, PRESETS, None)
    add_text_flags(p, LANGUAGE, "a small language, drawn by code")
    p.add_argument(
        "--loss", choices=["softmax", "negative"], default="softmax",
        help="softmax over all words (default), or negative sampling",
    )  # fmt: skip
    p.add_argument("--shared", action="store_true", help="one vector a word, as in the article (default: u and v)")
    p.add_argument(
        "--tokens", choices=TOKENS,
        help="how a text is divided: words of Chinese by jieba (default), characters, or blanks that it has already "
        "(default for language and couplet)",
    )  # fmt: skip
    # the table of all pairs must fit into memory
    p.add_argument("--vocabulary", type=IntRange(2, 8000), help="largest number of different words")
    p.add_argument("--window", type=count_int, help="greatest distance of two neighbours in a text, in words")
    p.add_argument("--dimensions", type=width_int, help="length of the vectors")
    p.add_argument("--negatives", type=count_int, help="k, words drawn for each neighbour by negative sampling")
    p.add_argument("--learning-rate", type=float_in(1e-8, 1), help="learning rate of Adam")
    p.add_argument("--every", type=positive_int, help="steps between rows of the log and checkpoints")
    p.add_argument("--limit", type=sample_int, help="read only the first N texts (default all; 20000 of language)")
    return p


def default_tokens(args):
    """Return the default of --tokens."""
    return "blanks" if args.dataset in (LANGUAGE, "couplet") else "words"


def optimum(args, counts):
    """Return what theory says of the inner products: (mask of the pairs that are compared, PMI, target, its name).

    Args:
        args: resolved flags.
        counts: (n, n); of the language, the probabilities of pairs.

    Returns:
        Tuple of bool (n, n), (n, n), (n, n) and str.

    Raises:
        UserError: if the pairs of a text are too few, or too much alike, to be compared.
    """
    import numpy as np

    from common.training.skip_gram import noise
    from word_vectors import measure

    pmi = measure.information(counts)
    mask = np.isfinite(pmi) & (counts >= (0 if args.dataset == LANGUAGE else LEAST_COUNT))
    if (n := int(mask.sum())) < 2:
        raise UserError(f"{n} pairs of words come together {LEAST_COUNT} times, too few to measure: give more text")
    if softmax := args.loss == "softmax":
        name, target = "log p(j|i)", measure.log_conditional(counts)
    else:
        name = f"log p(i,j)/(p(i)q(j)) - log {args.negatives}"
        target = measure.information(counts, noise(counts.sum(0))) - np.log(args.negatives)
    for values in (pmi, target):
        if np.ptp((measure.centred(values, mask) if softmax else values)[mask]) < 1e-9:
            raise UserError("all words are neighbours equally often, so there is nothing to learn: give more text")
    return mask, pmi, target, name


def measure_vectors(args, u, v, counts, corpus):
    """Return (dict of numbers, dict of what the picture of the inner products shows).

    Args:
        args: resolved flags.
        u: (n, d), the vectors of words.
        v: (n, d), those of neighbours; u itself with --shared.
        counts: (n, n); of the language, the probabilities of pairs.
        corpus: `Corpus`.
    """
    from common.metrics.cosines import cosines
    from word_vectors import measure

    scores, (mask, pmi, target, name) = u @ v.T, optimum(args, counts)
    softmax = args.loss == "softmax"  # adding a number to a row of its scores changes nothing
    metrics = {
        "correlation with the optimum": measure.correlation(scores, target, mask, softmax),
        "correlation with PMI": measure.correlation(scores, pmi, mask, softmax),
        "correlation of the cosine with PMI": measure.correlation(cosines(u, v), pmi, mask),
        "pairs compared": int(mask.sum()),
    }
    if softmax:
        metrics |= measure.fit_of_softmax(u, v, counts)
    else:
        metrics["mean of <u,v> - PMI"] = float((scores[mask] - pmi[mask]).mean())
        metrics["mean of the optimum - PMI"] = float((target[mask] - pmi[mask]).mean())
    if args.dataset == LANGUAGE:
        metrics |= measure.cosines_of_twins(u, corpus.words)
    if softmax:
        scores, target = measure.centred(scores, mask), measure.centred(target, mask)
        name += ", minus the mean of its row"
    return metrics, {"scores": scores[mask], "target": target[mask], "name": name}


def run(args):
    import numpy as np

    from common.errors import errors_begin_with
    from common.experiments.setup import begin_run, prepare
    from common.files import atomic_write
    from common.plots.charts import plot_curves
    from common.training.log import log_curves, train_seconds
    from common.training.loop import train
    from common.training.run_dir import write_results
    from common.training.skip_gram import build_skip_gram, neighbour_pairs
    from word_vectors import draw, measure, toy_language
    from word_vectors.corpus import count_pairs, load_corpus, shown_words

    apply_preset(args, make_parser(), PRESETS, tokens=default_tokens)
    prepare(args, ARTICLE)

    # data
    corpus = load_corpus(args.dataset, args.tokens, args.vocabulary, args.data_dir, args.limit, args.seed)
    data = neighbour_pairs(corpus.ids, corpus.texts, args.window)
    counts = count_pairs(data, len(corpus.words))
    print(f"{len(corpus.words):,} words, {len(corpus.ids):,} places in texts, {len(data):,} pairs of neighbours")
    truth = toy_language.pair_probabilities() if args.dataset == LANGUAGE else counts
    optimum(args, truth)  # refuses a text that cannot be measured
    run_dir, devices = begin_run(args, ARTICLE, data)

    # networks and training
    with devices:
        negatives = args.negatives if args.loss == "negative" else None
        frequencies = counts.sum(0)
        trainer, u_table, v_table = build_skip_gram(
            frequencies, args.dimensions, args.learning_rate, negatives, args.shared, args.seed
        )
    rows = train(
        trainer, data, run_dir, batch_size=args.batch_size, steps=args.steps, save_every=args.every, seed=args.seed,
        on_interval=lambda step: None, devices=devices,
    )  # fmt: skip

    # results
    with errors_begin_with(f"after step {args.steps}"):
        u, v = (np.asarray(table.embeddings.numpy(), "float32") for table in (u_table, v_table))
        metrics, products = measure_vectors(args, u, v, truth, corpus)
        numbers, categories = shown_words(corpus, 12, 100)
        if categories is not None:
            nearest = measure.neighbours(u[numbers], range(len(numbers)), 1)
            metrics["alike neighbours"] = float(
                np.mean([categories[a] == categories[b] for a, (b,) in enumerate(nearest)])
            )
        metrics |= {"words": len(corpus.words), "pairs": len(data), **train_seconds(rows), "steps": args.steps}

        atomic_write(run_dir / "vectors.npz", lambda path: np.savez(path, words=np.array(corpus.words), u=u, v=v))
        draw.write_vectors(run_dir / "vectors.txt", corpus.words, u)
        asked = [numbers[i] for i in np.unique(np.linspace(0, len(numbers) - 1, 20).astype(int))]
        text = draw.neighbour_table(corpus.words, asked, measure.neighbours(u, asked, 8))
        atomic_write(run_dir / "neighbours.md", lambda path: path.write_text(text, encoding="utf-8"))
        write_results(run_dir, metrics)

        figures = run_dir / "figures"
        references = {"H of the texts": metrics["H"]} if "H" in metrics else None
        if curves := log_curves(rows, "loss"):
            plot_curves(figures / "loss.png", curves, "step", "nats", "The cost of a neighbour", references=references)
        draw.draw_products(figures / "products.png", **products)
        draw.draw_words(figures / "words.png", corpus, u, numbers, categories, args.dataset)
        print(text, *(f"{name:30s}{value:.6g}" for name, value in metrics.items()), sep="\n")
        print("pictures:", *sorted(figures.glob("*.png")), sep="\n  ")


if __name__ == "__main__":
    main(run, make_parser())
