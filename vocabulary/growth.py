"""Grow a set of words from seeds by likeness of meaning, with a threshold that rises with the distance."""

import math

import numpy as np

from common.metrics.cosines import cosines

NEAREST = 200  # neighbours of a word that are looked at
ROWS = 500  # words at a time, which bounds the memory


def threshold(depth, s_min, s_max, alpha):
    """Return the least cosine at a depth: s_min + (s_max - s_min) (1 - exp(-alpha depth)). The seeds have depth 0."""
    return s_min + (s_max - s_min) * (1 - math.exp(-alpha * depth))


def centred(vectors):
    """Return vectors (n, d) minus their mean.

    Skip-gram's vectors share a large part, so that any two words look alike. Without it, cosines tell meanings apart
    (Mu and Viswanath, arXiv 1702.01417, who then take out some leading principal components too).
    """
    return vectors - vectors.mean(0)


def grow(vectors, seeds, s_min=0.6, s_max=1.0, alpha=0.35):
    """Return the words that are reached from seeds, breadth first.

    From a word of depth n, its nearest words are reached whose cosine is at least `threshold(n)`; they have the depth
    n + 1. With alpha = 0 these are the clusters of single linkage that hold a seed.

    Args:
        vectors: (n, d), of all words.
        seeds: ints, numbers of words.
        s_min: float, threshold at the seeds.
        s_max: float, threshold at infinite depth.
        alpha: float, how fast it rises.

    Returns:
        dict number of a word -> its depth, in the order in which they are reached.
    """
    depths, frontier, depth = dict.fromkeys(map(int, seeds), 0), list(dict.fromkeys(map(int, seeds))), 0
    while frontier:
        least, reached = threshold(depth, s_min, s_max, alpha), np.zeros(len(vectors), bool)
        for start in range(0, len(frontier), ROWS):
            cosine = cosines(vectors[frontier[start : start + ROWS]], vectors)
            if len(vectors) > NEAREST:  # a word is the nearest of itself
                kth = np.partition(cosine, -NEAREST - 1, 1)[:, -NEAREST - 1, None]
                cosine[cosine < kth] = -np.inf
            reached |= (cosine >= least).any(0)
        depth += 1
        frontier = [int(i) for i in np.flatnonzero(reached) if int(i) not in depths]
        depths |= dict.fromkeys(frontier, depth)
    return depths
