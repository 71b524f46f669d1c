"""What an O-GAN's two networks can do: the article's three figures and the numbers behind them."""

from pathlib import Path

import imageio.v3 as iio
import numpy as np

from common.data.images import to_float
from common.metrics.pca import pca_codes
from common.models.inference import predict
from common.plots.charts import plot_curves
from common.plots.images import image_grid, interpolation_rows, reconstruction_pairs, save_gif, save_png
from ogan.codes import linear_probe_r2, mean_squared_error

CODE_SCALE = 0.9  # the author multiplies the standardised code by this before decoding
SHRINKS = (1.0, 0.8, 0.7, 0.6, 0.5)  # and what would become of it with others


def encode(encoder, images):
    """N(E(x)) of uint8 or float images, (n, latent_dim): the code, free of the critic's mean and scale."""
    as_float = to_float if images.dtype == np.uint8 else np.asarray
    codes = np.concatenate([predict(encoder, as_float(images[i : i + 2048])) for i in range(0, len(images), 2048)])
    codes = codes - codes.mean(-1, keepdims=True)
    return codes / np.maximum(codes.std(-1, keepdims=True), 1e-6)


def decode(generator, codes, shrink=CODE_SCALE):
    """G(0.9 N(E(x))): images (n, size, size, channels) in [-1, 1] from standardised codes."""
    return predict(generator, np.asarray(shrink * codes, "float32"))


def sample_latents(n, latent_dim, seed):
    return np.random.default_rng([seed, 2]).standard_normal((n, latent_dim), dtype="float32")


def reconstruction_metrics(encoder, generator, images, mean_image):
    """`reconstruction_mse` of G(.9 N(E(x))) and `mean_image_mse`, the same images against the training mean.

    Both average over images, pixels and colours, with pixels in [-1, 1].
    """
    x = to_float(np.asarray(images))
    return {
        "reconstruction_mse": mean_squared_error(decode(generator, encode(encoder, images)), x),
        "mean_image_mse": mean_squared_error(np.broadcast_to(mean_image, x.shape), x),
    }


def code_metrics(encoder, generator, images):
    """What becomes of `reconstruction_mse` with another shrink, and with E(x) decoded as it is (trap of 6409)."""
    x, codes = to_float(np.asarray(images)), encode(encoder, images)
    metrics = {f"reconstruction_mse/shrink_{s}": mean_squared_error(decode(generator, codes, s), x) for s in SHRINKS}
    raw = predict(encoder, x)
    metrics["reconstruction_mse/not_standardised"] = mean_squared_error(predict(generator, raw), x)
    return metrics | {"code_mean": float(raw.mean())}


def latent_metrics(encoder, generator, latent_dim, seed, n):
    """`z_corr`, the mean of rho(z, E(G(z))) on fresh z, networks in inference mode."""
    z = sample_latents(n, latent_dim, seed + 1)
    code = encode(encoder, predict(generator, z))
    z = (z - z.mean(-1, keepdims=True)) / z.std(-1, keepdims=True)
    return {"z_corr": float(np.mean(z * code))}


def probe_metrics(encoder, train, test):
    """Linear-probe R^2 of the known factors of `toy_faces` from N(E(x)), and from as many principal components."""
    codes = encode(encoder, train.array), encode(encoder, test.array)
    components = pca_codes(train.array, test.array, codes[0].shape[1])
    metrics = {}
    for name, (a, b) in {"probe_r2": codes, "pca_r2": components}.items():
        r2 = linear_probe_r2(a, train.labels, b, test.labels)
        metrics[f"{name}_mean"] = float(r2.mean())
        metrics.update({f"{name}/{factor}": float(v) for factor, v in zip(train.label_names, r2, strict=True)})
    return metrics


def interpolation_endpoints(images, most=8):
    """The ends of interpolations: the first few images and as many after them; one alone is both ends."""
    half = max(1, min(most, len(images) // 2))
    return images[:half], images[half : 2 * half] if len(images) > 1 else images


def interpolations(encoder, generator, left, right, scale=1, steps=8):
    """6409-F3: rows of decoded codes on the straight line between two codes, with the originals at both ends."""
    a, b = encode(encoder, left), encode(encoder, right)
    t = np.linspace(0, 1, steps, dtype="float32")[None, :, None]
    codes = (1 - t) * a[:, None] + t * b[:, None]
    rows = decode(generator, codes.reshape(-1, a.shape[1]))
    rows = rows.reshape(len(left), steps, *rows.shape[1:])
    return interpolation_rows(to_float(left), rows, to_float(right), scale=scale)


def reconstructions(encoder, generator, images, scale=1):
    """6409-F2: originals in the even columns, G(.9 N(E(x))) to their right."""
    return reconstruction_pairs(to_float(images), decode(generator, encode(encoder, images)), scale=scale)


def save_figures(run, encoder, generator, images, z, rows, scale):
    """Writes 6409-F1..F3 for a run, its curves and the film of its training; returns the paths."""
    images = np.asarray(images)
    pictures = {
        "samples.png": image_grid(predict(generator, z), 9, scale=scale),
        "reconstructions.png": reconstructions(encoder, generator, images[:32], scale),
        "interpolations.png": interpolations(encoder, generator, *interpolation_endpoints(images), scale),
    }
    folder = Path(run) / "figures"
    for name, picture in pictures.items():
        save_png(folder / name, picture)
    series = {name: ([r["step"] for r in rows], [r[name] for r in rows]) for name in ("z_corr", "critic_gap")}
    plot_curves(folder / "curves.png", series, "step", "mean over the batch", "O-GAN in training")
    frames = [iio.imread(path) for path in sorted((Path(run) / "samples").glob("step-*.png"))]
    save_gif(folder / "training.gif", frames)
    return [folder / name for name in (*pictures, "curves.png", "training.gif")]
