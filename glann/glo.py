"""Train a generator by GLO: every image has a code of its own (article 6394, https://kexue.fm/archives/6394).

    python glann/glo.py --dataset mnist                        # digits in minutes on two CPU cores
    python glann/glo.py --dataset mnist --distance features    # perceptual distance, of a classifier

GLO (arXiv 1707.05776) learns the generator and the codes c_i of all images together: the least sum of the distances of
x_i and G(c_i). The codes lie on the unit sphere. It has no way of its own to draw a new code, so samples are decoded
from random points of the sphere. The map of `glann/train.py` draws better ones.
"""

from common.cli import apply_preset, float_in, main
from glann.flags import IMAGE_PRESETS, add_distance, image_parser

ARTICLE = "glann/glo"
PRESETS = {name: preset | {"code_learning_rate": 1.0} for name, preset in IMAGE_PRESETS.items()}
PRESETS["paper"] |= {"learning_rate": 1e-3, "steps": 200_000, "every": 2000}
REFERENCES = {}  # the article claims no number


def make_parser():
    p = image_parser(__doc__, PRESETS)
    add_glo(p)
    return p


def add_glo(p):
    """Add the flags of this script's training to a parser."""
    p.add_argument(
        "--code-learning-rate", type=float_in(1e-8, 1e6),
        help="learning rate of the codes, by plain gradient descent on the distance of one image",
    )  # fmt: skip
    add_distance(p)


def build(args, space, start):
    """Build the generator and the table of codes, wire them up and compile the trainer.

    Args:
        args: resolved flags.
        space: `ImageSpace`.
        start: (images, latent_dim), the first codes.

    Returns:
        Tuple (trainer, generator, codes, represent). The trainer is a compiled `SingleLoss` of images and their rows.
        The codes are the layer's `embeddings`, (images, latent_dim). `represent` is the model of --distance.
    """
    import keras

    from common.models.networks import build_generator
    from common.training.single_loss import SingleLoss
    from glann.experiment import representation
    from glann.nearest import squared_distance

    # networks and codes; after every step the codes are projected to the unit sphere
    generator = build_generator(space.shape, args.latent_dim, args.width, args.kernel_size)
    represent = representation(args, space)  # its squared distances are those of --distance
    codes = keras.layers.Embedding(*start.shape, embeddings_constraint=keras.constraints.UnitNorm(1), name="codes")

    # wiring
    x, row = keras.Input(space.shape, name="x"), keras.Input((), dtype="int32", name="rows")
    decoded = generator(codes(row))
    tensors = {"real": represent(x), "decoded": represent(decoded)}

    # loss: (1/M) sum_i ||x_i - G(c_i)||^2
    def glo_loss(real, decoded):
        return {"loss": squared_distance(real, decoded)}

    trainer = SingleLoss({"x": x, "rows": row}, tensors, glo_loss, [generator, codes])
    codes.set_weights([start])
    of_generator = keras.optimizers.Adam(args.learning_rate)
    of_codes = keras.optimizers.SGD(args.code_learning_rate * args.batch_size)  # the loss is a mean over the batch
    trainer.compile(keras.optimizers.MultiOptimizer(lambda v: of_codes if v is codes.embeddings else of_generator))
    return trainer, generator, codes, represent


def random_codes(args, n, stream):
    """Return n random points of the unit sphere, (n, latent_dim)."""
    from glann.codes import unit
    from glann.experiment import normal

    return unit(normal(args, n, stream))


def run(args):
    import numpy as np

    from common.experiments.setup import begin_run
    from common.files import atomic_write
    from glann.codes import first_codes, held_out_pictures
    from glann.experiment import drawer, finish, load, train_generator

    apply_preset(args, make_parser(), PRESETS)
    space = load(args, ARTICLE)
    start = first_codes(space.train.array, args.latent_dim)
    run_dir, devices = begin_run(args, ARTICLE, space.train)
    with devices:
        trainer, generator, codes, represent = build(args, space, start)
    draw = drawer(space, generator, lambda n, stream: random_codes(args, n, stream))
    metrics = train_generator(args, space, run_dir, devices, trainer, draw, with_rows=True)
    learned = codes.get_weights()[0]
    atomic_write(run_dir / "codes.npy", lambda path: np.save(path, learned))
    metrics |= held_out_pictures(run_dir, generator, represent, space, learned, args.steps)
    finish(args, run_dir, space, draw, [generator], metrics, REFERENCES)


if __name__ == "__main__":
    main(run, make_parser())
