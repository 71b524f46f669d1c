"""How far apart are two sets of images, or of points? A critic measures it (article 6016, https://kexue.fm/archives/6016).

    D_f(p||q) >= E_p[T(x)] - E_q[g(T(x))]     for every critic T

python fgan/estimate.py --dataset folder:REAL --against folder:FAKES --divergence js
python fgan/estimate.py --dataset mnist --against fashion_mnist --divergence hellinger
python fgan/estimate.py --dataset two_moons --against checkerboard --divergence kl     # in the plane

The critic is trained on one part of both sets, stopped by a second, and measured on a third that it has never seen: a
lower bound of the divergence, but for the noise of that third part. What it says of its training part is shown beside
it, and is too high.
"""

import functools

from common.cli import apply_preset, dataset, float_in, main, parser, positive_int
from common.data.toy_2d import TOYS
from common.errors import UserError
from fgan.names import NAMES

ARTICLE = "fgan/estimate"
COMMON = {"batch_size": 64, "learning_rate": 2e-4}
PRESETS = {
    "smoke": COMMON | {"size": 32, "batch_size": 8, "width": 32, "steps": 6, "every": 3, "limit": 100},
    "quick": COMMON | {"size": 32, "width": 128, "steps": 1000, "every": 50},
    "paper": COMMON | {"size": 64, "width": 512, "steps": 20_000, "every": 500},
}
PLANE = COMMON | {"batch_size": 256, "learning_rate": 1e-3, "width": 128, "size": None}
PLANE_PRESETS = {
    "smoke": PLANE | {"width": 16, "steps": 6, "every": 3},
    "quick": PLANE | {"steps": 2000, "every": 100},
    "paper": PLANE | {"steps": 20_000, "every": 500},
}
POINTS = 20_000  # of a toy in each of the three parts


def make_parser():
    p = parser(__doc__, PRESETS, toys=True)
    p.add_argument("--against", type=functools.partial(dataset, toys=TOYS), default="toy_faces", help="the other set")
    p.add_argument("--divergence", choices=NAMES, default="js")
    p.add_argument("--width", type=positive_int, help="channels of the critic's 4 x 4 image")
    p.add_argument("--learning-rate", type=float_in(1e-8, 1), help="of Adam")
    p.add_argument("--every", type=positive_int, help="steps between two measurements")
    p.add_argument("--limit", type=positive_int, help="use only the first images of each set")
    return p


def three_splits(name, args, stream):
    """Samples to train on, to stop by and to measure on, in an order of their own: uint8 images, or float32 points."""
    import numpy as np

    from common.data import toy_2d
    from common.data.images import load_images

    if name in TOYS:
        return [toy_2d.sample(name, POINTS, [args.seed, stream, i]) for i in range(3)]
    splits = ("train", "test")
    train, test = (load_images(name, args.size, split, args.data_dir, limit=args.limit).array for split in splits)
    train, test = (np.random.default_rng([args.seed, stream]).permutation(x) for x in (train, test))
    return [train, test[: len(test) // 2], test[len(test) // 2 :]]


def pair_samples(p, q):
    """One array whose last axis holds a sample of each, as many as there are of both: a batch of it is one of both."""
    import numpy as np

    if p.shape[1:] != q.shape[1:]:
        raise UserError(f"the two sets must hold samples of one shape, not {p.shape[1:]} and {q.shape[1:]}")
    n = min(len(p), len(q))
    return np.concatenate([p[:n], q[:n]], -1)


def build(args, shape):
    """The critic and its loss: returns (trainer, model from both samples to the bound of each pair)."""
    import keras

    from common.models.networks import build_critic
    from common.training.single_loss import SingleLoss
    from fgan.divergences import f_gan_loss, get_divergence

    critic = build_critic(shape, args.width)
    loss = f_gan_loss(get_divergence(args.divergence))
    both = keras.Input((*shape[:-1], 2 * shape[-1]))
    scores = {"real": critic(both[..., : shape[-1]]), "fake": critic(both[..., shape[-1] :])}

    def bound(real, fake):
        return {"loss": loss.critic(real, fake), "bound": -loss.critic(real, fake)}

    trainer = SingleLoss(both, scores, bound)
    trainer.compile(keras.optimizers.Adam(args.learning_rate, beta_1=0.5))
    return trainer, keras.Model(both, -loss.critic(**scores))


def run(args):
    import numpy as np

    from common.data.images import to_float
    from common.experiments.setup import begin_run, set_precision_and_seed
    from common.files import read_json, write_json
    from common.models.inference import predict
    from common.plots.charts import plot_curves
    from common.training.loop import train
    from common.training.run_dir import write_results

    toy = args.dataset in TOYS
    if toy != (args.against in TOYS):
        raise UserError(f"{args.dataset} and {args.against} cannot be compared: points of the plane with images")
    apply_preset(args, make_parser(), PLANE_PRESETS if toy else PRESETS)
    set_precision_and_seed(args)

    # data
    sets = zip(three_splits(args.dataset, args, 0), three_splits(args.against, args, 1), strict=True)
    training, stopping, measuring = (pair_samples(p, q) for p, q in sets)
    args.size = args.size or 2
    run_dir, devices = begin_run(args, ARTICLE, training)
    shape = (*training.shape[1:-1], training.shape[-1] // 2)
    with devices:
        trainer, model = build(args, shape)

    # the bound on both parts that are held out, at each stretch
    path = run_dir / "bounds.json"
    bounds = read_json(path) if path.exists() else {}
    as_float = (lambda x: x) if toy else to_float

    def measure(step):
        values = [predict(model, as_float(part)).astype("float64") for part in (stopping, measuring)]
        error = float(values[1].std() / np.sqrt(len(values[1])))
        bounds[str(step)] = [*(float(v.mean()) for v in values), error]
        write_json(path, bounds)

    rows = train(
        trainer, training, run_dir, batch_size=args.batch_size, steps=args.steps, every=args.every, seed=args.seed,
        on_interval=measure,
    )  # fmt: skip

    # what came out: the step is chosen by one part, the bound measured on the other
    measured_at = [int(step) for step in bounds]
    best = max(bounds, key=lambda step: bounds[step][0])
    _, bound, error = bounds[best]
    metrics = {"bound": bound, "standard_error": error, "bound/training": rows[-1]["bound"], "best_step": int(best)}
    metrics |= {
        "bound/last_step": bounds[str(args.steps)][1],
        "train_seconds": rows[-1]["seconds"],
        "steps": args.steps,
    }
    series = {
        "held out": (measured_at, [bounds[str(step)][1] for step in measured_at]),
        "training": ([row["step"] for row in rows], [row["bound"] for row in rows]),
    }
    title = f"{args.divergence} of {args.dataset} from {args.against}"
    plot_curves(run_dir / "figures/bound.png", series, "step", "bound of the divergence", title)
    write_results(run_dir, metrics, {"article": "https://kexue.fm/archives/6016"})
    print(f"{title}: at least {bound:.4f} +- {error:.4f}")
    print(*(f"{name:20s}{value:.4g}" for name, value in metrics.items()), sep="\n")
    print("pictures:", run_dir / "figures/bound.png", sep="\n  ")


if __name__ == "__main__":
    main(run, make_parser())
