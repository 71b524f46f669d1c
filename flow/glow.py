"""Glow: Actnorm, mixing, coupling on several scales (article 5807, https://kexue.fm/archives/5807; arXiv 1807.03039).

python flow/glow.py --dataset celeba --preset paper       # the author's 32 px faces
python flow/glow.py --dataset mnist --preset quick        # a true likelihood in half an hour on two CPU cores
"""

import math

from common.cli import SIZES, apply_preset, float_in, main, parser, positive_int
from common.errors import UserError

ARTICLE = "flow/glow"
AUTHOR = {"noise": "article", "input": "scaled", "mixing": "shuffle", "coupling": "additive", "start": "zero"}
PROPER = {"noise": "uniform", "input": "logit", "mixing": "1x1", "coupling": "affine", "start": "data"}
PRESETS = {
    "smoke": PROPER | {"levels": 2, "depth": 1, "width": 8, "batch_size": 8, "learning_rate": 1e-3, "ema": 0.9}
    | {"std": 0.8, "steps": 6, "every": 3, "limit": 200},
    "quick": PROPER | {"levels": 2, "depth": 4, "width": 96, "batch_size": 64, "learning_rate": 2e-3, "ema": 0.999}
    | {"std": 0.8, "steps": 10_000, "every": 250},
    "paper": AUTHOR | {"levels": 3, "depth": 6, "width": 512, "batch_size": 64, "learning_rate": 1e-4, "ema": 0.0}
    | {"std": 0.9, "steps": 75_000, "every": 500},
}  # fmt: skip
REFERENCES = {"bits_per_dim/mnist": 1.05, "bits_per_dim/cifar10": 3.35, "figures": "https://kexue.fm/archives/5807"}


def make_parser():
    p = parser(__doc__, PRESETS, sizes=(28, *SIZES))
    p.add_argument("--levels", type=positive_int, help="scales: the sides are halved once per level")
    p.add_argument("--depth", type=positive_int, help="steps of a level")
    p.add_argument("--width", type=positive_int, help="channels of the net in a coupling (author: 512)")
    p.add_argument("--mixing", choices=["reverse", "shuffle", "1x1", "exp"], help="of the channels, before a coupling")
    p.add_argument("--coupling", choices=["additive", "affine"])
    p.add_argument("--start", choices=["zero", "data"], help="of Actnorm: the identity, or from the first batch")
    p.add_argument(
        "--noise", choices=["article", "uniform"],
        help="article: U(0, 1/256) on [-1, 1] in training alone; uniform: (x + U(0, 1))/256, a true density",
    )  # fmt: skip
    p.add_argument("--input", choices=["scaled", "logit"], help="pixels of [0, 1] as 2 x - 1 or as logit(x)")
    p.add_argument(
        "--alpha", type=float_in(1e-9, 0.4), default=1e-4,
        help="logit(alpha + (1 - 2 alpha) x); the paper's is .05, which digits learn from far more slowly",
    )  # fmt: skip
    p.add_argument("--std", type=float_in(0, 10), help="standard deviation (temperature) of the samples' z")
    p.add_argument("--learning-rate", type=float_in(1e-8, 1), help="of Adam")
    p.add_argument("--ema", type=float_in(0, 0.99999), help="momentum of averaged weights (5/(1 - ema) steps); 0: none")
    p.add_argument("--every", type=positive_int, help="steps between pictures and checkpoints")
    p.add_argument("--limit", type=positive_int, help="use only the first images of the data set")
    return p


def build(args, shape):
    """The flow, its wiring and the loss: returns (trainer, flow)."""
    import keras
    from keras import ops

    from common.training.single_loss import SingleLoss
    from flow.layers.actnorm import Actnorm
    from flow.layers.composite import Chain, MultiScale
    from flow.layers.coupling import AdditiveCoupling, AffineCoupling
    from flow.layers.likelihood import UniformNoise, bits_per_dim, log_normal
    from flow.layers.linear import ExpRankOneLinear, InvertibleLinear
    from flow.layers.networks import conv_net
    from flow.layers.permutations import Reverse, Shuffle
    from flow.layers.preprocessing import Logit, Rescale, Squeeze

    dims = math.prod(shape)

    # networks
    def step(channels, seed):
        mixing = {"reverse": Reverse, "shuffle": Shuffle, "1x1": InvertibleLinear, "exp": ExpRankOneLinear}[args.mixing]
        mixing = mixing() if args.mixing == "reverse" else mixing(seed=seed)
        if args.coupling == "additive":
            return [Actnorm(), mixing, AdditiveCoupling(conv_net(args.width, channels // 2))]
        return [Actnorm(), mixing, AffineCoupling(conv_net(args.width, channels), bound=3.0)]

    channels, levels = shape[-1], []
    for level in range(args.levels):
        channels *= 4
        steps = [layer for k in range(args.depth) for layer in step(channels, args.seed + 100 * level + k)]
        levels.append(Chain([Squeeze(), *steps]))
        channels //= 2
    levels[-1].layers.append(Actnorm())  # the free prior of what is left
    to_real_line = Logit(args.alpha) if args.input == "logit" else Rescale(2.0, -1.0)
    flow = Chain([to_real_line, MultiScale(levels)], name="flow")

    # wiring
    x = keras.Input(shape, dtype="uint8")
    pixels = ops.cast(x, "float32")
    if args.noise == "uniform":
        dequantized = UniformNoise(0.0, 1.0, seed=args.seed)(pixels) / 256
    else:
        dequantized = UniformNoise(0.0, 1 / 512, training_only=True, seed=args.seed)(pixels / 255)
    z, log_det = flow(dequantized)

    # loss
    def flow_loss(z, log_det):
        log_prob = log_normal(z) + log_det
        if args.noise == "article":  # whose loss is of the density on [-1, 1], and no likelihood of 8-bit images
            return {"loss": dims * math.log(2) - log_prob}
        return {"loss": -log_prob, "bits_per_dim": bits_per_dim(log_prob, dims)}

    trainer = SingleLoss(x, {"z": z, "log_det": log_det}, flow_loss)
    trainer.compile(keras.optimizers.Adam(args.learning_rate))

    return trainer, flow


def run(args):
    from flow.training.run_images import run_on_images

    apply_preset(args, make_parser(), PRESETS)
    if args.noise == "article" and args.input == "logit":
        raise UserError("the article's noise leaves [0, 1], where the logit ends: add --input scaled")
    run_on_images(args, ARTICLE, build, REFERENCES, data_start=args.start == "data")


if __name__ == "__main__":
    main(run, make_parser())
