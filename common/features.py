"""Features of images in which distances between sets of images are measured, and those distances.

Distances between pixels say little about pictures, so they are measured between features: of a small classifier that
is trained here once per data set (digits, garments), of Keras's Inception, or the principal components of pixels.
"""

import contextlib
import hashlib
import itertools
import json
import random
import socket
import sys

import keras
import numpy as np
from keras import ops

from common import data, distances, readers
from common.batches import predict
from common.data import to_float
from common.datasets import DATASETS, find, keras_home
from common.errors import UserError
from common.metrics import pca_basis
from common.runs import load_model, read_json, write_json, write_whole

KINDS = ("classifier", "inception", "pixels")
DIGIT_LIKE = ("mnist", "fashion_mnist")  # sets that the small classifier knows well, and Inception does not
COMPONENTS = 64  # of "pixels"
INCEPTION_SIZE = 299  # pixels of a side, what it was trained on
INCEPTION_FILE = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
INCEPTION_URL = "https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/"
EPOCHS, BATCH_SIZE, RATE, DROPOUT = 3, 128, 2e-3, 0.4  # of the classifier
RECIPE = 1  # raise it when the classifier or its training changes otherwise: it is trained anew then
CHUNK = 2048  # images that are held as floats at a time

# -------------------------------------------------------------------------------------------------------- classifier


def classifier(dataset, size, data_dir=None, limit=None, epochs=EPOCHS):
    """A convolutional classifier of a labelled data set, trained on this machine once and kept in the Keras cache.

    It lies in `classifiers/` of `keras_home()`, under a key of the data files and the recipe. All its seeds are its
    own, so it is the same whoever trains it, and the caller's random numbers and precision policy are left alone.

    Args:
        dataset: "mnist", "fashion_mnist" or "cifar10"; a stacked set has the classifier of its single digits.
        size: pixels of a side. data_dir: see `common.data.load`.
        limit: train on the first so many images only. epochs: how often each is seen.

    Returns:
        (model, accuracy): images (n, size, size, channels) in [-1, 1] -> [features (n, 128), logits (n, classes)], and
        the share of the test set that it classifies rightly.

    Raises `UserError` for a data set without classes, or that is not there.
    """
    name = _labelled(dataset)
    sources = [readers.signature(path) for path in find(name, "train", data_dir)]
    recipe = [RECIPE, data.FORMAT, name, sources, size, limit, epochs, BATCH_SIZE, RATE, DROPOUT]
    key = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:16]
    folder = keras_home() / "classifiers" / f"{name}-{size}-{key}"
    with _apart():
        # Missing or damaged, it is trained: another process that does the same now writes the same.
        with contextlib.suppress(UserError, KeyError):
            accuracy = read_json(folder / "accuracy.json")["test_accuracy"]
            return load_model(folder / "classifier.keras"), accuracy
        model, accuracy = _train(name, size, data_dir, limit, epochs)
    write_whole(folder / "classifier.keras", model.save)
    write_json(folder / "accuracy.json", {"test_accuracy": accuracy, "dataset": name, "size": size, "epochs": epochs})
    return model, accuracy


def predicted_labels(images, dataset, size, data_dir=None):
    """What the classifier takes uint8 images (n, size, size, channels) for, (n,) int64, as `labels` of the data set.

    Of a stacked set that is the number which its digits spell: 100 a + 10 b + c of red, green and blue.
    """
    model, _ = classifier(dataset, size, data_dir)
    scores = _by_channel(_part(model, 1), DATASETS[dataset].stacked, images)
    classes = np.stack([s.argmax(-1) for s in scores], -1)
    return data.spell(classes) if DATASETS[dataset].stacked else classes[:, 0]


def _labelled(dataset):
    """The name of the data set whose classifier is used; the error for one that has no classes."""
    spec = DATASETS.get(dataset)
    if spec is None or not spec.classes:
        labelled = ", ".join(name for name, spec in DATASETS.items() if spec.classes)
        raise UserError(
            f"{dataset} has no classes to train a classifier on (they are known of {labelled}): "
            "measure in inception or pixels"
        )
    return "mnist" if spec.stacked else dataset


@contextlib.contextmanager
def _apart():
    """Builds in float32, and leaves the caller's policy and Python's random numbers (Keras's seeds) as they were."""
    policy, state = keras.config.dtype_policy(), random.getstate()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
        random.setstate(state)


def _network(size, channels, classes):
    seeds = itertools.count()

    def glorot():
        return keras.initializers.GlorotUniform(seed=next(seeds))

    def conv(x, filters, kernel, strides):
        layer = keras.layers.Conv2D(filters, kernel, strides, "same", activation="relu", kernel_initializer=glorot())
        return layer(x)

    images = keras.Input((size, size, channels))
    filters = 32
    x = conv(images, filters, 5, 2)  # full resolution would take most of the time
    while x.shape[1] > 8:
        x = conv(x, filters, 3, 1)
        filters = 64
        x = conv(x, filters, 3, 2)
    x = conv(x, 64, 3, 1)
    x = keras.layers.Flatten()(x)
    features = keras.layers.Dense(128, activation="relu", kernel_initializer=glorot())(x)
    x = keras.layers.Dropout(DROPOUT, seed=next(seeds))(features)
    logits = keras.layers.Dense(classes, kernel_initializer=glorot())(x)
    return keras.Model(images, [features, logits])


def _part(model, output):
    """The model of one output alone: 0 for the features, 1 for the logits."""
    with _apart():
        return keras.Model(model.inputs, model.outputs[output])


def _train(name, size, data_dir, limit, epochs):
    train, test = (data.load(name, size, *rest) for rest in (("train", data_dir, limit), ("test", data_dir)))
    print(f"training a classifier of {name} at {size} px once, {epochs} epochs", flush=True)
    model = _network(*train.array.shape[2:], len(train.label_names))
    batch_size = min(BATCH_SIZE, len(train.array))
    steps = len(train.array) // batch_size
    logits = _part(model, 1)
    logits.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, steps * epochs)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    batches = _labelled_batches(np.asarray(train.array), train.labels, batch_size)
    logits.fit(batches, steps_per_epoch=steps, epochs=epochs, shuffle=False, verbose=int(sys.stdout.isatty()))
    (scores,) = _by_channel(logits, 0, test.array)
    accuracy = float(np.mean(scores.argmax(-1) == test.labels))
    print(f"the classifier of {name} is right about {accuracy:.2%} of the test images", flush=True)
    return model, accuracy


def _labelled_batches(images, labels, batch_size):
    """Endless full batches (images in [-1, 1], labels), every epoch in another fixed order."""
    for epoch in itertools.count():
        order = np.random.default_rng([0, epoch]).permutation(len(images))
        for rows in order[: len(order) // batch_size * batch_size].reshape(-1, batch_size):
            yield to_float(images[rows]), labels[rows]


def _by_channel(model, stacked, images):
    """Answers (n, d) of the model to uint8 images: one for each of the first `stacked` channels, or one for all."""
    parts = [images[..., c : c + 1] for c in range(stacked)] or [images]
    return [np.concatenate([predict(model, to_float(x)) for x in _chunks(part)]) for part in parts]


def _chunks(images):
    return (np.asarray(images[i : i + CHUNK]) for i in range(0, len(images), CHUNK))


# ---------------------------------------------------------------------------------------------------------- features


def default_kind(dataset):
    """In which features a data set is best measured: "classifier" for digits and garments, stacked too, or "pixels"."""
    spec = DATASETS.get(dataset)
    return "classifier" if spec is not None and (spec.stacked or dataset in DIGIT_LIKE) else "pixels"


def extractor(kind, dataset, size, train_images=None, data_dir=None):
    """The function uint8 images (n, size, size, channels) -> features (n, d) float32.

    Args:
        kind: "classifier": 128 features before the logits of `classifier`; of a stacked set 128 of each digit, side by
            side (background that fills a channel is not looked at). "inception": the 2048 means over the last feature
            maps of `keras.applications.InceptionV3`, from images made 299 pixels wide. That is how the author measured
            (arXiv:1811.07296); published FIDs come from another Inception and are not comparable. "pixels": the 64
            leading principal components of the training images, in units of [-1, 1]: they see colour, layout and lack
            of variety, not sharpness.
        dataset, size: of the images, as for `common.data.load`. data_dir: where "classifier" finds its data.
        train_images: uint8, what the components of "pixels" are of; the others do without.

    Raises `UserError` for an unknown kind, a data set without classes, and Inception weights that cannot be had.
    """
    if kind not in KINDS:
        raise UserError(f"unknown features {kind!r}: allowed are {', '.join(KINDS)}")
    if kind == "pixels":
        return _pixels(train_images)
    stacked = 0
    if kind == "classifier":
        model, stacked = _part(classifier(dataset, size, data_dir)[0], 0), DATASETS[dataset].stacked
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
        with _apart():
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


def subset(rows, n):
    """n of the rows by lot, in their order; always the same ones.

    Neither the first ones nor every second one are like the whole: MNIST's even training images and first test images
    come from other writers than the odd and the last, and people's faces stand together.
    """
    return rows[np.sort(np.random.default_rng(0).choice(len(rows), n, replace=False))]


def sample_quality(fakes, train, test, extract):
    """How far samples are from held-out images, by every distance of `common.distances`, and two floors.

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
    fakes, train, test = (x if x.ndim == 2 else extract(x) for x in (subset(x, n) for x in (fakes, train, test)))
    return {
        "fid": distances.frechet_distance(fakes, test),
        "fid_floor": distances.frechet_distance(train, test),
        "kid": distances.kernel_distance(fakes, test),
        "kid_floor": distances.kernel_distance(train, test),
        **distances.prdc(test, fakes),
    }
