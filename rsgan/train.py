"""RSGAN and every loss it is compared with (article 6110, https://kexue.fm/archives/6110; arXiv 1807.00734).

python rsgan/train.py --dataset mnist --loss rsgan          # digits in minutes on two CPU cores
python rsgan/train.py --dataset celeba --loss rsgan_sn --preset paper
python rsgan/train.py --loss r3gan                          # the embedded cartoon faces, nothing to download
python rsgan/train.py --dataset 25gaussians --loss rsgan    # in the plane
"""

import argparse

from common.cli import apply_preset, float_in, gan_parser, main, positive_int
from common.data.toy_2d import TOYS
from common.errors import UserError
from rsgan.methods import METHODS

ARTICLE = "rsgan"
COMMON = {"batch_size": 64, "latent_dim": 100, "learning_rate": 2e-4, "batch_norm": False, "trainer": "single"}
AUTHOR = {"batch_norm": True, "trainer": "alternating"}
PRESETS = {
    "smoke": COMMON | {"size": 32, "batch_size": 8, "width": 32, "kernel_size": 4, "steps": 6, "every": 3},
    "quick": COMMON | {"size": 32, "width": 128, "kernel_size": 4, "learning_rate": 1e-3, "steps": 3000, "every": 250},
    "paper": COMMON | AUTHOR | {"size": 64, "width": 512, "kernel_size": 5, "steps": 100_000, "every": 1000},
}
PLANE = COMMON | {"batch_size": 256, "latent_dim": 16, "learning_rate": 1e-3, "width": 128, "size": None}
PLANE_PRESETS = {
    "smoke": PLANE | {"width": 16, "steps": 6, "every": 3},
    "quick": PLANE | {"steps": 6000, "every": 500},
    "paper": PLANE | {"steps": 100_000, "every": 1000},  # the author has none in the plane
}
REFERENCES = {"figure": "https://kexue.fm/usr/uploads/2018/10/2687059029.jpg"}  # the article claims no number


def make_parser():
    p = gan_parser(__doc__, PRESETS)
    p.add_argument("--loss", choices=METHODS, default="rsgan", help=", ".join(METHODS), metavar="NAME")
    p.add_argument(
        "--spectral-norm", action=argparse.BooleanOptionalAction, help="on every kernel of the critic (else by loss)"
    )
    p.add_argument("--penalty-weight", type=float_in(1e-9, 1e9), help="of the loss's penalty (else the published one)")
    p.add_argument(
        "--batch-norm", action=argparse.BooleanOptionalAction, help="in the critic; never with a penalty on its slope"
    )
    p.add_argument("--trainer", choices=["single", "alternating"], help="one step for both players, or in turn")
    p.add_argument("--n-d", type=positive_int, help="critic steps in a round (alternating; else by loss)")
    p.add_argument("--n-g", type=positive_int, help="generator steps in a round (alternating; else by loss)")
    return p


def build(args, shape):
    """The networks, their wiring and the loss: returns (trainer, critic, generator)."""
    import keras
    from keras import layers, ops

    from common.losses.adversarial import get_loss, sample_distance
    from common.losses.gradient_penalties import RandomInterpolation, SquaredGradientNorm
    from common.models.layers import Latent
    from common.models.networks import build_critic, build_generator
    from common.models.spectral_norm import SpectralNormalized
    from common.training.alternating import Alternating
    from common.training.single_loss import SingleLoss
    from rsgan.losses import Clip, method_losses, penalty_of

    method = METHODS[args.loss]
    loss = get_loss(method.loss)

    # networks
    outputs, batch_norm = None if loss.pairwise_critic else 1, args.batch_norm and not method.penalty
    critic_kwargs = {"spectral_norm": args.spectral_norm, "batch_norm": batch_norm}
    generator = build_generator(shape, args.latent_dim, args.width, args.kernel_size)
    critic = build_critic(shape, args.width, args.kernel_size, outputs, **critic_kwargs)
    critic_networks = [critic]
    score = lambda a, b: a
    if loss.pairwise_critic:  # T-GAN: what is judged is the difference of two encodings
        wrap = SpectralNormalized if args.spectral_norm else lambda layer: layer
        dense = lambda units: wrap(layers.Dense(units, use_bias=False, dtype="float32"))
        head = keras.Sequential([keras.Input((args.width,)), dense(512), layers.LeakyReLU(0.3), dense(1)], name="head")
        critic_networks = [critic, head]
        score = lambda a, b: head(a - b)
    if method.clip:
        for weight in critic.trainable_variables:
            weight.constraint = Clip(method.clip)

    # wiring
    x = keras.Input(shape)
    z = Latent(args.latent_dim, seed=args.seed)(x)
    x_fake = generator(z)
    x_fake_ng = ops.stop_gradient(x_fake)
    real_features, h_fake, h_fake_ng = critic(x), critic(x_fake), critic(x_fake_ng)
    critic_inputs = {"real": score(real_features, h_fake_ng), "fake_ng": score(h_fake_ng, real_features)}
    generator_inputs = {"fake": score(h_fake, real_features), "real_for_generator": score(real_features, h_fake)}

    # loss
    points = {
        "real": lambda: x,
        "fake": lambda: x_fake_ng,
        "between": lambda: RandomInterpolation(args.seed)(x, x_fake_ng),
    }
    slope = lambda point: SquaredGradientNorm(critic)(points[point]())
    if method.penalty:
        critic_inputs["penalty"] = penalty_of(method, slope, args.penalty_weight)
    if loss.distance_order:
        critic_inputs["distance"] = sample_distance(x, x_fake_ng, loss.distance_order)
    single, critic_loss, generator_loss = method_losses(method)

    def compiled(tensors, loss, trains=None):
        model = SingleLoss(x, tensors, loss, trains)
        model.compile(keras.optimizers.Adam(args.learning_rate, beta_1=0.5))
        return model

    if args.trainer == "single":
        return compiled(critic_inputs | generator_inputs, single), critic, generator
    if not loss.generator_needs_real:
        del generator_inputs["real_for_generator"]  # one pass through the critic less
    players = (
        compiled(critic_inputs, critic_loss, critic_networks),
        compiled(generator_inputs, generator_loss, [generator]),
    )
    n_d, n_g = method.steps_per_round
    return Alternating(*players, args.n_d or n_d, args.n_g or n_g), critic, generator


def run(args):
    from common.experiments.gan import run_gan

    toy = args.dataset in TOYS
    apply_preset(args, make_parser(), PLANE_PRESETS if toy else PRESETS)
    method = METHODS[args.loss]
    if args.penalty_weight and not method.penalty:
        raise UserError(f"--penalty-weight: {args.loss} has no penalty")
    if args.trainer == "single" and (args.n_d or args.n_g):
        raise UserError("--n-d and --n-g belong to --trainer alternating: a single loss moves both players at once")
    if args.spectral_norm is None:
        args.spectral_norm = method.spectral_norm
    run_gan(args, ARTICLE, build, REFERENCES)


if __name__ == "__main__":
    main(run, make_parser())
