"""Evaluation of a flow: likelihood of held-out images, samples and figures."""

import functools
import math
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from common.models import inference
from common.plots.animation import save_training_gif
from common.plots.charts import plot_curves
from common.plots.images import WHITE, image_grid, interpolation_rows, save_png
from common.plots.labels import save_labelled
from common.plots.words import in_words
from common.streams import stage
from common.training.log import log_curves
from flow.layers.likelihood import UniformNoise, bits_per_dim, log_normal

BATCH_SIZE = 100
INTERPOLATION_STEPS = 8
GAP = 4  # white pixels between two temperatures, before scaling
predict = functools.partial(inference.predict, batch_size=BATCH_SIZE)


class FlowViews(NamedTuple):
    """Three models that share the weights of one flow."""

    density: keras.Model  # uint8 images -> log p of the dequantised image, (n,), nats on [0, 1]^dims
    encoder: keras.Model  # uint8 images -> z, (n, dims)
    sampler: keras.Model  # z -> images in [-1, 1]


def inference_models(flow, shape, log_prior=log_normal):
    """Return the `FlowViews` of a flow from [0, 1]^shape to vectors z.

    Args:
        flow: built `flow.layers.InvertibleLayer`.
        shape: tuple, shape of an image (h, w, c).
        log_prior: function from z to the log density of the prior, (n,).
    """
    x = keras.Input(shape, dtype="uint8")
    pixels = ops.cast(x, "float32")
    z, log_det = flow(UniformNoise(0.0, 1.0)(pixels) / 256)
    density = keras.Model(x, log_prior(z) + log_det, name="density")
    encoder = keras.Model(x, flow((pixels + 0.5) / 256)[0], name="encoder")
    noise = keras.Input((math.prod(shape),))
    sampler = keras.Model(noise, 2 * ops.clip(flow.inverse(noise)[0], 0, 1) - 1, name="sampler")
    return FlowViews(density, encoder, sampler)


@stage("measuring bits/dim")
def likelihood(density, images, draws=1):
    """Return the log-likelihood of 8-bit images with proper dequantisation.

    Args:
        density: model from uint8 images to log p(x + u) on [0, 1]^dims, (n,), with u drawn anew in every call.
        images: uint8 array, (n, h, w, c).
        draws: int, draws of u per image. Their average probability is a tighter bound (importance sampling).

    Returns:
        Dict of `log_likelihood` (nats on [0, 1]^dims, mean over images), `bits_per_dim` (mean over images) and, of 2
        images or more, `bits_per_dim/standard_error` (over images).
    """
    images = np.asarray(images)
    log_probs = np.stack([np.asarray(predict(density, images), "float64").reshape(-1) for _ in range(draws)])
    largest = log_probs.max(0)
    log_prob = largest + np.log(np.exp(log_probs - largest).mean(0))  # log of the mean probability
    dims = math.prod(images.shape[1:])
    bits = bits_per_dim(log_prob, dims)
    means = {"log_likelihood": float(log_prob.mean()), "bits_per_dim": float(bits.mean())}
    if len(bits) < 2:
        return means
    return means | {"bits_per_dim/standard_error": float(bits.std() / math.sqrt(len(bits)))}


@stage("measuring the losses of the last step")
def losses(trainer, images):
    """Return a trainer's own loss and metrics on 8-bit images, in inference mode: without the author's training noise.

    Args:
        trainer: compiled `SingleLoss`.
        images: uint8 array, (n, h, w, c).

    Returns:
        Dict name -> float.
    """
    model = keras.Model(trainer.input, trainer.loss_function(**trainer.output), name="loss")
    return {name: float(values.mean()) for name, values in predict(model, images).items()}


def noise(n, dims, seed, prior="normal"):
    """Return fixed draws of the prior at temperature 1, float32 (n, dims).

    Args:
        n: int, number of draws.
        dims: int, length of z.
        seed: int.
        prior: "normal" or "logistic".
    """
    rng = np.random.default_rng([seed, 2])
    draw = rng.standard_normal if prior == "normal" else lambda shape: rng.logistic(size=shape)
    return draw((n, dims)).astype("float32")


def sample_grid(sampler, z, columns, scale):
    """Return a grid of the samples of z, `columns` wide, with pixels repeated `scale` times. uint8."""
    return image_grid(predict(sampler, z), columns, scale=scale)


def temperatures(sampler, z, stds, scale, columns=10):
    """Return rows of samples from the same z, one block per standard deviation, in the order of `stds`. uint8.

    Args:
        sampler: model from z to images in [-1, 1].
        z: draws of the prior, (n, dims).
        stds: list of floats that multiply z.
        scale: int, factor by which pixels are repeated.
        columns: int, samples in a row.
    """
    blocks = [sample_grid(sampler, np.float32(std) * z, columns, scale) for std in stds]
    white = np.full((GAP * scale, *blocks[0].shape[1:]), WHITE, "uint8")
    with_gaps = [part for block in blocks for part in (white, block)]
    return np.concatenate(with_gaps[1:])


def interpolations(encoder, sampler, left, right, scale=1, steps=INTERPOLATION_STEPS):
    """Return rows of decoded z on the straight line between the z of two images, the originals at both ends. uint8.

    Args:
        encoder: model from uint8 images to z.
        sampler: model from z to images in [-1, 1].
        left: uint8 images, (n, h, w, c), one per row.
        right: uint8 images of the same shape.
        scale: int, factor by which pixels are repeated.
        steps: int, points on the line, both ends included.
    """
    a, b = predict(encoder, left), predict(encoder, right)
    t = np.linspace(0, 1, steps, dtype="float32")[None, :, None]
    z = (1 - t) * a[:, None] + t * b[:, None]
    rows = predict(sampler, z.reshape(-1, a.shape[1]))
    return interpolation_rows(left, rows.reshape(len(left), steps, *rows.shape[1:]), right, scale=scale)


@stage("drawing the figures")
def save_figures(run_dir, views, images, z, stds, std, scale, rows):
    """Save samples, temperatures, interpolations between held-out images, the training curve and a GIF of the training.

    Args:
        run_dir: path of the run directory; its `samples/` are the frames of the GIF.
        views: `FlowViews`.
        images: held-out uint8 images, (n, h, w, c).
        z: draws of the prior, (m, dims), with m a square number.
        stds: list of floats, the temperatures to compare.
        std: float, the temperature of the samples.
        scale: int, factor by which pixels are repeated.
        rows: list of dicts, the rows of `log.csv`.

    Returns:
        List of the paths of the figures that were written.
    """
    n_rows = max(1, min(8, len(images) // 2))
    columns = math.isqrt(len(z))
    figures = Path(run_dir) / "figures"
    picture = sample_grid(views.sampler, np.float32(std) * z, columns, scale)
    save_labelled(figures / "samples.png", picture, f"Samples of the flow at temperature {std:g}")
    picture = temperatures(views.sampler, z[:20], stds, scale)
    rows_of_stds = [f"{value:g}" for value in stds]
    save_labelled(figures / "temperatures.png", picture, "The same z at several temperatures", rows=rows_of_stds)
    height = (len(picture) + GAP * scale) // len(stds)
    for i, name in enumerate(rows_of_stds):  # one picture each, for the slider of `make compare`
        save_png(figures / f"temperatures/{name}.png", picture[i * height : (i + 1) * height - GAP * scale])
    picture = interpolations(views.encoder, views.sampler, images[:n_rows], images[-n_rows:], scale)
    points = [f"{t:.2f}" for t in np.linspace(0, 1, INTERPOLATION_STEPS)]
    title = "Flow: from one z to another, between held-out images"
    save_labelled(figures / "interpolations.png", picture, title, ["real", *points, "real"])
    curves = log_curves(rows, "bits_per_dim", "loss")
    curve = "bits_per_dim" if "bits_per_dim" in curves else "loss"
    if curves:  # a log that was lost leaves none
        label = in_words(curve)
        plot_curves(figures / "curves.png", {"training": curves[curve]}, "step", label, f"Flow in training: {label}")
    save_training_gif(figures / "training.gif", sorted((Path(run_dir) / "samples").glob("step-*.png")))
    names = ("samples.png", "temperatures.png", "interpolations.png", "curves.png", "training.gif")
    written = [figures / name for name in names]
    return [path for path in written if path.exists()]
