"""Convolutions between an image of few channels and feature maps, faster on a CPU."""

import functools

from common.backend.name import backend_name

FEW = 4  # channels of an image


def speed_up_at_image(layer):
    """Let the convolution next to an image compute it, or its gradient, at half size; the numbers are the same.

    The image that a transposed convolution of stride 2 returns, and the gradient that a convolution of stride 2 sends
    to its image, are the same operation. TensorFlow's one for a CPU is slow at few channels. Each of the four pixels of
    a 2 x 2 block is a convolution of the small map with a part of the kernel. So one convolution with four times the
    channels gives all of them, and `depth_to_space` puts them side by side (sub-pixel convolution, arXiv 1609.05158).
    It takes two fifths of the time. Where that is not known to be so, the layer stays as it is: on a GPU, on other
    backends, with other strides, kernels or paddings, and at more channels. It is saved and loaded as Keras's own.

    Args:
        layer: `keras.layers.Conv2D` with the image as input, or `Conv2DTranspose` with the image as output.

    Returns:
        The same layer.
    """
    if backend_name() != "tensorflow":
        return layer
    import keras
    import tensorflow as tf

    is_usual = (layer.strides, layer.padding, layer.dilation_rate) == ((2, 2), "same", (1, 1))
    if not is_usual or not all(3 <= k <= 5 for k in layer.kernel_size) or tf.config.list_physical_devices("GPU"):
        return layer
    if isinstance(layer, keras.layers.Conv2DTranspose):
        keras_call, to_image = layer.call, _functions()[0]

        def call(inputs):
            if layer.filters > FEW:
                return keras_call(inputs)
            y = to_image(inputs, tf.convert_to_tensor(layer.kernel))
            return layer.activation(y + tf.convert_to_tensor(layer.bias) if layer.use_bias else y)

        layer.call = call
    else:
        keras_op, from_image = layer.convolution_op, _functions()[1]

        def convolution_op(inputs, kernel):
            _, height, width, channels = inputs.shape
            fits = channels <= FEW and layer.groups == 1 and height and width and height % 2 == width % 2 == 0
            return (from_image if fits else keras_op)(inputs, tf.convert_to_tensor(kernel))

        layer.convolution_op = convolution_op
    return layer


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
