"""What sits inside the couplings."""

import keras
from keras.layers import Conv2D, Dense


def conv_net(width, channels):
    """Glow's: conv 3x3 relu, conv 1x1 relu, conv 3x3 that starts at zero, so that the coupling starts as the identity.

    Args:
        width: channels of the hidden layers.
        channels: of the answer.
    """
    return keras.Sequential(
        [
            Conv2D(width, 3, padding="same", activation="relu"),
            Conv2D(width, 1, activation="relu"),
            Conv2D(channels, 3, padding="same", kernel_initializer="zeros"),
        ]
    )


def mlp(width, layers, units):
    """`layers` hidden layers of `width` relu units, and an answer of `units` that starts at zero."""
    hidden = [Dense(width, activation="relu") for _ in range(layers)]
    return keras.Sequential([*hidden, Dense(units, kernel_initializer="zeros")])
