"""Layers of Keras that compute the same in less time, with TensorFlow on a CPU."""

import functools

from common.backend.devices import accelerators
from common.backend.name import backend_name

FEW = 4  # channels of an image


def speed_up(model):
    """Let the layers of a model compute batch norm, and convolutions next to an image, in less time.

    The numbers are the same but for rounding. Only the calls of these very layers change, so a model is saved, loaded
    and cloned as Keras's own, and a copy is slow until it is passed here. Nothing changes on other backends, on a GPU,
    and for layers with settings that a DCGAN does not have.

    Batch norm: Keras computes mean, variance and output by some twenty operations. TensorFlow's fused one and its
    gradient take a fifth of their time.

    Convolutions: the image that a transposed convolution of stride 2 returns, and the gradient that a convolution of
    stride 2 sends to its image, are the same operation, which is slow at few channels. Each of the four pixels of a
    2 x 2 block is a convolution of the small map with a part of the kernel. So one convolution with four times the
    channels gives all of them, and `depth_to_space` puts them side by side (sub-pixel convolution, arXiv 1609.05158).
    It takes two fifths of the time.

    Args:
        model: `keras.Model` or a layer.

    Returns:
        The same model.
    """
    if backend_name() != "tensorflow" or accelerators():
        return model
    from keras import layers

    overrides = {
        layers.BatchNormalization: _override_batch_norm,
        layers.Conv2D: _override_convolution,
        layers.Conv2DTranspose: _override_transposed_convolution,
    }
    for layer in model._flatten_layers():
        if type(layer) in overrides and not vars(layer).keys() & {"call", "convolution_op"}:  # or it is fast already
            overrides[type(layer)](layer)
    return model


def _override_batch_norm(layer):
    import tensorflow as tf

    keras_call = layer.call

    def call(inputs, training=None, mask=None):
        rank = len(inputs.shape)
        is_usual = mask is None and not layer.renorm and not layer.synchronized and layer.axis in (-1, rank - 1)
        precision = (inputs.dtype.name, layer.moving_mean.dtype)
        fits = rank in (2, 4) and precision in (("float32", "float32"), ("bfloat16", "float32"))
        if not (training and layer.trainable and is_usual and fits):
            return keras_call(inputs, training=training, mask=mask)
        images = inputs if rank == 4 else inputs[:, None, None]
        ones = tf.ones(inputs.shape[-1:])
        gamma = tf.convert_to_tensor(layer.gamma) if layer.scale else ones
        beta = tf.convert_to_tensor(layer.beta) if layer.center else tf.zeros_like(ones)
        y, mean, variance = tf.compat.v1.nn.fused_batch_norm(images, gamma, beta, epsilon=layer.epsilon)
        n = tf.cast(tf.size(images) // inputs.shape[-1], tf.float32)
        # TensorFlow divides the sum of squares by n - 1, Keras by n
        for moving, value in ((layer.moving_mean, mean), (layer.moving_variance, variance * (n - 1) / n)):
            moving.assign(layer.momentum * moving + (1 - layer.momentum) * value)
        return y if rank == 4 else y[:, 0, 0]

    layer.call = call


def _doubles_sides(layer):
    """Return whether a layer has stride 2 and what else the sub-pixel form can do."""
    usual = {"strides": (2, 2), "padding": "same", "dilation_rate": (1, 1), "data_format": "channels_last"}
    usual |= {"output_padding": None, "groups": 1}
    return all(getattr(layer, name, value) == value for name, value in usual.items()) and all(
        3 <= k <= 5 for k in layer.kernel_size
    )


def _override_convolution(layer):
    import tensorflow as tf

    keras_op, (_, from_image) = layer.convolution_op, _functions()

    def convolution_op(inputs, kernel):
        _, height, width, channels = inputs.shape
        if channels > FEW or not (height and width) or height % 2 or width % 2:
            return keras_op(inputs, kernel)
        return from_image(inputs, tf.convert_to_tensor(kernel))

    if _doubles_sides(layer):
        layer.convolution_op = convolution_op


def _override_transposed_convolution(layer):
    import tensorflow as tf

    to_image, _ = _functions()

    def call(inputs):
        y = to_image(inputs, tf.convert_to_tensor(layer.kernel))
        return layer.activation(y + tf.convert_to_tensor(layer.bias) if layer.use_bias else y)

    if _doubles_sides(layer) and layer.filters <= FEW:
        layer.call = call


@functools.cache
def _functions():
    """Return (transposed convolution to an image, convolution of an image) of stride 2, each with its gradients.

    Both take (tensor, kernel of (height, width, image channels, channels)) and can be differentiated again.
    """
    import tensorflow as tf

    def weight_gradient(image, kernel, features):
        sizes = {"filter_sizes": tf.shape(kernel), "out_backprop": features}
        return tf.raw_ops.Conv2DBackpropFilter(input=image, **sizes, strides=[1, 2, 2, 1], padding="SAME")

    @tf.custom_gradient
    def to_image(features, kernel):
        image = tf.nn.depth_to_space(tf.nn.conv2d(features, _at_half_size(kernel), 1, "SAME"), 2)
        gradient = lambda g: (from_image(g, kernel), weight_gradient(g, kernel, features))
        return image, gradient

    @tf.custom_gradient
    def from_image(image, kernel):
        gradient = lambda g: (to_image(g, kernel), weight_gradient(image, kernel, g))
        return tf.nn.conv2d(image, kernel, 2, "SAME"), gradient

    return to_image, from_image


def _at_half_size(kernel):
    """Return the kernel, (3, 3, channels, 4 image channels), that computes the four pixels of a block from small maps.

    The pixel 2 a + r sees the small map at a + d through the entry r + p - 2 d of the kernel; p is the padding.

    Args:
        kernel: tensor (height, width, image channels, channels), with sides of 3 to 5.
    """
    import tensorflow as tf

    def entries(k):  # (r, d) -> entry, or k, which is a row of zeros
        wanted = [[r + (k - 2) // 2 - 2 * d for d in (-1, 0, 1)] for r in (0, 1)]
        return [[entry if 0 <= entry < k else k for entry in row] for row in wanted]

    height, width, image_channels, channels = kernel.shape
    padded = tf.pad(kernel, [[0, 1], [0, 1], [0, 0], [0, 0]])
    by_rows = tf.gather(padded, entries(height), axis=0)
    blocks = tf.gather(by_rows, entries(width), axis=2)  # (r, d, s, e, image channels, channels)
    return tf.reshape(tf.transpose(blocks, [1, 3, 5, 0, 2, 4]), (3, 3, channels, 4 * image_channels))
