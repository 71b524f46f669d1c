"""Train GLANN: the codes of GLO, then by IMLE a map T from noise to codes (article 6394).

    python glann/train.py --dataset mnist                        # digits in minutes on two CPU cores
    python glann/train.py --dataset mnist --distance features    # perceptual distance, of a classifier

A sample of GLANN (arXiv 1812.08985) is G(T(z)) with normal z. First the script trains G and the codes as
`glann/glo.py` does, in the folder `glo/` of the run directory. Then it trains T: every code pulls the nearest of many
T(z). The wiring of T is in `build_map`. The results compare T with random codes, and with the Gaussian of the codes.
"""

from common.cli import apply_preset, float_in, main, positive_int
from common.flag_types import batch_int, count_int, width_int
from glann import glo
from glann.flags import image_parser

ARTICLE = "glann/glann"
MAP = {"noise_dim": 32, "map_width": 256, "map_batch_size": 256, "candidates": 1, "map_learning_rate": 1e-3}
PRESETS = {
    "smoke": glo.PRESETS["smoke"] | MAP | {"noise_dim": 4, "map_width": 16, "map_batch_size": 32, "map_steps": 6,
                                           "map_every": 3},
    "quick": glo.PRESETS["quick"] | MAP | {"map_steps": 3000, "map_every": 300},
    "paper": glo.PRESETS["paper"] | MAP | {"noise_dim": 128, "map_width": 512, "map_steps": 100_000, "map_every": 2000},
}  # fmt: skip
REFERENCES = {"figure": "https://kexue.fm/usr/uploads/2019/02/1032822081.png"}  # the article claims no number


def make_parser():
    p = image_parser(__doc__, PRESETS)
    glo.add_glo(p)
    p.add_argument("--noise-dim", type=width_int, help="length of the noise z that T takes")
    p.add_argument("--map-width", type=width_int, help="units of a hidden layer of T")
    p.add_argument("--map-batch-size", type=batch_int, help="codes per step of T")
    p.add_argument("--candidates", type=count_int, help="number of T(z) per code, among which the nearest is searched")
    p.add_argument("--map-learning-rate", type=float_in(1e-8, 1), help="learning rate of T")
    p.add_argument("--map-steps", type=positive_int, help="steps of T")
    p.add_argument("--map-every", type=positive_int, help="steps of T between pictures, measurements and checkpoints")
    return p


def build_map(args, length):
    """Build T, wire it up and compile the trainer.

    Args:
        args: resolved flags.
        length: int, length of a code.

    Returns:
        Tuple (trainer, T). The trainer is a compiled `SingleLoss` of codes (batch, length). T maps noise
        (batch, noise_dim) to codes of norm 1.
    """
    import keras
    from keras import ops

    from common.models.layers import Latent
    from common.models.networks import mlp
    from common.training.single_loss import SingleLoss
    from glann.nearest import nearest_rows, squared_distance

    # network
    z = keras.Input((args.noise_dim,))
    to_code = mlp(args.noise_dim, length, args.map_width)
    T = keras.Model(z, keras.layers.UnitNormalization(dtype="float32")(to_code(z)), name="map")

    # wiring: the nearest of many T(z) to each code, then T again for the gradient of those alone
    code = keras.Input((length,))
    z = Latent(args.noise_dim, seed=args.seed)(ops.repeat(code, args.candidates, axis=0))
    nearest = ops.take(z, nearest_rows(code, T(z)), axis=0)

    # loss: (1/M) sum_i min_j ||c_i - T(z_j)||^2
    def map_loss(code, mapped):
        return {"loss": squared_distance(code, mapped)}

    trainer = SingleLoss(code, {"code": code, "mapped": T(nearest)}, map_loss)
    trainer.compile(keras.optimizers.Adam(args.map_learning_rate))
    return trainer, T


def run(args):
    import keras
    import numpy as np

    from common.experiments.setup import begin_run
    from common.files import atomic_write
    from glann.codes import first_codes, gaussian_codes, held_out_pictures
    from glann.experiment import drawer, finish, judge, judges, load, normal, train_generator

    apply_preset(args, make_parser(), PRESETS)
    space = load(args, ARTICLE)
    start = first_codes(space.train.array, args.latent_dim)
    fixed_flags = ("steps", "epochs")  # a longer training of GLO would move the codes away from T
    run_dir, devices = begin_run(args, ARTICLE, space.train, fixed_flags)

    # codes
    with devices:
        trainer, generator, codes, represent = glo.build(args, space, start)
    draw_random = drawer(space, generator, lambda n, stream: glo.random_codes(args, n, stream))
    glo_metrics = train_generator(args, space, run_dir / "glo", devices, trainer, draw_random, with_rows=True)
    learned = codes.get_weights()[0]
    atomic_write(run_dir / "codes.npy", lambda path: np.save(path, learned))

    # map
    with devices:
        trainer, T = build_map(args, learned.shape[1])
    to_image = keras.Sequential([T, generator], name="sampler")
    draw = drawer(space, to_image, lambda n, stream: normal(args, n, stream, args.noise_dim))
    kwargs = {"batch_size": args.map_batch_size, "steps": args.map_steps, "save_every": args.map_every}
    metrics = train_generator(args, space, run_dir, devices, trainer, draw, learned, **kwargs)

    # results
    draw_gaussian = drawer(
        space, generator, lambda n, s: gaussian_codes(learned, n, np.random.default_rng([args.seed, s]))
    )
    judged = judges(args, space)
    for name, other in (("glo", draw_random), ("gaussian", draw_gaussian)):
        metrics |= {f"{name}/{key}": value for key, value in judge(args, space, judged, other).items()}
    metrics |= {f"glo/{key}": value for key, value in glo_metrics.items()}
    metrics |= held_out_pictures(run_dir, generator, represent, space, learned, args.steps)
    finish(args, run_dir, space, draw, [generator, T], metrics, REFERENCES)


if __name__ == "__main__":
    main(run, make_parser())
