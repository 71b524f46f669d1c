"""Measure what a reversed gradient saves a zero-sum GAN over the single loss for any GAN, as a ratio within one run.

    python fgan/bench.py            (or `make bench`)

The single loss of article 6387 trains any GAN with one pass of the fakes through the critic, whose gradient goes back
twice: to the critic's weights and to the fakes. f-GANs are zero-sum, so one gradient serves both, reversed at the fake.
The script times steps of both in turn and prints the median ratio.
"""

from common.cli import SIZES, Parser, apply_preset, main, positive_int
from common.flag_types import batch_int
from fgan.names import NAMES

ROUNDS, STEPS = 7, 10


def make_parser():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("--divergence", choices=NAMES, default="js", help="divergence of the GAN (default js)")
    p.add_argument("--size", type=positive_int, choices=SIZES, default=32, help="image size in pixels (default 32)")
    p.add_argument("--batch-size", type=batch_int, default=64, help="number of images per step (default 64)")
    return p


def build_single_loss(args, shape, critic, generator):
    """Return a compiled trainer of these networks under the single loss of article 6387.

    Args:
        args: flags of `fgan/train.py`.
        shape: (size, size, channels).
        critic: model, images -> raw scores.
        generator: model, latents -> images.
    """
    import keras

    from common.models.layers import Latent
    from common.training.single_loss import SingleLoss, SplitGradient, value_zero
    from fgan.divergences import f_gan_loss, get_divergence

    x = keras.Input(shape)
    x_fake = generator(Latent(args.latent_dim)(x))
    fake, fake_ng = SplitGradient(critic)(x_fake)
    scores = {"real": critic(x), "fake": fake, "fake_ng": fake_ng}
    loss = f_gan_loss(get_divergence(args.divergence))

    def both_players(real, fake, fake_ng):
        return {"loss": loss.critic(real, fake_ng) + value_zero(loss.generator(None, fake))}

    model = SingleLoss(x, scores, both_players)
    model.compile(keras.optimizers.Adam(args.learning_rate, beta_1=0.5))
    return model


def run(args):
    from common.experiments.benchmark import fit_job, print_ratios, random_image_batches, time_interleaved
    from fgan import train

    train_parser = train.make_parser()
    train_flags = ["--preset", "quick", "--divergence", args.divergence, "--size", str(args.size)]
    train_args = apply_preset(train_parser.parse_args(train_flags), train_parser, train.PRESETS)
    shape = (args.size, args.size, 1)
    trainer, *networks = train.build(train_args, shape)
    trainers = {"one pass": trainer, "one pass, gradient split": build_single_loss(train_args, shape, *networks)}

    batches = random_image_batches(args.size, 1, args.batch_size)
    jobs = {name: fit_job(model, batches, STEPS) for name, model in trainers.items()}
    print_ratios(time_interleaved(jobs, ROUNDS), "one pass", STEPS)


if __name__ == "__main__":
    main(run, make_parser())
