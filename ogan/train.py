"""Train an O-GAN: a discriminator that is an encoder (article 6409, https://kexue.fm/archives/6409; arXiv 1903.01931).

    python ogan/train.py --dataset celeba                  # finds CelebA under --data-dir, or downloads it
    python ogan/train.py --dataset lfw --preset quick      # faces in a quarter of an hour on two CPU cores
    python ogan/train.py                                   # cartoon faces drawn by code, nothing to download

The article's loss is in `losses`, the wiring of the networks in `build`.
"""

import argparse

from common.cli import apply_preset, float_in, main, parser, positive_int
from common.data.catalog import is_digit_like
from common.errors import UserError
from common.flag_types import count_int, sample_int, width_int
from common.parsers import add_export_flag

ARTICLE = "ogan"
COMMON = {"batch_size": 64, "latent_dim": 128, "lam": 0.5, "kernel_size": 5, "learning_rate": 1e-4, "ema": 0.999}
PRESETS = {
    "smoke": COMMON | {"size": 32, "batch_size": 8, "latent_dim": 16, "steps": 6, "every": 3, "limit": 200},
    "quick": COMMON | {"size": 32, "kernel_size": 4, "learning_rate": 2e-4, "ema": 0.998, "steps": 4000, "every": 200},
    "paper": COMMON | {"size": 128, "steps": 100_000, "every": 1000},
}
REFERENCES = {"figures": "https://kexue.fm/archives/6409"}  # the article shows pictures and claims no number


def make_parser():
    p = parser(__doc__, PRESETS)
    add_export_flag(p)
    p.add_argument("--latent-dim", type=width_int, help="length of z and of the code, at least 3")
    p.add_argument(
        "--latent-loss", choices=["correlation", "mse", "none"], default="correlation",
        help="term that makes E(G(z)) follow z (default correlation, the article's)",
    )  # fmt: skip
    p.add_argument("--lam", type=float_in(0, 1000), help="weight of the latent loss (author: .5 at 128 px, 1 at 256)")
    p.add_argument(
        "--gan", choices=["qp", "sgan", "lsgan", "wgan", "hinge", "gan_qp"], default="qp",
        help="GAN that the latent loss is added to (default qp, the article's; wgan wants --spectral-norm)",
    )  # fmt: skip
    p.add_argument(
        "--critic", choices=["mean", "head"], default="mean",
        help="how a code becomes a score: minus its mean (default), or a small network",
    )  # fmt: skip
    p.add_argument("--kernel-size", type=positive_int, choices=[4, 5], help="kernel size of all convolutions")
    p.add_argument("--self-modulated", action="store_true", help="let z modulate the generator's batch norm")
    p.add_argument(
        "--spectral-norm", action="store_true", help="divide every kernel of the encoder by its spectral norm"
    )
    p.add_argument("--ema", type=float_in(0, 0.99999), help="momentum of the weight averages; 0 turns them off")
    p.add_argument(
        "--ema-statistics", choices=["measured", "averaged"], default="measured",
        help="batch statistics of the averaged networks: measured on data (default), or averaged too (the author's)",
    )  # fmt: skip
    p.add_argument(
        "--flip", action=argparse.BooleanOptionalAction, help="mirror images at random (default: not digits)"
    )
    p.add_argument("--learning-rate", type=float_in(1e-8, 1), help="learning rate of RMSprop, for both players")
    p.add_argument(
        "--trainer", choices=["single", "alternating"], default="single",
        help="one step for both players (default), or steps in turn",
    )  # fmt: skip
    p.add_argument("--n-d", type=count_int, default=1, help="critic steps per round of alternating (default 1)")
    p.add_argument("--n-g", type=count_int, default=1, help="generator steps per round of alternating (default 1)")
    p.add_argument("--every", type=positive_int, help="steps between pictures and checkpoints")
    p.add_argument("--limit", type=sample_int, help="number of images to use, drawn by lot (default all)")
    return p


def losses(args):
    """Return O-GAN's loss (article 6409) as three functions of the tensors that `build` wires up.

    Let E be the encoder, G the generator, rho the correlation over the n entries of a code, and score = -avg(E(.)).
    With d = score(x) - score(G(z)), which is minus the article's t, the two players minimise

        critic:     -d + d^2 / (4 mse(x, G(z))) - lam rho(z, E(G(z)))
        generator:  -score(G(z)) - lam rho(z, E(G(z)))

    A real image gets a high score and a fake a low one. The first two terms of the critic are GAN-QP's; `--gan` puts
    another GAN there. The article divides d^2 by a sum over the n_x pixels and calls the weight lam1. Its scripts take
    the mean, as here: lam1 = n_x / 4.

    Args:
        args: flags with `gan`, `latent_loss` and `lam`.

    Returns:
        Tuple (single, critic, generator) of functions that return a dict with "loss", (batch, 1). One SGD step on
        `single` equals simultaneous steps on the other two (6387). In their arguments, `code` is E(G(z)) with a
        gradient for G alone, and `_ng` means a gradient for E alone.
    """
    from keras import ops

    from common.losses.adversarial import MIN_DISTANCE, get_loss, sample_distance, wgan_generator
    from common.losses.correlation import correlation
    from common.training.single_loss import value_zero

    def qp_critic(real, fake_ng, distance):
        d, mse = real - fake_ng, ops.square(distance)[:, None]
        return -d + 0.25 * ops.square(d) / ops.maximum(mse, MIN_DISTANCE)  # least at d = 2 mse, where it is -mse

    def minus_rho(z, code):
        return -correlation(z, code)

    def half_mse(z, code):
        # equals 1 - rho for a standardised code, but also pins down the code's mean (the score) and std
        z, code = ops.cast(z, "float32"), ops.cast(code, "float32")
        return 0.5 * ops.mean(ops.square(z - code), axis=-1, keepdims=True)

    def no_latent_loss(z, code):
        return 0.0

    latent_loss = {"correlation": minus_rho, "mse": half_mse, "none": no_latent_loss}[args.latent_loss]
    if args.gan == "qp":
        gan_critic, gan_generator, distance_order = qp_critic, wgan_generator, 2  # distance: root mean square
    else:
        gan = get_loss(args.gan)
        gan_critic, gan_generator, distance_order = gan.critic, gan.generator, gan.distance_order

    def critic(x, z, x_fake_ng, code_ng, real, fake_ng):
        distance = sample_distance(x, x_fake_ng, distance_order) if distance_order else None
        loss = gan_critic(real, fake_ng, distance=distance) + args.lam * latent_loss(z, code_ng)
        return {"loss": loss, "critic_gap": real - fake_ng, "z_corr": correlation(z, code_ng)}

    def generator(z, code, fake):
        no_real = ops.zeros_like(fake)  # GAN-QP's generator loss is real - fake; real has no gradient in G
        return {"loss": gan_generator(no_real, fake) + args.lam * latent_loss(z, code)}

    def single(x, z, x_fake_ng, code, code_ng, real, fake, fake_ng):
        values = critic(x, z, x_fake_ng, code_ng, real, fake_ng)
        values["loss"] += value_zero(generator(z, code, fake)["loss"])
        return values

    return single, critic, generator


def build(args, channels):
    """Build the networks, wire them up and compile the trainer.

    Args:
        args: resolved flags.
        channels: int, colour channels of an image.

    Returns:
        Tuple (trainer, encoder, generator). The trainer is a compiled `SingleLoss`, or an `Alternating`.
    """
    import keras
    from keras import ops

    from common.losses.correlation import average
    from common.models.layers import Latent
    from common.models.networks import dcgan_encoder, dcgan_generator, score_head
    from common.training.alternating import Alternating
    from common.training.single_loss import SingleLoss, SplitGradient

    # networks
    image_kwargs = {"image_size": args.size, "channels": channels, "kernel_size": args.kernel_size}
    encoder = dcgan_encoder(outputs=args.latent_dim, spectral_norm=args.spectral_norm, **image_kwargs)
    generator = dcgan_generator(latent_dim=args.latent_dim, self_modulated=args.self_modulated, **image_kwargs)
    # the mean of a code is an energy, low for real images; a score is high for them
    score = score_head(args.latent_dim) if args.critic == "head" else lambda code: -average(code)
    encoder_and_score = keras.Model(encoder.input, [encoder.output, score(encoder.output)])

    # wiring
    x = keras.Input((args.size, args.size, channels))
    z = Latent(args.latent_dim, seed=args.seed)(x)
    x_fake = generator(z)
    x_fake_ng = ops.stop_gradient(x_fake)
    _, real = encoder_and_score(x)
    (code, fake), (code_ng, fake_ng) = SplitGradient(encoder_and_score)(x_fake)  # one pass, a gradient for G and for E

    # loss
    single, critic_loss, generator_loss = losses(args)
    critic_inputs = {"x": x, "z": z, "x_fake_ng": x_fake_ng, "code_ng": code_ng, "real": real, "fake_ng": fake_ng}
    generator_inputs = {"z": z, "code": code, "fake": fake}

    def compile_model(tensors, loss_function, trainable_layers=None):
        model = SingleLoss(x, tensors, loss_function, trainable_layers)
        # the author's Keras 2 added 1e-7 outside the square root, Keras 3 adds epsilon inside: 1e-14 = (1e-7)^2
        model.compile(keras.optimizers.RMSprop(args.learning_rate, rho=0.99, epsilon=1e-14))
        return model

    if args.trainer == "single":
        return compile_model(critic_inputs | generator_inputs, single), encoder, generator
    critic_networks = [encoder, score] if args.critic == "head" else [encoder]
    critic_model = compile_model(critic_inputs, critic_loss, critic_networks)
    generator_model = compile_model(generator_inputs, generator_loss, [generator])
    return Alternating(critic_model, generator_model, args.n_d, args.n_g), encoder, generator


def run(args):
    from ogan.experiment import run_ogan

    apply_preset(args, make_parser(), PRESETS, flip=lambda args: not is_digit_like(args.dataset))
    if args.latent_dim < 3:
        raise UserError(
            "--latent-dim must be at least 3: with 2, a standardised code can only be +-(1, -1). "
            f"Received: {args.latent_dim}"
        )
    run_ogan(args, ARTICLE, build, REFERENCES)


if __name__ == "__main__":
    main(run, make_parser())
