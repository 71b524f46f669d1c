"""Run the experiments of this article: load images, train, measure samples in several features, save."""

import numpy as np

from common.data.catalog import DATASETS
from common.data.splits import fixed_random_subset
from common.errors import UserError, errors_begin_with
from common.experiments.gan import PROGRESS_STREAM, plot_distance
from common.experiments.sample_space import N_FINAL, ImageSpace
from common.experiments.setup import check_width, prepare
from common.files import atomic_write
from common.metrics.classifier import image_chunks
from common.metrics.distances import frechet_distance
from common.metrics.features import extractor
from common.models.inference import predict
from common.plots.animation import save_training_gif
from common.plots.charts import plot_curves
from common.plots.words import in_words
from common.streams import stage
from common.training.log import images_per_second, log_curves, train_seconds
from common.training.loop import train
from common.training.run_dir import peak_memory, write_results
from common.training.run_files import MetricHistory
from glann.representation import VGG_FILE, l2, perceptual

OTHER_SEED = 1  # of the classifier that no loss uses
FINAL_STREAM = 4  # latents of the samples that are measured at the end, as in `ImageSpace.evaluate`


def load(args, article):
    """Say what will be trained, check the flags and load the images.

    Args:
        args: resolved flags of `glann.flags.image_parser`.
        article: str, folder of the runs.

    Returns:
        `ImageSpace`.

    Raises:
        UserError: if --width does not fit the image size, or --distance not the images.
    """
    prepare(args, article)
    check_width(args)
    if hasattr(args, "distance"):
        check_distance(args)
    return ImageSpace(args)


def check_distance(args):
    """Refuse flags of the distance that do not fit together."""
    if args.vgg_weights and args.distance != "features":
        raise UserError("--vgg-weights needs --distance features")
    if args.vgg_weights and args.size < 32:
        raise UserError(f"--vgg-weights: VGG-16 takes images of 32 pixels or more. Received: --size {args.size}")
    spec = DATASETS.get(args.dataset)
    if args.distance == "features" and not args.vgg_weights and not (spec and spec.classes and not spec.stacked_digits):
        raise UserError(
            f"--distance features: {args.dataset} has no classifier; give --vgg-weights FILE ({VGG_FILE} of Keras)"
        )


def representation(args, space):
    """Return the model whose squared distances are those of --distance, from images to (batch, d)."""
    if args.distance == "features":
        return perceptual(args.dataset, space.train.array, args.data_dir, args.vgg_weights)
    return l2(space.shape)


def normal(args, n, stream, length=None):
    """Return n normal vectors, which depend only on --seed and the stream, of the length --latent-dim or another."""
    shape = (n, length or args.latent_dim)
    return np.random.default_rng([args.seed, stream]).standard_normal(shape, "float32")


def train_generator(args, space, run_dir, devices, trainer, draw, data=None, **train_kwargs):
    """Train, and draw and measure samples on the way.

    Args:
        args: resolved flags.
        space: `ImageSpace`.
        run_dir: path of the folder to write to.
        devices: `common.backend.Devices`.
        trainer: compiled `SingleLoss`.
        draw: function (n, seed_stream) -> n samples, uint8.
        data: what is trained on (default: the training images).
        **train_kwargs: further arguments of `common.training.loop.train`, in the place of the flags'.

    Returns:
        Dict of numbers of the training: its seconds, images per second, and the peak memory of the process.
    """
    distances = MetricHistory(run_dir / "distances.json")

    def measure_and_draw(step):
        samples = draw(max(space.n, space.n_shown), PROGRESS_STREAM)
        space.show(run_dir / f"samples/step-{step:07d}.png", samples)
        if space.has_distance:
            distances.record(step, space.distance(samples[: space.n]))

    kwargs = {"batch_size": args.batch_size, "steps": args.steps, "save_every": args.every, "seed": args.seed}
    kwargs |= train_kwargs
    rows = train(
        trainer, space.train if data is None else data, run_dir,
        on_interval=measure_and_draw, devices=devices, **kwargs,
    )  # fmt: skip
    memory = peak_memory()

    figures = run_dir / "figures"
    title = f"Samples, {in_words(args.dataset)}, {kwargs['steps']:,} steps"
    space.show(figures / "samples.png", draw(space.n_shown, PROGRESS_STREAM), title)
    plot_distance(figures, space, distances)
    if curves := log_curves(rows, "loss"):
        plot_curves(figures / "curves.png", curves, "step", "mean over the batch", "Loss", logy=True)
    save_training_gif(figures / "training.gif", sorted((run_dir / "samples").glob("step-*.png")))
    speed = images_per_second(rows, kwargs["batch_size"])
    return {"images_per_second": speed, **train_seconds(rows), **memory}


def sharpness(images):
    """Return the mean square of the Laplacian of images (n, h, w, c), in squared units of their values.

    The Laplacian of a pixel is the sum of its four neighbours minus four times itself. Blur lowers it; noise raises it.
    """
    total = 0.0
    for x in image_chunks(images):
        x = x.astype("float32")
        laplacian = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:] - 4 * x[:, 1:-1, 1:-1]
        total += len(x) * float(np.mean(np.square(laplacian)))
    return total / len(images)


def judges(args, space):
    """Return {name: (function from uint8 images to features, those of the held-out images)}.

    With a classifier: "classifier", the one whose maps --distance features compares; "other_classifier", the same
    network trained from another seed; and "pixels". Without one, and with --features pixels, "pixels" alone.
    """
    spec = DATASETS.get(args.dataset)
    classified = spec and spec.classes and args.features != "pixels"
    seeds = {"classifier": 0, "other_classifier": OTHER_SEED} if classified else {}

    def get(kind, seed=0):
        if kind == args.features and not seed:  # as the space has it
            return space.extract
        return extractor(kind, args.dataset, args.size, space.train.array, args.data_dir, seed)

    extracts = {name: get("classifier", seed) for name, seed in seeds.items()} | {"pixels": get("pixels")}
    test = fixed_random_subset(space.test, N_FINAL)
    return {name: (extract, extract(test)) for name, extract in extracts.items()}


@stage("measuring the samples")
def judge(args, space, judged, draw):
    """Return the Frechet distances of samples in several features, and their sharpness.

    Args:
        args: resolved flags.
        space: `ImageSpace`.
        judged: what `judges` returns.
        draw: function (n, seed_stream) -> n samples, uint8.

    Returns:
        Dict `fid_<features>` -> distance of as many samples as held-out images, at most 10000, and `sharpness`: the
        mean squared Laplacian of the samples as a fraction of that of the held-out images. {} for a single image.
    """
    n = min(N_FINAL, len(space.test))
    if n < 2:
        return {}
    fakes = draw(n, FINAL_STREAM)
    metrics = {f"fid_{name}": frechet_distance(extract(fakes), real) for name, (extract, real) in judged.items()}
    real = sharpness(space.test)
    return metrics | ({"sharpness": sharpness(fakes) / real} if real else {})


def finish(args, run_dir, space, draw, networks, metrics, references):
    """Save the networks, measure the samples and write the results.

    Args:
        args: resolved flags.
        run_dir: path of the run directory.
        space: `ImageSpace`.
        draw: function (n, seed_stream) -> n samples, uint8.
        networks: list of models, saved under their names.
        metrics: dict, further numbers.
        references: dict of published numbers.
    """
    with errors_begin_with(f"after step {args.steps}"):
        for model in networks:
            atomic_write(run_dir / f"{model.name}.keras", model.save)
        judged = judges(args, space)
        floors = {f"{k}_floor": v for k, v in judge(args, space, judged, lambda n, s: real_images(space, n)).items()}
        floors.pop("sharpness_floor", None)
        metrics = {**space.evaluate(draw), **judge(args, space, judged, draw), **floors, **metrics, "steps": args.steps}
        write_results(run_dir, metrics, references)
        print(*(f"{name:40s}{value:.4g}" for name, value in metrics.items()), sep="\n")
        print("pictures:", *sorted((run_dir / "figures").iterdir()), sep="\n  ")


def real_images(space, n):
    """Return n training images, uint8, or all if there are fewer."""
    return np.asarray(fixed_random_subset(space.train.array, n))


def drawer(space, generator, latents):
    """Return the function (n, seed_stream) -> n samples, uint8.

    Args:
        space: `ImageSpace`.
        generator: model, (batch, d) -> images in [-1, 1].
        latents: function (n, seed_stream) -> (n, d).
    """
    return lambda n, stream: space.postprocess(predict(generator, latents(n, stream)))
