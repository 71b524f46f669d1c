"""A small classifier of a labelled data set, trained once per machine, whose features and labels measure samples."""

import contextlib
import hashlib
import itertools
import json
import random
import sys

import keras
import numpy as np

from common.data import readers
from common.data.catalog import DATASETS, find, keras_home
from common.data.images import FORMAT, digits_to_label, load_images, to_float
from common.errors import UserError
from common.files import atomic_write, read_json, write_json
from common.models.inference import load_model, predict

EPOCHS, BATCH_SIZE, RATE, DROPOUT = 3, 128, 2e-3, 0.4  # of the classifier


CLASSIFIER_VERSION = 1  # raise it when the classifier or its training changes otherwise: it is trained anew then


CHUNK = 2048  # images that are held as floats at a time


def classifier(dataset, size, data_dir=None, limit=None, epochs=EPOCHS):
    """A convolutional classifier of a labelled data set, trained on this machine once and kept in the Keras cache.

    It lies in `classifiers/` of `keras_home()`, under a key of the data files and the recipe. All its seeds are its
    own, so it is the same whoever trains it, and the caller's random numbers and precision policy are left alone.

    Args:
        dataset: "mnist", "fashion_mnist" or "cifar10"; a stacked set has the classifier of its single digits.
        size: pixels of a side. data_dir: see `common.data.images.load_images`.
        limit: train on the first so many images only. epochs: how often each is seen.

    Returns:
        (model, accuracy): images (n, size, size, channels) in [-1, 1] -> [features (n, 128), logits (n, classes)], and
        the share of the test set that it classifies rightly.

    Raises `UserError` for a data set without classes, or that is not there.
    """
    name = _classifier_dataset(dataset)
    sources = [readers.fingerprint(path) for path in find(name, "train", data_dir)]
    recipe = [CLASSIFIER_VERSION, FORMAT, name, sources, size, limit, epochs, BATCH_SIZE, RATE, DROPOUT]
    key = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:16]
    folder = keras_home() / "classifiers" / f"{name}-{size}-{key}"
    with _isolated_keras_state():
        # Missing or damaged, it is trained: another process that does the same now writes the same.
        with contextlib.suppress(UserError, KeyError):
            accuracy = read_json(folder / "accuracy.json")["test_accuracy"]
            return load_model(folder / "classifier.keras"), accuracy
        model, accuracy = _train(name, size, data_dir, limit, epochs)
    atomic_write(folder / "classifier.keras", model.save)
    write_json(folder / "accuracy.json", {"test_accuracy": accuracy, "dataset": name, "size": size, "epochs": epochs})
    return model, accuracy


def predicted_labels(images, dataset, size, data_dir=None):
    """What the classifier takes uint8 images (n, size, size, channels) for, (n,) int64, as `labels` of the data set.

    Of a stacked set that is the number which its digits spell: 100 a + 10 b + c of red, green and blue.
    """
    model, _ = classifier(dataset, size, data_dir)
    scores = _by_channel(_single_output_model(model, 1), DATASETS[dataset].stacked_digits, images)
    classes = np.stack([s.argmax(-1) for s in scores], -1)
    return digits_to_label(classes) if DATASETS[dataset].stacked_digits else classes[:, 0]


def _classifier_dataset(dataset):
    """The name of the data set whose classifier is used; the error for one that has no classes."""
    spec = DATASETS.get(dataset)
    if spec is None or not spec.classes:
        labelled = ", ".join(name for name, spec in DATASETS.items() if spec.classes)
        raise UserError(
            f"{dataset} has no classes to train a classifier on (they are known of {labelled}): "
            "measure in inception or pixels"
        )
    return "mnist" if spec.stacked_digits else dataset


@contextlib.contextmanager
def _isolated_keras_state():
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


def _single_output_model(model, output):
    """The model of one output alone: 0 for the features, 1 for the logits."""
    with _isolated_keras_state():
        return keras.Model(model.inputs, model.outputs[output])


def _train(name, size, data_dir, limit, epochs):
    train, test = (load_images(name, size, *rest) for rest in (("train", data_dir, limit), ("test", data_dir)))
    print(f"training a classifier of {name} at {size} px once, {epochs} epochs", flush=True)
    model = _network(*train.array.shape[2:], len(train.label_names))
    batch_size = min(BATCH_SIZE, len(train.array))
    steps = len(train.array) // batch_size
    logits = _single_output_model(model, 1)
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
