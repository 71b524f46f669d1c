"""Metrics and the article's three figures for a trained O-GAN (article 6409).

Here E is the encoder, G the generator, and N(E(x)) = (E(x) - avg) / std the standardised code of an image.
"""

from pathlib import Path

import numpy as np

from common.data.images import to_float
from common.data.splits import fixed_random_subset
from common.metrics.pca import pca_codes
from common.metrics.sample_size import is_enough
from common.models.inference import predict
from common.plots.animation import save_training_gif
from common.plots.charts import plot_curves
from common.plots.images import image_grid, interpolation_rows, reconstruction_pairs, save_png
from common.plots.labels import save_labelled
from common.streams import stage
from common.training.log import log_curves
from ogan.codes import linear_probe_r2, mean_squared_error

CODE_SCALE = 0.9  # the author multiplies a standardised code by this before decoding it
OTHER_CODE_SCALES = (1.0, 0.8, 0.7, 0.6, 0.5)  # measured for comparison
SHOWN_CODE_SCALES = (0.0, 0.3, 0.6, 0.9, 1.2, 1.5)
PAIR_COLUMNS = 8  # of the grid of reconstructions
INTERPOLATION_STEPS = 8
BATCH = 2048  # images converted to float at once
FIGURE_IMAGES = 32  # held-out images in the figures


def encode(encoder, images):
    """Return the standardised codes N(E(x)), free of the critic's mean and scale.

    Args:
        encoder: model, images (n, size, size, channels) -> codes (n, latent_dim).
        images: uint8, or floats in [-1, 1].

    Returns:
        Array (n, latent_dim) with mean 0 and standard deviation 1 in each row.

    Raises:
        UserError: if a code is not finite.
    """
    as_float = to_float if images.dtype == np.uint8 else np.asarray
    batches = (images[i : i + BATCH] for i in range(0, len(images), BATCH))
    codes = np.concatenate([predict(encoder, as_float(x)) for x in batches])
    codes = codes - codes.mean(-1, keepdims=True)
    return codes / np.maximum(codes.std(-1, keepdims=True), 1e-6)


def decode(generator, codes, code_scale=CODE_SCALE):
    """Return G(code_scale * codes): images (n, size, size, channels) in [-1, 1] from standardised codes.

    Args:
        generator: model, latents (n, latent_dim) -> images.
        codes: (n, latent_dim), standardised.
        code_scale: float (default 0.9, the author's).

    Raises:
        UserError: if an image is not finite.
    """
    return predict(generator, np.asarray(code_scale * codes, "float32"))


def sample_latents(n, latent_dim, seed):
    """Return n latents from N(0, I), (n, latent_dim) float32; the same seed gives the same latents."""
    return np.random.default_rng([seed, 2]).standard_normal((n, latent_dim), dtype="float32")


@stage("measuring reconstructions")
def reconstruction_metrics(encoder, generator, images, mean_image):
    """Return the error of the reconstructions G(.9 N(E(x))), and of the mean training image as a baseline.

    Args:
        encoder: model, images -> codes.
        generator: model, latents -> images.
        images: uint8 (n, size, size, channels).
        mean_image: (size, size, channels) in [-1, 1].

    Returns:
        Dict of two floats, `reconstruction_mse` and `mean_image_mse`. Both are means over images, pixels and colours
        of squared differences, with pixels in [-1, 1].
    """
    x = to_float(np.asarray(images))
    return {
        "reconstruction_mse": mean_squared_error(decode(generator, encode(encoder, images)), x),
        "mean_image_mse": mean_squared_error(np.broadcast_to(mean_image, x.shape), x),
    }


@stage("measuring codes")
def code_metrics(encoder, generator, images):
    """Return the reconstruction error for other code scales, and without standardising the code.

    The article warns that E(x) must be standardised before it is decoded.

    Returns:
        Dict of floats: `reconstruction_mse/shrink_<scale>`, `reconstruction_mse/not_standardised`, and `code_mean`, the
        mean of E(x).
    """
    x, codes = to_float(np.asarray(images)), encode(encoder, images)
    metrics = {
        f"reconstruction_mse/shrink_{code_scale}": mean_squared_error(decode(generator, codes, code_scale), x)
        for code_scale in OTHER_CODE_SCALES
    }
    raw_codes = predict(encoder, x)
    metrics["reconstruction_mse/not_standardised"] = mean_squared_error(predict(generator, raw_codes), x)
    return metrics | {"code_mean": float(raw_codes.mean())}


@stage("measuring codes")
def latent_metrics(encoder, generator, latent_dim, seed, n):
    """Return `z_corr`, the mean of rho(z, E(G(z))) over n fresh latents, with both networks in inference mode."""
    z = sample_latents(n, latent_dim, seed + 1)
    code = encode(encoder, predict(generator, z))
    z = (z - z.mean(-1, keepdims=True)) / z.std(-1, keepdims=True)
    return {"z_corr": float(np.mean(z * code))}


@stage("fitting a linear probe of the codes")
def probe_metrics(encoder, train, test):
    """Return how well a linear probe reads the known factors of `toy_faces` from N(E(x)).

    Args:
        encoder: model, images -> codes.
        train: `Images` with `array`, `labels` (n, factors) and `label_names`, to fit the probe on.
        test: `Images`, to measure it on.

    Returns:
        Dict of R^2: `probe_r2/<factor>` and `probe_r2_mean`, and as a baseline `pca_r2/...` and `pca_r2_mean`, the same
        from as many principal components of the pixels as a code has entries. Left out, with a printed line, are: a
        factor in which the test images do not differ, and then the means over factors; the baseline if the training
        images are not more than these components.
    """
    differs = np.ptp(test.labels, 0) > 0
    factors = [factor for factor, varied in zip(train.label_names, differs, strict=True) if varied]
    constant = [factor for factor in train.label_names if factor not in factors]
    if constant:
        names = ", ".join(f"{name}_r2/{factor}" for name in ("probe", "pca") for factor in constant)
        print(f"not measured: {names} and the means (the {len(test.array)} test images do not differ in them)")
    if not factors:
        return {}
    codes = {"probe_r2": (encode(encoder, train.array), encode(encoder, test.array))}
    size = codes["probe_r2"][0].shape[1]
    counts = {"training images": len(train.array), "pixels in an image": int(np.prod(train.array.shape[1:]))}
    if is_enough("pca_r2", size, counts):
        codes["pca_r2"] = pca_codes(train.array, test.array, size)
    metrics = {}
    for name, (train_codes, test_codes) in codes.items():
        r2 = linear_probe_r2(train_codes, train.labels[:, differs], test_codes, test.labels[:, differs])
        if not constant:
            metrics[f"{name}_mean"] = float(r2.mean())
        metrics.update({f"{name}/{factor}": float(v) for factor, v in zip(factors, r2, strict=True)})
    return metrics


def interpolation_endpoints(images, max_rows=8):
    """Return the left and the right ends of interpolations: the first few images, and as many after them.

    A single image is both ends.
    """
    rows = max(1, min(max_rows, len(images) // 2))
    return images[:rows], images[rows : 2 * rows] if len(images) > 1 else images


def interpolations(encoder, generator, left, right, scale=1, steps=INTERPOLATION_STEPS):
    """Draw figure 6409-F3: decoded codes on the straight line between two codes, with the originals at both ends.

    Args:
        encoder: model, images -> codes.
        generator: model, latents -> images.
        left: uint8 (rows, size, size, channels), the left ends.
        right: uint8, the right ends, of the same shape.
        scale: int, factor by which the picture is enlarged (default 1).
        steps: int, number of decoded images in a row (default 8).

    Returns:
        Picture, uint8 (height, width, channels).
    """
    a, b = encode(encoder, left), encode(encoder, right)
    t = np.linspace(0, 1, steps, dtype="float32")[None, :, None]
    codes = (1 - t) * a[:, None] + t * b[:, None]
    rows = decode(generator, codes.reshape(-1, a.shape[1]))
    rows = rows.reshape(len(left), steps, *rows.shape[1:])
    return interpolation_rows(to_float(left), rows, to_float(right), scale=scale)


def reconstructions(encoder, generator, images, scale=1):
    """Draw figure 6409-F2: pairs of an original and, to its right, its reconstruction G(.9 N(E(x)))."""
    pairs = to_float(images), decode(generator, encode(encoder, images))
    return reconstruction_pairs(*pairs, columns=PAIR_COLUMNS, scale=scale)


def save_reconstructions(path, picture, images):
    """Save the picture of `reconstructions`, with its columns labelled, into a PNG.

    Args:
        path: path of the PNG.
        picture: the picture.
        images: str, what the originals are, e.g. "held-out images".
    """
    columns = ["real", "decoded"] * (PAIR_COLUMNS // 2)
    save_labelled(path, picture, f"O-GAN: {images} and their reconstructions", columns)


def save_interpolations(path, picture, images):
    """Save the picture of `interpolations`, with its columns labelled, into a PNG; see `save_reconstructions`."""
    steps = [f"{t:.2f}" for t in np.linspace(0, 1, INTERPOLATION_STEPS)]
    save_labelled(path, picture, f"O-GAN: from one code to another, between {images}", ["real", *steps, "real"])


@stage("drawing the figures")
def save_figures(run_dir, encoder, generator, images, z, rows, scale):
    """Save figures 6409-F1 to F3 of a run, its curves, and an animation of its training.

    Args:
        run_dir: path of the run directory; its `samples/step-*.png` become the animation.
        encoder: model, images -> codes.
        generator: model, latents -> images.
        images: uint8, at least one held-out image. 32 of them are drawn by lot for the figures.
        z: latents of the samples.
        rows: list of dicts, the rows of `log.csv`.
        scale: int, factor by which images are enlarged.

    Returns:
        Paths of the files, in `<run_dir>/figures/`: five, without the curves of a lost log.
    """
    images = np.asarray(fixed_random_subset(images, FIGURE_IMAGES))
    folder = Path(run_dir) / "figures"
    save_labelled(folder / "samples.png", image_grid(predict(generator, z), 9, scale=scale), "O-GAN: samples")
    pairs = reconstructions(encoder, generator, images, scale)
    save_reconstructions(folder / "reconstructions.png", pairs, "held-out images")
    codes = encode(encoder, images)
    for code_scale in SHOWN_CODE_SCALES:  # one picture each, for the slider of `make compare`
        decoded = reconstruction_pairs(to_float(images), decode(generator, codes, code_scale), PAIR_COLUMNS, scale)
        save_png(folder / f"code-scales/{code_scale:.1f}.png", decoded)
    rows_of_steps = interpolations(encoder, generator, *interpolation_endpoints(images), scale)
    save_interpolations(folder / "interpolations.png", rows_of_steps, "held-out images")
    curves = log_curves(rows, "z_corr", "critic_gap")
    if curves:  # a log that was lost leaves none
        plot_curves(folder / "curves.png", curves, "step", "mean over the batch", "O-GAN in training")
    save_training_gif(folder / "training.gif", sorted((Path(run_dir) / "samples").glob("step-*.png")))
    names = ("samples.png", "reconstructions.png", "interpolations.png", "curves.png", "training.gif")
    written = [folder / name for name in names]
    return [path for path in written if path.exists()]
