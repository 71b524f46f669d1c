"""Walk through the latent space of a finished run, and calculate with its latents (DCGAN, arXiv 1511.06434).

    python dcgan/latent_space.py runs/dcgan/mnist-32-quick-s0
    python dcgan/latent_space.py runs/dcgan/toy_faces-32-quick-s0

Walks: each row is G along the straight line between two random latents. A network that only stores images would jump
along it. So the script measures the largest of the steps between neighbours as a share of the way.

Arithmetic, for `toy_faces`, whose factors are known: z(glasses, frown) - z(no glasses, frown) + z(no glasses, smile)
should be a smiling face with glasses. Each z is the mean over k latents whose images are of that kind. A small network,
trained on drawn faces, reads glasses and smile off an image, and counts how often the sum is right. Means are shorter
than latents, so the same sums of means of any latents are counted beside them. Writes pictures, a table and
results.json to `<RUN>/latent_space/`.
"""

from pathlib import Path

from common.cli import Parser, add_format, main
from common.flag_types import IntRange, existing_folder, nonnegative_int
from common.streams import stage

ROWS, STEPS = 8, 8  # of the picture of walks
WALKS = 64  # that are measured
EXEMPLARS = (1, 3, 10)  # k, latents in a mean; the paper has 1 and 3
DRAWN_K = 3  # of the picture
TERMS = ((1, -1), (-1, -1), (-1, 1))  # (glasses, smile) of the three means
SIGNS = (1, -1, 1)
CLEAR_SMILE = 0.3  # smile or frown of an exemplar at least; factors lie in [-1, 1]
READ = ("glasses", "smile")


def make_parser():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("run", type=existing_folder, metavar="RUN", help="run directory of dcgan/train.py, on images")
    p.add_argument("--trials", type=IntRange(1, 100_000), default=500, help="number of sums for each k (default 500)")
    p.add_argument(
        "--latents", type=IntRange(10, 1_000_000), default=5000, help="images to choose examples from (default 5000)"
    )
    p.add_argument(
        "--faces", type=IntRange(100, 1_000_000), default=20_000,
        help="drawn faces from which the network learns to read the factors (default 20000)",
    )  # fmt: skip
    p.add_argument("--seed", type=nonnegative_int, default=0, help="seed of the latents (default 0)")
    add_format(p)
    return p


def walk(left, right, steps):
    """Return latents (rows, steps, d) on the straight lines from `left` to `right`, (rows, d) each, both included."""
    import numpy as np

    t = np.linspace(0, 1, steps, dtype="float32")[None, :, None]
    return (1 - t) * left[:, None] + t * right[:, None]


def largest_step(images):
    """Return the largest step between neighbours of each walk as a share of the sum of all its steps, (rows,).

    Args:
        images: (rows, steps, ...), floats.
    """
    import numpy as np

    rows, steps = images.shape[:2]
    flat = images.reshape(rows, steps, -1).astype("float64")
    lengths = np.linalg.norm(np.diff(flat, axis=1), axis=-1)
    return lengths.max(1) / np.maximum(lengths.sum(1), 1e-12)


def factor_reader(size, faces, seed):
    """Train a small network to read the factors `READ` of drawn faces.

    Args:
        size: int, pixels.
        faces: int, number of training images.
        seed: int.

    Returns:
        Tuple (model, R^2 of each factor on held-out faces). The model maps images (n, size, size, 3) in [-1, 1] to
        factors (n, 2) in [-1, 1].
    """
    import keras
    import numpy as np
    from keras import layers

    from common.data import toy_faces
    from common.data.images import to_float
    from common.metrics.classifier import isolated_keras_state
    from common.models.inference import predict

    columns = [toy_faces.FACTORS.index(name) for name in READ]
    images, factors = toy_faces.generate(faces + faces // 10, size, [seed, 7])
    factors = factors[:, columns]
    with isolated_keras_state():
        x = h = keras.Input((size, size, 3))
        for width in (32, 64, 64):
            h = layers.Conv2D(width, 3, 2, "same", activation="relu")(h)
        h = layers.Dense(64, activation="relu")(layers.Flatten()(h))
        model = keras.Model(x, layers.Dense(len(READ), activation="tanh")(h), name="factor_reader")
        model.compile(keras.optimizers.Adam(2e-3), "mse")
        batch = min(100, faces)
        with stage(f"learning to read {' and '.join(READ)} off drawn faces"):
            model.fit(to_float(images[:faces]), factors[:faces], batch_size=batch, epochs=3, verbose=0)
        held_out = factors[faces:]
        error = predict(model, to_float(images[faces:])) - held_out
    return model, 1 - (error**2).mean(0) / np.var(held_out, 0)


def is_of(kind, factors):
    """Return which rows of factors (n, 2) are clearly of a kind (glasses, smile) with entries of -1 and 1."""
    glasses, smile = factors.T
    return (glasses * kind[0] > 0) & (smile * kind[1] > CLEAR_SMILE)


def means_of(z, rows_of, k, trials, rng):
    """Return latents (trials, 3, d): the means over k latents drawn by lot from each set of rows.

    Args:
        z: latents (n, d).
        rows_of: three arrays of rows of z, one for each of `TERMS`.
        k: int.
        trials: int.
        rng: numpy random generator.

    Returns:
        None, with a printed line, if one of the sets has less than k rows.
    """
    import numpy as np

    fewest = min(map(len, rows_of))
    if fewest < k:
        print(f"not measured: sums of means of {k} (of one kind there are {fewest} among {len(z)} images)", flush=True)
        return None
    means = [np.stack([z[rng.choice(rows, k, replace=False)].mean(0) for _ in range(trials)]) for rows in rows_of]
    return np.stack(means, 1)


def run(args):
    import numpy as np

    from common.data.images import to_float, to_uint8
    from common.experiments.tables import table
    from common.files import atomic_write, write_json
    from common.models.inference import load_model, predict
    from common.plots.images import image_grid
    from common.plots.labels import save_labelled
    from common.training.run_dir import provenance, write_results
    from common.training.run_files import read_flags

    run_dir = Path(args.run)
    flags = read_flags(run_dir, "dataset", "size")
    generator = load_model(run_dir / "generator.keras", (None,), (flags.size, flags.size, None))
    d = generator.input_shape[1]
    latents = lambda n, stream: np.random.default_rng([args.seed, stream]).standard_normal((n, d), "float32")
    output_dir, scale = run_dir / "latent_space", max(1, 64 // flags.size)

    # walks
    lines = walk(latents(WALKS, 0), latents(WALKS, 1), STEPS + 1)
    images = predict(generator, lines.reshape(-1, d))
    images = images.reshape(WALKS, STEPS + 1, *images.shape[1:])
    shares = largest_step(images)
    metrics = {"walk/largest_step": float(np.median(shares)), "walk/largest_step_of_all": float(shares.max())}
    metrics["walk/even_step"] = 1 / STEPS
    grid = image_grid(images[:ROWS].reshape(-1, *images.shape[2:]), STEPS + 1, scale=scale)
    save_labelled(output_dir / "figures/walks.png", grid, "Straight walks from latent to latent")
    text = "Largest step of a walk in {} steps, as a share of the way: {:.3f} (median), {:.3f} (largest)\n".format(
        STEPS, metrics["walk/largest_step"], metrics["walk/largest_step_of_all"]
    )

    # arithmetic
    if flags.dataset == "toy_faces":
        reader, r2 = factor_reader(flags.size, args.faces, args.seed)
        metrics |= {f"reader_r2/{name}": float(value) for name, value in zip(READ, r2, strict=True)}
        z = latents(args.latents, 2)
        read = lambda z: predict(reader, to_float(to_uint8(predict(generator, z))))
        factors = read(z)
        rates = {"random latents": _rates(factors)}
        of_kinds = [np.flatnonzero(is_of(kind, factors)) for kind in TERMS]
        of_any = [np.arange(len(z))] * len(TERMS)
        total_of = lambda means: np.einsum("s,tsd->td", SIGNS, means).astype("float32")
        for k in EXEMPLARS:
            means = means_of(z, of_kinds, k, args.trials, np.random.default_rng([args.seed, 3, k]))
            if means is None:
                continue
            total = total_of(means)
            rates[f"mean of {k} smiling faces without glasses"] = _rates(read(means[:, 2]))
            rates[f"sum of means of {k}"] = _rates(read(total))
            means_of_any = means_of(z, of_any, k, args.trials, np.random.default_rng([args.seed, 4, k]))
            rates[f"mean of any {k}"] = _rates(read(means_of_any[:, 2]))
            rates[f"sum of means of any {k}"] = _rates(read(total_of(means_of_any)))
            if k == DRAWN_K:
                _draw_sums(output_dir / "figures/arithmetic.png", generator, means[:ROWS], total[:ROWS], scale)
        metrics |= {f"{row}/{name}": value for row, rate in rates.items() for name, value in rate.items()}
        rows = {row: {name: [value] for name, value in rate.items()} for row, rate in rates.items()}
        text += "\nShare of the images that have glasses, smile, or both, as a network reads them (R^2 "
        text += f"{r2[0]:.3f} and {r2[1]:.3f}):\n\n" + table("latents", rows)

    write_json(output_dir / "config.json", provenance(args) | {"trained": str(run_dir)})
    atomic_write(output_dir / "table.md", lambda path: path.write_text(text, encoding="utf-8"))
    write_results(output_dir, metrics)
    print(text, *sorted((output_dir / "figures").iterdir()), sep="\n")


def _rates(factors):
    """Return the shares of factors (n, 2) with glasses, with a smile, and with both."""
    glasses, smile = factors[:, 0] > 0, factors[:, 1] > CLEAR_SMILE
    return {"glasses": float(glasses.mean()), "smile": float(smile.mean()), "both": float((glasses & smile).mean())}


def _draw_sums(path, generator, means, total, scale):
    """Draw a sum per row: the images of its three means, that of the sum, and the same sum of pixels."""
    import numpy as np

    from common.models.inference import predict
    from common.plots.images import image_grid
    from common.plots.labels import save_labelled

    rows, terms, d = means.shape
    images = predict(generator, means.reshape(-1, d).astype("float32"))
    images = images.reshape(rows, terms, *images.shape[1:])
    pixels = np.clip(np.einsum("s,rs...->r...", SIGNS, images), -1, 1)
    columns = np.concatenate([images, predict(generator, total)[:, None], pixels[:, None]], 1)
    grid = image_grid(columns.reshape(-1, *columns.shape[2:]), terms + 2, gutter=2, scale=scale)
    names = ["glasses", "- none", "+ smile", "= latents", "pixels"]
    save_labelled(path, grid, "Sums of latents, beside sums of pixels", names)


if __name__ == "__main__":
    main(run, make_parser())
