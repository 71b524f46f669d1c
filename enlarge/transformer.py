"""A Transformer encoder and a decoder, built of `keras.layers`. `enlarge.lossless` widens both."""

import keras
from keras import layers

from common.errors import UserError
from common.models.layers import Positions, full_precision
from enlarge.layers import Attention, Bias


def encoder(vocabulary, length, width=64, depth=2, heads=4, activation="gelu", **options):
    """Return a masked language model in the form of BERT: token ids (batch, length) to logits for each position.

    A block adds first and normalises after (post-LN). The head is a dense layer, a layer norm and the logits.

    Args:
        vocabulary: int, number of tokens.
        length: int, number of positions.
        width: int, length of the vectors between the blocks.
        depth: int, number of blocks.
        heads: int, number of attention heads, a divisor of `width`.
        activation: str, of the feed-forward layers, which are four times as wide.
        **options: `scaled`, `tied`, `rotary` and `epsilon`, see `_parts`.
    """
    attend, feed_forward, norm, tokens, logits = _parts(vocabulary, width, heads, activation, False, **options)
    ids = keras.Input((length,), dtype="int32", name="ids")
    x = tokens(ids) if options.get("rotary") else Positions(name="positions")(tokens(ids))
    x = norm("embedding_norm")(x)
    for i in range(depth):
        x = norm(f"block{i}_attention_norm")(layers.add([x, attend(f"block{i}", x)]))
        x = norm(f"block{i}_feedforward_norm")(layers.add([x, feed_forward(f"block{i}", x)]))
    x = layers.Dense(width, activation, name="head_dense")(x)
    return keras.Model(ids, Bias(name="logits_bias")(logits(norm("head_norm")(x))), name="encoder")


def decoder(vocabulary, length, width=64, depth=2, heads=4, activation="gelu", **options):
    """Return a causal language model in the form of GPT-2: token ids (batch, length) to logits of each next token.

    A block normalises first and adds after (pre-LN). The arguments are those of `encoder`.
    """
    attend, feed_forward, norm, tokens, logits = _parts(vocabulary, width, heads, activation, True, **options)
    ids = keras.Input((length,), dtype="int32", name="ids")
    x = tokens(ids) if options.get("rotary") else Positions(name="positions")(tokens(ids))
    for i in range(depth):
        x = layers.add([x, attend(f"block{i}", norm(f"block{i}_attention_norm")(x))])
        x = layers.add([x, feed_forward(f"block{i}", norm(f"block{i}_feedforward_norm")(x))])
    return keras.Model(ids, logits(norm("final_norm")(x)), name="decoder")


def _parts(vocabulary, width, heads, activation, causal, scaled=True, tied=True, rotary=False, epsilon=1e-6):
    """Return the functions that make the parts of a model. The names of the layers say what each one is.

    Args:
        vocabulary: see `encoder`, as are the next three.
        width: int.
        heads: int.
        activation: str.
        causal: bool, let a position see no later ones.
        scaled: bool, divide the attention scores by the root of the head's length (default), or not, as T5 does.
        tied: bool, take the token embedding for the logits too (default), or a matrix of its own.
        rotary: bool, RoPE in place of learned positions (default no).
        epsilon: float, of the layer norms, which add it to the variance.

    Raises:
        UserError: if the heads do not share the width equally, or RoPE finds no pairs in a head.
    """
    if width % heads or (rotary and width // heads % 2):
        multiple = 2 * heads if rotary else heads
        raise UserError(f"the width must be a multiple of {multiple} for {heads} heads. Received: {width}")
    of_logits = keras.dtype_policies.get(full_precision(None)).compute_dtype
    embedding = layers.ReversibleEmbedding(vocabulary, width, tie_weights=tied, reverse_dtype=of_logits, name="tokens")
    norm = lambda name: layers.LayerNormalization(epsilon=epsilon, name=name)

    def attend(block, x):
        query, key, value = (layers.Dense(width, name=f"{block}_{part}")(x) for part in ("query", "key", "value"))
        mixed = Attention(heads, scaled, causal, int(rotary), name=f"{block}_attention")(query, key, value)
        return layers.Dense(width, name=f"{block}_attention_output")(mixed)

    def feed_forward(block, x):
        hidden = layers.Dense(4 * width, activation, name=f"{block}_feedforward_1")(x)
        return layers.Dense(width, name=f"{block}_feedforward_2")(hidden)

    return attend, feed_forward, norm, embedding, lambda x: embedding(x, reverse=True)
