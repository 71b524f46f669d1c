"""The article's network: residual blocks of dilated convolutions, a pool after each, and the largest value over all."""

import keras
from keras import layers

DILATIONS = (1, 2, 4)
BLOCKS = 8
HALVINGS = BLOCKS - 1  # a pool of two follows every block but the last
LEAST_POINTS = 2**HALVINGS
DROPOUT = 0.5


def block(x, filters):
    """Return a block's output: three convolutions with dilation 1, 2 and 4, and a way around them.

    A convolution has twice the filters and ReLU, and its two halves are added: so it is the sum of two convolutions.

    Args:
        x: symbolic tensor (batch, length, channels).
        filters: int, channels of the output.
    """
    branch = x
    for dilation in DILATIONS:
        both = layers.Conv1D(2 * filters, 3, padding="same", dilation_rate=dilation, activation="relu")(branch)
        branch = both[..., :filters] + both[..., filters:]
    return (x if x.shape[-1] == filters else layers.Conv1D(filters, 1)(x)) + branch


def build_network(points, width=16, pool="max", classes=4):
    """Return the network, a `keras.Model` from spectra (batch, points, 1) to scores (batch, classes).

    The probabilities are the softmax of the scores. The article's network has 2600 points and width 16.

    Args:
        points: int, at least `LEAST_POINTS`.
        width: int, channels of the first two blocks; they double after every second block.
        pool: "max" (the article's) or "average".
        classes: int.
    """
    halve = {"max": layers.MaxPooling1D, "average": layers.AveragePooling1D}[pool]
    over_all = {"max": layers.GlobalMaxPooling1D, "average": layers.GlobalAveragePooling1D}[pool]
    spectra = keras.Input((points, 1))
    x = spectra
    for i in range(BLOCKS):
        x = block(x, width * 2 ** (i // 2))
        if i < HALVINGS:
            x = halve(2)(x)
    x = layers.Dropout(DROPOUT, noise_shape=(None, None, 1))(x)  # drops whole positions
    x = layers.Dense(8 * width, activation="relu")(over_all()(x))
    return keras.Model(spectra, layers.Dense(classes, dtype="float32")(x), name="network")


def receptive_field():
    """Return the number of points that one position after the last block can depend on."""
    blocks = sum(2 * sum(DILATIONS) * 2**i for i in range(BLOCKS))
    return 1 + blocks + sum(2**i for i in range(HALVINGS))
