"""Glow: Actnorm, mixing, coupling on several scales (article 5807, https://kexue.fm/archives/5807; arXiv 1807.03039).

python flow/glow.py --dataset celeba --preset paper       # the author's 32 px faces
python flow/glow.py --dataset mnist --preset quick        # a true likelihood in half an hour on two CPU cores
python flow/glow.py --dataset lfw --preset quick          # photos: levels 4, depth 6, width 64, 6,000 steps
"""

import math

from common.cli import SIZES, apply_preset, float_in, main, parser, positive_int
from common.errors import UserError
from common.flag_types import count_int, sample_int, width_int
from common.parsers import add_export_flag, refuse

ARTICLE = "flow/glow"
# the author's options, whose loss is no likelihood of 8-bit images
AUTHOR = {"noise": "article", "input": "scaled", "mixing": "shuffle", "coupling": "additive", "start": "zero"}
AUTHOR |= {"alpha": 1e-4, "schedule": "constant"}  # alpha: of --input logit
# proper dequantisation: a true likelihood
PROPER = {"noise": "uniform", "input": "logit", "mixing": "1x1", "coupling": "affine", "start": "data", "alpha": 1e-4}
PROPER |= {"schedule": "constant"}
PRESETS = {
    "smoke": PROPER | {"levels": 2, "depth": 1, "width": 8, "batch_size": 8, "learning_rate": 1e-3, "ema": 0.9}
    | {"std": 0.8, "steps": 6, "every": 3, "limit": 200},
    "quick": PROPER | {"levels": 2, "depth": 4, "width": 96, "batch_size": 64, "learning_rate": 2e-3, "ema": 0.999}
    | {"std": 0.8, "steps": 10_000, "every": 250},
    "paper": AUTHOR | {"levels": 3, "depth": 6, "width": 512, "batch_size": 64, "learning_rate": 1e-4, "ema": 0.0}
    | {"std": 0.9, "steps": 75_000, "every": 500},
}  # fmt: skip
# Photos, of other sizes than 28 px: only coarse levels tie one half of a face to the other.
PHOTO_PRESETS = PRESETS | {"quick": PRESETS["quick"] | {"levels": 4, "depth": 6, "width": 64, "steps": 6000}}
BINS = 8  # pieces of the curve of a spline coupling
REFERENCES = {"bits_per_dim/mnist": 1.05, "bits_per_dim/cifar10": 3.35, "figures": "https://kexue.fm/archives/5807"}


def make_parser():
    """Return the parser of this script's flags."""
    p = parser(__doc__, PRESETS, sizes=(28, *SIZES))
    add_export_flag(p)
    p.add_argument("--levels", type=count_int, help="number of scales; each halves height and width")
    p.add_argument("--depth", type=count_int, help="number of flow steps per level")
    p.add_argument("--width", type=width_int, help="channels of the net in a coupling (author: 512)")
    p.add_argument("--mixing", choices=["reverse", "shuffle", "1x1", "exp"], help="what mixes the channels")
    p.add_argument("--coupling", choices=["additive", "affine", "spline"], help="kind of coupling")
    p.add_argument("--start", choices=["zero", "data"], help="Actnorm starts as the identity, or from the first batch")
    p.add_argument(
        "--noise", choices=["article", "uniform"],
        help="article: U(0, 1/256) on [-1, 1], in training only; uniform: (x + U(0, 1))/256, a true density",
    )  # fmt: skip
    p.add_argument(
        "--input", choices=["scaled", "logit", "gaussianized"],
        help="maps pixels x in [0, 1] to 2 x - 1, to logit(x), or so that each by itself is normal",
    )  # fmt: skip
    p.add_argument(
        "--alpha", type=float_in(1e-6, 0.4),  # float32 takes 1 - 1e-8 for 1
        help="alpha of logit(alpha + (1 - 2 alpha) x); the paper's .05 learns digits far more slowly",
    )  # fmt: skip
    p.add_argument("--std", type=float_in(0, 10), help="standard deviation (temperature) of the samples' z")
    p.add_argument("--learning-rate", type=float_in(1e-8, 1), help="learning rate of Adam")
    p.add_argument(
        "--schedule", choices=["constant", "cosine"], help="the learning rate stays, or falls to 0 along half a cosine"
    )
    p.add_argument("--ema", type=float_in(0, 0.99999), help="momentum of averaged weights (5/(1 - ema) steps); 0: none")
    p.add_argument("--every", type=positive_int, help="steps between pictures and checkpoints")
    p.add_argument("--limit", type=sample_int, help="use only N images of the data set, drawn by lot")
    return p


def build(args, shape):
    """Build Glow, its wiring and its loss.

    Args:
        args: flags, with the preset applied.
        shape: tuple, shape of an image (h, w, c).

    Returns:
        (trainer, flow): a compiled `SingleLoss` on 8-bit images, and the flow from [0, 1]^shape to z, (batch, h w c).
    """
    import keras
    from keras import ops

    from common.training.single_loss import SingleLoss
    from flow import layers
    from flow.layers.likelihood import UniformNoise, bits_per_dim, log_normal
    from flow.layers.networks import conv_net
    from flow.training.schedule import learning_rate

    dims = math.prod(shape)

    # networks
    def to_real_line():
        if args.input == "scaled":
            return layers.Rescale(2.0, -1.0)
        if args.input == "logit":
            return layers.Logit(args.alpha)
        return layers.MarginalGaussianization()

    def mixing(seed):
        if args.mixing == "reverse":
            return layers.Reverse()
        if args.mixing == "shuffle":
            return layers.Shuffle(seed)
        if args.mixing == "1x1":
            return layers.InvertibleLinear(seed)
        return layers.ExpRankOneLinear(seed=seed)

    def coupling(channels):
        if args.coupling == "additive":
            return layers.AdditiveCoupling(conv_net(args.width, channels // 2))
        if args.coupling == "spline":
            return layers.SplineCoupling(conv_net(args.width, (3 * BINS - 1) * (channels // 2)), bins=BINS)
        return layers.AffineCoupling(conv_net(args.width, channels), bound=3.0)

    def step(channels, seed):
        return [layers.Actnorm(), mixing(seed), coupling(channels)]

    channels, levels = shape[-1], []
    for level in range(args.levels):
        channels *= 4
        steps = [layer for k in range(args.depth) for layer in step(channels, args.seed + 100 * level + k)]
        levels.append(layers.Chain([layers.Squeeze(), *steps]))
        channels //= 2
    levels[-1].layers.append(layers.Actnorm())  # mean and scale of the prior of the remaining channels
    flow = layers.Chain([to_real_line(), layers.MultiScale(levels)], name="flow")

    # wiring: 8-bit images with noise, through the flow
    x = keras.Input(shape, dtype="uint8")
    pixels = ops.cast(x, "float32")
    if args.noise == "uniform":
        dequantized = UniformNoise(0.0, 1.0, seed=args.seed)(pixels) / 256
    else:
        dequantized = UniformNoise(0.0, 1 / 512, training_only=True, seed=args.seed)(pixels / 255)
    z, log_det = flow(dequantized)

    # loss: minus the log-likelihood
    def flow_loss(z, log_det):
        log_prob = log_normal(z) + log_det
        if args.noise == "article":  # the density on [-1, 1], which is no likelihood of 8-bit images
            return {"loss": dims * math.log(2) - log_prob}
        return {"loss": -log_prob, "bits_per_dim": bits_per_dim(log_prob, dims)}

    trainer = SingleLoss(x, {"z": z, "log_det": log_det}, flow_loss)
    trainer.compile(keras.optimizers.Adam(learning_rate(args)))
    return trainer, flow


def run(args):
    """Train and evaluate a Glow as the flags say."""
    from common.data.catalog import is_digit_like
    from flow.training.run_images import default_size, run_on_images

    presets = PRESETS if is_digit_like(args.dataset) or args.size == 28 else PHOTO_PRESETS
    given = args.alpha is not None
    apply_preset(args, make_parser(), presets, size=default_size)
    if given and args.input != "logit":
        refuse(args, ["alpha"], "is for --input logit")
    if args.noise == "article" and args.input != "scaled":
        raise UserError(
            f"--noise article leaves [0, 1], outside of which there is no {args.input}: add --noise uniform"
        )
    if args.input == "gaussianized" and args.start == "zero":
        raise UserError("--input gaussianized takes the shares of the grey levels from a batch: add --start data")
    run_on_images(args, ARTICLE, build, REFERENCES, data_dependent_init=args.start == "data")


if __name__ == "__main__":
    main(run, make_parser())
