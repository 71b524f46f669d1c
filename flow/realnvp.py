"""RealNVP: affine or spline couplings on points and images (article 5807, https://kexue.fm/archives/5807; 1605.08803).

python flow/realnvp.py --dataset 25gaussians              # a density in the plane, two minutes
python flow/realnvp.py --dataset mnist --preset quick     # checkerboards, squeeze, channels, two scales
"""

import math

from common.cli import SIZES, apply_preset, float_in, main, parser, positive_int
from common.data.toy_2d import TOYS
from common.flag_types import IntRange, count_int, sample_int, width_int
from common.parsers import add_export_flag, refuse

ARTICLE = "flow/realnvp"
PLANE = {"size": 2, "coupling": "spline", "schedule": "cosine", "layers": 2, "levels": 1, "bins": 16}
PLANE |= {"ema": 0.0}
PLANE_PRESETS = {
    "smoke": PLANE | {"couplings": 2, "width": 16, "steps": 6, "every": 3, "points": 500, "batch_size": 64}
    | {"learning_rate": 1e-3},
    "quick": PLANE | {"couplings": 8, "width": 64, "batch_size": 512, "learning_rate": 5e-3}
    | {"steps": 6000, "every": 500, "points": 50_000},
    # keras.io's example, because the article shows no density in the plane
    "paper": PLANE | {"coupling": "affine", "schedule": "constant", "couplings": 6, "layers": 4, "width": 256}
    | {"batch_size": 256, "learning_rate": 1e-4, "steps": 2700, "every": 90, "points": 3000},
}  # fmt: skip
IMAGES = {"coupling": "affine", "couplings": 3, "layers": 3, "levels": 2, "batch_size": 64, "learning_rate": 1e-3}
IMAGES |= {"bins": 8, "ema": 0.998, "std": 0.8, "schedule": "constant"}
IMAGE_PRESETS = {
    "smoke": IMAGES | {"couplings": 1, "width": 8, "batch_size": 8, "ema": 0.9, "steps": 6, "every": 3, "limit": 200},
    "quick": IMAGES | {"width": 48, "steps": 8000, "every": 250},
    "paper": IMAGES | {"width": 128, "levels": 3, "steps": 200_000, "every": 1000},
}
REFERENCES = {"bits_per_dim/mnist": 1.06, "bits_per_dim/cifar10": 3.49, "nats/two_moons": 1.299}


def make_parser():
    """Return the parser of this script's flags."""
    p = parser(__doc__, IMAGE_PRESETS, "two_moons", toys=True, sizes=(28, *SIZES), plane_presets=PLANE_PRESETS)
    add_export_flag(p)
    p.add_argument("--couplings", type=count_int, help="in the plane: couplings in all; images: per kind and level")
    p.add_argument(
        "--coupling", choices=["affine", "spline"], help="kind of coupling: the paper's, or a spline (arXiv 1906.04032)"
    )
    p.add_argument("--bins", type=IntRange(2, 64), help="pieces of the curve of a spline coupling")
    p.add_argument("--layers", type=count_int, help="in the plane: hidden layers of the net in a coupling")
    p.add_argument("--width", type=width_int, help="units or channels of the net in a coupling")
    p.add_argument("--levels", type=count_int, help="images: number of scales; each halves height and width")
    p.add_argument("--std", type=float_in(0, 10), help="images: standard deviation (temperature) of the samples' z")
    p.add_argument("--points", type=sample_int, help="in the plane: number of points; a fifth of them is held out")
    p.add_argument("--learning-rate", type=float_in(1e-8, 1), help="learning rate of Adam")
    p.add_argument(
        "--schedule", choices=["constant", "cosine"], help="the learning rate stays, or falls to 0 along half a cosine"
    )
    p.add_argument("--ema", type=float_in(0, 0.99999), help="momentum of averaged weights (5/(1 - ema) steps); 0: none")
    p.add_argument("--every", type=positive_int, help="steps between pictures and checkpoints")
    p.add_argument("--limit", type=sample_int, help="use only N images of the data set, drawn by lot")
    return p


def plane_flow(args):
    """Return the flow for points, (batch, 2). Its first Actnorm starts as what standardises the training points.

    Spline couplings change the coordinates by turns. Between affine ones Glow's InvertibleLinear, which starts as a
    rotation, mixes them.
    """
    from flow import layers
    from flow.layers.networks import mlp, uniform_mlp

    steps = []
    for k in range(args.couplings):
        if args.coupling == "spline":
            net = mlp(args.width, args.layers, 3 * args.bins - 1)
            steps += [layers.Actnorm(), layers.SplineCoupling(net, swap=k % 2 == 1, bins=args.bins)]
        else:
            net, rotation = uniform_mlp(1, args.width, args.layers, 2), layers.InvertibleLinear(seed=args.seed + k)
            steps += [layers.Actnorm(), rotation, layers.AffineCoupling(net, bound=1.0)]
    return layers.Chain([*steps, layers.Actnorm()], name="flow")


def image_flow(args, channels):
    """Return the flow for images with that many channels.

    Every level has couplings on checkerboards, a squeeze, and couplings on shuffled channels. Then half of the channels
    leave.
    """
    from flow import layers
    from flow.layers.networks import conv_net

    def coupling(channels, split="halves", swap=False):
        if args.coupling == "spline":
            net = conv_net(args.width, (3 * args.bins - 1) * channels)
            return layers.SplineCoupling(net, split, swap, bins=args.bins)
        return layers.AffineCoupling(conv_net(args.width, 2 * channels), split, swap, bound=3.0)

    levels = []
    for level in range(args.levels):
        steps = []
        for k in range(args.couplings):
            steps += [layers.Actnorm(), coupling(channels, "checkerboard", swap=k % 2 == 1)]
        steps.append(layers.Squeeze())
        channels *= 4
        for k in range(args.couplings):
            shuffle = layers.Shuffle(seed=args.seed + 100 * level + k)
            steps += [layers.Actnorm(), shuffle, coupling(channels // 2)]
        if level == args.levels - 1:
            steps.append(layers.Actnorm())  # mean and scale of the prior of the remaining channels
        levels.append(layers.Chain(steps))
        channels //= 2
    return layers.Chain([layers.Logit(1e-4), layers.MultiScale(levels)], name="flow")


def build(args, shape):
    """Build RealNVP, its wiring and its loss.

    Args:
        args: flags, with the preset applied.
        shape: tuple, (2,) for points or (h, w, c) for images.

    Returns:
        (trainer, flow): a compiled `SingleLoss` on float32 points or 8-bit images, and the flow from points or
        [0, 1]^shape to z, (batch, dims).
    """
    import keras
    from keras import ops

    from common import backend
    from common.training.single_loss import SingleLoss
    from flow.layers.likelihood import UniformNoise, bits_per_dim, log_normal
    from flow.training.schedule import learning_rate

    in_plane = args.dataset in TOYS
    dims = math.prod(shape)

    # networks
    flow = plane_flow(args) if in_plane else image_flow(args, shape[-1])

    # wiring: points as they are, 8-bit images with dequantisation noise
    if in_plane:
        x = keras.Input(shape)
        z, log_det = flow(x)
    else:
        x = keras.Input(shape, dtype="uint8")
        z, log_det = flow(UniformNoise(0.0, 1.0, seed=args.seed)(ops.cast(x, "float32")) / 256)

    # loss: minus the log-likelihood
    def flow_loss(z, log_det):
        log_prob = log_normal(z) + log_det
        if in_plane:
            return {"loss": -log_prob}
        return {"loss": -log_prob, "bits_per_dim": bits_per_dim(log_prob, dims)}

    trainer = SingleLoss(x, {"z": z, "log_det": log_det}, flow_loss)
    # a point between two sharp modes has a gradient thousands of times the usual
    clip = 1.0 if in_plane else None
    jit = backend.jit_for_small_operations() if in_plane and args.coupling == "spline" else "auto"
    trainer.compile(keras.optimizers.Adam(learning_rate(args), global_clipnorm=clip), jit_compile=jit)
    return trainer, flow


def run(args):
    """Train and evaluate RealNVP as the flags say."""
    from flow.training.run_images import default_size, run_on_images
    from flow.training.run_plane import run_in_the_plane

    in_plane = args.dataset in TOYS
    if in_plane:
        refuse(args, ["levels", "std", "limit"], "is for images; the plane has --points")
    else:
        refuse(args, ["layers", "points"], "is for points of the plane")
    given = args.bins is not None
    apply_preset(args, make_parser(), PLANE_PRESETS if in_plane else IMAGE_PRESETS, size=default_size)
    if given and args.coupling == "affine":
        refuse(args, ["bins"], "is for --coupling spline")
    if in_plane:
        return run_in_the_plane(args, ARTICLE, build, REFERENCES)
    return run_on_images(args, ARTICLE, build, REFERENCES, data_dependent_init=True)


if __name__ == "__main__":
    main(run, make_parser())
