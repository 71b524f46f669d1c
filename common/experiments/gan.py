"""Shared GAN experiment runner: load data, train, evaluate, save."""

import numpy as np

from common.data.toy_2d import TOYS
from common.errors import errors_begin_with
from common.experiments.export import export_samples
from common.experiments.sample_space import ImageSpace, PlaneSpace
from common.experiments.setup import begin_run, check_width, prepare
from common.files import atomic_write
from common.models.inference import predict
from common.plots.animation import save_training_gif
from common.plots.charts import plot_curves
from common.plots.words import in_words
from common.streams import stage
from common.training.ema import WeightEMA, measured_network, recalibrate_batch_norm
from common.training.log import images_per_second, last_values, log_curves, train_seconds
from common.training.loop import train
from common.training.run_dir import peak_memory, write_results
from common.training.run_files import MetricHistory

PLOTTED_LOSSES = ("critic_gap", "critic_loss", "generator_loss", "penalty", "bound")  # if the trainer logs them
PROGRESS_STREAM = 3  # latents of the samples during training; `evaluate` of a sample space takes others
RECALIBRATION_STREAM = 6  # latents on which the batch statistics of the averaged generator are measured
N_RECALIBRATION = 2048


def run_gan(args, article, build, references, fixed_flags=(), any_width=False):
    """Train a GAN in its run directory, evaluate its samples and save the networks, metrics and figures.

    Args:
        args: flags of `common.cli.gan_parser`, with the preset applied.
        article: str, folder of the article.
        build: function (args, shape of a sample) -> (trainer, critic, generator). `trainer` is a compiled `SingleLoss`
            or an `Alternating`. `generator` maps latents (n, latent_dim) to samples, images in [-1, 1].
        references: dict of published numbers, for `results.json`.
        fixed_flags: names of flags that must not change on resume, e.g. "steps" when the learning-rate schedule
            depends on it.
        any_width: bool, whether the networks for images take every --width, as dense ones do.

    Returns:
        (run directory, critic, generator). The generator is the averaged one if there are averages.

    Raises:
        UserError: if --width does not fit the image size, or what `begin_run` and `train` raise.
    """
    prepare(args, article)
    is_toy = args.dataset in TOYS
    if not is_toy and not any_width:
        check_width(args)

    # data and networks
    sample_space = PlaneSpace(args) if is_toy else ImageSpace(args, getattr(args, "without", None))
    run_dir, devices = begin_run(args, article, sample_space.train, fixed_flags)
    with devices, stage("building the networks"):
        trainer, critic, last_generator = build(args, sample_space.shape)
        averages = WeightEMA([last_generator], args.ema) if args.ema else None
    generator = averages.models[0] if averages else last_generator  # the one that is drawn, measured and saved

    def latents(n, seed_stream):
        """Return n latents, which depend only on --seed and the stream."""
        return np.random.default_rng([args.seed, seed_stream]).standard_normal((n, args.latent_dim), "float32")

    def sample(n, seed_stream):
        return sample_space.postprocess(predict(generator, latents(n, seed_stream)))

    # training
    distances = MetricHistory(run_dir / "distances.json")
    mode_counts = MetricHistory(run_dir / "modes.json")
    n_drawn = max(sample_space.n, sample_space.n_shown)

    def measure_and_draw(step):
        if averages:
            recalibrate_batch_norm(generator, np.split(latents(N_RECALIBRATION, RECALIBRATION_STREAM), 8))
        samples = sample(n_drawn, PROGRESS_STREAM)
        sample_space.show(run_dir / f"samples/step-{step:07d}.png", samples)
        samples = samples[: sample_space.n]
        if sample_space.has_distance:
            distances.record(step, sample_space.distance(samples))
        if sample_space.modes:
            mode_counts.record(step, sample_space.count_modes(samples)["modes"])

    rows = train(
        trainer, sample_space.train, run_dir, batch_size=args.batch_size, steps=args.steps, save_every=args.every,
        seed=args.seed, on_interval=measure_and_draw, devices=devices, averages=averages,
    )  # fmt: skip
    memory = peak_memory()  # of the training; measuring many samples may take more

    with errors_begin_with(f"after step {args.steps}"):
        # results
        for model in (critic, generator):
            atomic_write(run_dir / f"{model.name}.keras", model.save)
        metrics = {
            **sample_space.evaluate(sample),
            **({"floor/on_the_way": sample_space.noise_floor} if sample_space.has_distance else {}),
            **last_values(rows, "critic_gap"),
            "images_per_second": images_per_second(rows, args.batch_size),
            **train_seconds(rows),
            **memory,
            "steps": args.steps,
        }
        write_results(run_dir, metrics, references, network=measured_network(averages))
        print(*(f"{name:40s}{value:.4g}" for name, value in metrics.items()), sep="\n")

        # figures
        figures = run_dir / "figures"
        title = f"Samples, {in_words(args.dataset)}, {args.steps:,} steps"
        sample_space.show(figures / "samples.png", sample(n_drawn, PROGRESS_STREAM), title)
        _plot_training(figures, rows, sample_space, distances, mode_counts)
        save_training_gif(figures / "training.gif", sorted((run_dir / "samples").glob("step-*.png")))
        print("pictures:", *sorted(figures.iterdir()), sep="\n  ")
        export_samples(run_dir, args.export_samples, lambda *draw: predict(generator, latents(*draw)))
    return run_dir, critic, generator


@stage("drawing the curves")
def _plot_training(figures, rows, sample_space, distances, mode_counts):
    """Plot the distance, the number of modes and the losses over the steps of a training, as far as they are known.

    Args:
        figures: path of the folder to draw into.
        rows: list of dicts, the rows of `log.csv`.
        sample_space: `ImageSpace` or `PlaneSpace`.
        distances: `MetricHistory` of the distance to the data; empty if it is not measured.
        mode_counts: `MetricHistory` of the number of modes; empty if modes are unknown.
    """
    plot_distance(figures, sample_space, distances)
    if mode_counts.curve()[0]:
        plot_curves(
            figures / "modes.png", {"modes": mode_counts.curve()}, "step", "modes found",
            references={"all": sample_space.modes}, title=f"Modes that {sample_space.n:,} samples reach",
        )  # fmt: skip
    losses = log_curves(rows, *PLOTTED_LOSSES)
    if losses:
        plot_curves(figures / "curves.png", losses, "step", "mean over the batch", "GAN in training")


def plot_distance(figures, sample_space, distances):
    """Plot the distance of the samples to the data over the steps of a training into `distance.png`, if it is measured.

    Args:
        figures: path of the folder to draw into.
        sample_space: `ImageSpace` or `PlaneSpace`.
        distances: `MetricHistory` of the distance; empty if it is not measured.
    """
    if sample_space.has_distance and distances.curve()[0]:
        plot_curves(
            figures / "distance.png", {"samples": distances.curve()}, "step", sample_space.distance_label, logy=True,
            title="Samples in training: distance to the data",
            references={"between two samples of the data": sample_space.noise_floor},
        )  # fmt: skip
