"""Train the GAN of 2014 or DCGAN, with or without the tricks of 2016 (arXiv 1406.2661, 1511.06434, 1606.03498).

    python dcgan/train.py --dataset mnist                                   # digits in minutes on two CPU cores
    python dcgan/train.py --dataset mnist --trick feature_matching
    python dcgan/train.py --dataset mnist --trick minibatch_discrimination one_sided_labels
    python dcgan/train.py --dataset mnist --network mlp --loss minimax      # as in 2014
    python dcgan/train.py                                                   # cartoon faces drawn by code
    python dcgan/train.py --dataset 25gaussians                             # points of the plane

The wiring of the networks and the loss are in `build`; the networks are in `dcgan/networks.py`, the layers of the
tricks in `dcgan/layers.py`. One step of one loss trains both players (article 6387).
"""

from common.cli import apply_preset, gan_parser, main
from common.data.toy_2d import TOYS
from common.errors import UserError

ARTICLE = "dcgan"
LOSSES = {"non_saturating": "sgan", "minimax": "sgan_minimax"}  # names in `common.losses.adversarial`
TRICKS = (
    "feature_matching", "minibatch_discrimination", "one_sided_labels", "historical_averaging", "virtual_batch_norm",
)  # fmt: skip
SMOOTH_LABEL = 0.9  # of the real samples under one_sided_labels
HISTORY_WEIGHT = 1e-3  # of historical averaging; the paper does not tell its own
COMMON = {"batch_size": 64, "latent_dim": 100, "learning_rate": 1e-3, "ema": 0.99}
IMAGES = COMMON | {"network": "dcgan", "size": 32, "initializer": "dcgan", "negative_slope": 0.2, "kernel_size": 4}
PRESETS = {
    "smoke": IMAGES | {"batch_size": 8, "width": 32, "steps": 6, "every": 3},
    "quick": IMAGES | {"width": 128, "learning_rate": 4e-3, "steps": 3000, "every": 250},
    "paper": IMAGES
    | {"size": 64, "batch_size": 128, "width": 1024, "kernel_size": 5, "learning_rate": 2e-4, "ema": 0.0}
    | {"steps": 100_000, "every": 1000},
}
PLANE = COMMON | {"batch_size": 128, "latent_dim": 16, "width": 128, "size": 2}
PLANE_PRESETS = {
    "smoke": PLANE | {"batch_size": 16, "width": 16, "steps": 6, "every": 3},
    "quick": PLANE | {"steps": 6000, "every": 500},
    "paper": PLANE | {"steps": 100_000, "every": 1000},  # the papers trained on images only
}


def make_parser():
    p = gan_parser(__doc__, PRESETS, PLANE_PRESETS)
    p.add_argument(
        "--network", choices=["dcgan", "mlp"],
        help="networks for images: convolutions, or the perceptrons of 2014, of --width units per hidden layer",
    )  # fmt: skip
    p.add_argument(
        "--loss", choices=LOSSES, default="non_saturating",
        help="loss of the generator: -log D (default), or log(1 - D) of the minimax game",
    )  # fmt: skip
    p.add_argument(
        "--trick", nargs="+", choices=["none", *TRICKS], default=["none"], metavar="NAME",
        help=f"one or several of {', '.join(TRICKS)} (default none)",
    )  # fmt: skip
    return p


def build(args, shape):
    """Build the networks, wire them up and compile the trainer.

    Args:
        args: resolved flags.
        shape: (size, size, channels) of an image, or (2,) of a point.

    Returns:
        Tuple (compiled `SingleLoss`, critic, generator).
    """
    import keras
    from keras import ops

    from common.losses.adversarial import get_loss
    from common.models.layers import Latent
    from common.training.single_loss import SingleLoss, SplitGradient, value_zero
    from dcgan.layers import HistoricalAverage
    from dcgan.networks import build_networks

    loss = get_loss(LOSSES[args.loss])
    generator, critic, features = build_networks(args, shape)

    # wiring; `fake` reaches the generator alone, `fake_ng` the critic alone
    x = keras.Input(shape)
    x_fake = generator(Latent(args.latent_dim, seed=args.seed)(x))
    tensors = {}
    if "feature_matching" in args.trick:
        (real, real_features) = features(x)
        (fake, fake_features), (fake_ng, _) = SplitGradient(features)(x_fake)
        tensors |= {"real_features": ops.stop_gradient(real_features), "fake_features": fake_features}
    else:
        real, (fake, fake_ng) = critic(x), SplitGradient(critic)(x_fake)
    tensors |= {"real": real, "fake": fake, "fake_ng": fake_ng}
    if "historical_averaging" in args.trick:
        tensors["history"] = HistoricalAverage(critic)(x) + HistoricalAverage(generator)(x)

    # loss
    def critic_loss(real, fake_ng):
        value = loss.critic(real, fake_ng)
        if "one_sided_labels" in args.trick:  # softplus(r) - softplus(-r) = r
            value += (1 - SMOOTH_LABEL) * real
        return value

    def generator_loss(real, fake, real_features=None, fake_features=None):
        if fake_features is None:
            return loss.generator(real, fake)
        return ops.sum(ops.square(ops.mean(real_features, axis=0) - ops.mean(fake_features, axis=0)))

    def single_loss(real, fake, fake_ng, history=None, **matched):
        values = {"critic_gap": real - fake_ng, "critic_loss": critic_loss(real, fake_ng)}
        values["generator_loss"] = generator_loss(real, fake, **matched)
        values["loss"] = ops.mean(values["critic_loss"]) + value_zero(ops.mean(values["generator_loss"]))
        if history is not None:
            values |= {"penalty": history, "loss": values["loss"] + HISTORY_WEIGHT * ops.mean(history)}
        return values

    trainer = SingleLoss(x, tensors, single_loss)
    trainer.compile(keras.optimizers.Adam(args.learning_rate, beta_1=0.5))
    return trainer, critic, generator


def run(args):
    from common.experiments.gan import run_gan

    in_plane = args.dataset in TOYS
    if in_plane and args.network:
        raise UserError(f"--network is for images, and {args.dataset} has points of the plane: omit it")
    if len(args.trick) > 1 and "none" in args.trick:
        raise UserError("--trick none stands alone: leave out none, or the others")
    if "virtual_batch_norm" in args.trick and (in_plane or args.network == "mlp"):
        raise UserError("--trick virtual_batch_norm replaces the batch norm of DCGAN's generator: this one has none")
    apply_preset(args, make_parser(), PLANE_PRESETS if in_plane else PRESETS)
    run_gan(args, ARTICLE, build, {}, any_width=args.network == "mlp")


if __name__ == "__main__":
    main(run, make_parser())
