"""Does a GAN of the rarest class help the classifier? Few quasars, and many that a GAN draws after them (article 5505).

    python spectra/augment.py                       # 60 quasars
    python spectra/augment.py --rare 20 --seed 1

The article's classes are far from equally frequent. Here only --rare quasars are left to train on. A GAN learns from
them: RSGAN with both gradient penalties, as in `rsgan/`. Then the article's classifier is trained four times from the
same weights, for as many steps and with the same share of quasars in a batch: on the few, on the few and as many fakes
as fill up the class, on the few and shifted copies of them, and on all quasars. A shift along the logarithm of the
wavelength is another redshift. Each time the weights with the highest macro-F1 on the validation set count. A table, a
picture of real spectra and fakes, and results.json go to `<out>/spectra/augment/<run>/`.
"""

import functools

from common.cli import apply_preset, main, parser
from common.flag_types import IntRange, float_in, positive_int, sample_int, width_int
from spectra.train import PRESETS as OF_CLASSIFIER

ARTICLE = "spectra/augment"
GAN = {"gan_width": 32, "gan_learning_rate": 5e-4}
USED = ("points", "width", "batch_size", "limit", "learning_rate", "quotas", "every")  # of the presets of train.py
PRESETS = {
    "smoke": GAN | {"gan_width": 4, "gan_steps": 10, "rare": 10, "steps": 10},
    "quick": GAN | {"gan_steps": 2000, "rare": 60, "steps": 600},
    "paper": GAN | {"gan_steps": 20_000, "rare": 60, "steps": 25_000},
}
PRESETS = {name: {flag: OF_CLASSIFIER[name][flag] for flag in USED} | own for name, own in PRESETS.items()}
FEW, FAKES, SHIFTED, ALL = "the few", "and fakes", "and shifted copies", "all quasars"
PANELS = 4  # spectra of each kind in the picture


def make_parser():
    p = parser(__doc__, PRESETS, None)
    add = p.add_argument
    add("--rare", type=IntRange(2, 100_000), help="quasars that are left to train on")
    add("--limit", type=sample_int, help="spectra to train on, before quasars are left out")
    add("--points", type=IntRange(128, 100_000), help="wavelengths of a spectrum")
    add(
        "--quotas", nargs=4, type=float_in(0.001, 1000), metavar="SHARE",
        help="shares of star, unknown, galaxy and qso in a batch of the classifier",
    )  # fmt: skip
    add("--width", type=width_int, help="channels of the first two blocks of the classifier")
    add("--learning-rate", type=float_in(1e-8, 1), help="learning rate of the classifier")
    add("--gan-width", type=width_int, help="channels of the GAN at the full length")
    add("--gan-learning-rate", type=float_in(1e-8, 1), help="learning rate of the GAN, for both players")
    add("--gan-steps", type=positive_int, help="length of the GAN's training in steps")
    add("--every", type=positive_int, help="steps between measurements on the validation set, and checkpoints")
    return p


def shifted(x, n, rng):
    """Return n random rows of spectra, each moved by up to a tenth of its points; the ends are continued.

    Args:
        x: (m, points, 1).
        n: int.
        rng: numpy generator.
    """
    import numpy as np

    points = x.shape[1]
    moves = rng.integers(-(points // 10), points // 10 + 1, (n, 1))
    places = np.clip(np.arange(points) + moves, 0, points - 1)
    return x[rng.integers(0, len(x), (n, 1)), places]


def filled_up(part, extra, label):
    """Return a `Part` with further spectra of a class, and its own ones of that class as often as these.

    So half of the class in a batch is real.

    Args:
        part: `spectra.dataset.Part`.
        extra: float32 (n, points, 1).
        label: int, the class.
    """
    import numpy as np

    from spectra.dataset import Part

    others = part.labels != label
    x = np.concatenate([part.x[others], np.resize(part.x[~others], extra.shape), extra])
    return Part(x, np.concatenate([part.labels[others], np.full(2 * len(extra), label)]))


def run(args):
    import numpy as np

    from common.errors import UserError
    from common.experiments.setup import begin_run, prepare
    from common.experiments.tables import table
    from common.files import atomic_write
    from common.models.inference import predict
    from common.training.log import train_seconds
    from common.training.loop import train
    from common.training.run_dir import write_results
    from spectra import gan
    from spectra.batches import QuotaBatches, quota_counts
    from spectra.best import BestWeights, score
    from spectra.dataset import SIMULATED, Part, load, rows_of
    from spectra.network import build_network
    from spectra.simulator import CLASSES, QSO
    from spectra.train import build

    apply_preset(args, make_parser(), PRESETS)
    prepare(args, ARTICLE)

    # data
    everything, validation, test = load(SIMULATED, args.limit, args.points, args.seed)
    quota_counts(args.quotas, args.batch_size)
    quasars = np.flatnonzero(everything.labels == QSO)
    if len(quasars) < 2:
        raise UserError(f"{len(quasars)} of {args.limit} spectra are quasars, too few for a GAN: raise --limit")
    dropped = quasars[args.rare :]
    few = Part(*(np.delete(array, dropped, 0) for array in everything))
    rare = few.x[few.labels == QSO]
    run_dir, devices = begin_run(args, ARTICLE, rows_of(few), fixed_flags=("steps", "epochs", "gan_steps"))

    # the GAN
    with devices:
        trainer, generator = gan.build(args.points, args.gan_width, args.gan_learning_rate, args.seed)
    log = train(
        trainer, rare, run_dir, batch_size=min(args.batch_size, len(rare)), steps=args.gan_steps,
        save_every=args.every, seed=args.seed, on_interval=lambda step: None, devices=devices,
    )  # fmt: skip
    atomic_write(run_dir / "generator.keras", generator.save)
    rng = np.random.default_rng([args.seed, 7])
    n_extra = max(len(dropped), len(rare))
    fakes = predict(generator, rng.standard_normal((n_extra, gan.latent_dim(args.points)), "float32"))

    # the classifier, four times from the same weights
    with devices:
        network = build_network(args.points, args.width)
    start = network.get_weights()
    sets = {
        FEW: few,
        FAKES: filled_up(few, fakes, QSO),
        SHIFTED: filled_up(few, shifted(rare, n_extra, rng), QSO),
        ALL: everything,
    }
    scores = {}
    for name, part in sets.items():
        print(f"the classifier, {args.steps} steps, from {name}", flush=True)
        network.set_weights(start)
        with devices:
            classifier = build(network, "cross_entropy", args.learning_rate)
        best = BestWeights(network, *validation)
        train(
            classifier, rows_of(part), run_dir / name.replace(" ", "-"), batch_size=args.batch_size, steps=args.steps,
            save_every=args.every, seed=args.seed, on_interval=best.measure, devices=devices, stateful={"best": best},
            batches=functools.partial(QuotaBatches, labels=part.labels, quotas=args.quotas),
        )  # fmt: skip
        best.load()
        scores[name], _, _ = score(network, *test)

    # results
    rows = {
        name: {"macro-F1": [f1.mean()]} | {kind: [v] for kind, v in zip(CLASSES, f1, strict=True)}
        for name, f1 in scores.items()
    }
    text = table("quasars to train on", rows)
    atomic_write(run_dir / "table.md", lambda path: path.write_text(text, encoding="utf-8"))
    metrics = {f"{column}/{name}": values[0] for name, row in rows.items() for column, values in row.items()}
    metrics |= {"quasars": len(rare), "quasars/all": len(quasars), "fakes": n_extra}
    write_results(run_dir, metrics | train_seconds(log) | {"steps": args.steps, "gan_steps": args.gan_steps})
    draw(run_dir / "figures/fakes.png", {"quasar": rare, "fake": fakes})
    print(text, run_dir / "results.json", run_dir / "figures/fakes.png", sep="\n")


def draw(path, spectra):
    """Draw the first spectra of each kind, a row for each.

    Args:
        path: of the PNG.
        spectra: dict name of a row -> (n, points, 1).
    """
    from common.plots.charts import COLOURS, blank_figure, write_figure
    from spectra.simulator import wavelengths

    figure = blank_figure(13, 2.6 * len(spectra))
    panels = figure.subplots(len(spectra), PANELS, sharex=True, squeeze=False)
    for colour, (name, x), row in zip(COLOURS, spectra.items(), panels, strict=False):
        for i, (axes, flux) in enumerate(zip(row, x[..., 0], strict=False), 1):
            axes.set_title(f"{name} {i}", fontsize=10)
            axes.plot(wavelengths(len(flux)), flux, color=colour, linewidth=0.8)
            axes.spines[["top", "right"]].set_visible(False)
            axes.tick_params(labelsize=8)
        row[0].set_ylabel("scaled flux", fontsize=9)
    for axes in panels[-1]:
        axes.set_xlabel("wavelength, Å", fontsize=9)
    write_figure(path, figure)


if __name__ == "__main__":
    main(run, make_parser())
