"""Distances between images as squared Euclidean distances between representations (article 6394).

The perceptual distance of the article is a sum over layers of a network: ||phi(a) - phi(b)||^2 of the feature maps
phi, and ||Gram(a) - Gram(b)||^2 of their Gram matrices. That is the squared Euclidean distance of two long vectors.
So of m real and n fake images the network sees m + n, and a matrix product compares all m n pairs. The article counts
m n calls of the network, and therefore holds pairwise perceptual distances to be too dear.
"""

import math

import keras
import numpy as np
from keras import layers, ops

from common.backend import speed_up
from common.data.images import to_float
from common.data.splits import fixed_random_subset
from common.errors import UserError
from common.metrics.classifier import classifier, isolated_keras_state
from common.models.inference import predict
from common.streams import stage

VGG_FILE = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
VGG_LAYERS = ("block3_conv3", "block4_conv3", "block5_conv3")
VGG_MEAN = (103.939, 116.779, 123.68)  # of ImageNet, blue first
N_SCALING = 512  # training images on which the sizes of feature maps are measured


def flatten(x):
    """Return images as vectors whose squared distance is the mean square error of the pixels in [-1, 1]."""
    return ops.reshape(x, (-1, math.prod(x.shape[1:]))) / math.prod(x.shape[1:]) ** 0.5


def l2(shape):
    """Return `flatten` as a model from images of a shape to (batch, d)."""
    x = keras.Input(shape)
    return keras.Model(x, flatten(x), name="representation")


@stage("preparing the perceptual distance")
def perceptual(dataset, images, data_dir=None, vgg_weights=None):
    """Return a model from images in [-1, 1] to vectors whose squared distance is the perceptual distance.

    Every feature map and every Gram matrix counts alike: its part is divided by its mean square over training images.
    So the distance of an image to a black map is about 1 per map and per matrix.

    Args:
        dataset: str, name of the data set, whose classifier gives the features without `vgg_weights`.
        images: uint8 (n, size, size, channels), training images.
        data_dir: see `common.data.images.load_images`.
        vgg_weights: path of the weights of VGG-16, as Keras names the file (default: none).

    Raises:
        UserError: if the file of the weights cannot be used.
    """
    if vgg_weights:
        network = vgg16(images.shape[1:], vgg_weights)
    else:
        network = classifier_maps(classifier(dataset, images.shape[1], data_dir)[0])
    with isolated_keras_state():
        x = keras.Input(network.input_shape[1:])
        parts = [part for maps in network(x) for part in ((maps, gram(maps)) if len(maps.shape) == 4 else (maps,))]
        parts = [flatten(part) for part in parts]
        sample = to_float(np.asarray(fixed_random_subset(images, N_SCALING)))
        squares = predict(keras.Model(x, ops.stack([ops.sum(ops.square(part), -1) for part in parts], -1)), sample)
        scaled = [part / max(float(s), 1e-12) ** 0.5 for part, s in zip(parts, squares.mean(0), strict=True)]
        return keras.Model(x, ops.concatenate(scaled, -1), name="representation")


def gram(maps):
    """Return the Gram matrices of feature maps (batch, h, w, c): the means over space of products, (batch, c, c)."""
    rows = ops.reshape(maps, (-1, maps.shape[1] * maps.shape[2], maps.shape[3]))
    return ops.matmul(ops.transpose(rows, (0, 2, 1)), rows) / rows.shape[1]


def classifier_maps(model):
    """Return the classifier as a model from images to the list of its feature maps and its 128 features."""
    maps = [layer.output for layer in model.layers if isinstance(layer, layers.Conv2D)]
    with isolated_keras_state():
        return speed_up(keras.Model(model.inputs[0], [*maps, model.outputs[0]], name="classifier_maps"))


def vgg16(shape, weights):
    """Return VGG-16 as a model from images (batch, size, size, 1 or 3) in [-1, 1] to a list of late feature maps.

    Args:
        shape: (size, size, channels), size at least 32.
        weights: path of Keras's file without the top, `VGG_FILE`.

    Raises:
        UserError: if the file cannot be used.
    """
    with isolated_keras_state():
        network = keras.applications.VGG16(include_top=False, weights=None, input_shape=(*shape[:2], 3))
        try:
            network.load_weights(weights)
        except Exception as error:  # a damaged file fails in many ways
            reason = " ".join(str(error).split())[:100]
            raise UserError(f"--vgg-weights {weights} is not the file {VGG_FILE} of Keras ({reason})") from None
        x = keras.Input(shape)
        rgb = ops.repeat(x, 3, axis=-1) if shape[-1] == 1 else x
        bgr = (rgb[..., ::-1] + 1) * 127.5 - np.array(VGG_MEAN, "float32")
        maps = keras.Model(network.input, [network.get_layer(name).output for name in VGG_LAYERS])
        return keras.Model(x, maps(bgr), name="vgg16")
