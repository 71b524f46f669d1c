"""Features of images, and the distances between sets of images that are measured in them.

Distances between raw pixels say little about images. The features are those of a small classifier that is trained
once per data set (digits, garments), those of Keras's Inception, or principal components of the pixels.
"""

import socket

import keras
import numpy as np
from keras import ops

from common.data.catalog import DATASETS, keras_home
from common.data.checks import check_finite
from common.data.splits import fixed_random_subset
from common.errors import UserError
from common.metrics import distances
from common.metrics.classifier import (
    classifier,
    image_chunks,
    isolated_keras_state,
    predict_by_channel,
    single_output_model,
)
from common.metrics.pca import pca_basis
from common.metrics.sample_size import is_enough
from common.streams import stage

KINDS = ("classifier", "inception", "pixels")
COMPONENTS = 64  # principal components of "pixels"
NEIGHBOURS = 5  # of precision, recall, density and coverage
INCEPTION_SIZE = 299  # width and height in pixels that Inception was trained on
INCEPTION_FILE = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
INCEPTION_URL = "https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/"


@stage("preparing the features in which samples are compared")
def extractor(kind, dataset, size, train_images=None, data_dir=None, seed=0):
    """Return the function that maps uint8 images (n, size, size, channels) to features (n, d) float32.

    Args:
        kind: one of

            - "classifier": the 128 features before the logits of `classifier`. A stacked set has 128 of each digit,
              side by side; a channel that is only background is left out.
            - "inception": the 2048 means over the last feature maps of `keras.applications.InceptionV3`, for images
              resized to 299 pixels. The author measured so (arXiv:1811.07296). Published FIDs come from another
              Inception and are not comparable.
            - "pixels": the 64 leading principal components of the training images, in units of [-1, 1]. They see
              colour, layout and lack of variety, but not sharpness.
        dataset: str, name of the data set.
        size: int, width and height of the images in pixels.
        train_images: uint8 (n, size, size, channels), needed for "pixels" only.
        data_dir: folder of the data set, for "classifier" only.
        seed: int, of the training of the classifier (default 0).

    Raises:
        UserError: for an unknown kind, for "classifier" of a data set without classes, for "pixels" of a single
            training image, and if Inception's weights cannot be loaded.
    """
    if kind not in KINDS:
        raise UserError(f"the features must be one of {', '.join(KINDS)}. Received: {kind!r}")
    if kind == "pixels":
        return _pixels(train_images)
    if kind == "classifier":
        model = single_output_model(classifier(dataset, size, data_dir, seed=seed)[0], 0)
        stacked_digits = DATASETS[dataset].stacked_digits
    else:
        model = _inception(size)
        stacked_digits = 0

    def extract(images):
        if kind == "inception" and images.shape[-1] == 1:
            images = np.repeat(images, 3, -1)
        return np.concatenate(predict_by_channel(model, stacked_digits, images), -1)

    return extract


def _pixels(train_images):
    """Return the function that projects uint8 images on the principal components of the training images."""
    if len(train_images) < 2:
        raise UserError(f"the features pixels need at least 2 training images. Received: {len(train_images)}; add more")
    components = min(COMPONENTS, len(train_images) - 1, int(np.prod(train_images.shape[1:])))
    mean, basis = pca_basis(train_images, components)

    def project(images):
        rows = (x.reshape(len(x), -1) for x in image_chunks(images))
        return np.concatenate([(x - mean) @ basis for x in rows]) / np.float32(127.5)

    return project


def _inception(size):
    """Return Keras's Inception as a model from images (n, size, size, 3) in [-1, 1] to features (n, 2048)."""
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30)  # seconds; otherwise a silent network would hang the download
    try:
        with isolated_keras_state():
            side = (INCEPTION_SIZE, INCEPTION_SIZE)
            network = keras.applications.InceptionV3(include_top=False, pooling="avg", input_shape=(*side, 3))
            images = keras.Input((size, size, 3))
            # without the antialiasing, shrinking would keep patterns that the smaller image cannot show
            shrinks = size > INCEPTION_SIZE
            resized = ops.image.resize(images, side, interpolation="bilinear", antialias=shrinks)
            return keras.Model(images, network(resized))
    except Exception as error:  # Keras raises a plain Exception when a download fails
        reason = " ".join(str(error).split())[-100:]
        raise UserError(
            f"cannot load the weights of Inception ({reason}): download {INCEPTION_URL}{INCEPTION_FILE} "
            f"and save it as {keras_home() / 'models' / INCEPTION_FILE}"
        ) from None
    finally:
        socket.setdefaulttimeout(timeout)


def sample_quality(fakes, train, test, extract):
    """Return the distances between samples and held-out images, and the noise floors of two of them.

    All three sets are cut to the length of the shortest by `fixed_random_subset`. Metrics that need more samples are
    left out, with a printed line. Another line warns if the recall is 0.

    Args:
        fakes: uint8 samples (n, h, w, c), or their features (n, d).
        train: uint8 training images, or their features.
        test: uint8 held-out images, or their features.
        extract: function of `extractor`. Features that it gave before can be passed instead of images, to extract
            those of `train` and `test` once only.

    Returns:
        Dict of floats. With 2 samples or more: `fid` and `kid` of the fakes against `test`; `fid_floor` and `kid_floor`
        of as many training images against `test`, which perfect samples would have too. With 6 or more: `precision`,
        `recall`, `density` and `coverage` of the fakes against `test`.

    Raises:
        UserError: for features that are not finite.
    """
    sets = {"samples": fakes, "training images": train, "held-out images": test}
    counts = {name: len(rows) for name, rows in sets.items()}
    has_distances = is_enough("fid, kid", 2, counts)
    has_neighbours = is_enough("precision, recall, density, coverage", NEIGHBOURS + 1, counts)
    if not has_distances:
        return {}
    n = min(counts.values())
    subsets = {name: fixed_random_subset(rows, n) for name, rows in sets.items()}
    with stage(f"computing the features of {n} samples"):
        fakes, train, test = (
            check_finite(f"the features of the {name}", rows if rows.ndim == 2 else extract(rows))
            for name, rows in subsets.items()
        )
    with stage(f"measuring FID and KID of {n} samples"):
        metrics = {
            "fid": distances.frechet_distance(fakes, test),
            "fid_floor": distances.frechet_distance(train, test),
            "kid": distances.kernel_distance(fakes, test),
            "kid_floor": distances.kernel_distance(train, test),
        }
    if has_neighbours:
        with stage(f"measuring precision, recall, density and coverage of {n} samples"):
            metrics |= distances.prdc(test, fakes, NEIGHBOURS)
    if metrics.get("recall") == 0:
        print("recall 0: precision and density say nothing here", flush=True)
    return metrics
