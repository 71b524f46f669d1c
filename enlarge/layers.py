"""The layers of a Transformer that Keras does not have: attention without weights, a bias."""

import keras
import numpy as np
from keras import ops

from common.models.layers import PACKAGE

BASE = 10000.0  # of the frequencies of RoPE
MASKED = -1e9  # added to the scores of positions that must not be seen


def rotary_frequencies(head_dim, copies=1):
    """Return the frequencies of RoPE for the pairs of a head, (head_dim / 2,).

    Args:
        head_dim: int, length of a head, an even number.
        copies: int, how often each frequency stands in a row. 1 is the usual table, 10000^(-2i / head_dim). An
            enlarged head has the frequencies of the small one, k of each.
    """
    small = head_dim // copies
    return np.repeat(BASE ** (-np.arange(0, small, 2) / small), copies)


def rotate(x, frequencies):
    """Return x with each pair (x_2i, x_2i+1) turned by its position times its frequency (RoPE).

    Args:
        x: tensor (batch, length, heads, head_dim).
        frequencies: array (head_dim / 2,), in radians per position.
    """
    angles = np.outer(np.arange(x.shape[1]), frequencies)[:, None]
    cos, sin = (ops.cast(np.repeat(f(angles), 2, -1), x.dtype) for f in (np.cos, np.sin))
    turned = ops.stack([-x[..., 1::2], x[..., ::2]], axis=-1)
    return x * cos + ops.reshape(turned, ops.shape(x)) * sin


@keras.saving.register_keras_serializable(PACKAGE)
class Attention(keras.layers.Layer):
    """Multi-head attention of given queries, keys and values. It has no weights: these are `Dense` layers before it.

    Keras's `MultiHeadAttention` always divides the scores by the root of the head's length; here that is a choice.

    Args:
        heads: int, number of heads. Head i has the i-th part of the features.
        scaled: bool, divide the scores by sqrt(head_dim) (default), or not, as T5 does.
        causal: bool, let a position see no later ones (default no).
        rotary: int, 0 without RoPE (default); else `copies` of `rotary_frequencies`, 1 in a model that is not enlarged.

    Call arguments: query, key, value, each (batch, length, width). Output shape: (batch, length, width).
    """

    def __init__(self, heads, scaled=True, causal=False, rotary=0, **kwargs):
        super().__init__(**kwargs)
        self.heads, self.scaled, self.causal, self.rotary = heads, scaled, causal, rotary

    def call(self, query, key, value):
        length, width = query.shape[1:]
        head_dim = width // self.heads
        query, key, value = (ops.reshape(x, (-1, length, self.heads, head_dim)) for x in (query, key, value))
        if self.rotary:
            frequencies = rotary_frequencies(head_dim, self.rotary)
            query, key = rotate(query, frequencies), rotate(key, frequencies)
        scores = ops.einsum("bqhd,bkhd->bhqk", query, key)
        if self.scaled:
            scores = scores / np.sqrt(head_dim).item()
        if self.causal:
            scores = scores + ops.cast(MASKED * np.triu(np.ones((length, length)), 1), scores.dtype)
        mixed = ops.einsum("bhqk,bkhd->bqhd", ops.softmax(scores), value)
        return ops.reshape(mixed, (-1, length, width))

    def compute_output_shape(self, query_shape, key_shape, value_shape):
        return value_shape

    def get_config(self):
        own = {"heads": self.heads, "scaled": self.scaled, "causal": self.causal, "rotary": self.rotary}
        return super().get_config() | own


@keras.saving.register_keras_serializable(PACKAGE)
class Bias(keras.layers.Layer):
    """Layer that adds a learned bias to the last axis of its input."""

    def build(self, input_shape):
        self.bias = self.add_weight(shape=input_shape[-1:], initializer="zeros", name="bias")

    def call(self, x):
        return x + self.bias
