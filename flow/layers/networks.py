"""Networks used inside coupling layers."""

import keras
from keras.layers import Conv2D, Dense


def conv_net(width, channels):
    """Return Glow's network for images: conv 3x3 relu, conv 1x1 relu, conv 3x3.

    The last layer starts at zero, so the coupling starts as the identity.

    Args:
        width: int, channels of the hidden layers.
        channels: int, channels of the output.
    """
    return keras.Sequential(
        [
            Conv2D(width, 3, padding="same", activation="relu"),
            Conv2D(width, 1, activation="relu"),
            Conv2D(channels, 3, padding="same", kernel_initializer="zeros"),
        ]
    )


def mlp(width, layers, units):
    """Return a fully connected network with relu.

    The last layer starts at zero, so the coupling starts as the identity.

    Args:
        width: int, units of a hidden layer.
        layers: int, number of hidden layers.
        units: int, units of the output.
    """
    hidden = [Dense(width, activation="relu") for _ in range(layers)]
    return keras.Sequential([*hidden, Dense(units, kernel_initializer="zeros")])


def uniform_mlp(inputs, width, layers, units):
    """Return a fully connected network with relu whose weights start as in PyTorch.

    The kernel and the bias of a layer with n inputs start from U(-1/sqrt(n), 1/sqrt(n)). So the units bend at different
    places. With the zero biases of `mlp` they all bend at 0, and a network of one number begins with its sign and size.

    Args:
        inputs: int, entries of x1.
        width: int, units of a hidden layer.
        layers: int, number of hidden layers.
        units: int, units of the output.
    """

    def dense(n, units, activation=None):
        kernel, bias = (keras.initializers.RandomUniform(-(n**-0.5), n**-0.5) for _ in range(2))
        return Dense(units, activation, kernel_initializer=kernel, bias_initializer=bias)

    hidden = [dense(width if i else inputs, width, "relu") for i in range(layers)]
    return keras.Sequential([*hidden, dense(width, units)])
