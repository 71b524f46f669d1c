"""Train an f-GAN, a GAN from an f-divergence (article 6016, https://kexue.fm/archives/6016; arXiv 1606.00709).

python fgan/train.py --dataset mnist --divergence hellinger    # digits in minutes on two CPU cores
python fgan/train.py --dataset 8gaussians --divergence kl      # in the plane
python fgan/train.py --divergence js --swap-roles              # cartoon faces drawn by code, D(q||p) instead of D(p||q)
"""

from common.cli import apply_preset, float_in, gan_parser, main
from common.data.toy_2d import TOYS
from common.parsers import add_batch_norm_flag
from fgan.names import NAMES

ARTICLE = "fgan"
COMMON = {"batch_size": 64, "latent_dim": 100, "learning_rate": 2e-4, "ema": 0.0}
COMMON |= {"batch_norm": False, "roth_weight": 0.0}
IMAGES = COMMON | {"initializer": "glorot_uniform", "negative_slope": 0.3}
PRESETS = {
    "smoke": IMAGES | {"size": 32, "batch_size": 8, "width": 32, "kernel_size": 4, "steps": 6, "every": 3},
    "quick": IMAGES
    | {"size": 32, "width": 128, "kernel_size": 4, "learning_rate": 1e-3, "ema": 0.99}
    | {"steps": 3000, "every": 250},
    "paper": IMAGES | {"size": 64, "width": 512, "kernel_size": 5, "steps": 100_000, "every": 1000},
}
PLANE = COMMON | {"batch_size": 256, "latent_dim": 16, "learning_rate": 1e-3, "width": 128, "size": 2}
PLANE_PRESETS = {
    "smoke": PLANE | {"width": 16, "steps": 6, "every": 3},
    "quick": PLANE | {"steps": 6000, "every": 500},
    "paper": PLANE | {"steps": 100_000, "every": 1000},
}
REFERENCES = {"article": "https://kexue.fm/archives/6016"}  # no published numbers: the article has none


def make_parser():
    p = gan_parser(__doc__, PRESETS, PLANE_PRESETS)
    p.add_argument("--divergence", choices=NAMES, default="js", help="divergence to minimise (default js)")
    p.add_argument("--swap-roles", action="store_true", help="exchange data and samples in the divergence: D(q||p)")
    p.add_argument("--spectral-norm", action="store_true", help="spectral norm on every kernel of the critic")
    add_batch_norm_flag(p)
    p.add_argument(
        "--roth-weight", type=float_in(0, 1e6), help="weight of Roth's penalty on the critic (default 0: none)"
    )
    return p


def build(args, shape):
    """Build the networks, wire them and compile the trainer.

    Args:
        args: flags of `make_parser`, after `apply_preset`.
        shape: shape of a sample, (size, size, channels) or (2,).

    Returns:
        (trainer, critic, generator): a `SingleLoss` and two models.
    """
    import keras
    from keras import ops

    from common.losses.gradient_penalties import ScoreAndSquaredGradientNorm
    from common.models.layers import Latent
    from common.models.networks import build_critic, build_generator
    from common.training.single_loss import SingleLoss, reverse_gradient
    from fgan.divergences import f_gan_loss, get_divergence
    from fgan.roth import roth_penalty

    # networks
    generator = build_generator(shape, args.latent_dim, args.width, args.kernel_size, initializer=args.initializer)
    critic_kwargs = {
        "spectral_norm": args.spectral_norm,
        "batch_norm": args.batch_norm and not args.roth_weight,
        "negative_slope": args.negative_slope,
        "initializer": args.initializer,
    }
    critic = build_critic(shape, args.width, args.kernel_size, **critic_kwargs)

    # wiring: the critic maximises the bound of the divergence; the reversed gradient makes the generator minimise it
    x = keras.Input(shape)
    z = Latent(args.latent_dim, seed=args.seed)(x)
    x_fake = generator(z)
    scores = {"real": critic(x), "fake": critic(reverse_gradient(x_fake))}
    divergence = get_divergence(args.divergence)
    if args.roth_weight:  # on the side whose term is g(T)
        side = x if args.swap_roles else ops.stop_gradient(x_fake)
        score, squared_norm = ScoreAndSquaredGradientNorm(critic)(side)
        scores["penalty"] = roth_penalty(divergence, squared_norm, score, args.roth_weight, args.swap_roles)

    # loss
    loss = f_gan_loss(divergence, args.swap_roles)

    def bound_loss(real, fake, penalty=None):
        value = loss.critic(real, fake)  # -T(x) + g(T(G(z)))
        values = {"loss": value, "bound": -value, "critic_gap": real - fake}
        return values if penalty is None else values | {"loss": ops.mean(value) + ops.mean(penalty), "penalty": penalty}

    model = SingleLoss(x, scores, bound_loss)
    model.compile(keras.optimizers.Adam(args.learning_rate, beta_1=0.5))
    return model, critic, generator


def run(args):
    from common.experiments.gan import run_gan

    toy = args.dataset in TOYS
    apply_preset(args, make_parser(), PLANE_PRESETS if toy else PRESETS)
    run_gan(args, ARTICLE, build, REFERENCES)


if __name__ == "__main__":
    main(run, make_parser())
