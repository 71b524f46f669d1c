"""Features of images in which distances between sets of images are measured, and those distances.

Distances between pixels say little about pictures, so they are measured between features: of a small classifier that
is trained here once per data set (digits, garments), of Keras's Inception, or the principal components of pixels.
"""

import socket

import keras
import numpy as np
from keras import ops

from common.data.catalog import DATASETS, is_digit_like, keras_home
from common.errors import UserError
from common.metrics import distances
from common.metrics.classifier import _by_channel, _chunks, _isolated_keras_state, _single_output_model, classifier
from common.metrics.pca import pca_basis

KINDS = ("classifier", "inception", "pixels")
COMPONENTS = 64  # of "pixels"
INCEPTION_SIZE = 299  # pixels of a side, what it was trained on
INCEPTION_FILE = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
INCEPTION_URL = "https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/"

# -------------------------------------------------------------------------------------------------------- classifier


# ---------------------------------------------------------------------------------------------------------- features


def default_features(dataset):
    """In which features a data set is best measured: "classifier" for digits and garments, stacked too, or "pixels"."""
    return "classifier" if is_digit_like(dataset) else "pixels"


def extractor(kind, dataset, size, train_images=None, data_dir=None):
    """The function uint8 images (n, size, size, channels) -> features (n, d) float32.

    Args:
        kind: "classifier": 128 features before the logits of `classifier`; of a stacked set 128 of each digit, side by
            side (background that fills a channel is not looked at). "inception": the 2048 means over the last feature
            maps of `keras.applications.InceptionV3`, from images made 299 pixels wide. That is how the author measured
            (arXiv:1811.07296); published FIDs come from another Inception and are not comparable. "pixels": the 64
            leading principal components of the training images, in units of [-1, 1]: they see colour, layout and lack
            of variety, not sharpness.
        dataset, size: of the images, as for `load_images`. data_dir: where "classifier" finds its data.
        train_images: uint8, what the components of "pixels" are of; the others do without.

    Raises `UserError` for an unknown kind, a data set without classes, and Inception weights that cannot be had.
    """
    if kind not in KINDS:
        raise UserError(f"unknown features {kind!r}: allowed are {', '.join(KINDS)}")
    if kind == "pixels":
        return _pixels(train_images)
    stacked = 0
    if kind == "classifier":
        model, stacked = (
            _single_output_model(classifier(dataset, size, data_dir)[0], 0),
            DATASETS[dataset].stacked_digits,
        )
    else:
        model = _inception(size)

    def extract(images):
        if kind == "inception" and images.shape[-1] == 1:
            images = np.repeat(images, 3, -1)
        return np.concatenate(_by_channel(model, stacked, images), -1)

    return extract


def _pixels(train_images):
    components = min(COMPONENTS, len(train_images) - 1, int(np.prod(train_images.shape[1:])))
    mean, basis = pca_basis(train_images, components)

    def project(images):
        rows = (x.reshape(len(x), -1) for x in _chunks(images))
        return np.concatenate([(x - mean) @ basis for x in rows]) / np.float32(127.5)

    return project


def _inception(size):
    """Images (n, size, size, 3) in [-1, 1] -> (n, 2048)."""
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30)  # a silent network must not hang for ever
    try:
        with _isolated_keras_state():
            side = (INCEPTION_SIZE, INCEPTION_SIZE)
            network = keras.applications.InceptionV3(include_top=False, pooling="avg", input_shape=(*side, 3))
            images = keras.Input((size, size, 3))
            return keras.Model(images, network(ops.image.resize(images, side, interpolation="bilinear")))
    except Exception as error:  # Keras raises a plain one when a download fails
        reason = " ".join(str(error).split())[-100:]
        raise UserError(
            f"the weights of Inception cannot be loaded ({reason}): get {INCEPTION_URL}{INCEPTION_FILE}, "
            f"and put it here: {keras_home() / 'models' / INCEPTION_FILE}"
        ) from None
    finally:
        socket.setdefaulttimeout(timeout)


# --------------------------------------------------------------------------------------------------------- distances


def fixed_random_subset(rows, n):
    """n of the rows by lot, in their order; always the same ones.

    Neither the first ones nor every second one are like the whole: MNIST's even training images and first test images
    come from other writers than the odd and the last, and people's faces stand together.
    """
    return rows[np.sort(np.random.default_rng(0).choice(len(rows), n, replace=False))]


def sample_quality(fakes, train, test, extract):
    """How far samples are from held-out images, by every distance of `common.metrics.distances`, and two floors.

    Args:
        fakes, train, test: uint8 images (n, h, w, c), or features (n, d) that `extract` gave before: who measures
            often extracts those of `train` and `test` once. Of each, `subset` takes as many as the shortest has, at
            least 6.
        extract: the function of `extractor`.

    Returns:
        Dict of floats: `fid`, `kid`, `precision`, `recall`, `density` and `coverage` of the fakes against `test`, and
        `fid_floor` and `kid_floor`, of as many training images against `test`: what even perfect samples would have.
    """
    n = min(len(fakes), len(train), len(test))
    fakes, train, test = (
        x if x.ndim == 2 else extract(x) for x in (fixed_random_subset(x, n) for x in (fakes, train, test))
    )
    return {
        "fid": distances.frechet_distance(fakes, test),
        "fid_floor": distances.frechet_distance(train, test),
        "kid": distances.kernel_distance(fakes, test),
        "kid_floor": distances.kernel_distance(train, test),
        **distances.prdc(test, fakes),
    }
