"""Which words a domain has more of than a general text."""

import numpy as np


def contrast(domain, general):
    """Return the score of each word: how much of its use is in the domain, drawn towards the mean for rare words.

    The counts g of the general text are brought to the total of the domain's counts d. Then the score is
    (d + a m) / (d + g + m), with m the mean of d + g over all words and a = sum d / sum (d + g) = 1/2. A word that one
    of the texts lacks has the count 0 there. The article's script has NaN for it, see `contrast_as_published`.

    Args:
        domain: dict word -> count.
        general: dict word -> count.

    Returns:
        dict word -> score from 0 to 1, of all words.
    """
    words = sorted(domain.keys() | general.keys())
    d, g = (np.array([counts.get(word, 0) for word in words], float) for counts in (domain, general))
    g *= d.sum() / max(g.sum(), 1)
    m, a = (d + g).mean(), d.sum() / (d + g).sum()
    return dict(zip(words, ((d + a * m) / (d + g + m)).tolist(), strict=True))


def contrast_as_published(domain, general):
    """Return (dict word -> score, a) as the article's script computes them: pandas aligns the two series of counts.

    A word that one of the texts lacks has the score NaN, and sorts last. So have the words that only the domain has.
    a divides a sum over all words of the domain by one over the common words.

    Args:
        domain: dict word -> count.
        general: dict word -> count.
    """
    words = sorted(domain.keys() | general.keys())
    d, g = (np.array([counts.get(word, np.nan) for word in words], float) for counts in (domain, general))
    g *= np.nansum(d) / max(np.nansum(g), 1)
    both = ~np.isnan(d + g)
    m = (d + g)[both].mean() if both.any() else np.nan
    a = np.nansum(d) / (d + g)[both].sum() if both.any() else np.nan
    return dict(zip(words, ((d + a * m) / (d + g + m)).tolist(), strict=True)), float(a)


def ranked(scores):
    """Return the words by their score, the highest first; NaN last."""
    return sorted(scores, key=lambda word: (np.isnan(scores[word]), -scores[word], word))


def precision_at(words, truth, k):
    """Return the share of the first k words that are in a set."""
    return sum(word in truth for word in words[:k]) / k


def scores_of(found, truth):
    """Return {"precision", "recall", "F1"} of a set of words against the true ones."""
    right = len(set(found) & set(truth))
    precision, recall = right / max(len(set(found)), 1), right / len(set(truth))
    return {"precision": precision, "recall": recall, "F1": 2 * right / (len(set(found)) + len(set(truth)))}
