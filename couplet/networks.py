"""Networks that tag each position of a line with the character of the other line, from (batch, length) to logits.

The article's is `gated`. The others have about as many parameters between the embedding and the softmax, to compare.
"""

import keras
from keras import layers, ops

from common.models.layers import PACKAGE, full_precision
from couplet.data import MAX_LINE

KERNEL = 3
HEADS = 4


@keras.saving.register_keras_serializable(PACKAGE)
class Gate(layers.Layer):
    """Layer that mixes x with a candidate b, by a gate a: y = x sigma(a) + b sigma(-a).

    Call arguments: [x, ab], with x (batch, length, width) and ab (batch, length, 2 width), the halves a and b.
    """

    def call(self, inputs):
        x, ab = inputs
        a, b = ops.split(ab, 2, axis=-1)
        return x * ops.sigmoid(a) + b * ops.sigmoid(-a)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs[0].shape, dtype=self.compute_dtype)


@keras.saving.register_keras_serializable(PACKAGE)
class SignedReLU(layers.Layer):
    """Layer of a plain residual block: y = x + relu(a) - relu(b), with as many parameters as `Gate`."""

    def call(self, inputs):
        x, ab = inputs
        a, b = ops.split(ab, 2, axis=-1)
        return x + ops.relu(a) - ops.relu(b)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs[0].shape, dtype=self.compute_dtype)


@keras.saving.register_keras_serializable(PACKAGE)
class LinePositions(layers.Layer):
    """Layer that adds a trained vector for each position."""

    def build(self, shape):
        self.table = self.add_weight(shape=(MAX_LINE, shape[-1]), name="table", initializer="uniform")

    def call(self, x):
        return x + self.table[: ops.shape(x)[1]]

    def compute_output_shape(self, shape):  # JAX cannot trace the slice while the length is unknown
        return shape


def gated(x, width, depth):
    """Return `depth` gated blocks: a convolution of kernel 3 gives the gate and the candidate."""
    for i in range(depth):
        ab = layers.Conv1D(2 * width, KERNEL, padding="same", name=f"conv{i}")(x)
        x = Gate(name=f"gate{i}")([x, ab])
    return x


def plain(x, width, depth):
    """Return as many plain residual blocks with ReLU, of equal size and reach."""
    for i in range(depth):
        ab = layers.Conv1D(2 * width, KERNEL, padding="same", name=f"conv{i}")(x)
        x = SignedReLU(name=f"relu{i}")([x, ab])
    return x


def bilstm(x, width, depth):
    """Return two bidirectional LSTMs with as many parameters as `depth` gated blocks, and a dense layer to `width`."""
    for i in range(2):
        lstm = layers.LSTM(lstm_units(width, depth), return_sequences=True)
        x = layers.Bidirectional(lstm, name=f"bilstm{i}")(x)
    return layers.Dense(width, name="to_width")(x)


def transformer(x, width, depth):
    """Return blocks of a Transformer (pre-LN), one for two gated blocks: 12 width^2 parameters against 6 width^2."""
    x = LinePositions(name="positions")(x)
    for i in range(max(1, depth // 2)):
        y = layers.LayerNormalization(name=f"norm{i}_attention")(x)
        x = x + layers.MultiHeadAttention(HEADS, max(1, width // HEADS), name=f"attention{i}")(y, y)
        y = layers.LayerNormalization(name=f"norm{i}_dense")(x)
        y = layers.Dense(width, name=f"down{i}")(layers.Dense(4 * width, "gelu", name=f"up{i}")(y))
        x = x + y
    return layers.LayerNormalization(name="norm")(x)


MODELS = {"gated": gated, "plain": plain, "bilstm": bilstm, "transformer": transformer}


def block_parameters(width):
    """Return the number of parameters of a gated block: a kernel of 3 positions and a bias."""
    return KERNEL * width * 2 * width + 2 * width


def lstm_units(width, depth):
    """Return the units for which `bilstm` comes nearest to the parameters of `depth` gated blocks."""
    size = lambda h: 8 * h * (width + h + 1) + 8 * h * (3 * h + 1) + (2 * h + 1) * width
    return min(range(1, 4 * width * max(1, depth)), key=lambda h: abs(size(h) - depth * block_parameters(width)))


def build_tagger(kind, characters, width, depth, dropout=0.25, seed=0):
    """Return a model from the upper line, ids (batch, length), to logits (batch, length, characters).

    Args:
        kind: a key of `MODELS`.
        characters: int, with the unknown one.
        width: int, length of the vectors.
        depth: int, number of gated blocks, or what has about their parameters.
        dropout: float, rate after the embedding.
        seed: int, of the dropout.
    """
    ids = keras.Input((None,), dtype="int32", name="upper")
    x = layers.Embedding(characters, width, name="characters")(ids)
    x = layers.Dropout(dropout, seed=seed)(x)
    x = MODELS[kind](x, width, depth)
    # in half precision likely characters would tie
    logits = layers.Dense(characters, dtype=full_precision(None), name="logits")(x)
    return keras.Model(ids, logits, name=kind)
