"""Use the discriminator of a finished run as a feature extractor: a linear SVM on its activations (DCGAN, 1511.06434).

    python dcgan/features.py runs/dcgan/mnist-32-quick-s0
    python dcgan/features.py runs/dcgan/cifar10-32-quick-s0 --limit 20000

The features of an image are the activations of all hidden layers, maps max-pooled to 4 x 4. A linear SVM learns the
classes from 100, 1,000 and all labels. It is compared with the same SVM on raw pixels, on their principal components
and on the features of an untrained discriminator. Writes a table, a chart and results.json to `<RUN>/features/`. This
needs scikit-learn: the extra svm.
"""

from pathlib import Path

from common.cli import Parser, add_format, main
from common.errors import UserError
from common.flag_types import data_folder, existing_folder, nonnegative_int, sample_int
from common.streams import stage

LABELS = (100, 1000)  # and all
DRAWS = 3  # sets of labelled images for each number of labels
VALIDATION = 2000  # further labelled images, on which the strength of the regularisation is chosen
ALPHAS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)  # strengths of the regularisation
UPDATES = 50_000  # steps of the SVM at least, one image each
COMPONENTS = 128
GRID = 4  # maps are max-pooled to this side


def make_parser():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument(
        "run", type=existing_folder, metavar="RUN", help="run directory of dcgan/train.py, on labelled images"
    )
    p.add_argument("--limit", type=sample_int, help="use N training images, drawn by lot (default all)")
    p.add_argument("--seed", type=nonnegative_int, default=0, help="seed of the choice of labels (default 0)")
    p.add_argument("--data-dir", type=data_folder, help="folder of the run's data set, if it has moved")
    add_format(p)
    return p


def linear_svm():
    """Return the class of scikit-learn's linear SVM that is trained by stochastic gradients.

    Raises:
        UserError: if scikit-learn is not installed.
    """
    try:
        from sklearn.linear_model import SGDClassifier
    except ImportError:
        raise UserError(
            'the linear SVM is that of scikit-learn, which is not installed: `.venv/bin/pip install -e ".[svm]"`'
        ) from None
    return SGDClassifier


def feature_extractor(critic):
    """Return the model from images to the activations of all hidden layers of a critic, flattened and joined.

    Args:
        critic: model of `dcgan.networks`. Maps are max-pooled to 4 x 4.
    """
    import keras
    from keras import layers

    from dcgan.layers import Maxout

    activations = [layer.output for layer in critic.layers if isinstance(layer, layers.LeakyReLU | Maxout)]
    pooled = [layers.MaxPooling2D(h.shape[1] // GRID)(h) if len(h.shape) == 4 else h for h in activations]
    flat = [layers.Flatten(dtype="float32")(h) for h in pooled]
    return keras.Model(critic.input, layers.Concatenate(dtype="float32")(flat) if len(flat) > 1 else flat[0])


def balanced(labels, n, rng):
    """Return n // classes random rows of each class, sorted.

    Args:
        labels: ints (N,), of the classes 0, 1, ...
        n: int, number of rows.
        rng: numpy random generator.

    Raises:
        UserError: if a class has too few.
    """
    import numpy as np

    classes = int(labels.max()) + 1
    of_class = [np.flatnonzero(labels == c) for c in range(classes)]
    fewest = min(map(len, of_class))
    if fewest < n // classes:
        raise UserError(
            f"{n} labels need {n // classes} images of each class, one has {fewest}: take fewer labels or more images"
        )
    return np.sort(np.concatenate([rng.choice(rows, n // classes, replace=False) for rows in of_class]))


def svm_error(train, validation, test, seed):
    """Return the share of wrong test labels of a linear SVM.

    Args:
        train: tuple (features (n, d), labels (n,)).
        validation: the same; chooses the strength of the regularisation.
        test: the same.
        seed: int, of the order of the training images.
    """
    import numpy as np

    svm_class = linear_svm()
    passes = max(5, UPDATES // len(train[0]))
    best, best_score = None, -1.0
    for alpha in ALPHAS:
        svm = svm_class(alpha=alpha, average=True, max_iter=passes, tol=None, random_state=seed).fit(*train)
        score = svm.score(*validation)
        if score > best_score:
            best, best_score = svm, score
    return float(np.mean(best.predict(test[0]) != test[1]))


def scaled(train, test):
    """Return both sets of features minus the mean of the first, over the root mean square of its norm."""
    mean = train.mean(0)
    train, test = train - mean, test - mean
    norm = float(((train**2).sum(1).mean()) ** 0.5) or 1.0
    return train / norm, test / norm


def extract_all(critic, train, test, seed):
    """Yield (name, training features, test features) of each kind of features, scaled.

    Args:
        critic: model of `dcgan.networks`.
        train: uint8 (n, size, size, channels), training images.
        test: uint8 (m, size, size, channels).
        seed: int, of the untrained network.
    """
    import keras

    from common.metrics.classifier import predict_by_channel
    from common.metrics.pca import flat_chunks, pca_codes

    flat = lambda images: next(flat_chunks(images, len(images))) / 255
    components = min(COMPONENTS, len(train), train[0].size)
    keras.utils.set_random_seed(seed)
    networks = {"discriminator": critic, "untrained network": keras.models.clone_model(critic)}
    for name, network in networks.items():
        with stage(f"extracting the features of the {name}"):
            extractor = feature_extractor(network)
            features = [predict_by_channel(extractor, 0, images)[0] for images in (train, test)]
        yield name, *scaled(*features)
    with stage("computing principal components"):
        codes = pca_codes(train, test, components)
    yield f"{components} principal components", *scaled(*codes)
    yield "raw pixels", *scaled(flat(train), flat(test))


def run(args):
    import numpy as np

    from common.data.catalog import has_classes
    from common.data.images import load_images
    from common.experiments.tables import table
    from common.files import atomic_write, write_json
    from common.models.inference import load_model
    from common.plots.charts import plot_bars
    from common.plots.words import in_words
    from common.training.run_dir import provenance, write_results
    from common.training.run_files import read_flags

    linear_svm()  # before the minutes that the features take
    run_dir = Path(args.run)
    flags = read_flags(run_dir, "dataset", "size", "data_dir", "crop")
    if not has_classes(flags.dataset):
        raise UserError(f"{flags.dataset} has no classes: give a run on mnist, fashion_mnist or cifar10")
    critic = load_model(run_dir / "critic.keras", (flags.size, flags.size, None), (1,))
    load = lambda split, limit=None: load_images(
        flags.dataset, flags.size, split, args.data_dir or flags.data_dir, limit, critic.input_shape[3]
    )
    train, test = load("train", args.limit), load("test")

    # labelled images; the validation images are none of them
    order = np.random.default_rng([args.seed, 0]).permutation(len(train.array))
    held_out = min(VALIDATION, len(order) // 5)
    validation, rest = order[:held_out], np.sort(order[held_out:])
    of_class = np.bincount(train.labels[rest])
    if not held_out or np.count_nonzero(of_class) < 2:
        raise UserError(f"{len(order)} images are too few to learn classes from: raise --limit")
    chosen = {}
    for n in LABELS:
        if n < len(rest) and 0 < n // len(of_class) <= of_class.min():
            rngs = (np.random.default_rng([args.seed, 1, n, draw]) for draw in range(DRAWS))
            chosen[f"{n:,} labels"] = [rest[balanced(train.labels[rest], n, rng)] for rng in rngs]
    chosen[f"all {len(rest):,} labels"] = [rest]

    # one SVM per kind of features and set of labels
    errors = {}
    for name, train_features, test_features in extract_all(critic, train.array, np.asarray(test.array), args.seed):
        pick = lambda rows, features=train_features: (features[rows], train.labels[rows])
        with stage(f"fitting linear SVMs to {name}"):
            errors[name] = {
                count: [100 * svm_error(pick(rows), pick(validation), (test_features, test.labels), 0) for rows in sets]
                for count, sets in chosen.items()
            }

    output_dir = run_dir / "features"
    write_json(output_dir / "config.json", provenance(args) | {"trained": str(run_dir)})
    text = f"Errors in % of the {len(test.array):,} test images:\n\n" + table("features", errors)
    atomic_write(output_dir / "table.md", lambda path: path.write_text(text, encoding="utf-8"))
    metrics = {
        f"error/{name}/{count}/{draw}": value
        for name, row in errors.items()
        for count, values in row.items()
        for draw, value in enumerate(values)
    }
    write_results(output_dir, metrics)
    by_count = {count: {name: row[count] for name, row in errors.items()} for count in chosen}
    title = f"A linear SVM on {in_words(flags.dataset)}, by its features"
    plot_bars(output_dir / "figures/errors.png", by_count, "wrong test labels, %", title)
    print(text, output_dir / "figures/errors.png", sep="\n")


if __name__ == "__main__":
    main(run, make_parser())
