"""NICE: additive couplings on images (article 5776, https://kexue.fm/archives/5776; arXiv 1410.8516).

python flow/nice.py --preset paper                        # the author's model on MNIST, 20 epochs
python flow/nice.py --preset paper --noise none           # the same without noise (the article's other figure)
python flow/nice.py --preset paper --noise uniform        # proper dequantisation: a true likelihood
"""

import math

from common.cli import SIZES, apply_preset, float_in, main, parser, positive_int
from common.flag_types import count_int, sample_int, width_int
from common.parsers import add_export_flag

ARTICLE = "flow/nice"
COMMON = {"batch_size": 128, "couplings": 4, "layers": 5, "width": 1000, "learning_rate": 1e-3, "std": 0.75}
PRESETS = {
    "smoke": COMMON | {"width": 16, "layers": 1, "steps": 6, "every": 3, "limit": 300},
    "quick": COMMON | {"width": 400, "steps": 4680, "every": 468},
    "paper": COMMON | {"steps": 9360, "every": 468},
}
REFERENCES = {"loss": -2200, "log_likelihood": 1980.50, "figures": "https://kexue.fm/archives/5776"}


def make_parser():
    """Return the parser of this script's flags."""
    p = parser(__doc__, PRESETS, "mnist", sizes=(28, *SIZES))
    add_export_flag(p)
    p.add_argument("--couplings", type=count_int, help="number of additive couplings")
    p.add_argument("--layers", type=count_int, help="number of hidden layers of the net in a coupling")
    p.add_argument("--width", type=width_int, help="units of a hidden layer")
    p.add_argument(
        "--noise", choices=["article", "none", "uniform"], default="article",
        help="article: x/255 + U(-.01, 0) in training only; none: x/255; uniform: (x + U(0, 1))/256, a true density",
    )  # fmt: skip
    p.add_argument("--prior", choices=["normal", "logistic"], default="normal", help="article: normal; paper: logistic")
    p.add_argument("--std", type=float_in(0, 10), help="tau, the temperature of the samples: z = tau * noise")
    p.add_argument("--learning-rate", type=float_in(1e-8, 1), help="learning rate of Adam")
    p.add_argument("--every", type=positive_int, help="steps between pictures and checkpoints")
    p.add_argument("--limit", type=sample_int, help="use only N images of the data set, drawn by lot")
    p.set_defaults(ema=0.0, levels=0)  # the article has neither averaged weights nor scales
    return p


def build(args, shape):
    """Build NICE, its wiring and its loss.

    Args:
        args: flags, with the preset applied.
        shape: tuple, shape of an image (h, w, c).

    Returns:
        (trainer, flow): a compiled `SingleLoss` on 8-bit images, and the flow from [0, 1]^shape to z, (batch, h w c).
    """
    import keras
    from keras import ops
    from keras.layers import Dense, Rescaling

    from common.training.single_loss import SingleLoss
    from flow import layers
    from flow.layers.likelihood import PRIORS, UniformNoise, bits_per_dim

    dims = math.prod(shape)

    # networks
    def m():
        """Return the net of a coupling, which adds its output to half of the input."""
        hidden = [Dense(args.width, activation="relu") for _ in range(args.layers)]
        # the author's net ends in relu and his encoder subtracts it, so his decoder adds what is never negative
        return keras.Sequential([*hidden, Dense(dims // 2, activation="relu"), Rescaling(-1.0)])

    steps = [layers.Flatten()]
    for _ in range(args.couplings):
        steps += [layers.Reverse(), layers.AdditiveCoupling(m(), split="interleaved")]
    flow = layers.Chain([*steps, layers.Scale("glorot_normal")], name="flow")

    # wiring: 8-bit images, with or without noise, through the flow
    x = keras.Input(shape, dtype="uint8")
    pixels = ops.cast(x, "float32")
    if args.noise == "uniform":
        flow_input = UniformNoise(0.0, 1.0, seed=args.seed)(pixels) / 256
    elif args.noise == "article":
        flow_input = UniformNoise(-0.01, 0.0, training_only=True, seed=args.seed)(pixels / 255)
    else:
        flow_input = pixels / 255
    z, log_det = flow(flow_input)

    # loss: minus the log-likelihood
    log_prior = PRIORS[args.prior]
    # the article leaves out the constant of the normal density
    left_out = dims / 2 * math.log(2 * math.pi) if args.prior == "normal" else 0.0

    def nice_loss(z, log_det):
        log_prob = log_prior(z) + log_det
        if args.noise == "uniform":
            return {"loss": -log_prob, "bits_per_dim": bits_per_dim(log_prob, dims)}
        return {"loss": -log_prob - left_out}

    trainer = SingleLoss(x, {"z": z, "log_det": log_det}, nice_loss)
    trainer.compile(keras.optimizers.Adam(args.learning_rate))
    return trainer, flow


def run(args):
    """Train and evaluate NICE as the flags say."""
    from flow.training.run_images import default_size, run_on_images

    apply_preset(args, make_parser(), PRESETS, size=default_size)
    run_on_images(args, ARTICLE, build, REFERENCES, data_dependent_init=False, prior=args.prior, columns=15)


if __name__ == "__main__":
    main(run, make_parser())
