"""Train a generator by IMLE: every real image pulls its nearest fake (article 6394, https://kexue.fm/archives/6394).

    python glann/imle.py --dataset mnist                        # digits in minutes on two CPU cores
    python glann/imle.py --dataset mnist --loss reverse         # every fake seeks its nearest real image
    python glann/imle.py --dataset mnist --distance features    # perceptual distance, of a classifier
    python glann/imle.py --dataset celeba_hq --preset paper     # the author's settings

IMLE (arXiv 1809.09087) has no critic and no encoder. The loss is in `losses`, the wiring of the networks in `build`.
"""

from common.cli import apply_preset, float_in, main
from common.parsers import refuse
from glann.flags import IMAGE_PRESETS, add_distance, image_parser

ARTICLE = "glann/imle"
# of squares of pixels; real faces are .15 from the nearest of 128, and a larger margin is met by noise
PRESETS = {name: preset | {"margin": 0.02} for name, preset in IMAGE_PRESETS.items()}
REFERENCES = {"figure": "https://kexue.fm/usr/uploads/2019/02/1033285449.png"}  # the article claims no number


def make_parser():
    p = image_parser(__doc__, PRESETS)
    p.add_argument(
        "--loss", choices=["imle", "reverse"], default="imle",
        help="imle (default): real images seek their nearest fake; reverse: fakes seek their nearest real image",
    )  # fmt: skip
    p.add_argument(
        "--margin", type=float_in(0, 1000),
        help="of --loss reverse: squared distance up to which fakes flee each other; above all distances "
        "(4 for pixels) it is the article's loss without a margin",
    )  # fmt: skip
    add_distance(p)
    return p


def losses(args):
    """Return the loss, a function of the tensors that `build` wires up.

    Let x_i be the real images, G(z_j) the fakes, G(z'_k) those of a second batch, and m the margin:

        imle:     (1/M) sum_i min_j ||x_i - G(z_j)||^2
        reverse:  (1/N) sum_j min_i ||G(z_j) - x_i||^2 + relu(m - min_k ||G(z_j) - G(z'_k)||^2)

    Args:
        args: flags with `loss` and `margin`.
    """
    from glann.nearest import imle_loss, reverse_loss

    def imle(real, fake):
        return {"loss": imle_loss(real, fake)}

    def reverse(real, fake, other_fake):
        return {"loss": reverse_loss(real, fake, other_fake, args.margin)}

    return imle if args.loss == "imle" else reverse


def build(args, space):
    """Build the generator, wire it up and compile the trainer.

    Args:
        args: resolved flags.
        space: `ImageSpace`.

    Returns:
        Tuple (trainer, generator). The trainer is a compiled `SingleLoss`.
    """
    import keras

    from common.models.layers import Latent
    from common.models.networks import build_generator
    from common.training.single_loss import SingleLoss
    from glann.experiment import representation

    # networks
    generator = build_generator(space.shape, args.latent_dim, args.width, args.kernel_size)
    represent = representation(args, space)  # its squared distances are those of --distance

    # wiring
    x = keras.Input(space.shape)
    z = Latent(args.latent_dim, seed=args.seed)(x)
    tensors = {"real": represent(x), "fake": represent(generator(z))}
    if args.loss == "reverse":
        other_z = Latent(args.latent_dim, seed=args.seed + 1_000_000)(x)  # an independent stream
        tensors["other_fake"] = represent(generator(other_z))

    # loss
    trainer = SingleLoss(x, tensors, losses(args), [generator])
    trainer.compile(keras.optimizers.RMSprop(args.learning_rate, epsilon=1e-14))  # as the author's Keras 2
    return trainer, generator


def run(args):
    from common.experiments.setup import begin_run
    from glann.experiment import drawer, finish, load, normal, train_generator

    if args.loss != "reverse":
        refuse(args, ["margin"], "is for --loss reverse")
    apply_preset(args, make_parser(), PRESETS)
    space = load(args, ARTICLE)
    run_dir, devices = begin_run(args, ARTICLE, space.train)
    with devices:
        trainer, generator = build(args, space)
    draw = drawer(space, generator, lambda n, stream: normal(args, n, stream))
    metrics = train_generator(args, space, run_dir, devices, trainer, draw)
    finish(args, run_dir, space, draw, [generator], metrics, REFERENCES)


if __name__ == "__main__":
    main(run, make_parser())
