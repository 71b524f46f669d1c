"""Train a GAN as an energy model (articles 6316 and 6331; arXiv 1901.08508).

    U: min E[U(x)] - E[U(G(z))] + weight E[||grad U(x)||^2]      dig pits in U at the data, with x at the bottom
    G: min E[U(G(z))] - H(G(z))                                  roll down, but do not all end in one pit

python energy_gan/train.py --dataset 25gaussians --entropy jsd
python energy_gan/train.py --dataset stacked_mnist_2 --entropy infogan --data-dir DIR     # 100 modes
python energy_gan/train.py --energy hinge --momentum 0 --n-energy 1                       # cartoon faces drawn by code
"""

import argparse

from common.cli import apply_preset, float_in, gan_parser, main, nonnegative_int
from common.data.toy_2d import TOYS
from common.errors import UserError, errors_begin_with
from common.flag_types import count_int
from common.parsers import refuse

ARTICLE = "energy_gan"
# Keys of the tables in energies.py and entropies.py, repeated here so that --help does not have to import Keras.
ENERGIES = ("zero_centred", "hinge", "ebgan", "wgan_div")
ENTROPIES = ("none", "infogan", "correlation", "jsd")
USED_BY = {  # energies that have such a part
    "penalty_weight": ("zero_centred",), "margin": ("ebgan",), "spectral_norm": ("zero_centred", "hinge", "wgan_div"),
}  # fmt: skip
COMMON = {"batch_size": 64, "latent_dim": 128, "momentum": 0.5, "n_energy": 1, "n_generator": 1, "entropy_weight": 1.0}
COMMON |= {"ema": 0.0}
IMAGES = COMMON | {"size": 32, "kernel_size": 4, "penalty_weight": 0.5, "margin": 0.5}
IMAGES |= {"initializer": "glorot_uniform", "negative_slope": 0.3}
PRESETS = {
    "smoke": IMAGES | {"batch_size": 8, "width": 32, "learning_rate": 1e-4, "steps": 8, "every": 4},
    "quick": IMAGES | {"width": 128, "learning_rate": 1e-3, "steps": 6000, "every": 500},
    # MEG's weight 10 multiplies the mean squared gradient over the pixels; this weight multiplies their sum: the 0.5 of
    # `quick` is 512 in MEG's units
    "paper": IMAGES
    | {"width": 512, "n_energy": 5, "learning_rate": 1e-4, "penalty_weight": 0.01, "steps": 600_000, "every": 6000},
}
PLANE = COMMON | {"batch_size": 256, "latent_dim": 3, "penalty_weight": 0.05, "margin": 0.5, "size": 2}
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


def make_parser():
    p = gan_parser(__doc__, PRESETS, PLANE_PRESETS)
    add = p.add_argument
    add("--energy", choices=ENERGIES, default="zero_centred", help="loss and network of U (default zero_centred)")
    add("--entropy", choices=ENTROPIES, default="none", help="entropy regulariser for the generator (default none)")
    add("--entropy-weight", type=float_in(0, 1e6), help="weight of the entropy regulariser")
    add("--penalty-weight", type=float_in(0, 1e6), help="weight of ||grad U||^2 at the data (zero_centred)")
    add("--margin", type=float_in(1e-6, 1e6), help="energy up to which fakes are lifted (ebgan)")
    add("--spectral-norm", action=argparse.BooleanOptionalAction, help="spectral norm on every kernel of the energy")
    add("--momentum", type=float_in(0, 0.999), help="beta_1 of Adam for both players; 0 for no momentum")
    add("--n-energy", type=count_int, help="steps of the energy in a round")
    add("--n-generator", type=count_int, help="steps of the generator in a round")
    add("--without", type=nonnegative_int, metavar="CLASS", help="leave this class out of the training images")
    return p


def build(args, shape):
    """Build the networks, wire them and compile both players.

    Args:
        args: flags of `make_parser`, after `apply_preset`.
        shape: shape of a sample, (size, size, channels) or (2,).

    Returns:
        (trainer, critic, generator): an `Alternating`, the model -U and the generator.
    """
    import keras
    from keras import ops

    from common.losses.gradient_penalties import ScoreAndSquaredGradientNorm
    from common.models.layers import Latent
    from common.models.networks import build_generator
    from common.training.alternating import Alternating
    from common.training.single_loss import SingleLoss
    from energy_gan import energies, entropies

    energy = energies.ENERGIES[args.energy]

    # networks
    generator = build_generator(shape, args.latent_dim, args.width, args.kernel_size, initializer=args.initializer)
    critic = energy.build_network(shape, args)

    # wiring
    x = keras.Input(shape)
    z = Latent(args.latent_dim, seed=args.seed)(x)
    x_fake = generator(z)
    x_fake_ng = ops.stop_gradient(x_fake)
    energy_inputs = {}
    for side, point, norm in (("real", x, "squared_norm"), ("fake", x_fake_ng, "squared_norm_fake")):
        if norm in energy.penalty_at:  # one pass for the score and its gradient
            score, energy_inputs[norm] = ScoreAndSquaredGradientNorm(critic)(point)
        else:
            score = critic(point)
        energy_inputs[side] = -score
    entropy, entropy_networks = entropies.ENTROPIES[args.entropy](z, x_fake, args)
    generator_inputs = {"fake": -critic(x_fake)} | ({"entropy": entropy} if entropy_networks else {})

    # losses
    def energy_loss(real, fake, **squared_norms):
        loss = energy.loss(real, fake, args)
        values = {"loss": loss, "critic_gap": fake - real, "energy_real": real, "energy_fake": fake}
        if energy.penalty:
            values["loss"] += energy.penalty(*(squared_norms[name] for name in energy.penalty_at), args)
            values["slope"] = ops.sqrt(squared_norms["squared_norm"])
        return values

    def generator_loss(fake, entropy=0.0):
        values = {"loss": ops.mean(fake) + args.entropy_weight * ops.mean(entropy)}
        return values | ({"entropy_term": entropy} if entropy_networks else {})

    def build_player(tensors, loss, trainable_layers, step_fraction):
        model = SingleLoss(x, tensors, loss, trainable_layers)
        # The rate falls to 0. At a constant rate the pits keep moving, and fakes never come to rest at their bottoms.
        rate = keras.optimizers.schedules.PolynomialDecay(args.learning_rate, args.steps * step_fraction, 0.0)
        model.compile(keras.optimizers.Adam(rate, beta_1=args.momentum, beta_2=0.9))
        return model

    n, m = args.n_energy, args.n_generator
    players = (
        build_player(energy_inputs, energy_loss, [critic], n / (n + m)),
        build_player(generator_inputs, generator_loss, [generator, *entropy_networks], m / (n + m)),
    )
    return Alternating(*players, n, m), critic, generator


def run(args):
    from common.experiments.gan import run_gan

    toy = args.dataset in TOYS
    for flag, energies in USED_BY.items():
        if args.energy not in energies:
            refuse(args, [flag], f"is for --energy {' or '.join(energies)}")
    apply_preset(args, make_parser(), PLANE_PRESETS if toy else PRESETS)
    if args.entropy == "correlation" and args.latent_dim < 3:
        raise UserError(
            "--entropy correlation needs --latent-dim 3 at least, because two numbers only have a correlation of 1 or "
            f"-1. Received: --latent-dim {args.latent_dim}"
        )
    run_dir, critic, generator = run_gan(args, ARTICLE, build, REFERENCES, fixed_flags=("steps",))
    if toy:
        from energy_gan.energy_maps import draw_maps

        with errors_begin_with(f"after step {args.steps}"):
            draw_maps(run_dir / "figures/maps.png", critic, generator, args)


if __name__ == "__main__":
    main(run, make_parser())
