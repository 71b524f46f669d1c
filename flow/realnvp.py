"""RealNVP: affine couplings, for points and images (article 5807, https://kexue.fm/archives/5807; arXiv 1605.08803).

python flow/realnvp.py --dataset two_moons                # a density in the plane, two minutes
python flow/realnvp.py --dataset mnist --preset quick     # checkerboards, squeeze, channels, two scales
"""

import math

from common.cli import SIZES, main, parser, positive_int, real_in, resolve
from common.toys import TOYS

ARTICLE = "flow/realnvp"
PLANE = {"couplings": 8, "layers": 2, "width": 128, "levels": 1, "batch_size": 256, "learning_rate": 1e-3, "ema": 0.998}
PLANE_PRESETS = {
    "smoke": PLANE | {"couplings": 2, "width": 16, "steps": 6, "every": 3, "points": 500, "batch_size": 64},
    "quick": PLANE | {"steps": 4000, "every": 200, "points": 3000},
    # keras.io's example: the article shows no density in the plane
    "paper": PLANE | {"couplings": 6, "layers": 4, "width": 256, "learning_rate": 1e-4, "ema": 0.0}
    | {"steps": 2700, "every": 90, "points": 3000},
}  # fmt: skip
IMAGES = {"couplings": 3, "layers": 3, "levels": 2, "batch_size": 64, "learning_rate": 1e-3, "ema": 0.998, "std": 0.8}
IMAGE_PRESETS = {
    "smoke": IMAGES | {"couplings": 1, "width": 8, "batch_size": 8, "ema": 0.9, "steps": 6, "every": 3, "limit": 200},
    "quick": IMAGES | {"width": 48, "steps": 8000, "every": 250},
    "paper": IMAGES | {"width": 128, "levels": 3, "steps": 200_000, "every": 1000},
}
REFERENCES = {"bits_per_dim/mnist": 1.06, "bits_per_dim/cifar10": 3.49, "nats/two_moons": 1.299}


def flags():
    p = parser(__doc__, PLANE_PRESETS, "two_moons", toys=True, sizes=(28, *SIZES))
    p.add_argument("--couplings", type=positive_int, help="in the plane: all; images: of either kind on every level")
    p.add_argument("--layers", type=positive_int, help="hidden layers of the net in a coupling of the plane")
    p.add_argument("--width", type=positive_int, help="units or channels of the net in a coupling")
    p.add_argument("--levels", type=positive_int, help="scales of images: the sides are halved once per level")
    p.add_argument("--std", type=real_in(0, 10), help="standard deviation (temperature) of the samples' z of images")
    p.add_argument("--points", type=positive_int, help="points in the plane; a fifth of them is held out")
    p.add_argument("--learning-rate", type=real_in(1e-8, 1), help="of Adam")
    p.add_argument("--ema", type=real_in(0, 0.99999), help="momentum of averaged weights (5/(1 - ema) steps); 0: none")
    p.add_argument("--every", type=positive_int, help="steps between pictures and checkpoints")
    p.add_argument("--limit", type=positive_int, help="use only the first images of the data set")
    return p


def plane_flow(args):
    """For points (batch, 2). A shuffle could but exchange the two coordinates: Glow's rotation does more."""
    from flow.compose import Chain
    from flow.layers import Actnorm, AffineCoupling
    from flow.mixing import InvertibleDense
    from flow.networks import mlp

    layers = []
    for k in range(args.couplings):
        rotation = InvertibleDense(seed=args.seed + k)
        layers += [Actnorm(), rotation, AffineCoupling(mlp(args.width, args.layers, 2), bound=1.0)]
    return Chain([*layers, Actnorm()], name="flow")


def image_flow(args, channels):
    """On every level: couplings of checkerboards, squeeze, couplings of shuffled channels; half of these then leave."""
    from flow.compose import Chain, MultiScale
    from flow.fixed import Logit, Squeeze
    from flow.layers import Actnorm, AffineCoupling, Shuffle
    from flow.networks import conv_net

    levels = []
    for level in range(args.levels):
        layers = []
        for k in range(args.couplings):
            net = conv_net(args.width, 2 * channels)
            layers += [Actnorm(), AffineCoupling(net, "checkerboard", swap=k % 2 == 1, bound=3.0)]
        layers.append(Squeeze())
        channels *= 4
        for k in range(args.couplings):
            shuffle = Shuffle(seed=args.seed + 100 * level + k)
            layers += [Actnorm(), shuffle, AffineCoupling(conv_net(args.width, channels), bound=3.0)]
        last = level == args.levels - 1
        levels.append(Chain([*layers, Actnorm()] if last else layers))
        channels //= 2
    return Chain([Logit(1e-4), MultiScale(levels)], name="flow")


def build(args, shape):
    """The flow, its wiring and the loss: returns (trainer, flow). Points are float32 (n, 2), images are 8-bit."""
    import keras
    from keras import ops

    from common.single_loss import SingleLoss
    from flow.density import UniformNoise, bits_per_dim, log_normal

    dims = math.prod(shape)
    flow = plane_flow(args) if args.dataset in TOYS else image_flow(args, shape[-1])

    # wiring
    if args.dataset in TOYS:
        x = keras.Input(shape)
        z, log_det = flow(x)
    else:
        x = keras.Input(shape, dtype="uint8")
        z, log_det = flow(UniformNoise(0.0, 1.0, seed=args.seed)(ops.cast(x, "float32")) / 256)

    # loss
    def flow_loss(z, log_det):
        log_prob = log_normal(z) + log_det
        if args.dataset in TOYS:
            return {"loss": -log_prob}
        return {"loss": -log_prob, "bits_per_dim": bits_per_dim(log_prob, dims)}

    trainer = SingleLoss(x, {"z": z, "log_det": log_det}, flow_loss)
    # a point that falls between sharp modes has a gradient like no other
    clip = 1.0 if args.dataset in TOYS else None
    trainer.compile(keras.optimizers.Adam(args.learning_rate, global_clipnorm=clip))
    return trainer, flow


def run_in_the_plane(args):
    """Trains on points whose true density is known, and measures how far from it the flow stays."""
    import keras
    import numpy as np

    from common import toys
    from common.batches import Batches
    from common.ema import WeightEMA
    from common.planes import grid_points, planes
    from common.runs import open_run, write_results, write_whole
    from common.training import train
    from flow import evaluate
    from flow.density import log_normal
    from flow.experiment import prepare

    prepare(args)
    args.size = 2
    held_out = toys.sample(args.dataset, max(1, args.points // 5), [args.seed, 1])
    points = toys.sample(args.dataset, args.points - len(held_out), [args.seed, 0])
    Batches(points, args.batch_size)  # too few points: said before a run directory is made
    where = open_run(args, ARTICLE, len(points))

    trainer, flow = build(args, (2,))
    flow.start(points)
    model = keras.Model(x := keras.Input((2,)), flow(x))
    averages = WeightEMA([model], args.ema) if args.ema else None
    flow = (averages.models[0] if averages else model).get_layer("flow")
    z, log_det = flow(x)
    density = keras.Model(x, log_normal(z) + log_det)
    sampler = keras.Model(x, flow.inverse(x)[0])

    # figures on the way: the true density, ours, and samples
    side = 1.05 * float(np.abs(points).max())
    extent = (-side, side, -side, side)
    grid, m = grid_points(extent, 300), 300
    true = np.exp(toys.log_density(args.dataset, grid)).reshape(m, m)
    noise = evaluate.noise(len(points), 2, args.seed)

    def pictures(step, path=None):
        learned = np.exp(evaluate.predict(density, grid)).reshape(m, m)
        panels = {"true density": true, "learned density": learned, "samples": evaluate.predict(sampler, noise)}
        planes(path or where / f"samples/step-{step:07d}.png", panels, extent)

    steps = args.steps or args.epochs * (len(points) // args.batch_size)
    how = {"batch_size": args.batch_size, "steps": steps, "every": args.every, "seed": args.seed}
    rows = train(trainer, points, where, pictures=pictures, averages=averages, **how)

    # what came out: nats of points never seen, and of fresh ones without end
    write_whole(where / "flow.keras", model.save)
    fresh = toys.sample(args.dataset, 20_000, [args.seed, 2])
    nats = lambda data: -evaluate.predict(density, data).astype("float64")
    metrics = {
        "nats/training": float(nats(points).mean()),
        "nats/held_out": float(nats(held_out).mean()),
        "nats/fresh": float(nats(fresh).mean()),
        "entropy": toys.entropy(args.dataset),
        # KL(data || flow), with the same draw in both terms
        "kl": float((toys.log_density(args.dataset, fresh) + nats(fresh)).mean()),
        "parameters": flow.count_params(),
        "train_seconds": rows[-1]["seconds"],
        "steps": steps,
    }
    pictures(steps, where / "figures/density.png")
    write_results(where, metrics, REFERENCES)
    print(*(f"{name:20s}{value:.6g}" for name, value in metrics.items()), sep="\n")
    print("pictures:", where / "figures/density.png", sep="\n  ")


def run(args):
    from flow.experiment import run_on_images

    resolve(args, flags(), PLANE_PRESETS if args.dataset in TOYS else IMAGE_PRESETS)
    if args.dataset in TOYS:
        return run_in_the_plane(args)
    return run_on_images(args, ARTICLE, build, REFERENCES, data_start=True)


if __name__ == "__main__":
    main(run, flags())
