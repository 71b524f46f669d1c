"""Pictures and files of word vectors."""

import numpy as np

from common.files import atomic_write
from common.streams import stage
from word_vectors import cost, sne

PERPLEXITY, STEPS, RATE = 8.0, 500, 10.0  # of the map of words
SHOWN_PAIRS = 200_000  # of the picture of inner products
FONT_SIZE = 9  # points


def write_vectors(path, words, vectors):
    """Write vectors (n, d) in the text format of word2vec, which gensim and others read."""
    lines = [f"{len(words)} {vectors.shape[1]}"]
    lines += [f"{word} {' '.join(f'{x:.6g}' for x in row)}" for word, row in zip(words, vectors, strict=True)]
    atomic_write(path, lambda file: file.write_text("\n".join(lines) + "\n", encoding="utf-8"))


def neighbour_table(words, numbers, nearest):
    """Return a Markdown table of some words and their nearest ones.

    Args:
        words: list of str, the vocabulary.
        numbers: list of ints, the words.
        nearest: list of lists of ints, the nearest words of each.
    """
    lines = ["| word | nearest words by the cosine |", "|---|---|"]
    lines += [f"| {words[i]} | {' '.join(words[j] for j in near)} |" for i, near in zip(numbers, nearest, strict=True)]
    return "\n".join(lines).replace("\\", "\\\\") + "\n"


def draw_products(path, scores, target, name):
    """Draw inner products against what theory says they are into a PNG, as a map of how many pairs lie where.

    Args:
        path: path of the PNG.
        scores: (m,), inner products of m pairs.
        target: (m,), their optimum.
        name: str, the formula of the optimum.
    """
    from common.plots.charts import blank_figure, write_figure

    if len(scores) > SHOWN_PAIRS:
        some = np.random.default_rng(0).choice(len(scores), SHOWN_PAIRS, replace=False)
        scores, target = scores[some], target[some]
    figure = blank_figure(5.6, 4.8)
    axes = figure.add_subplot()
    axes.hexbin(target, scores, gridsize=60, bins="log", cmap="viridis", mincnt=1, linewidths=0.1)
    low, high = min(target.min(), scores.min()), max(target.max(), scores.max())
    axes.plot([low, high], [low, high], color="#d9643f", linewidth=1)
    axes.set_title("Inner products against their optimum (the line); bright: many pairs of words", fontsize=9)
    axes.set_xlabel(name, parse_math=False)
    axes.set_ylabel("<u, v>" + ", minus the mean of its row" * ("row" in name), parse_math=False)
    write_figure(path, figure)


@stage("drawing the map of words")
def word_map(vectors):
    """Return places (n, 2) in the plane for vectors (n, d), by t-SNE of their directions."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    low, high = 0.01, 3.0
    for _ in range(20):  # the bandwidth of that perplexity
        middle = (low * high) ** 0.5
        first, next_ = sne.probabilities(unit, middle)
        low, high = (middle, high) if sne.perplexity(next_) < PERPLEXITY else (low, middle)
    start = 0.01 * np.random.default_rng(0).normal(size=(len(unit), 2))
    return cost.descend(start, first, next_, "student", STEPS, RATE)[0]


def spread_out(places, sizes, rounds=300):
    """Return places (n, 2) of boxes of the sizes (n, 2) (width, height), moved until they hardly overlap."""
    places = places.copy()
    for _ in range(rounds):
        apart = places[:, None] - places
        overlap = (sizes[:, None] + sizes) / 2 - np.abs(apart)
        np.einsum("iik->ik", overlap)[:] = 0
        hit = (overlap > 0).all(-1)
        if not hit.any():
            break
        # each pair moves apart along the axis on which it overlaps less
        axis = overlap.argmin(-1)
        sign = np.where(apart >= 0, 1.0, -1.0)
        upper = np.triu(np.ones(hit.shape, bool))
        sign = np.where((apart == 0) & ~upper[..., None], -1.0, sign)
        for k in (0, 1):
            places[:, k] += np.where(hit & (axis == k), 0.25 * sign[..., k] * overlap[..., k], 0).sum(1)
    return places


def draw_words(path, corpus, vectors, numbers, categories, dataset):
    """Draw a map of words into a PNG, coloured by category.

    Args:
        path: path of the PNG.
        corpus: `Corpus`.
        vectors: (n, d), of all words.
        numbers: list of ints, the words to show.
        categories: list of ints, the category of each, or None.
        dataset: str, name of the texts for the title.
    """
    import matplotlib

    from common.plots.charts import blank_figure, write_figure
    from common.plots.words import in_words

    width, height, legend = 9.0, 6.4, 1.1  # inches
    words = [corpus.words[i] for i in numbers]
    places = word_map(vectors[numbers])
    room = np.array([width - legend, height])
    spans = np.maximum(np.ptp(places, axis=0), 1e-9)
    places = (places - places.min(0)) / spans * (room - 0.8)
    em = FONT_SIZE / 72 * 1.1
    letters = [sum(0.6 if c.isascii() else 1.0 for c in word) for word in words]
    places = spread_out(places, np.array([[em * (n + 0.4), em * 1.25] for n in letters]))
    places = places - places.min(0)
    figure = blank_figure(width, height)
    axes = figure.add_subplot()
    colours = matplotlib.colormaps["tab10"]
    names = [] if categories is None else corpus.category_names
    for word, place, category in zip(words, places, categories or [0] * len(words), strict=True):
        axes.text(
            *place, word, fontsize=FONT_SIZE, color=colours(category % 10), ha="center", va="center", parse_math=False
        )
    for category, name in enumerate(names):
        axes.plot([], [], "s", color=colours(category % 10), label=name)
    if names:
        box = {"loc": "center left", "bbox_to_anchor": (1, 0.5), "frameon": False, "fontsize": FONT_SIZE}
        for text in axes.legend(**box).get_texts():
            text.set_parse_math(False)
    margin = np.array([0.5, 0.2])
    (left, bottom), (right, top) = places.min(0) - margin, places.max(0) + margin
    axes.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])
    axes.set_xlabel("t-SNE of the vectors; words are moved a little so that none covers another", fontsize=8)
    axes.set_ylabel("")
    title = f"Words of {in_words(dataset)}" + "; the colour is where a word is typical" * bool(names)
    axes.set_title(title, fontsize=11, parse_math=False)
    write_figure(path, figure)
