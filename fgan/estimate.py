"""Estimate how far apart two sets of images or points are (article 6016, https://kexue.fm/archives/6016).

    D_f(p||q) >= E_p[T(x)] - E_q[g(T(x))]     for every critic T

python fgan/estimate.py --dataset folder:REAL --against folder:FAKES --divergence js
python fgan/estimate.py --dataset mnist --against fashion_mnist --divergence hellinger
python fgan/estimate.py --dataset two_moons --against checkerboard --divergence kl     # in the plane

The critic is trained on one split of both sets. A second split chooses the step, and a third, which the critic has
never seen, measures the bound. So the result is a lower bound of the divergence, up to the noise of the third split.
The bound on the training split is shown beside it; it is too high.
"""

import functools

from common.cli import apply_preset, dataset, float_in, main, parser, positive_int
from common.data.toy_2d import TOYS
from common.errors import UserError
from common.flag_types import sample_int, width_int
from fgan.names import NAMES

ARTICLE = "fgan/estimate"
COMMON = {"batch_size": 64, "learning_rate": 2e-4}
PRESETS = {
    "smoke": COMMON | {"size": 32, "batch_size": 8, "width": 32, "steps": 6, "every": 3, "limit": 100},
    "quick": COMMON | {"size": 32, "width": 128, "steps": 1000, "every": 50},
    "paper": COMMON | {"size": 64, "width": 512, "steps": 20_000, "every": 500},
}
PLANE = COMMON | {"batch_size": 256, "learning_rate": 1e-3, "width": 128, "size": 2}
PLANE_PRESETS = {
    "smoke": PLANE | {"width": 16, "steps": 6, "every": 3},
    "quick": PLANE | {"steps": 2000, "every": 100},
    "paper": PLANE | {"steps": 20_000, "every": 500},
}
POINTS = 20_000  # number of points of a toy in each of the three splits


def make_parser():
    p = parser(__doc__, PRESETS, toys=True)
    add = p.add_argument
    add(
        "--against", type=functools.partial(dataset, toys=TOYS), default="toy_faces",
        help="the other set, named as for --dataset (default toy_faces)",
    )  # fmt: skip
    add("--divergence", choices=NAMES, default="js", help="divergence to estimate (default js)")
    add("--width", type=width_int, help="channels of the critic's 4 x 4 feature map; for points, units per layer")
    add("--learning-rate", type=float_in(1e-8, 1), help="learning rate of Adam")
    add("--every", type=positive_int, help="number of steps between two measurements")
    add(
        "--limit",
        type=sample_int,
        help="use only N images of each set, drawn by lot (default: the preset's, else all)",
    )
    return p


def three_splits(name, args, stream):
    """Return the samples for training, for choosing the step and for measuring, in random order.

    Args:
        name: name of the data set.
        args: flags of `make_parser`.
        stream: int, random stream, another one for each of the two sets.

    Returns:
        List of three arrays, uint8 images or float32 points.

    Raises:
        UserError: if there are fewer than 4 held-out images, 2 for each split that is not trained on.
    """
    import numpy as np

    from common.data import toy_2d
    from common.data.images import load_images

    if name in TOYS:
        return [toy_2d.sample(name, POINTS, [args.seed, stream, i]) for i in range(3)]
    crop = args.crop if name.startswith("folder:") else None
    train, test = (
        load_images(name, args.size, split, args.data_dir, limit=args.limit, crop=crop).array
        for split in ("train", "test")
    )
    if len(test) < 4:
        raise UserError(
            f"{name} has too few held-out images: at least 4 are needed, half to choose the step and half to measure "
            f"the bound. Received: {len(test)}; add images, or raise --limit"
        )
    train, test = (np.random.default_rng([args.seed, stream]).permutation(images) for images in (train, test))
    return [train, test[: len(test) // 2], test[len(test) // 2 :]]


def pair_samples(p, q):
    """Return one array of pairs (p_i, q_i), concatenated along the last axis, so that a batch holds samples of both.

    Args:
        p: array (n, ...).
        q: array (m, ...).

    Returns:
        Array of min(n, m) pairs.

    Raises:
        UserError: if the samples have different shapes.
    """
    import numpy as np

    if p.shape[1:] != q.shape[1:]:
        raise UserError(f"both sets must hold samples of one shape. Received: {p.shape[1:]} and {q.shape[1:]}")
    n = min(len(p), len(q))
    return np.concatenate([p[:n], q[:n]], -1)


def build(args, shape):
    """Build the critic and compile its trainer.

    Args:
        args: flags of `make_parser`, after `apply_preset`.
        shape: shape of a sample, (size, size, channels) or (2,).

    Returns:
        (trainer, model from pairs of samples to the bound of each pair).
    """
    import keras

    from common.models.networks import build_critic
    from common.training.single_loss import SingleLoss
    from fgan.divergences import f_gan_loss, get_divergence

    critic = build_critic(shape, args.width)
    loss = f_gan_loss(get_divergence(args.divergence))
    pairs = keras.Input((*shape[:-1], 2 * shape[-1]))
    scores = {"real": critic(pairs[..., : shape[-1]]), "fake": critic(pairs[..., shape[-1] :])}

    def bound_loss(real, fake):
        return {"loss": loss.critic(real, fake), "bound": -loss.critic(real, fake)}

    trainer = SingleLoss(pairs, scores, bound_loss)
    trainer.compile(keras.optimizers.Adam(args.learning_rate, beta_1=0.5))
    return trainer, keras.Model(pairs, -loss.critic(**scores), name="bound")


def run(args):
    import numpy as np

    from common.data.images import to_float
    from common.experiments.setup import begin_run, prepare
    from common.models.inference import predict
    from common.plots.charts import plot_curves
    from common.plots.words import in_words
    from common.training.log import last_values, log_curves, train_seconds
    from common.training.loop import train
    from common.training.run_dir import write_results
    from common.training.run_files import MetricHistory

    toy = args.dataset in TOYS
    if toy != (args.against in TOYS):
        raise UserError(f"{args.dataset} and {args.against} cannot be compared: one holds points, the other images")
    apply_preset(args, make_parser(), PLANE_PRESETS if toy else PRESETS)
    prepare(args, ARTICLE)

    # data
    sets = zip(three_splits(args.dataset, args, 0), three_splits(args.against, args, 1), strict=True)
    training, stopping, measuring = (pair_samples(p, q) for p, q in sets)
    run_dir, devices = begin_run(args, ARTICLE, training)
    shape = (*training.shape[1:-1], training.shape[-1] // 2)
    with devices:
        trainer, model = build(args, shape)

    # {step: [bound on the second split, bound on the third, its standard error]}
    history = MetricHistory(run_dir / "bounds.json")
    as_float = (lambda x: x) if toy else to_float

    def measure(step):
        stopping_values, values = (predict(model, as_float(split)).astype("float64") for split in (stopping, measuring))
        standard_error = float(values.std() / np.sqrt(len(values)))
        history.record(step, [float(stopping_values.mean()), float(values.mean()), standard_error])

    rows = train(
        trainer, training, run_dir, batch_size=args.batch_size, steps=args.steps, save_every=args.every, seed=args.seed,
        on_interval=measure, devices=devices,
    )  # fmt: skip

    # the second split chooses the step, the third measures the bound there
    history.complete(args.steps, measure)
    bounds = history.values
    best_step = max(bounds, key=lambda step: bounds[step][0])
    _, bound, standard_error = bounds[best_step]
    metrics = {
        "bound": bound,
        "standard_error": standard_error,
        "best_step": int(best_step),
        "bound/last_step": bounds[str(args.steps)][1],
        **{f"{name}/training": value for name, value in last_values(rows, "bound").items()},
        **train_seconds(rows),
        "steps": args.steps,
    }
    series = {
        "held out": ([int(step) for step in bounds], [held_out for _, held_out, _ in bounds.values()]),
    }
    if curves := log_curves(rows, "bound"):
        series["training"] = curves["bound"]
    title = f"{in_words(args.divergence)} of {in_words(args.dataset)} from {in_words(args.against)}"
    plot_curves(run_dir / "figures/bound.png", series, "step", "bound of the divergence", title)
    write_results(run_dir, metrics, {"article": "https://kexue.fm/archives/6016"})
    print(f"{title}: at least {bound:.4f} +- {standard_error:.4f}")
    print(*(f"{name:20s}{value:.4g}" for name, value in metrics.items()), sep="\n")
    print("pictures:", run_dir / "figures/bound.png", sep="\n  ")


if __name__ == "__main__":
    main(run, make_parser())
