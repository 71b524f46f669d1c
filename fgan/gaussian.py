"""Fit a Gaussian with every divergence: which one does each choose (article 6016, https://kexue.fm/archives/6016)?

    python fgan/gaussian.py                                     # all divergences, a few minutes on one CPU core
    python fgan/gaussian.py --divergences kl reverse_kl js --seeds 3

This is the experiment of arXiv 1606.00709. The data is the mixture 0.33 N(-1, 1/16) + 0.67 N(2, 2). The generator
G(z) = mu + sigma z is a Gaussian and cannot match it, so the divergences disagree. The script finds the best Gaussian
of each by quadrature, and beside it the one that f-GAN training finds from samples. It writes a table of both, every
fit measured by every divergence, and two figures to `<out>/fgan/gaussian/` (`gaussian-smoke/` for that preset). A fit
that has finished is not run again.

Total variation is not learned. Its best critic is a jump, tanh saturates on the way there, and then neither player has
a gradient. (Between two fixed distributions its bound is learned well, see `fgan/bounds.py`.)
"""

from pathlib import Path

import numpy as np

from common.cli import figure_parser, main, positive_int
from common.errors import UserError
from common.flag_types import batch_int, count_int
from common.streams import stage
from fgan.best_gaussian import divergence_to_data, mixture, optimum, sample
from fgan.names import PANEL_ORDER
from fgan.quadrature import GRID, bound, normal

POINTS = 2**17  # size of the training sample, which determines sigma to a fifth of a percent
PRESETS = {
    "smoke": {"steps": 40, "every": 10, "batch_size": 256},
    "quick": {"steps": 4000, "every": 40, "batch_size": 1024},
}
# of Adam (beta_1 .5, beta_2 .99); a cosine lowers them to a fiftieth
LEARNING_RATES = {"critic": 5e-3, "generator": 1e-2}


def make_parser():
    p = figure_parser(__doc__, PRESETS, "smoke: seconds; quick: a few minutes (default)")
    add = p.add_argument
    names_help = f"divergences to fit with, of {', '.join(PANEL_ORDER)} (default all)"
    add("--divergences", nargs="+", choices=PANEL_ORDER, default=PANEL_ORDER, metavar="NAME", help=names_help)
    add("--seeds", type=count_int, default=1, help="number of seeds, from 0 on (default 1)")
    add("--steps", type=positive_int, help="number of training steps (default: the preset's)")
    add("--batch-size", type=batch_int, help="number of points per step (default: the preset's)")
    return p


# training


def build(name, steps, seed):
    """Build the networks, wire them and compile the trainer.

    Args:
        name: name of the divergence.
        steps: int, number of training steps.
        seed: int.

    Returns:
        (trainer, critic, generator).
    """
    import keras
    from keras import layers

    from common.models.layers import Latent
    from common.training.single_loss import SingleLoss, reverse_gradient
    from fgan.divergences import f_gan_loss, get_divergence

    # networks
    hidden = [layers.Dense(64, "tanh"), layers.Dense(64, "tanh")]
    critic = keras.Sequential([keras.Input((1,)), *hidden, layers.Dense(1, kernel_initializer="zeros")], name="critic")
    generator = layers.Dense(1, kernel_initializer="ones", name="generator")  # sigma z + mu, starts as N(0, 1)

    # wiring: the critic maximises the bound of the divergence; the reversed gradient makes the generator minimise it
    x = keras.Input((1,))
    x_fake = generator(Latent(1, seed=seed)(x))

    # loss
    loss = f_gan_loss(get_divergence(name))
    bound_loss = lambda real, fake: {"loss": loss.critic(real, fake)}

    trainer = SingleLoss(x, {"real": critic(x), "fake": critic(reverse_gradient(x_fake))}, bound_loss)
    schedule = lambda rate: keras.optimizers.schedules.CosineDecay(rate, steps, alpha=0.02)
    adam = {k: keras.optimizers.Adam(schedule(r), beta_1=0.5, beta_2=0.99) for k, r in LEARNING_RATES.items()}
    optimizer_of = lambda weight: adam["generator" if weight.path.startswith("generator") else "critic"]
    trainer.compile(keras.optimizers.MultiOptimizer(optimizer_of))
    return trainer, critic, generator


@stage("fitting a Gaussian")
def train(name, seed, steps, every, batch_size):
    """Train an f-GAN whose generator is a Gaussian.

    Args:
        name: name of the divergence.
        seed: int.
        steps: int, number of training steps.
        every: int, number of steps between two points of the path.
        batch_size: int, number of points per step.

    Returns:
        dict: `mu` and `sigma`, averaged over the last quarter of the steps; `bound`, the bound of the last critic for
        that Gaussian, by quadrature; `path`, a list of [step, mu, sigma].

    Raises:
        UserError: if the training diverges.
    """
    import keras

    from common import backend
    from common.data.batches import EndlessBatches

    keras.utils.set_random_seed(seed)
    trainer, critic, generator = build(name, steps, seed)
    path, every = [], min(every, steps)

    class Record(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            backend.sync_jax_state(self.model)
            sigma, mu = (float(w.reshape(())) for w in generator.get_weights())
            path.append([(epoch + 1) * every, mu, abs(sigma)])

    trainer.fit(
        EndlessBatches(sample(POINTS, [seed, 0]), batch_size, seed=seed),
        epochs=-(-steps // every),
        steps_per_epoch=every,
        callbacks=[Record()],
        shuffle=False,
        verbose=0,
    )
    mu, sigma = np.mean([p[1:] for p in path[-max(1, len(path) // 4) :]], 0)
    if not np.isfinite(mu + sigma):
        raise UserError(
            f"{name}, seed {seed}: training diverged (NaN); try more --steps or a larger --batch-size", topic="nan"
        )
    value = bound(name, critic, mixture(GRID), normal(GRID, mu, sigma))
    return {"mu": float(mu), "sigma": float(sigma), "bound": value, "path": path}


def path_of_fit(output_dir, name, seed):
    return output_dir / "fits" / f"{name}-s{seed}.json"


def load_fit(output_dir, name, seed, settings):
    """Return the result of `train` from its file, or None if it has not been trained before.

    Args:
        output_dir: path of the script's output.
        name: name of the divergence.
        seed: int.
        settings: dict of the keyword arguments `steps`, `every` and `batch_size` of `train`.

    Raises:
        UserError: if it has been trained with other settings, or if its file is damaged.
    """
    from common.files import read_json

    path = path_of_fit(output_dir, name, seed)
    if not path.exists():
        return None
    fit = read_json(path)
    if not isinstance(fit, dict) or not fit.keys() >= {"settings", "mu", "sigma", "bound", "path"}:
        raise UserError(f"{path} is damaged: it is no fit; delete it to fit again")
    if fit["settings"] != settings:
        raise UserError(f"{path} was trained with {fit.get('settings')}, not {settings}; use another --out")
    return fit


def fit_and_save(output_dir, name, seed, settings):
    """Train, write the file that `load_fit` reads, and return the result."""
    from common.files import write_json

    fit = {"settings": settings, **train(name, seed, **settings)}
    write_json(path_of_fit(output_dir, name, seed), fit)
    print(f"{name:16s} seed {seed}: mu {fit['mu']:.4f}, sigma {fit['sigma']:.4f}, bound {fit['bound']:.4f}", flush=True)
    return fit


# figures


def draw_fits(path, exact, fits):
    """Draw the mixture, the learned Gaussians of seed 0, and the exact ones as dotted lines, into a PNG.

    Args:
        path: path of the PNG.
        exact: {name: (mu, sigma, divergence)}, see `optimum`.
        fits: {name: list of results of `train`, one per seed}.
    """
    from common.plots.charts import COLOURS, blank_figure, write_figure
    from common.plots.words import in_words

    figure = blank_figure(8.0, 4.4)
    axes, x = figure.add_subplot(), np.linspace(-5, 7.5, 600)
    axes.fill_between(x, mixture(x), color="#dcdce2", label="the data")
    for i, name in enumerate(exact):
        colour, line_style = COLOURS[i % len(COLOURS)], "--" if i >= len(COLOURS) else "-"
        learned = normal(x, fits[name][0]["mu"], fits[name][0]["sigma"])
        axes.plot(x, learned, label=in_words(name), linewidth=1.5, color=colour, linestyle=line_style)
        axes.plot(x, normal(x, *exact[name][:2]), linewidth=0.9, color=colour, linestyle=":")
    axes.set(xlabel="x", ylabel="density", title="What each divergence fits: learned (lines) and exact (dotted)")
    axes.legend(frameon=False, fontsize=8)
    write_figure(path, figure)


def run(args):
    from common.experiments.tables import table
    from common.files import atomic_write, write_json
    from common.plots.charts import plot_curves
    from common.training.run_dir import provenance, write_results

    settings = PRESETS[args.preset] | {k: v for k in ("steps", "batch_size") if (v := getattr(args, k))}
    if settings["batch_size"] > POINTS:
        raise UserError(f"--batch-size: there are only {POINTS} points. Received: {settings['batch_size']}")
    output_dir = Path(args.out) / "fgan" / ("gaussian" if args.preset == "quick" else f"gaussian-{args.preset}")
    exact = {name: optimum(name) for name in args.divergences}
    fits = {(name, s): load_fit(output_dir, name, s, settings) for name in exact for s in range(args.seeds)}
    write_json(output_dir / "config.json", provenance(args) | {"settings": settings})  # nothing is refused any more
    fits = {key: fit or fit_and_save(output_dir, *key, settings) for key, fit in fits.items()}
    fits = {name: [fits[name, s] for s in range(args.seeds)] for name in exact}

    # tables
    rows, metrics = {}, {}
    for name, (mu, sigma, value) in exact.items():
        learned = {key: [fit[key] for fit in fits[name]] for key in ("mu", "sigma", "bound")}
        percent_off = [100 * max(abs(fit["mu"] / mu - 1), abs(fit["sigma"] / sigma - 1)) for fit in fits[name]]
        row = {"mu": [mu], "mu learned": learned["mu"], "sigma": [sigma], "sigma learned": learned["sigma"]}
        rows[name] = row | {"lowest": [value], "learned bound": learned["bound"], "off by %": percent_off}
    cross = {
        name: {other: [divergence_to_data(other, fit["mu"], fit["sigma"]) for fit in fits[name]] for other in exact}
        for name in exact
    }
    for kind, block in (("fit", rows), ("cross", cross)):
        for name, row in block.items():
            flat = {f"{kind}/{name}/{key}/{s}": v for key, numbers in row.items() for s, v in enumerate(numbers)}
            metrics |= {key: v for key, v in flat.items() if np.isfinite(v)}  # some cross divergences are infinite
    text = table("divergence", rows) + "\nThe learned Gaussians (rows) under every divergence:\n\n"
    text += table("trained / measured", cross)
    atomic_write(output_dir / "table.md", lambda path: path.write_text(text))
    write_results(output_dir, metrics)

    # figures
    draw_fits(output_dir / "figures/fits.png", exact, fits)
    series = {}
    for name, (mu, sigma, _) in exact.items():
        paths = [np.array(fit["path"]) for fit in fits[name]]
        series[name] = [(p[:, 0], np.hypot(p[:, 1] - mu, p[:, 2] - sigma)) for p in paths]
    plot_curves(
        output_dir / "figures/curves.png", series, "step", "distance of (mu, sigma)",
        title="Distance of the learned Gaussian from the exact optimum", logy=True,
    )  # fmt: skip
    print(text, *(output_dir / "figures" / name for name in ("fits.png", "curves.png")), sep="\n")


if __name__ == "__main__":
    main(run, make_parser())
