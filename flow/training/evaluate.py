"""What the three flows have in common once they are built: likelihoods on held-out data, samples, figures."""

import functools
import math
from pathlib import Path
from typing import NamedTuple

import imageio.v3 as iio
import keras
import numpy as np
from keras import ops

from common.models.inference import predict
from common.plots.charts import plot_curves
from common.plots.images import WHITE, image_grid, interpolation_rows, save_gif, save_png
from flow.layers.likelihood import UniformNoise, bits_per_dim, log_normal

BATCH = 100
predict = functools.partial(predict, batch_size=BATCH)


class FlowViews(NamedTuple):
    """One flow, looked at in three ways; all share its weights."""

    density: keras.Model  # uint8 images -> log p of the dequantised image, (n,), nats on [0, 1]^dims
    encoder: keras.Model  # uint8 images -> z
    sampler: keras.Model  # z -> images in [-1, 1]


def inference_models(flow, shape, log_prior=log_normal):
    """`Looks` at a flow from [0, 1]^shape to vectors z.

    Args:
        flow: built `flow.layers.InvertibleLayer`.
        shape: of an image, (h, w, c).
        log_prior: function of z, log density of the prior.
    """
    x = keras.Input(shape, dtype="uint8")
    pixels = ops.cast(x, "float32")
    z, log_det = flow(UniformNoise(0.0, 1.0)(pixels) / 256)
    density = keras.Model(x, log_prior(z) + log_det)
    encoder = keras.Model(x, flow((pixels + 0.5) / 256)[0])
    noise = keras.Input((math.prod(shape),))
    sampler = keras.Model(noise, 2 * ops.clip(flow.inverse(noise)[0], 0, 1) - 1)
    return FlowViews(density, encoder, sampler)


def likelihood(density, images, draws=1):
    """Log-likelihood of 8-bit images in nats and in bits per dimension, with proper dequantisation.

    Args:
        density: model from uint8 images to log p(x + u) on [0, 1]^dims, (n,), with u drawn anew in every call.
        images: uint8 (n, h, w, c).
        draws: draws of u per image; their average probability is a tighter bound (importance sampling).

    Returns:
        dict of `log_likelihood` (nats, mean over images, on [0, 1]^dims), `bits_per_dim`, and the standard error of
        the latter over images.
    """
    images = np.asarray(images)
    log_probs = np.stack([np.asarray(predict(density, images), "float64").reshape(-1) for _ in range(draws)])
    top = log_probs.max(0)
    log_prob = top + np.log(np.exp(log_probs - top).mean(0))
    dims = math.prod(images.shape[1:])
    bits = bits_per_dim(log_prob, dims)
    error = bits.std() / math.sqrt(len(bits))
    return {
        "log_likelihood": float(log_prob.mean()),
        "bits_per_dim": float(bits.mean()),
        "bits_per_dim/standard_error": float(error),
    }


def losses(trainer, images):
    """The parts of a trainer's own loss on 8-bit images, in inference mode: without the author's training noise."""
    return trainer.evaluate(images, batch_size=BATCH, verbose=0, return_dict=True)


def noise(n, dims, seed, prior="normal"):
    """Fixed draws of the prior, float32 (n, dims); a temperature multiplies them."""
    rng = np.random.default_rng([seed, 2])
    draw = rng.standard_normal if prior == "normal" else lambda shape: rng.logistic(size=shape)
    return draw((n, dims)).astype("float32")


def sample_grid(sampler, z, columns, scale):
    return image_grid(predict(sampler, z), columns, scale=scale)


def temperatures(sampler, z, stds, scale, columns=10):
    """Rows of samples from the same z, one block per standard deviation, the lowest first."""
    blocks = [sample_grid(sampler, np.float32(std) * z, columns, scale) for std in stds]
    white = np.full((4 * scale, *blocks[0].shape[1:]), WHITE, "uint8")
    return np.concatenate([part for block in blocks for part in (white, block)][1:])


def interpolations(encoder, sampler, left, right, scale=1, steps=8):
    """Rows of decoded z on the straight line between the z of two images, the originals at both ends."""
    a, b = predict(encoder, left), predict(encoder, right)
    t = np.linspace(0, 1, steps, dtype="float32")[None, :, None]
    z = (1 - t) * a[:, None] + t * b[:, None]
    rows = predict(sampler, z.reshape(-1, a.shape[1]))
    return interpolation_rows(left, rows.reshape(len(left), steps, *rows.shape[1:]), right, scale=scale)


def save_figures(run, looks, images, z, stds, std, scale, rows):
    """Writes samples, temperatures, interpolations between held-out images, curve and film; returns the paths."""
    half = max(1, min(8, len(images) // 2))
    columns = math.isqrt(len(z))
    pictures = {
        "samples.png": sample_grid(looks.sampler, np.float32(std) * z, columns, scale),
        "temperatures.png": temperatures(looks.sampler, z[:20], stds, scale),
        "interpolations.png": interpolations(looks.encoder, looks.sampler, images[:half], images[-half:], scale),
    }
    folder = Path(run) / "figures"
    for name, picture in pictures.items():
        save_png(folder / name, picture)
    curve = "bits_per_dim" if "bits_per_dim" in rows[-1] else "loss"
    series = {"training": ([r["step"] for r in rows], [r[curve] for r in rows])}
    plot_curves(folder / "curves.png", series, "step", curve.replace("_", " "))
    frames = [iio.imread(path) for path in sorted((Path(run) / "samples").glob("step-*.png"))]
    save_gif(folder / "training.gif", frames)
    return [folder / name for name in (*pictures, "curves.png", "training.gif")]
