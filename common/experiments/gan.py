"""The part of a GAN's script that is the same for every GAN: data, training, what came out."""

from pathlib import Path

import imageio.v3 as iio
import numpy as np

from common.data.toy_2d import TOYS
from common.errors import UserError
from common.experiments.sample_space import ImageSpace, PlaneSpace
from common.experiments.setup import begin_run, set_precision_and_seed
from common.files import atomic_write, read_json, write_json
from common.models.inference import predict
from common.plots.charts import plot_curves
from common.plots.images import save_gif
from common.training.loop import images_per_second, train
from common.training.run_dir import write_results

# of a loss, drawn where they are logged
PLOTTED_LOSSES = ("critic_gap", "critic_loss", "generator_loss", "penalty", "bound")


class MetricHistory:
    """A number for a generator's samples at each stretch of its training, kept by step in a file of the run."""

    def __init__(self, path):
        # what a stopped run measured beyond its last checkpoint is measured again, and comes out the same
        self.path = Path(path)
        self.values = read_json(self.path) if self.path.exists() else {}

    def record(self, step, number):
        self.values[str(step)] = number
        write_json(self.path, self.values)

    def curve(self):
        """(steps, numbers), in order; the untrained networks' is left out."""
        steps = sorted(int(step) for step in self.values if step != "0")
        return steps, [self.values[str(step)] for step in steps]


def run_gan(args, article, build, references, fixed_flags=()):
    """Trains a GAN in its run directory and measures its samples.

    Args:
        args: resolved flags of `common.cli.gan_parser`.
        article: str, folder of the run.
        build: function of (args, shape of a sample) that returns (trainer, critic, generator); `trainer` is a compiled
            `SingleLoss` or an `Alternating`, `generator` maps latents (n, latent_dim) to samples, images in [-1, 1].
        references: published numbers for `results.json`.
        fixed_flags: flags that a resumed run may not change though most may, as "steps" where rates fall with them.

    Returns:
        (run directory, critic, generator).
    """
    set_precision_and_seed(args)
    if args.dataset not in TOYS and args.width % (args.size // 8):
        raise UserError(f"--width must be a multiple of {args.size // 8} at {args.size} pixels")

    # data
    sample_space = PlaneSpace(args) if args.dataset in TOYS else ImageSpace(args, getattr(args, "without", None))
    run_dir, devices = begin_run(args, article, sample_space.train, fixed_flags)

    with devices:
        trainer, critic, generator = build(args, sample_space.shape)

    # figures and distances on the way, from fixed latents
    def sample(n, seed_stream):
        z = np.random.default_rng([args.seed, seed_stream]).standard_normal((n, args.latent_dim), "float32")
        return sample_space.postprocess(predict(generator, z))

    distances, mode_counts = MetricHistory(run_dir / "distances.json"), MetricHistory(run_dir / "modes.json")

    def measure_and_draw(step):
        samples = sample(sample_space.n, 3)
        sample_space.show(run_dir / f"samples/step-{step:07d}.png", samples)
        distances.record(step, sample_space.distance(samples))
        if sample_space.modes:
            mode_counts.record(step, sample_space.count_modes(samples)["modes"])

    rows = train(
        trainer, sample_space.train, run_dir, batch_size=args.batch_size, steps=args.steps, every=args.every,
        seed=args.seed, on_interval=measure_and_draw,
    )  # fmt: skip

    # what came out
    for model in (critic, generator):
        atomic_write(run_dir / f"{model.name}.keras", model.save)
    metrics = {
        **sample_space.evaluate(sample),
        "floor/on_the_way": sample_space.noise_floor,
        "critic_gap": rows[-1]["critic_gap"],
        "images_per_second": images_per_second(rows, args.batch_size),
        "train_seconds": rows[-1]["seconds"],
        "steps": args.steps,
    }
    figures = run_dir / "figures"
    sample_space.show(figures / "samples.png", sample(sample_space.n, 3))
    plot_curves(
        figures / "distance.png", {"samples": distances.curve()}, "step", sample_space.distance_label, logy=True,
        references={"between two samples of the data": sample_space.noise_floor},
    )  # fmt: skip
    if mode_counts.curve()[0]:
        plot_curves(
            figures / "modes.png", {"modes": mode_counts.curve()}, "step", "modes found",
            references={"all": sample_space.modes}, title=f"of {sample_space.n} samples",
        )  # fmt: skip
    series = {name: ([r["step"] for r in rows], [r[name] for r in rows]) for name in PLOTTED_LOSSES if name in rows[-1]}
    plot_curves(figures / "curves.png", series, "step", "mean over the batch")
    frames = [iio.imread(path, mode="RGB") for path in sorted((run_dir / "samples").glob("step-*.png"))]
    save_gif(figures / "training.gif", frames)
    write_results(run_dir, metrics, references)
    print(*(f"{name:40s}{value:.4g}" for name, value in metrics.items()), sep="\n")
    print("pictures:", *sorted(figures.iterdir()), sep="\n  ")
    return run_dir, critic, generator
