"""A small classifier of a labelled data set, trained once per machine: its features and labels measure samples."""

import contextlib
import hashlib
import itertools
import json
import random

import keras
import numpy as np

from common.data.catalog import DATASETS, has_classes, keras_home
from common.data.images import load_images, to_float
from common.data.jobs import digits_to_label
from common.data.progress import progress_bar
from common.errors import UserError
from common.files import atomic_write, read_json, write_json
from common.models.inference import load_model, predict
from common.streams import stage

EPOCHS, BATCH_SIZE, LEARNING_RATE, DROPOUT = 3, 128, 2e-3, 0.4
# Part of the cache key, like the constants above. Raise it when the network or its training changes in another way.
CLASSIFIER_VERSION = 1
CHUNK_IMAGES = 2048  # images held as floats at a time
_not_stored = {}  # folder -> (model, accuracy) of classifiers that could not be written to the disk


def classifier(dataset, size, data_dir=None, limit=None, epochs=EPOCHS, seed=0):
    """Return a convolutional classifier of a labelled data set, from the Keras cache or trained now.

    It is stored in `classifiers/` of `keras_home()`, under a key of the training images, their labels and the settings:
    another copy of the same data, or the same data in another file format, finds it. If it cannot be stored, a printed
    line says so, and this process keeps the classifier in memory. Its seeds are fixed, so every training on one thread
    gives the same classifier; several threads add in another order, so that each training, and each FID, differs a
    little. The caller's random numbers and precision policy are left alone.

    Args:
        dataset: "mnist", "fashion_mnist" or "cifar10". A stacked set has the classifier of its single digits.
        size: int, width and height of the images in pixels.
        data_dir: see `common.data.images.load_images`.
        limit: int, number of training images (default: all).
        epochs: int, passes over the training images (default 3).
        seed: int, of the first weights and the order of the images (default 0). Another one gives another classifier.

    Returns:
        (model, accuracy). The model maps images (n, size, size, channels) in [-1, 1] to [features (n, 128), logits
        (n, classes)]. The accuracy is that on the test set, from 0 to 1.

    Raises:
        UserError: if the data set has no classes or is not on this machine.
    """
    name = _classifier_dataset(dataset)
    train = load_images(name, size, "train", data_dir, limit)
    content = [hashlib.sha256(np.ascontiguousarray(array)).hexdigest() for array in (train.array, train.labels)]
    settings = [CLASSIFIER_VERSION, content, epochs, BATCH_SIZE, LEARNING_RATE, DROPOUT, seed]
    key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
    folder = keras_home() / "classifiers" / f"{name}-{size}-{key}"
    if folder in _not_stored:
        return _not_stored[folder]
    with isolated_keras_state():
        # If missing or damaged, retrain. Concurrent processes are safe: each writes whole files.
        with contextlib.suppress(UserError, KeyError, TypeError, ValueError):
            accuracy = float(read_json(folder / "accuracy.json")["test_accuracy"])
            return load_model(folder / "classifier.keras"), accuracy
        test = load_images(name, size, "test", data_dir)
        model, accuracy = _train(name, train, test, epochs, seed)
    info = {"test_accuracy": accuracy, "dataset": name, "size": size, "epochs": epochs}
    try:
        atomic_write(folder / "classifier.keras", model.save)
        write_json(folder / "accuracy.json", info)
    except UserError as error:
        print(f"{error}; going on with the classifier in memory", flush=True)
        _not_stored[folder] = model, accuracy
    return model, accuracy


@stage("counting the modes of samples with the classifier")
def predicted_labels(images, dataset, size, data_dir=None):
    """Return the classes (n,) int64 that the classifier gives to images.

    Args:
        images: uint8 (n, size, size, channels).
        dataset: str, name of the data set. The class of a stacked image is the number that its digits spell, e.g.
            100 a + 10 b + c for the digits a, b and c of the red, green and blue channels.
        size: int, width and height of the images in pixels.
        data_dir: see `common.data.images.load_images`.
    """
    model, _ = classifier(dataset, size, data_dir)
    stacked_digits = DATASETS[dataset].stacked_digits
    logits = predict_by_channel(single_output_model(model, 1), stacked_digits, images)
    classes = np.stack([channel_logits.argmax(-1) for channel_logits in logits], -1)
    return digits_to_label(classes) if stacked_digits else classes[:, 0]


def _classifier_dataset(dataset):
    """Return the name of the data set whose classifier is used; raise `UserError` for one without classes."""
    if not has_classes(dataset):
        labelled = ", ".join(name for name, spec in DATASETS.items() if spec.classes)
        raise UserError(
            f"{dataset} has no classes to train a classifier on; use the features inception or pixels "
            f"(data sets with classes: {labelled})"
        )
    return "mnist" if DATASETS[dataset].stacked_digits else dataset


@contextlib.contextmanager
def isolated_keras_state():
    """Set the float32 policy, and restore the caller's policy and Python's random state (Keras's seeds) at the end."""
    policy, state = keras.config.dtype_policy(), random.getstate()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
        random.setstate(state)


def _network(size, channels, classes, seed=0):
    """Return the untrained classifier with the outputs [features, logits]; every layer has a fixed seed."""
    seeds = itertools.count(100 * seed)

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


def single_output_model(model, output):
    """Return the classifier with one output: 0 for the features, 1 for the logits."""
    with isolated_keras_state():
        return keras.Model(model.inputs, model.outputs[output], name="classifier")


def _train(name, train, test, epochs, seed):
    """Return a newly trained classifier of `Images`, and its accuracy on others."""
    print(f"training a classifier of {name} at {train.array.shape[2]} px once, {epochs} epochs", flush=True)
    model = _network(*train.array.shape[2:], len(train.label_names), seed)
    batch_size = min(BATCH_SIZE, len(train.array))
    steps = len(train.array) // batch_size
    logits_model = single_output_model(model, 1)
    logits_model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps * epochs)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    batches = _labelled_batches(np.asarray(train.array), train.labels, batch_size, seed)
    advance = progress_bar(steps * epochs, f"steps of {batch_size} images:")
    callback = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: advance(1))
    logits_model.fit(batches, steps_per_epoch=steps, epochs=epochs, shuffle=False, verbose=0, callbacks=[callback])
    (test_logits,) = predict_by_channel(logits_model, 0, test.array)
    accuracy = float(np.mean(test_logits.argmax(-1) == test.labels))
    print(f"test accuracy of the classifier of {name}: {accuracy:.2%}", flush=True)
    return model, accuracy


def _labelled_batches(images, labels, batch_size, seed):
    """Yield full batches (images in [-1, 1], labels) without end, in a fixed order that differs between epochs."""
    for epoch in itertools.count():
        order = np.random.default_rng([seed, epoch]).permutation(len(images))
        for rows in order[: len(order) // batch_size * batch_size].reshape(-1, batch_size):
            yield to_float(images[rows]), labels[rows]


def predict_by_channel(model, stacked_digits, images):
    """Return a list of outputs (n, d): one for each stacked digit, or a single one if there are none.

    Args:
        model: Keras model of one output, for images in [-1, 1].
        stacked_digits: int, number of leading channels that hold a digit each; 0 for images that are not stacked.
        images: uint8 (n, h, w, c).
    """
    parts = [images[..., c : c + 1] for c in range(stacked_digits)] or [images]
    return [np.concatenate([predict(model, to_float(chunk)) for chunk in image_chunks(part)]) for part in parts]


def image_chunks(images):
    """Yield the images `CHUNK_IMAGES` at a time, as numpy arrays."""
    for start in range(0, len(images), CHUNK_IMAGES):
        yield np.asarray(images[start : start + CHUNK_IMAGES])
