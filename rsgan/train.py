"""Train RSGAN, or a GAN it is compared with (article 6110, https://kexue.fm/archives/6110; arXiv 1807.00734).

    python rsgan/train.py --dataset mnist --loss rsgan          # digits in minutes on two CPU cores
    python rsgan/train.py --dataset celeba --loss rsgan_sn --preset paper
    python rsgan/train.py --loss r3gan                          # cartoon faces drawn by code, nothing to download
    python rsgan/train.py --dataset 25gaussians --loss rsgan    # points of the plane

The methods are listed in `rsgan/methods.py`; the wiring of the networks is in `build`, the losses in `rsgan/losses.py`.
"""

import argparse

from common.cli import apply_preset, float_in, gan_parser, main
from common.data.toy_2d import TOYS
from common.errors import UserError
from common.flag_types import count_int
from common.parsers import add_batch_norm_flag
from rsgan.methods import METHODS

ARTICLE = "rsgan"
COMMON = {"batch_size": 64, "latent_dim": 100, "learning_rate": 2e-4, "batch_norm": False, "trainer": "single"}
COMMON |= {"ema": 0.0}
IMAGES = COMMON | {"initializer": "glorot_uniform", "negative_slope": 0.3, "size": 32, "kernel_size": 4}
AUTHOR = {"batch_norm": True, "trainer": "alternating"}
QUICK = IMAGES | {"width": 128, "ema": 0.99, "steps": 3000, "every": 250}
PRESETS = {
    "smoke": IMAGES | {"batch_size": 8, "width": 32, "steps": 6, "every": 3},
    "quick": QUICK | {"initializer": "dcgan", "negative_slope": 0.2, "batch_norm": True, "learning_rate": 4e-3},
    "paper": IMAGES | AUTHOR | {"size": 64, "width": 512, "kernel_size": 5, "steps": 100_000, "every": 1000},
}
# A critic without batch norm, as under a gradient penalty, learns slowly from that start, and not at that rate.
NO_NORM_PRESETS = PRESETS | {"quick": QUICK | {"learning_rate": 1e-3}}
PLANE = COMMON | {"batch_size": 256, "latent_dim": 16, "learning_rate": 1e-3, "width": 128, "size": 2}
PLANE_PRESETS = {
    "smoke": PLANE | {"width": 16, "steps": 6, "every": 3},
    "quick": PLANE | {"steps": 6000, "every": 500},
    "paper": PLANE | {"steps": 100_000, "every": 1000},  # the author trained on images only
}
REFERENCES = {"figure": "https://kexue.fm/usr/uploads/2018/10/2687059029.jpg"}  # the article claims no number


def make_parser():
    p = gan_parser(__doc__, PRESETS, PLANE_PRESETS)
    p.add_argument(
        "--loss", choices=METHODS, default="rsgan", help=f"method, default rsgan: {', '.join(METHODS)}", metavar="NAME"
    )
    p.add_argument(
        "--spectral-norm", action=argparse.BooleanOptionalAction,
        help="divide every kernel of the critic by its spectral norm (default: as in the method)",
    )  # fmt: skip
    p.add_argument(
        "--penalty-weight", type=float_in(1e-9, 1e9),
        help="weight of the gradient penalty (default: the published one; of R1 and R2, 1)",
    )  # fmt: skip
    p.add_argument(
        "--network", choices=["dcgan", "residual"], default="dcgan",
        help="networks for images: DCGAN's (default), or the residual ones of R3GAN, without normalisation",
    )  # fmt: skip
    add_batch_norm_flag(p)
    p.add_argument(
        "--generator-learning-rate", type=float_in(1e-8, 1),
        help="learning rate of the generator, if it is to have its own (TTUR, arXiv 1706.08500)",
    )  # fmt: skip
    p.add_argument("--trainer", choices=["single", "alternating"], help="one step for both players, or steps in turn")
    p.add_argument("--n-d", type=count_int, help="critic steps per round of alternating (default: the method's)")
    p.add_argument("--n-g", type=count_int, help="generator steps per round of alternating (default: the method's)")
    return p


def build(args, shape, method=None):
    """Build the networks, wire them up and compile the trainer.

    Args:
        args: resolved flags.
        shape: (size, size, channels) of an image, or (2,) of a point.
        method: `rsgan.methods.Method` (default: the one of --loss).

    Returns:
        Tuple (trainer, critic, generator). The trainer is a compiled `SingleLoss`, or an `Alternating`.
    """
    import keras
    from keras import layers, ops

    from common.losses.adversarial import get_loss, sample_distance
    from common.losses.gradient_penalties import (
        PENALTIES,
        RandomInterpolation,
        RandomNeighbour,
        ScoreAndSquaredGradientNorm,
        SquaredGradientNorm,
        consistency_penalty,
    )
    from common.models.layers import Latent
    from common.models.networks import build_critic, build_generator
    from common.models.spectral_norm import SpectralNormalized
    from common.training.alternating import Alternating
    from common.training.single_loss import SingleLoss, SplitGradient, reverse_gradient
    from rsgan.losses import Clip, method_losses, penalty_of
    from rsgan.residual import residual_critic, residual_generator

    method = method or METHODS[args.loss]
    loss = get_loss(method.loss)
    penalised = PENALTIES[method.penalty].evaluated_at if method.penalty else ()

    # networks
    critic_kwargs = {
        "outputs": None if loss.pairwise_critic else 1,  # T-GAN's critic returns an encoding, not a score
        "spectral_norm": args.spectral_norm,
        "batch_norm": args.batch_norm and not penalised,
        "negative_slope": args.negative_slope,
        "initializer": args.initializer,
        "dropout": 0.5 if method.consistency else 0.0,
    }
    if args.network == "residual":
        generator = residual_generator(shape, args.latent_dim, args.width)
        critic = residual_critic(shape, args.width)
    else:
        generator = build_generator(shape, args.latent_dim, args.width, args.kernel_size, initializer=args.initializer)
        critic = build_critic(shape, args.width, args.kernel_size, **critic_kwargs)
    if loss.pairwise_critic:
        wrap = SpectralNormalized if args.spectral_norm else lambda layer: layer
        dense = lambda units: wrap(layers.Dense(units, use_bias=False, dtype="float32"))
        head = keras.Sequential([keras.Input((args.width,)), dense(512), layers.LeakyReLU(0.3), dense(1)], name="head")
        critic_networks = [critic, head]
        a, b = keras.Input(shape), keras.Input(shape)  # T-GAN scores a against b, D(E(a) - E(b)), and b against a
        difference = critic(a) - critic(b)
        pair_scores = keras.Model([a, b], [head(difference), head(-difference)], name="pair_scores")
    else:
        critic_networks = [critic]
    if method.clip:
        for weight in critic.trainable_variables:
            weight.constraint = Clip(method.clip)

    # wiring; `_ng`: no gradient reaches the generator
    x = keras.Input(shape)
    z = Latent(args.latent_dim, seed=args.seed)(x)
    x_fake = generator(z)
    x_fake_ng = ops.stop_gradient(x_fake)
    if method.consistency:  # the reals twice, each time with other units dropped
        scores_and_features = keras.Model(critic.input, [critic.output, critic.layers[-2].output])
        (real, features), (other_real, other_features) = scores_and_features(x), scores_and_features(x)
    elif "real" in penalised:  # one pass for the score and its gradient
        real, real_norm = ScoreAndSquaredGradientNorm(critic)(x)
    elif not loss.pairwise_critic:
        real = critic(x)
    if args.trainer == "single" and loss.zero_sum:  # one gradient serves both: the generator takes it with a minus
        reversed_fake = reverse_gradient(x_fake)
        real, fake_ng = pair_scores([x, reversed_fake]) if loss.pairwise_critic else (real, critic(reversed_fake))
        generator_inputs = {}
    elif loss.pairwise_critic:  # one pass, whose gradient goes two ways
        (real_for_generator, fake), (real, fake_ng) = SplitGradient(pair_scores)([x, x_fake])
        generator_inputs = {"fake": fake, "real_for_generator": real_for_generator}
    else:
        fake, fake_ng = SplitGradient(critic)(x_fake)
        generator_inputs = {"fake": fake, "real_for_generator": ops.stop_gradient(real)}
    critic_inputs = {"real": real, "fake_ng": fake_ng}

    # penalty and distance, for the methods that have them
    norm_at = SquaredGradientNorm(critic)
    norms = {  # functions, because two of them bring a random stream into the model
        "real": lambda: real_norm,
        "fake": lambda: norm_at(x_fake_ng),
        "between": lambda: norm_at(RandomInterpolation(args.seed)(x, x_fake_ng)),
        "near": lambda: norm_at(RandomNeighbour(args.seed)(x)),
    }
    if method.penalty:
        scores = {"real": real, "fake": fake_ng}
        critic_inputs["penalty"] = penalty_of(method, lambda point: norms[point](), scores, args.penalty_weight)
    if method.consistency:
        pair = [real, other_real, features, other_features]
        critic_inputs["penalty"] += consistency_penalty(*pair, method.consistency)
    if loss.distance_order:
        critic_inputs["distance"] = sample_distance(x, x_fake_ng, loss.distance_order)

    # loss
    single, critic_loss, generator_loss = method_losses(method)

    def make_optimizer():
        of_critic = keras.optimizers.Adam(args.learning_rate, beta_1=0.5)
        if not args.generator_learning_rate:
            return of_critic
        of_generator = keras.optimizers.Adam(args.generator_learning_rate, beta_1=0.5)
        generator_ids = {id(variable) for variable in generator.trainable_variables}
        return keras.optimizers.MultiOptimizer(lambda v: of_generator if id(v) in generator_ids else of_critic)

    def compile_model(tensors, loss_function, trainable_layers=None):
        model = SingleLoss(x, tensors, loss_function, trainable_layers)
        model.compile(make_optimizer())
        return model

    if args.trainer == "single":
        return compile_model(critic_inputs | generator_inputs, single), critic, generator
    if not loss.generator_needs_real:
        del generator_inputs["real_for_generator"]  # saves a pass through the critic
    critic_model = compile_model(critic_inputs, critic_loss, critic_networks)
    generator_model = compile_model(generator_inputs, generator_loss, [generator])
    n_d, n_g = method.steps_per_round
    return Alternating(critic_model, generator_model, args.n_d or n_d, args.n_g or n_g), critic, generator


def run(args):
    from common.experiments.gan import run_gan
    from common.experiments.setup import check_width
    from common.losses.adversarial import get_loss
    from common.losses.gradient_penalties import PENALTIES

    method = METHODS[args.loss]
    no_norm = args.batch_norm is False or (method.penalty and PENALTIES[method.penalty].evaluated_at)
    if args.network == "residual":
        if args.dataset in TOYS:
            raise UserError(f"--network is for images, and {args.dataset} has points of the plane: omit it")
        if get_loss(method.loss).pairwise_critic or method.consistency:
            raise UserError(f"--loss {args.loss} needs a critic of its own form: leave out --network residual")
        if args.batch_norm or args.spectral_norm or (method.spectral_norm and args.spectral_norm is None):
            raise UserError("--network residual has neither batch norm nor spectral norm: leave out one of the two")
        no_norm, args.batch_norm, args.spectral_norm = True, False, False
    presets = PLANE_PRESETS if args.dataset in TOYS else NO_NORM_PRESETS if no_norm else PRESETS
    spectral_norm = lambda args: method.spectral_norm
    apply_preset(args, make_parser(), presets, spectral_norm=spectral_norm)
    if args.network == "residual":
        check_width(args, last_side=4)  # the images' own size is a stage too
    if args.penalty_weight and not method.penalty:
        raise UserError(f"--penalty-weight: {args.loss} has no penalty; leave it out, or choose another --loss")
    if args.trainer == "single" and (args.n_d or args.n_g):
        raise UserError("--n-d and --n-g need --trainer alternating: a single loss trains both players in one step")
    run_gan(args, ARTICLE, build, REFERENCES)


if __name__ == "__main__":
    main(run, make_parser())
