"""What the one pass of a zero-sum GAN saves over the single loss for any GAN, as a ratio measured in one run.

    python fgan/bench.py            (or `make bench`)

Any GAN can be trained by one loss of three passes of the critic: over the reals, the fakes and the fakes whose
gradient is stopped (article 6387). f-GANs are zero-sum, so the gradient can be turned at the fake and the third pass
left out. Times steps of both in turn and prints the median ratio.
"""

from common.cli import SIZES, Parser, apply_preset, main, positive_int
from fgan.names import NAMES

ROUNDS, STEPS = 7, 10


def make_parser():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("--divergence", choices=NAMES, default="js")
    p.add_argument("--size", type=int, choices=SIZES, default=32)
    p.add_argument("--batch-size", type=positive_int, default=64)
    return p


def two_passes(args, shape, critic, generator):
    """The same networks under 6387's loss: returns the trainer."""
    import keras
    from keras import ops

    from common.models.layers import Latent
    from common.training.single_loss import SingleLoss, generator_only
    from fgan.divergences import f_gan_loss, get_divergence

    x = keras.Input(shape)
    x_fake = generator(Latent(args.latent_dim)(x))
    scores = {"real": critic(x), "fake": critic(x_fake), "fake_ng": critic(ops.stop_gradient(x_fake))}
    loss = f_gan_loss(get_divergence(args.divergence))

    def both_players(real, fake, fake_ng):
        return {"loss": loss.critic(real, fake_ng) + generator_only(lambda f: loss.generator(None, f), fake, fake_ng)}

    model = SingleLoss(x, scores, both_players)
    model.compile(keras.optimizers.Adam(args.learning_rate, beta_1=0.5))
    return model


def run(args):
    from common.experiments.benchmark import print_ratios, random_image_batches, time_interleaved
    from fgan import train

    words = ["--preset", "quick", "--divergence", args.divergence, "--size", str(args.size)]
    chosen = apply_preset(train.make_parser().parse_args(words), train.make_parser(), train.PRESETS)
    shape = (args.size, args.size, 1)
    trainer, *networks = train.build(chosen, shape)
    trainers = {"one pass": trainer, "two passes": two_passes(chosen, shape, *networks)}

    batches = random_image_batches(args.size, 1, args.batch_size)
    fit = lambda model: lambda: model.fit(batches, steps_per_epoch=STEPS, verbose=0, shuffle=False)
    print_ratios(time_interleaved({name: fit(model) for name, model in trainers.items()}, ROUNDS), "one pass", STEPS)


if __name__ == "__main__":
    main(run, make_parser())
