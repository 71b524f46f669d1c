"""Enlarge a Transformer without changing what it computes (article 8444). The rule itself is in `enlarge.rules`."""

import keras
import numpy as np

from common.models.layers import Positions
from enlarge import hub
from enlarge.layers import Attention, Bias
from enlarge.rules import exponents, repeat, wide_kernel

UNCHANGED = (Positions, Bias, keras.layers.InputLayer, keras.layers.Add, keras.layers.Dropout)  # in their settings


def enlarge(model, k, spread=0.0, seed=0):
    """Return a model k times as wide that computes the same function.

    Args:
        model: what `enlarge.transformer` builds; or, of KerasHub, a `BertBackbone`, `BertMaskedLM`, `GPT2Backbone` or
            `GPT2CausalLM`, see `enlarge.hub`.
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
    if hub.is_of_keras_hub(model):
        return hub.enlarge(model, k, spread, seed)
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
