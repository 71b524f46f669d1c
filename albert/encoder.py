"""ALBERT: a Transformer encoder with a small embedding, whose layers share their weights."""

import keras
from keras import layers, ops

from common.models.layers import Positions, full_precision
from common.models.surgery import TiedDense

BLOCK = "block_"  # what the names of the layers begin with that are called again in every block


def build_encoder(vocabulary, length, width=64, depth=4, heads=4, embedding=16, shared=True):
    """Return an encoder: token ids (batch, length) and what each position sees -> vectors (batch, length, width).

    A block adds first and normalises after (post-LN), as in BERT. There is no dropout, as in ALBERT.

    Args:
        vocabulary: int, number of tokens.
        length: int, number of positions.
        width: int, length of the vectors between the blocks, H in the article.
        depth: int, number of blocks, L.
        heads: int, number of attention heads, a divisor of `width`.
        embedding: int, length of the vectors of the tokens, E.
        shared: bool, call the same layers in every block (default), or new ones with other random weights.

    Returns:
        `keras.Model` of the inputs [ids, visible], int32 (batch, length) and bool (batch, length, length).
    """
    ids = keras.Input((length,), dtype="int32", name="ids")
    visible = keras.Input((length, length), dtype="bool", name="visible")
    x = Positions(name="positions")(layers.Embedding(vocabulary, embedding, name="tokens")(ids))
    x = layers.Dense(width, name="to_width")(layers.LayerNormalization(epsilon=1e-6, name="embedding_norm")(x))
    for i in range(depth):
        if i == 0 or not shared:
            block = make_block(width, heads, f"{BLOCK}" if shared else f"{BLOCK}{i + 1}_")
        attention, attention_norm, up, down, norm = block
        x = attention_norm(layers.add([x, attention(x, x, attention_mask=visible)]))
        x = norm(layers.add([x, down(up(x))]))
    return keras.Model([ids, visible], x, name="encoder")


def make_block(width, heads, name):
    """Return the five layers of a block that have weights.

    Args:
        width: int.
        heads: int.
        name: str, what their names begin with.
    """
    return (
        layers.MultiHeadAttention(heads, width // heads, name=f"{name}attention"),
        layers.LayerNormalization(epsilon=1e-6, name=f"{name}attention_norm"),
        layers.Dense(4 * width, "gelu", name=f"{name}up"),
        layers.Dense(width, name=f"{name}down"),
        layers.LayerNormalization(epsilon=1e-6, name=f"{name}norm"),
    )


def block_variables(encoder):
    """Return the trainable variables of the blocks of an encoder, shared or not."""
    return [v for layer in encoder.layers if layer.name.startswith(BLOCK) for v in layer.trainable_variables]


def build_mlm_head(encoder):
    """Return a model that predicts masked tokens: vectors (batch, n, width) of an encoder -> logits of the tokens.

    Args:
        encoder: see `build_encoder`. The logits are tied to its embedding.
    """
    tokens = encoder.get_layer("tokens")
    x = vectors = keras.Input((None, encoder.output_shape[-1]), name="vectors")
    x = layers.Dense(tokens.output_dim, "gelu", name="mlm_dense")(x)
    x = layers.LayerNormalization(epsilon=1e-6, name="mlm_norm")(x)
    logits = TiedDense(tokens, activation=None, dtype=full_precision(None), name="mlm_logits")(x)
    return keras.Model(vectors, logits, name="mlm_head")


def visible_positions(ids, source=None):
    """Return which positions each position may attend to, bool (batch, length, length).

    No position sees padding (token 0). With the mask of UniLM the first `source` positions see each other, and each
    later one sees them and what precedes it.

    Args:
        ids: int32 tensor (batch, length).
        source: int, length of the first part; None lets every position see all others (default).
    """
    length = ids.shape[1]
    place = ops.arange(length)
    real = ops.not_equal(ids, 0)[:, None, :]
    if source is None:
        return ops.logical_and(real, ops.ones((length, 1), "bool"))
    return ops.logical_and(real, ops.logical_or(place[None] < source, place[None] <= place[:, None]))
