"""The part of a GAN's script that is the same for every GAN: data, training, what came out."""

from pathlib import Path

import imageio.v3 as iio
import keras
import numpy as np

from common import backend, figures
from common.batches import Batches, predict
from common.errors import UserError
from common.runs import open_run, read_json, write_json, write_results, write_whole
from common.samples import Pictures, Points
from common.toys import TOYS
from common.training import images_per_second, train

# of a loss, drawn where they are logged
PARTS = ("critic_gap", "critic_loss", "generator_loss", "penalty", "bound")


class Progress:
    """A number for a generator's samples at each stretch of its training, kept by step in a file of the run."""

    def __init__(self, run, name="distances.json"):
        # what a stopped run measured beyond its last checkpoint is measured again, and comes out the same
        self.path = Path(run) / name
        self.at = read_json(self.path) if self.path.exists() else {}

    def note(self, step, number):
        self.at[str(step)] = number
        write_json(self.path, self.at)

    def curve(self):
        """(steps, numbers), in order; the untrained networks' is left out."""
        steps = sorted(int(step) for step in self.at if step != "0")
        return steps, [self.at[str(step)] for step in steps]


def run_gan(args, article, build, references, settled=()):
    """Trains a GAN in its run directory and measures its samples.

    Args:
        args: resolved flags of `common.cli.gan_parser`.
        article: str, folder of the run.
        build: function of (args, shape of a sample) that returns (trainer, critic, generator); `trainer` is a compiled
            `SingleLoss` or an `Alternating`, `generator` maps latents (n, latent_dim) to samples, images in [-1, 1].
        references: published numbers for `results.json`.
        settled: flags that a resumed run may not change though most may, as "steps" where rates fall with them.

    Returns:
        (run directory, critic, generator).
    """
    if args.mixed_precision:
        keras.mixed_precision.set_global_policy(f"mixed_{args.mixed_precision}")
    keras.utils.set_random_seed(args.seed)

    if args.dataset not in TOYS and args.width % (args.size // 8):
        raise UserError(f"--width must be a multiple of {args.size // 8} at {args.size} pixels")

    # data
    subject = Points(args) if args.dataset in TOYS else Pictures(args, getattr(args, "without", None))
    batches = Batches(subject.train, args.batch_size)  # too few samples: said before a run directory is made
    steps = args.steps = args.steps or args.epochs * batches.steps_per_epoch
    devices = backend.distribution(args.distribute)
    where = open_run(args, article, len(batches.images), settled)

    with devices:
        trainer, critic, generator = build(args, subject.shape)

    # figures and distances on the way, from fixed latents
    def sample(n, stream):
        z = np.random.default_rng([args.seed, stream]).standard_normal((n, args.latent_dim), "float32")
        return subject.finish(predict(generator, z))

    progress, found = Progress(where), Progress(where, "modes.json")

    def pictures(step):
        samples = sample(subject.n, 3)
        subject.show(where / f"samples/step-{step:07d}.png", samples)
        progress.note(step, subject.distance(samples))
        if subject.modes:
            found.note(step, subject.modes_of(samples)["modes"])

    how = {"batch_size": args.batch_size, "steps": steps, "every": args.every, "seed": args.seed}
    rows = train(trainer, subject.train, where, pictures=pictures, **how)

    # what came out
    for model in (critic, generator):
        write_whole(where / f"{model.name}.keras", model.save)
    metrics = {
        **subject.numbers(sample),
        "floor/on_the_way": subject.floor,
        "critic_gap": rows[-1]["critic_gap"],
        "images_per_second": images_per_second(rows, args.batch_size),
        "train_seconds": rows[-1]["seconds"],
        "steps": steps,
    }
    subject.show(where / "figures/samples.png", sample(subject.n, 3))
    how = {"logy": True, "references": {"between two samples of the data": subject.floor}}
    figures.curves(where / "figures/distance.png", {"samples": progress.curve()}, "step", subject.axis, **how)
    if found.curve()[0]:
        how = {"references": {"all": subject.modes}, "title": f"of {subject.n} samples"}
        figures.curves(where / "figures/modes.png", {"modes": found.curve()}, "step", "modes found", **how)
    series = {name: ([r["step"] for r in rows], [r[name] for r in rows]) for name in PARTS if name in rows[-1]}
    figures.curves(where / "figures/curves.png", series, "step", "mean over the batch")
    frames = [iio.imread(path, mode="RGB") for path in sorted((where / "samples").glob("step-*.png"))]
    figures.save_gif(where / "figures/training.gif", frames)
    write_results(where, metrics, references)
    print(*(f"{name:40s}{value:.4g}" for name, value in metrics.items()), sep="\n")
    print("pictures:", *sorted((where / "figures").iterdir()), sep="\n  ")
    return where, critic, generator
