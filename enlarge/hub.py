"""Enlarge the models of KerasHub: BERT and GPT-2 with the weights of others (article 8444).

The article divides the vectors between the blocks by sqrt(k). Then the layer norms need another epsilon, and KerasHub's
models have no setting for it. So here these vectors are plain repetitions (exponent 0 in `enlarge.rules`): the layer
norms stay as they are, and the last one before the logits is divided by k.
"""

import numpy as np
from keras import ops

from enlarge.rules import exponents, repeat, wide_kernel

RULE = exponents(stream=0) | {"pooled": (0, 0)}
PARTS = {  # end of a layer's path: its part
    "token_embedding": "tokens",
    "position_embedding": "positions",
    "segment_embedding": "segments",
    "embeddings_layer_norm": "embedding_norm",
    "query": "query",
    "key": "key",
    "value": "value",
    "attention_output": "attention_output",
    "self_attention_layer_norm": "attention_norm",
    "feedforward_layer_norm": "feedforward_norm",
    "feedforward_intermediate_dense": "feedforward_1",
    "feedforward_output_dense": "feedforward_2",
    "layer_norm": "final_norm",  # of GPT-2
    "pooled_dense": "pooled",  # of BERT: its tanh needs a pure repetition too
    "intermediate_dense": "head_dense",
    "intermediate_layer_norm": "head_norm",
}
BACKBONES, TASKS = ("BertBackbone", "GPT2Backbone"), ("BertMaskedLM", "GPT2CausalLM")


def is_of_keras_hub(model):
    """Return whether a model is one of KerasHub."""
    return type(model).__module__.startswith("keras_hub.")


def enlarge(model, k, spread, seed):
    """Return a model of KerasHub k times as wide, see `enlarge.lossless.enlarge`."""
    kind = type(model).__name__
    if kind not in BACKBONES + TASKS:
        raise ValueError(f"there are rules for {', '.join(BACKBONES + TASKS)} of KerasHub. Received: {kind}")
    if kind in TASKS:
        backbone = enlarge(model.backbone, k, spread, seed)
        wide = type(model)(backbone=backbone, preprocessor=model.preprocessor)
    else:
        config = model.get_config()
        larger = {name: k * config[name] for name in ("hidden_dim", "intermediate_dim")}
        wide = type(model).from_config(config | larger)
    done = {id(weight) for weight in backbone.weights} if kind in TASKS else set()
    for i, (weight, old) in enumerate(zip(wide.weights, model.weights, strict=True)):
        if id(weight) not in done:
            value = np.asarray(ops.convert_to_numpy(old), "float64")
            weight.assign(_wide_weight(weight, value, k, spread, np.random.default_rng([seed, i])))
    return wide


def _wide_weight(weight, small, k, spread, rng):
    """Return the value of a weight of the large model.

    Args:
        weight: variable of the large model.
        small: array, its value in the small one.
        k: int.
        spread: see `enlarge.rules.shares`.
        rng: `numpy.random.Generator`.
    """
    *_, layer, name = weight.path.split("/")
    if name == "output_bias":  # of the vocabulary
        return small
    before, after = RULE[PARTS[layer]]
    if name != "kernel":  # an embedding, gamma, beta or a bias
        flat = small.reshape(len(small), -1) if name == "embeddings" else small.reshape(1, -1)
        return (float(k) ** after * repeat(flat, 1, k)).reshape(weight.shape)
    # the heads of attention have an axis of their own: (width, heads, head_dim) or (heads, head_dim, width)
    flat = small.reshape(-1, small.shape[-1]) if layer == "attention_output" else small.reshape(len(small), -1)
    return wide_kernel(flat, k, before, after, spread, rng).reshape(weight.shape)
