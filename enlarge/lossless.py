"""Enlarge a Transformer without changing what it computes (article 8444, https://kexue.fm/archives/8444).

Every vector x of the small model becomes k^e R(x) in the large one: R repeats each component k times in place, and e is
an exponent. A dense layer from exponent a to exponent b then needs

    kernel' = k^(b - a - 1) R R(kernel),    bias' = k^b R(bias),

because its sum over the inputs has k times as many terms. So one exponent for each vector is the whole rule. The
article divides the vectors between the layers by sqrt(k), which is the exponent -1/2.
"""

import keras
import numpy as np

from enlarge.layers import Attention, Bias, Positions

UNCHANGED = (Positions, Bias, keras.layers.InputLayer, keras.layers.Add, keras.layers.Dropout)  # in their settings
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


def enlarge(model, k, spread=0.0, seed=0):
    """Return a model k times as wide that computes the same function.

    Args:
        model: what `enlarge.transformer` builds, or KerasHub's `BertBackbone`, `BertMaskedLM` or `GPT2Backbone`.
        k: int, the factor of the width. Depth and number of heads stay.
        spread: float. With 0 all copies of a component are equal, and training keeps them equal. Above 0 the copies
            share their outgoing weights unevenly, see `shares`: that changes nothing in the function, and training
            moves them apart. 0.4 serves.
        seed: int, of the uneven shares.

    Raises:
        ValueError: if k is below 1, or for a model with other layers than these.
    """
    if k != int(k) or k < 1:
        raise ValueError(f"k must be a whole number of at least 1. Received: {k}")
    k = int(k)
    wide = keras.models.clone_model(model, clone_function=lambda layer: _wide_layer(layer, k))
    attentions = [layer for layer in model.layers if isinstance(layer, Attention)]
    rule = exponents(scaled=all(layer.scaled for layer in attentions))
    group = {part: 2 for part in ("query", "key") if any(layer.rotary for layer in attentions)}
    for i, layer in enumerate(wide.layers):
        small = [np.asarray(keras.ops.convert_to_numpy(w), "float64") for w in model.layers[i].weights]
        if small:
            rng = np.random.default_rng([seed, i])
            part = part_of(layer)
            layer.set_weights(_wide_weights(layer, small, k, rule, part, group.get(part, 1), spread, rng))
    return wide


def part_of(layer):
    """Return which part of a Transformer a layer is, by its name: "query" for "block0_query"."""
    return layer.name.split("_", 1)[-1] if layer.name.startswith("block") else layer.name


def _wide_layer(layer, k):
    """Return a layer as it must be in the large model, not built yet."""
    config = layer.get_config()
    if isinstance(layer, keras.layers.ReversibleEmbedding):
        config["output_dim"] *= k
    elif isinstance(layer, keras.layers.Dense):
        config["units"] *= k
    elif isinstance(layer, keras.layers.LayerNormalization):
        # its input is k^a R(x), whose variance is k^(2a) that of x
        config["epsilon"] *= float(k) ** (2 * exponents()[part_of(layer)][0])
    elif isinstance(layer, Attention):
        config["rotary"] *= k
    elif not isinstance(layer, UNCHANGED):
        raise ValueError(f"there is no rule for the layer {layer.name} ({type(layer).__name__})")
    return type(layer).from_config(config)


def _wide_weights(layer, small, k, rule, part, group, spread, rng):
    """Return the weights of one layer of the large model, in the order of `layer.weights`."""
    if isinstance(layer, Bias):
        return small
    before, after = rule[part]
    if isinstance(layer, keras.layers.Dense):
        wide = [wide_kernel(small[0], k, before, after, spread, rng, group)]
        return wide + [k**after * repeat(bias, 0, k, group) for bias in small[1:]]
    wide = [k**after * repeat(small[0], -1, k)]  # an embedding, or gamma
    if isinstance(layer, keras.layers.ReversibleEmbedding):
        return wide + [wide_kernel(kernel, k, *rule["logits"], spread, rng, is_last=True) for kernel in small[1:]]
    return wide + [k**after * repeat(beta, -1, k) for beta in small[1:]]
