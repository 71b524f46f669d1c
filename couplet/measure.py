"""How good answers are: likelihood and accuracy against the poet's line, and what a line must obey whoever wrote it."""

import numpy as np

from couplet.data import by_length

BATCH = 256


def scores_of(log_p, right, lengths):
    """Return {"perplexity", "top-1", "whole lines"}.

    Args:
        log_p: (characters,), log-probability of each true character, line by line.
        right: bool (characters,), whether it is the most probable one.
        lengths: int (lines,), characters of each line.
    """
    whole = np.logical_and.reduceat(right, np.cumsum([0, *lengths[:-1]]))
    return {
        "perplexity": float(np.exp(-log_p.mean())),
        "top-1": float(right.mean()),
        "whole lines": float(whole.mean()),
    }


def tag(tagger, upper):
    """Return the logits (n, length, characters) of a model for upper lines of one length."""
    return np.concatenate([np.asarray(tagger.predict_on_batch(part)) for part in batches(upper)])


def batches(array):
    """Return an array in parts of `BATCH` rows."""
    return [array[i : i + BATCH] for i in range(0, len(array), BATCH)]


def measure_tagger(tagger, couplets):
    """Return `scores_of` a model, and its answers, list of int arrays in the order of the couplets.

    Args:
        tagger: model from ids (batch, length) to logits (batch, length, characters).
        couplets: int (n, 2, longest).
    """
    from couplet.decoding import choose

    log_p, right, answers = ([None] * len(couplets) for _ in range(3))
    for rows, group in by_length(couplets):
        for some, part in zip(batches(rows), batches(group), strict=True):
            logits = np.asarray(tagger.predict_on_batch(part[:, 0]), "float64")
            logits -= logits.max(-1, keepdims=True)
            log_q = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
            truth = np.take_along_axis(log_q, part[:, 1, :, None], -1)[..., 0]
            best, chosen = logits.argmax(-1), choose(logits, part[:, 0])
            for i, row in enumerate(some):
                log_p[row], right[row], answers[row] = truth[i], best[i] == part[i, 1], chosen[i]
    lengths = np.array([len(answer) for answer in answers])
    return scores_of(np.concatenate(log_p), np.concatenate(right), lengths), answers


def measure_tables(tables, couplets, order):
    """Return `scores_of` count tables, and their answers, as `measure_tagger` does.

    Args:
        tables: `couplet.tables.CountTables`.
        couplets: int (n, 2, longest).
        order: int, 0 for the character above, 1 for its neighbours too.
    """
    from couplet.decoding import choose

    right, answers, lengths = [], [], (couplets[:, 0] >= 0).sum(1)
    for (upper, lower), length in zip(couplets, lengths, strict=True):
        p = tables.distribution(upper[:length], order)
        right.append(p.argmax(-1) == lower[:length])
        answers.append(choose(np.log(p)[None], upper[None, :length])[0])
    return scores_of(tables.log_probability(couplets, order), np.concatenate(right), lengths), answers


def distinct(answers, n):
    """Return the share of different n-grams among all n-grams of some lines."""
    grams = [tuple(line[i : i + n]) for line in map(list, answers) for i in range(len(line) - n + 1)]
    return len(set(grams)) / max(len(grams), 1)
