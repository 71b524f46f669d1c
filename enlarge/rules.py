"""The rule of lossless enlargement (article 8444, https://kexue.fm/archives/8444), on arrays.

Every vector x of the small model becomes k^e R(x) in the large one: R repeats each component k times in place, and e is
an exponent. A dense layer from exponent a to exponent b then needs

    kernel' = k^(b - a - 1) R R(kernel),    bias' = k^b R(bias),

because its sum over the inputs has k times as many terms. So one exponent for each vector is the whole rule. The
article divides the vectors between the layers by sqrt(k), which is the exponent -1/2.
"""

import numpy as np

ARTICLE = -0.5  # the article's exponent of the vectors between the layers: their norm stays


def exponents(stream=ARTICLE, scaled=True):
    """Return (exponent of the input, exponent of the output) of each part of a Transformer.

    Args:
        stream: float, exponent of the vectors between the blocks.
        scaled: bool, whether attention divides its scores by the root of the head's length. That grows by sqrt(k), so
            the scores must grow by as much: q and k take k^(-1/4) each in place of k^(-1/2).
    """
    score = -0.25 if scaled else -0.5
    last = -1 - stream  # times k components and the embedding's k^stream: the logits stay
    return {
        "tokens": (None, stream),
        "positions": (None, stream),
        "segments": (None, stream),
        "query": (stream, score),
        "key": (stream, score),
        "value": (stream, stream),
        "attention_output": (stream, stream),
        "feedforward_1": (stream, 0),  # the activation is not linear, so its input must be a pure repetition
        "feedforward_2": (0, stream),
        "embedding_norm": (stream, stream),
        "attention_norm": (stream, stream),
        "feedforward_norm": (stream, stream),
        "final_norm": (stream, last),
        "head_dense": (stream, 0),
        "head_norm": (0, last),
        "logits": (last, 0),
    }


def repeat(x, axis, k, group=1):
    """Return an array whose axis is k times as long: each component, or each group of components, k times in a row."""
    axis %= x.ndim
    groups = x.reshape(*x.shape[:axis], -1, group, *x.shape[axis + 1 :])
    return np.repeat(groups, k, axis).reshape(*x.shape[:axis], -1, *x.shape[axis + 1 :])


def shares(rows, columns, k, spread, rng):
    """Return how the k copies of an input share its weight, (rows, k, columns): they sum to 1 over the copies.

    Args:
        rows: int, inputs of the small layer.
        columns: int, outputs of the large layer.
        k: int, number of copies.
        spread: float, standard deviation of a share, as a multiple of 1/k. 0: all copies have the share 1/k.
        rng: `numpy.random.Generator`.
    """
    noise = rng.normal(size=(rows, k, columns)) if spread else np.zeros((rows, k, columns))
    noise -= noise.mean(1, keepdims=True)
    return (1 + spread * np.sqrt(k / max(1, k - 1)) * noise) / k


def wide_kernel(kernel, k, before, after, spread=0.0, rng=None, group=1, is_last=False):
    """Return the kernel (k rows, k columns) of a dense layer of the large model.

    Args:
        kernel: array (rows, columns).
        k: int.
        before: float, exponent of the input.
        after: float, exponent of the output.
        spread: float, see `shares`.
        rng: see `shares`.
        group: int, components that are repeated together in the output: 2 for the pairs of RoPE.
        is_last: bool, leave the columns alone: they are the vocabulary.
    """
    wide = kernel if is_last else repeat(kernel, 1, k, group)
    part = shares(len(wide), wide.shape[1], k, spread, rng)
    return k ** (after - before) * (wide[:, None] * part).reshape(-1, wide.shape[1])
