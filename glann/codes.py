"""Codes on the unit sphere: their first values, and those of images that were not trained on (article 6394, GLO)."""

import keras
import numpy as np

from common.backend import speed_up
from common.data.batches import EndlessBatches
from common.data.images import to_float
from common.data.splits import fixed_random_subset
from common.errors import UserError
from common.metrics.pca import pca_codes
from common.models.inference import predict
from common.plots.images import interpolation_rows, reconstruction_pairs
from common.plots.labels import save_labelled
from common.streams import stage
from common.training.single_loss import SingleLoss
from glann.nearest import squared_distance

DESCENT_STEPS, DESCENT_RATE = 300, 0.02  # of Adam, for the codes of held-out images
HELD_OUT = 64  # images whose codes are searched
ROWS, INTERPOLATION_STEPS = 8, 8  # of the picture of interpolations
BANK = 10_000  # training images among which the nearest one is searched


def unit(vectors):
    """Return vectors (n, d) divided by their norms."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@stage("preparing the codes")
def first_codes(images, length):
    """Return the codes that GLO begins with, (n, length) float32 of norm 1: whitened principal components.

    arXiv 1707.05776 begins so, or with random codes, which need many more passes over the images.

    Args:
        images: uint8 (n, h, w, c).
        length: int, length of a code.

    Raises:
        UserError: if there are fewer images or pixels than a code is long.
    """
    most = min(len(images), int(np.prod(images.shape[1:])))
    if length > most:
        raise UserError(f"--latent-dim is at most {most} here, the number of images or pixels. Received: {length}")
    codes, _ = pca_codes(images, images[:1], length)
    return unit(codes / np.maximum(codes.std(0), 1e-6))


def gaussian_codes(codes, n, rng):
    """Return n draws of the Gaussian fitted to codes (m, d), divided by their norms: how GLO's paper samples."""
    cov = np.atleast_2d(np.cov(codes, rowvar=False))
    return unit(rng.multivariate_normal(codes.mean(0), cov, n)).astype("float32")


@stage("searching the codes of held-out images")
def find_codes(generator, represent, images, start, steps):
    """Return codes of norm 1 of images that were not trained on, found by descent on ||r(x) - r(G(c))||^2.

    Args:
        generator: model, codes -> images in [-1, 1]. It stays as it is.
        represent: model r from images to vectors, see `glann.representation`.
        images: uint8 (n, h, w, c).
        start: (n, d), codes to begin with.
        steps: int, of the descent.

    Returns:
        (n, d) float32.
    """
    decoder = speed_up(keras.models.clone_model(generator))
    decoder.set_weights(generator.get_weights())
    decoder.trainable = False  # so that its batch norm uses the averages, not the batch
    codes = keras.layers.Embedding(*start.shape, embeddings_constraint=keras.constraints.UnitNorm(1))
    x, rows = keras.Input(images.shape[1:], name="x"), keras.Input((), dtype="int32", name="rows")
    decoded = decoder(codes(rows))
    tensors = {"real": represent(x), "fake": represent(decoded)}
    loss = lambda real, fake: {"loss": squared_distance(real, fake)}
    trainer = SingleLoss({"x": x, "rows": rows}, tensors, loss, [codes])
    codes.set_weights([start])
    trainer.compile(keras.optimizers.Adam(DESCENT_RATE))
    batches = EndlessBatches(images, len(images), with_rows=True)
    trainer.fit(batches, steps_per_epoch=steps, shuffle=False, verbose=0)
    return np.asarray(codes.get_weights()[0])


def nearest_codes(represent, images, train_images, codes):
    """Return the codes of the training images that are nearest to images, (n, d): where the descent begins.

    Args:
        represent: see `find_codes`.
        images: uint8 (n, h, w, c).
        train_images: uint8 (m, h, w, c), of which at most 10000 are looked at.
        codes: (m, d), of the training images.
    """
    chosen = fixed_random_subset(np.arange(len(train_images)), BANK)
    queries = predict(represent, to_float(images))
    best, index = np.full(len(images), np.inf), np.zeros(len(images), int)
    for rows in np.array_split(chosen, -(-len(chosen) // 512)):  # a representation can be long
        bank = predict(represent, to_float(np.asarray(train_images[rows])))
        distances = np.sum(bank**2, 1) - 2 * queries @ bank.T
        nearer = distances.min(1) < best
        best[nearer], index[nearer] = distances.min(1)[nearer], rows[distances.argmin(1)[nearer]]
    return codes[index]


def held_out_pictures(run_dir, generator, represent, space, codes, training_steps):
    """Draw held-out images beside their reconstructions, and interpolations between their codes, into PNGs.

    Args:
        run_dir: path of the run directory.
        generator: model, codes -> images in [-1, 1].
        represent: see `find_codes`.
        space: `common.experiments.sample_space.ImageSpace`.
        codes: (m, d), codes of the training images.
        training_steps: int, of the generator. The descent on the codes takes 300 steps, and never more than these.

    Returns:
        Dict of `held_out_mse`, the mean square error of the reconstructions in units of [-1, 1], and
        `held_out_error`, the same as a fraction of that of the mean training image.
    """
    images = np.asarray(fixed_random_subset(space.test, HELD_OUT))
    start = nearest_codes(represent, images, space.train.array, codes)
    held_out_codes = find_codes(generator, represent, images, start, min(DESCENT_STEPS, training_steps))
    decoded, real = predict(generator, held_out_codes), to_float(images)
    scale = max(1, 64 // images.shape[1])
    pairs = reconstruction_pairs(real[:32], decoded[:32], scale=scale)
    title = "Held-out images, and what the best code decodes to"
    save_labelled(run_dir / "figures/reconstructions.png", pairs, title, ["real", "decoded"] * 4)

    rows = max(1, min(ROWS, len(images) // 2))
    left, right = slice(0, rows), slice(rows, 2 * rows) if len(images) > 1 else slice(0, rows)
    t = np.linspace(0, 1, INTERPOLATION_STEPS, dtype="float32")[None, :, None]
    between = (1 - t) * held_out_codes[left, None] + t * held_out_codes[right, None]
    between = unit(between.reshape(-1, held_out_codes.shape[1]) + 1e-12)
    steps = predict(generator, between).reshape(rows, INTERPOLATION_STEPS, *images.shape[1:])
    picture = interpolation_rows(real[left], steps, real[right], scale=scale)
    columns = ["real", *(f"{value:.2f}" for value in t.ravel()), "real"]
    title = "From one code to another, between held-out images"
    save_labelled(run_dir / "figures/interpolations.png", picture, title, columns)

    error = float(np.mean((real - decoded) ** 2))
    mean_image = to_float(space.train.array.mean(0))
    return {"held_out_mse": error, "held_out_error": error / max(float(np.mean((real - mean_image) ** 2)), 1e-12)}
