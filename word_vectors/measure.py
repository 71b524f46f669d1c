"""What word vectors have learned: their inner products against the corpus, and the neighbours of words.

`counts` is (n, n): how often, or with which probability, each pair (word, neighbour) occurs. `scores` is (n, n), the
inner products <u_i, v_j> of the two vectors.
"""

import numpy as np

from common.metrics.cosines import cosines
from word_vectors import toy_language


def information(counts, baseline=None):
    """Return log(p(i, j) / (p(i) b(j))), (n, n): minus infinity for a pair that does not occur.

    Args:
        counts: (n, n).
        baseline: b, (n,). By default p(j), which gives the pointwise mutual information.
    """
    joint = counts / counts.sum()
    baseline = joint.sum(0) if baseline is None else baseline
    with np.errstate(divide="ignore", invalid="ignore"):  # of a word without a neighbour all of it is no number
        return np.log(joint) - np.log(joint.sum(1))[:, None] - np.log(baseline)


def log_conditional(counts):
    """Return log p(j|i), (n, n)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(counts / counts.sum(1, keepdims=True))


def correlation(scores, target, mask, blind_to_rows=False):
    """Return the correlation of the inner products with what theory says they are, over the pairs of a mask (n, n).

    Args:
        scores: (n, n).
        target: (n, n), finite where the mask is.
        mask: bool (n, n).
        blind_to_rows: bool, subtract from both the mean of each row: a softmax over a row does not see it.
    """
    if blind_to_rows:
        scores, target = (centred(values, mask) for values in (scores, target))
    return float(np.corrcoef(scores[mask], target[mask])[0, 1])


def centred(values, mask):
    """Return values (n, n) minus the mean of each row over the pairs of a mask."""
    total = np.where(mask, values, 0).sum(1, keepdims=True)
    return values - total / np.maximum(mask.sum(1, keepdims=True), 1)


def fit_of_softmax(u, v, counts, rows=500):
    """Return {"S", "H", "KL"} in nats of q(j|i) = softmax of <u_i, v_j>, each computed by its own formula.

    Args:
        u: (n, d).
        v: (n, d).
        counts: (n, n).
        rows: int, words at a time, which bounds the memory.
    """
    total, sums = counts.sum(), np.zeros(3)
    for start in range(0, len(u), rows):
        block = counts[start : start + rows]
        scores = u[start : start + rows].astype("float64") @ v.T.astype("float64")
        scores -= scores.max(1, keepdims=True)
        log_q = scores - np.log(np.exp(scores).sum(1, keepdims=True))
        of_word = np.maximum(block.sum(1, keepdims=True), 1e-300)
        log_p = np.log(block / of_word, where=block > 0, out=np.zeros_like(block))
        sums += [-(block * log_q).sum(), -(block * log_p).sum(), (block * (log_p - log_q)).sum()]
    return dict(zip(("S", "H", "KL"), (float(x) for x in sums / total), strict=True))


def neighbours(vectors, numbers, k):
    """Return the k words nearest to each of some words by the cosine, the nearest first, as lists of numbers."""
    cosine = cosines(vectors[numbers], vectors)
    cosine[np.arange(len(numbers)), numbers] = -np.inf
    return np.argsort(-cosine, 1, kind="stable")[:, :k].tolist()


def cosines_of_twins(vectors, words):
    """Return the mean cosine of the two names of a thing in the toy language, and of other words of one topic.

    Args:
        vectors: (n, d).
        words: list of str, the vocabulary; all words of the language must be in it.
    """
    place, cosine = {word: i for i, word in enumerate(words)}, cosines(vectors, vectors)
    twins = [cosine[place[a], place[b]] for a, b in toy_language.PAIRS]
    topics = [[place[word] for word in common.split()] for common, _ in toy_language.TOPICS.values()]
    others = [cosine[a, b] for topic in topics for a in topic for b in topic if a != b]
    return {"cosine of twins": float(np.mean(twins)), "cosine within a topic": float(np.mean(others))}
