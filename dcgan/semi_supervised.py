"""Learn digits from 100 labels: a discriminator that is a classifier (Improved Techniques, arXiv 1606.03498).

    python dcgan/semi_supervised.py --data-dir DIR                  # MNIST, 100 labels
    python dcgan/semi_supervised.py --labels 20 --seed 3            # another set of 20 labels
    python dcgan/semi_supervised.py --labels 100 --supervised       # the same network without the other images

The discriminator has K logits l_1 ... l_K, one per class; that of the class "fake" is fixed at 0. So with the sum
Z = sum_k exp(l_k) the probability of "real" is Z/(Z + 1). It learns from few labelled images, from all images without
their labels, and from fakes. The generator matches the mean of the last features (feature matching).

--seed chooses the labelled images and the networks. The networks are the paper's, with weight normalisation and
Gaussian noise; --preset paper has its 300 passes (its Adam has --learning-rate 3e-3). Written to the run directory:
`errors.json` (wrong test labels over the steps), figures, the discriminator, and results.json.
"""

from common.cli import apply_preset, float_in, main, parser, positive_int
from common.errors import UserError
from common.flag_types import IntRange

ARTICLE = "dcgan/semi_supervised"
# at the paper's rate, 3e-3, the pixels of the fakes saturate early, and the discriminator wins for many passes
COMMON = {"size": 28, "batch_size": 100, "learning_rate": 1e-3}
PRESETS = {
    "smoke": COMMON | {"batch_size": 10, "ema": 0.5, "steps": 4, "every": 2},
    "quick": COMMON | {"ema": 0.999, "steps": 6000, "every": 600},
    "paper": COMMON | {"ema": 0.9999, "steps": 180_000, "every": 600},  # 300 passes over the 60,000 images
}
HIDDEN = (1000, 500, 250, 250, 250)  # units of the discriminator
NOISE = (0.3, 0.5, 0.5, 0.5, 0.5, 0.5)  # standard deviation before each of its layers
LATENT_DIM, GENERATOR_UNITS = 100, 500
REFERENCES = {"mnist": {100: {"test_errors": 93.0, "spread": 6.5}}}  # one network, ten sets of labels


def make_parser():
    p = parser(__doc__, PRESETS, "mnist", sizes=(28,))
    p.add_argument("--labels", type=IntRange(1, 100_000), default=100, help="number of labelled images (default 100)")
    p.add_argument(
        "--supervised", action="store_true", help="learn from the labelled images alone, to see what the others add"
    )
    p.add_argument("--learning-rate", type=float_in(1e-8, 1), help="learning rate of Adam, for both networks")
    p.add_argument("--ema", type=float_in(0, 0.99999), help="momentum of the averages of the discriminator's weights")
    p.add_argument("--every", type=positive_int, help="number of steps between measurements and checkpoints")
    return p


def build_discriminator(pixels, classes):
    """Return the discriminator: images (batch, pixels) in [0, 1] -> [logits (batch, K), features (batch, 250)]."""
    import keras
    from keras import layers

    from dcgan.semi_supervised_layers import WeightNormDense

    h = x = keras.Input((pixels,))
    for units, noise in zip(HIDDEN, NOISE, strict=False):
        h = features = WeightNormDense(units, "relu")(layers.GaussianNoise(noise)(h))
    logits = WeightNormDense(classes, train_scale=True, dtype="float32")(layers.GaussianNoise(NOISE[-1])(h))
    return keras.Model(x, [logits, features], name="discriminator")


def build_generator(pixels):
    """Return the generator: z (batch, 100) -> images (batch, pixels) in [0, 1]."""
    import keras
    from keras import layers

    from common.backend import speed_up
    from dcgan.semi_supervised_layers import WeightNormDense

    h = z = keras.Input((LATENT_DIM,))
    for _ in range(2):
        h = layers.Dense(GENERATOR_UNITS, use_bias=False)(h)
        h = layers.Activation("softplus")(layers.BatchNormalization(scale=False, momentum=0.9)(h))
    x = WeightNormDense(pixels, "sigmoid", train_scale=True, dtype="float32")(h)
    return speed_up(keras.Model(z, x, name="generator"))


def build(args, images, labels, classes):
    """Build the networks, wire them up and compile the trainer.

    Args:
        args: resolved flags.
        images: float32 (n, height, width, channels) in [-1, 1], the labelled images.
        labels: int32 (n,).
        classes: int, K.

    Returns:
        Tuple (compiled `SingleLoss`, discriminator, generator).
    """
    import keras
    from keras import ops

    from common.models.layers import Latent
    from common.training.single_loss import SingleLoss, SplitGradient, value_zero
    from dcgan.semi_supervised_layers import LabelledBatch

    # networks
    shape, pixels = images.shape[1:], images[0].size
    discriminator, generator = build_discriminator(pixels, classes), build_generator(pixels)

    # wiring; `fake_ng` trains the discriminator alone, `fake_features` the generator alone
    x = keras.Input(shape)
    x_labelled, label = LabelledBatch((images.reshape(-1, pixels) + 1) / 2, labels, args.seed)(x)
    if args.supervised:
        tensors = {"labelled": discriminator(x_labelled)[0], "label": label}
    else:
        x_real = (ops.reshape(x, (-1, pixels)) + 1) / 2
        x_fake = generator(Latent(LATENT_DIM, seed=args.seed)(x))
        logits, features = discriminator(ops.concatenate([x_labelled, x_real], axis=0))
        labelled, real = ops.split(logits, 2, axis=0)
        (_, fake_features), (fake_ng, _) = SplitGradient(discriminator)(x_fake)
        tensors = {"labelled": labelled, "label": label, "real": real, "fake_ng": fake_ng}
        tensors |= {"real_features": ops.stop_gradient(ops.split(features, 2, axis=0)[1])}
        tensors |= {"fake_features": fake_features}

    # loss
    log_z = lambda logits: ops.logsumexp(logits, axis=-1)  # log of p("real")/p("fake")

    def loss(labelled, label, real=None, fake_ng=None, real_features=None, fake_features=None):
        of_label = ops.sparse_categorical_crossentropy(label, labelled, from_logits=True)
        correct = ops.cast(ops.cast(ops.argmax(labelled, axis=-1), "int32") == label, "float32")
        values = {"loss": ops.mean(of_label), "label_loss": of_label, "label_accuracy": correct}
        if real is None:
            return values
        values["gan_loss"] = (ops.softplus(-log_z(real)) + ops.softplus(log_z(fake_ng))) / 2
        matching = ops.mean(ops.square(ops.mean(real_features, axis=0) - ops.mean(fake_features, axis=0)))
        values["loss"] += ops.mean(values["gan_loss"]) + value_zero(matching)
        return values | {"feature_distance": matching}

    trainer = SingleLoss(x, tensors, loss)
    trainer.compile(keras.optimizers.Adam(args.learning_rate, beta_1=0.5))
    return trainer, discriminator, generator


def run(args):
    import numpy as np

    from common.data.catalog import has_classes
    from common.data.images import load_images, to_float, to_uint8
    from common.errors import errors_begin_with
    from common.experiments.setup import begin_run, prepare
    from common.files import atomic_write
    from common.models.inference import predict
    from common.plots.charts import plot_curves
    from common.plots.images import image_grid
    from common.plots.labels import save_labelled
    from common.plots.words import in_words
    from common.training.ema import WeightEMA, measured_network
    from common.training.log import train_seconds
    from common.training.loop import train
    from common.training.run_dir import write_results
    from common.training.run_files import MetricHistory
    from dcgan.features import balanced
    from dcgan.semi_supervised_layers import initialize_from_data

    apply_preset(args, make_parser(), PRESETS)
    prepare(args, ARTICLE)

    # data
    if not has_classes(args.dataset):
        raise UserError(f"{args.dataset} has no classes: choose mnist or fashion_mnist")
    images, test = (load_images(args.dataset, args.size, split, args.data_dir) for split in ("train", "test"))
    classes = len(images.label_names)
    if args.labels % classes:
        raise UserError(f"--labels must be a multiple of the {classes} classes. Received: {args.labels}")
    rows = balanced(images.labels, args.labels, np.random.default_rng([args.seed, 0]))
    run_dir, devices = begin_run(args, ARTICLE, images)
    labelled, labels = to_float(images.array[rows]), images.labels[rows].astype("int32")
    flat = lambda pixels: (to_float(np.asarray(pixels)).reshape(len(pixels), -1) + 1) / 2
    x_test = flat(test.array)

    with devices:
        trainer, discriminator, generator = build(args, labelled, labels, classes)
        initialize_from_data(discriminator, flat(images.array[:500]))
        averages = WeightEMA([discriminator], args.ema) if args.ema else None
    measured = averages.models[0] if averages else discriminator

    # training
    errors = MetricHistory(run_dir / "errors.json")

    def measure(step):
        errors.record(step, int(np.sum(predict_logits(measured, x_test).argmax(-1) != test.labels)))

    rows = train(
        trainer, images, run_dir, batch_size=args.batch_size, steps=args.steps, save_every=args.every, seed=args.seed,
        on_interval=measure, devices=devices, averages=averages,
    )  # fmt: skip

    # results
    with errors_begin_with(f"after step {args.steps}"):
        atomic_write(run_dir / "discriminator.keras", measured.save)
        errors.complete(args.steps, measure)
        steps, values = errors.curve()
        metrics = {"test_errors": errors.values[str(args.steps)], "test_images": len(test.labels)}
        metrics |= train_seconds(rows) | {"steps": args.steps, "labels": args.labels}
        published = {} if args.supervised else REFERENCES.get(args.dataset, {}).get(args.labels, {})
        write_results(run_dir, metrics, published, network=measured_network(averages))
        title = f"{in_words(args.dataset)} from {args.labels:,} labels"
        kind = "labels alone" if args.supervised else "with a GAN"
        references = {"published": published["test_errors"]} if published else None
        plot_curves(
            run_dir / "figures/errors.png", {kind: (steps, values)}, "step", "wrong test labels", title, logy=True,
            references=references,
        )  # fmt: skip
        if not args.supervised:
            z = np.random.default_rng([args.seed, 3]).standard_normal((81, LATENT_DIM), "float32")
            fakes = to_uint8(2 * predict(generator, z) - 1).reshape(-1, *images.array.shape[1:])
            save_labelled(run_dir / "figures/samples.png", image_grid(fakes, 9, scale=2), f"Samples, {title}")
        print(*(f"{name:20s}{value:.6g}" for name, value in metrics.items()), run_dir / "results.json", sep="\n")


def predict_logits(discriminator, x):
    """Return the logits (n, classes) of images (n, pixels) in [0, 1]."""
    import keras

    from common.models.inference import predict

    return predict(keras.Model(discriminator.input, discriminator.outputs[0], name="discriminator"), x, 500)


if __name__ == "__main__":
    main(run, make_parser())
