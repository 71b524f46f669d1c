"""A GAN as an energy model: dig pits at the data, let the fakes roll in (articles 6316 and 6331; arXiv 1901.08508).

    U: min E[U(x)] - E[U(G(z))] + weight E[||grad U(x)||^2]      U low at the data, x at the bottom of its pit
    G: min E[U(G(z))] - H(G(z))                                  roll down, but do not all end in one pit

python energy_gan/train.py --dataset 25gaussians --entropy jsd
python energy_gan/train.py --dataset stacked_mnist_2 --entropy infogan --data-dir DIR     # 100 modes
python energy_gan/train.py --energy hinge --momentum 0 --n-energy 1                       # the embedded cartoon faces
"""

import argparse

from common.cli import gan_parser, main, natural, positive_int, real_in, resolve
from common.errors import UserError
from common.toys import TOYS

ARTICLE = "energy_gan"
ENERGIES = ("zero_centred", "hinge", "ebgan", "wgan_div")
ENTROPIES = ("none", "infogan", "correlation", "jsd")
COMMON = {"batch_size": 64, "latent_dim": 128, "momentum": 0.5, "n_energy": 1, "n_generator": 1, "entropy_weight": 1.0}
IMAGES = COMMON | {"size": 32, "kernel_size": 4, "penalty_weight": 0.5, "margin": 0.5}
PRESETS = {
    "smoke": IMAGES | {"batch_size": 8, "width": 32, "learning_rate": 1e-4, "steps": 8, "every": 4},
    "quick": IMAGES | {"width": 128, "learning_rate": 1e-3, "steps": 6000, "every": 500},
    # MEG: its weight 10 is of the mean square slope over the pixels, ours of their sum
    "paper": IMAGES
    | {"width": 512, "n_energy": 5, "learning_rate": 1e-4, "penalty_weight": 0.01, "steps": 600_000, "every": 6000},
}
PLANE = COMMON | {"batch_size": 256, "latent_dim": 3, "penalty_weight": 0.05, "margin": 0.5, "size": None}
PLANE |= {"entropy_weight": 0.1}
PLANE_PRESETS = {
    "smoke": PLANE | {"width": 16, "learning_rate": 1e-3, "steps": 8, "every": 4},
    "quick": PLANE | {"width": 256, "n_energy": 2, "learning_rate": 1e-3, "steps": 18_000, "every": 1500},
    "paper": PLANE
    | {"width": 512, "n_energy": 5, "learning_rate": 1e-4, "penalty_weight": 0.1, "entropy_weight": 1.0}
    | {"steps": 600_000, "every": 6000},
}
REFERENCES = {  # arXiv 1901.08508, table 1: stacked MNIST of three digits
    "modes/published": 1000,
    "mode_kl/published": 0.0313,
    "article": "https://kexue.fm/archives/6331",
}


def flags():
    p = gan_parser(__doc__, PRESETS)
    p.add_argument("--energy", choices=ENERGIES, default="zero_centred", help="what digs the pits")
    p.add_argument("--entropy", choices=ENTROPIES, default="none", help="what keeps the fakes apart")
    p.add_argument("--entropy-weight", type=real_in(0, 1e6), help="of that term")
    p.add_argument("--penalty-weight", type=real_in(0, 1e6), help="of ||grad U||^2 at the data (zero_centred)")
    p.add_argument("--margin", type=real_in(1e-6, 1e6), help="up to which fakes are lifted (ebgan)")
    p.add_argument("--spectral-norm", action=argparse.BooleanOptionalAction, help="on every kernel of the energy")
    p.add_argument("--momentum", type=real_in(0, 0.999), help="b1 of Adam, both players; 0: none")
    p.add_argument("--n-energy", type=positive_int, help="digging steps in a round")
    p.add_argument("--n-generator", type=positive_int, help="rolling steps in a round")
    p.add_argument("--without", type=natural, metavar="CLASS", help="leave this class out of the training images")
    return p


def build(args, shape):
    """The networks, their wiring and the losses: returns (trainer, critic, generator). The critic is -U."""
    import keras
    from keras import ops

    from common.alternating import Alternating
    from common.layers import Latent
    from common.networks import generator_for
    from common.penalties import SquaredSlope, divergence_penalty
    from common.single_loss import SingleLoss
    from energy_gan.networks import critic_of, entropy_term

    # networks
    generator = generator_for(shape, args.latent_dim, args.width, args.kernel_size)
    critic = critic_of(args.energy, shape, args)

    # wiring
    x = keras.Input(shape)
    z = Latent(args.latent_dim, seed=args.seed)(x)
    x_fake = generator(z)
    x_fake_ng = ops.stop_gradient(x_fake)
    digging = {"real": -critic(x), "fake": -critic(x_fake_ng)}
    if args.energy in ("zero_centred", "wgan_div"):
        digging |= {"slope": SquaredSlope(critic)(x)}
    if args.energy == "wgan_div":
        digging |= {"slope_fake": SquaredSlope(critic)(x_fake_ng)}
    entropy, helper = entropy_term(args.entropy, z, x_fake, args)
    rolling = {"fake": -critic(x_fake)} | ({"entropy": entropy} if helper else {})

    # losses
    def pits(real, fake, slope=None, slope_fake=None):
        if args.energy == "hinge":  # what lies deep enough, or high enough, is left alone
            loss = ops.relu(1 + real) + ops.relu(1 - fake)
        elif args.energy == "ebgan":  # U >= 0: a reconstruction error
            loss = real + ops.relu(args.margin - fake)
        else:
            loss = real - fake
        if args.energy == "zero_centred":
            loss = loss + args.penalty_weight * slope[:, None]
        if args.energy == "wgan_div":
            loss = loss + (divergence_penalty(slope) + divergence_penalty(slope_fake))[:, None]
        values = {"loss": loss, "critic_gap": fake - real, "energy_real": real, "energy_fake": fake}
        return values if slope is None else values | {"slope": ops.sqrt(slope)}

    def roll(fake, entropy=0.0):
        values = {"loss": ops.mean(fake) + args.entropy_weight * ops.mean(entropy)}
        return values | ({"entropy_term": entropy} if helper else {})

    def player(tensors, loss, trains, share):
        model = SingleLoss(x, tensors, loss, trains)
        # falls to 0: at a steady rate the pits keep moving, and fakes never come to rest at their bottoms
        rate = keras.optimizers.schedules.PolynomialDecay(args.learning_rate, args.steps * share, 0.0)
        model.compile(keras.optimizers.Adam(rate, beta_1=args.momentum, beta_2=0.9))
        return model

    n, m = args.n_energy, args.n_generator
    players = player(digging, pits, [critic], n / (n + m)), player(rolling, roll, [generator, *helper], m / (n + m))
    return Alternating(*players, n, m), critic, generator


def run(args):
    from common.gan import run_gan

    toy = args.dataset in TOYS
    resolve(args, flags(), PLANE_PRESETS if toy else PRESETS)
    if args.entropy == "correlation" and args.latent_dim < 3:
        raise UserError("--entropy correlation needs --latent-dim 3 at least: of two numbers it can only be 1 or -1")
    where, critic, generator = run_gan(args, ARTICLE, build, REFERENCES, settled=("steps",))
    if toy:
        from energy_gan.maps import draw_maps

        draw_maps(where / "figures/maps.png", critic, generator, args)


if __name__ == "__main__":
    main(run, flags())
