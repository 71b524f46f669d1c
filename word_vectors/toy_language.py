"""A small language whose pointwise mutual information is known exactly.

Each text has one of six topics. Some things have a British and an American name; the writer of a text knows one name of
each. The words of a text are drawn one by one: from the function words, from the words of the topic that its writer
knows, or, rarely, from all words. So two words of a text are independent once its kind is known, and the probability of
every pair is a sum over the kinds. "Lorry" and "truck" keep the same company, but hardly ever meet in one text.
"""

from itertools import product

import numpy as np

FUNCTION_WORDS = ["the", "of", "and", "a", "to", "in", "is", "it", "that", "was", "for", "on", "with", "as", "at", "by"]
TOPICS = {  # words of every writer, then pairs of names of which a writer knows one
    "kitchen": ("oven plate knife soup bread salt fork spoon", "biscuit/cookie aubergine/eggplant courgette/zucchini"),
    "road": ("car bridge driver wheel engine traffic map road", "lorry/truck petrol/gasoline motorway/freeway"),
    "house": ("door window roof wall stairs bed table key", "flat/apartment lift/elevator tap/faucet"),
    "clothes": ("shirt shoe hat coat button wool pocket belt", "trousers/pants jumper/sweater nappy/diaper"),
    "journey": ("beach sea train ticket hotel passport sun island", "holiday/vacation queue/line luggage/baggage"),
    "garden": ("rain tree leaf flower bird soil seed cloud", "autumn/fall torch/flashlight rubbish/garbage"),
}
PAIRS = [tuple(pair.split("/")) for _, pairs in TOPICS.values() for pair in pairs.split()]
WORDS = (
    *FUNCTION_WORDS,
    *(w for common, pairs in TOPICS.values() for w in f"{common} {pairs}".replace("/", " ").split()),
)
SHARES = {"function": 0.4, "topic": 0.55, "any": 0.05}  # of the words of a text
TEXT_LENGTH = 12  # words


def word_probabilities():
    """Return p(word | kind of text), (48, 100): for each topic, eight writers."""
    index, kinds = {word: i for i, word in enumerate(WORDS)}, []
    for common, pairs in TOPICS.values():
        for known in product((0, 1), repeat=len(pairs.split())):
            words = [*common.split(), *(pair.split("/")[k] for pair, k in zip(pairs.split(), known, strict=True))]
            p = np.full(len(WORDS), SHARES["any"] / len(WORDS))
            p[: len(FUNCTION_WORDS)] += SHARES["function"] * _zipf(len(FUNCTION_WORDS))
            p[[index[word] for word in words]] += SHARES["topic"] / len(words)
            kinds.append(p)
    return np.stack(kinds)


def _zipf(n):
    """Return the probabilities of n words whose frequency is 1 / rank."""
    return (1 / np.arange(1, n + 1)) / (1 / np.arange(1, n + 1)).sum()


def pair_probabilities():
    """Return p(i, j), (100, 100): the probability that two places of a text hold the words i and j."""
    kinds = word_probabilities()
    return kinds.T @ kinds / len(kinds)


def write_texts(n, seed=0):
    """Return n texts, (n, 12) indices into `WORDS`, and the number of each one's topic, (n,)."""
    rng, probabilities = np.random.default_rng(seed), word_probabilities()
    kind, draws = rng.integers(len(probabilities), size=n), rng.random((n, TEXT_LENGTH))
    cumulative = probabilities.cumsum(1)
    words = np.stack([np.searchsorted(cumulative[k], d) for k, d in zip(kind, draws, strict=True)])
    return np.minimum(words, len(WORDS) - 1), kind // (len(probabilities) // len(TOPICS))
