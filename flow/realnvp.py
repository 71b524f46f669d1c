"""RealNVP: affine couplings, for points and images (article 5807, https://kexue.fm/archives/5807; arXiv 1605.08803).

python flow/realnvp.py --dataset two_moons                # a density in the plane, two minutes
python flow/realnvp.py --dataset mnist --preset quick     # checkerboards, squeeze, channels, two scales
"""

import math

from common.cli import SIZES, apply_preset, float_in, main, parser, positive_int
from common.data.toy_2d import TOYS

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


def make_parser():
    p = parser(__doc__, PLANE_PRESETS, "two_moons", toys=True, sizes=(28, *SIZES))
    p.add_argument("--couplings", type=positive_int, help="in the plane: all; images: of either kind on every level")
    p.add_argument("--layers", type=positive_int, help="hidden layers of the net in a coupling of the plane")
    p.add_argument("--width", type=positive_int, help="units or channels of the net in a coupling")
    p.add_argument("--levels", type=positive_int, help="scales of images: the sides are halved once per level")
    p.add_argument("--std", type=float_in(0, 10), help="standard deviation (temperature) of the samples' z of images")
    p.add_argument("--points", type=positive_int, help="points in the plane; a fifth of them is held out")
    p.add_argument("--learning-rate", type=float_in(1e-8, 1), help="of Adam")
    p.add_argument("--ema", type=float_in(0, 0.99999), help="momentum of averaged weights (5/(1 - ema) steps); 0: none")
    p.add_argument("--every", type=positive_int, help="steps between pictures and checkpoints")
    p.add_argument("--limit", type=positive_int, help="use only the first images of the data set")
    return p


def plane_flow(args):
    """For points (batch, 2). A shuffle could but exchange the two coordinates: Glow's rotation does more."""
    from flow.layers.actnorm import Actnorm
    from flow.layers.composite import Chain
    from flow.layers.coupling import AffineCoupling
    from flow.layers.linear import InvertibleLinear
    from flow.layers.networks import mlp

    layers = []
    for k in range(args.couplings):
        rotation = InvertibleLinear(seed=args.seed + k)
        layers += [Actnorm(), rotation, AffineCoupling(mlp(args.width, args.layers, 2), bound=1.0)]
    return Chain([*layers, Actnorm()], name="flow")


def image_flow(args, channels):
    """On every level: couplings of checkerboards, squeeze, couplings of shuffled channels; half of these then leave."""
    from flow.layers.actnorm import Actnorm
    from flow.layers.composite import Chain, MultiScale
    from flow.layers.coupling import AffineCoupling
    from flow.layers.networks import conv_net
    from flow.layers.permutations import Shuffle
    from flow.layers.preprocessing import Logit, Squeeze

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

    from common.training.single_loss import SingleLoss
    from flow.layers.likelihood import UniformNoise, bits_per_dim, log_normal

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


def run(args):
    from flow.training.run_images import run_on_images
    from flow.training.run_plane import run_in_the_plane

    apply_preset(args, make_parser(), PLANE_PRESETS if args.dataset in TOYS else IMAGE_PRESETS)
    if args.dataset in TOYS:
        return run_in_the_plane(args, ARTICLE, build, REFERENCES)
    return run_on_images(args, ARTICLE, build, REFERENCES, data_start=True)


if __name__ == "__main__":
    main(run, make_parser())
