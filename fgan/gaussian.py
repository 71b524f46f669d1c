"""Which Gaussian does each divergence choose (article 6016, https://kexue.fm/archives/6016; arXiv 1606.00709)?

    python fgan/gaussian.py                                     # all divergences, a few minutes on one CPU core
    python fgan/gaussian.py --divergences kl reverse_kl js --seeds 3

The data is the mixture 0.33 N(-1, 1/16) + 0.67 N(2, 2), the generator G(z) = mu + sigma z: a Gaussian, which cannot
match it, so that divergences disagree. Each one's best Gaussian is found by quadrature, and beside it the one that
f-GAN training finds from samples. Writes a table of both, every fit measured by every divergence, and two figures to
`<out>/fgan/gaussian/` (`gaussian-smoke/` for that preset). What is finished is not trained again.

Total variation is not learned: its best critic is a jump, tanh saturates on the way there, and with it the gradient
of both players is gone. (Of two laws that stand still its bound is learned well, see `fgan/bounds.py`.)
"""

from pathlib import Path

import numpy as np

from common.cli import Parser, main, positive_int
from common.errors import UserError
from fgan.names import NAMES
from fgan.quadrature import GRID, bound, normal

WEIGHTS, MEANS, STDS = (0.33, 0.67), (-1.0, 2.0), (0.25, 2**0.5)
POINTS = 2**17  # of the training sample: sigma is known from it to a fifth of a percent
PRESETS = {
    "smoke": {"steps": 40, "every": 10, "batch_size": 256},
    "quick": {"steps": 4000, "every": 40, "batch_size": 1024},
}
LEARNING_RATES = {"critic": 5e-3, "generator": 1e-2}  # of Adam (b1 = .5, b2 = .99), falling to a fiftieth by a cosine


def make_parser():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    add = p.add_argument
    add("--divergences", nargs="+", choices=NAMES, default=NAMES, metavar="NAME", help=", ".join(NAMES))
    add("--preset", choices=PRESETS, default="quick", help="smoke: seconds; quick: a few minutes (default)")
    add("--seeds", type=positive_int, default=1, help="trainings of each, with seeds from 0 on (default 1)")
    add("--steps", type=positive_int, help="batches to train on")
    add("--batch-size", type=positive_int, help="points per step")
    add("--out", default="runs", help="folder that holds the run directories (default runs)")
    return p


# the data, and what is exact


def mixture(x):
    """Density of the data."""
    return sum(w * normal(x, mean, std) for w, mean, std in zip(WEIGHTS, MEANS, STDS, strict=True))


def sample(n, seed):
    """Points of the data, float32 (n, 1)."""
    rng = np.random.default_rng(seed)
    of = (rng.random(n) >= WEIGHTS[0]).astype(int)
    return (np.take(MEANS, of) + np.take(STDS, of) * rng.standard_normal(n)).astype("float32")[:, None]


def divergence_to_data(name, mu, sigma):
    """D(mixture || N(mu, sigma^2)) by quadrature; infinite, too, for a Gaussian that has nothing to do with the data.

    Neyman's int p^2/q is infinite for sigma <= 1, whose q falls off faster than p^2; Pearson's int q^2/p for
    sigma >= 2, and is called so from about 1.94 on, where it is some 10^4 and more lies beyond the grid.
    """
    from fgan.divergences import get_divergence

    if abs(mu) > 10 or not 0.1 < sigma < 10 or (name == "neyman" and sigma <= 1):
        return np.inf
    p, q = mixture(GRID), normal(GRID, mu, sigma)
    if name == "pearson" and (q**2 / p)[[0, -1]].max() > 1e-2:
        return np.inf
    q = np.maximum(q, 1e-280)  # a narrow one is 0 far out in float64, and KL then infinite
    return get_divergence(name).from_densities(p, q, GRID)


def derivatives(function, x, step=1e-4):
    """Gradient (n,) and Hessian (n, n) by central differences; those of the Hessian are ten times as wide."""
    steps = step * np.eye(len(x))
    gradient = np.array([function(x + a) - function(x - a) for a in steps]) / (2 * step)
    second = lambda a, b: function(x + a + b) - function(x + a - b) - function(x - a + b) + function(x - a - b)
    hessian = np.array([[second(a, b) for b in 10 * steps] for a in 10 * steps]) / (20 * step) ** 2
    return gradient, hessian


def minimise(function, start, steps=50):
    """A local minimum by Newton's method: curvatures taken positive, a step halved until it goes downhill.

    Args:
        function: of an array (n,); may be infinite, but not at the start.

    Returns:
        The point (n,) and the value there.
    """
    x = np.array(start, "float64")
    value = function(x)
    for _ in range(steps):
        gradient, hessian = derivatives(function, x)
        if not (np.isfinite(gradient).all() and np.isfinite(hessian).all()) or abs(gradient).max() < 1e-9:
            break
        curvatures, axes = np.linalg.eigh(hessian)
        move = -axes @ (axes.T @ gradient / np.maximum(abs(curvatures), 1e-3))
        sizes = 0.5 ** np.arange(30)
        better = next((size for size in sizes if function(x + size * move) < value), None)
        if better is None:
            break
        x = x + better * move
        value = function(x)
    return x, value


def optimum(name):
    """(mu, sigma, divergence) of the best Gaussian: the lowest of the minima from the moments and from both modes."""
    moments = moment_matching()
    value = lambda x: divergence_to_data(name, x[0], np.exp(x[1]))
    starts = [moments, *zip(MEANS, STDS, strict=True)]
    found = [
        minimise(value, (mean, np.log(std))) for mean, std in starts if np.isfinite(divergence_to_data(name, mean, std))
    ]
    (mu, log_sigma), lowest = min(found, key=lambda pair: pair[1])
    return float(mu), float(np.exp(log_sigma)), float(lowest)


def moment_matching():
    """(mean, standard deviation) of the data: the best Gaussian for KL."""
    mean = np.dot(WEIGHTS, MEANS)
    return mean, np.sqrt(np.dot(WEIGHTS, np.square(MEANS) + np.square(STDS)) - mean**2)


# what is learned


def build(name, steps, seed):
    """The networks, their wiring and the loss: returns (trainer, critic, generator)."""
    import keras
    from keras import layers

    from common.models.layers import Latent
    from common.training.single_loss import SingleLoss, reverse_gradient
    from fgan.divergences import f_gan_loss, get_divergence

    # networks
    hidden = [layers.Dense(64, "tanh"), layers.Dense(64, "tanh")]
    critic = keras.Sequential([keras.Input((1,)), *hidden, layers.Dense(1, kernel_initializer="zeros")], name="critic")
    generator = layers.Dense(1, kernel_initializer="ones", name="generator")  # sigma z + mu, begins as N(0, 1)

    # wiring: the critic raises the bound of the divergence, and what flows back through the fakes lowers it
    x = keras.Input((1,))
    x_fake = generator(Latent(1, seed=seed)(x))

    # loss
    loss = f_gan_loss(get_divergence(name))
    f_gan_loss = lambda real, fake: {"loss": loss.critic(real, fake)}

    trainer = SingleLoss(x, {"real": critic(x), "fake": critic(reverse_gradient(x_fake))}, f_gan_loss)
    falling = lambda rate: keras.optimizers.schedules.CosineDecay(rate, steps, alpha=0.02)
    adam = {k: keras.optimizers.Adam(falling(r), beta_1=0.5, beta_2=0.99) for k, r in LEARNING_RATES.items()}
    chosen = lambda weight: adam["generator" if weight.path.startswith("generator") else "critic"]
    trainer.compile(keras.optimizers.MultiOptimizer(chosen))
    return trainer, critic, generator


def train(name, seed, steps, every, batch_size):
    """f-GAN training: {"mu", "sigma", "bound", "path"}, mu and sigma averaged over the last quarter of the steps.

    The bound is what the critic then makes of that Gaussian, by quadrature; the path holds [step, mu, sigma].
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
        raise UserError(f"{name}, seed {seed}: training ended in no number; try more --steps or a larger --batch-size")
    value = bound(name, critic, mixture(GRID), normal(GRID, mu, sigma))
    return {"mu": float(mu), "sigma": float(sigma), "bound": value, "path": path}


def load_or_fit(where, name, seed, settings):
    """`train`, or what it gave the last time."""
    from common.files import read_json, write_json

    path = where / "fits" / f"{name}-s{seed}.json"
    if path.exists():
        fit = read_json(path)
        if fit.get("settings") != settings:
            raise UserError(f"{path} was trained with {fit.get('settings')}, not {settings}; use another --out")
        return fit
    fit = {"settings": settings, **train(name, seed, **settings)}
    write_json(path, fit)
    print(f"{name:16s} seed {seed}: mu {fit['mu']:.4f}, sigma {fit['sigma']:.4f}, bound {fit['bound']:.4f}", flush=True)
    return fit


# what is shown


def draw_fits(path, exact, fits):
    """The mixture, every learned Gaussian, and dotted the exact ones."""
    from common.plots.charts import COLOURS, blank_figure, write_figure

    figure = blank_figure(8.0, 4.4)
    axes, x = figure.add_subplot(), np.linspace(-5, 7.5, 600)
    axes.fill_between(x, mixture(x), color="#dcdce2", label="the data")
    for i, name in enumerate(exact):
        how = {"color": COLOURS[i % len(COLOURS)], "linestyle": "--" if i >= len(COLOURS) else "-"}
        axes.plot(x, normal(x, fits[name][0]["mu"], fits[name][0]["sigma"]), label=name, linewidth=1.5, **how)
        axes.plot(x, normal(x, *exact[name][:2]), linewidth=0.9, color=how["color"], linestyle=":")
    axes.set(xlabel="x", ylabel="density", title="learned (lines) and exact (dotted)")
    axes.legend(frameon=False, fontsize=8)
    write_figure(path, figure)


def run(args):
    from common.experiments.sweep import table
    from common.files import atomic_write, write_json
    from common.plots.charts import plot_curves
    from common.training.run_dir import provenance, write_results

    settings = PRESETS[args.preset] | {k: v for k in ("steps", "batch_size") if (v := getattr(args, k))}
    if settings["batch_size"] > POINTS:
        raise UserError(f"--batch-size: there are only {POINTS} points")
    where = Path(args.out) / "fgan" / ("gaussian" if args.preset == "quick" else f"gaussian-{args.preset}")
    write_json(where / "config.json", provenance(args) | {"settings": settings})

    exact = {name: optimum(name) for name in args.divergences}
    fits = {name: [load_or_fit(where, name, s, settings) for s in range(args.seeds)] for name in exact}

    # the tables
    rows, metrics = {}, {}
    for name, (mu, sigma, value) in exact.items():
        learned = {key: [fit[key] for fit in fits[name]] for key in ("mu", "sigma", "bound")}
        off = [100 * max(abs(fit["mu"] / mu - 1), abs(fit["sigma"] / sigma - 1)) for fit in fits[name]]
        row = {"mu": [mu], "mu learned": learned["mu"], "sigma": [sigma], "sigma learned": learned["sigma"]}
        rows[name] = row | {"lowest": [value], "learned bound": learned["bound"], "off by %": off}
    cross = {
        name: {other: [divergence_to_data(other, fit["mu"], fit["sigma"]) for fit in fits[name]] for other in exact}
        for name in exact
    }
    for kind, block in (("fit", rows), ("cross", cross)):
        for name, row in block.items():
            flat = {f"{kind}/{name}/{key}/{s}": v for key, numbers in row.items() for s, v in enumerate(numbers)}
            metrics |= {key: v for key, v in flat.items() if np.isfinite(v)}  # the others are infinite, as they must be
    text = table("divergence", rows) + "\nThe learned Gaussians (rows) under every divergence:\n\n"
    text += table("trained / measured", cross)
    atomic_write(where / "table.md", lambda path: path.write_text(text))
    write_results(where, metrics)

    # the figures
    draw_fits(where / "figures/fits.png", exact, fits)
    series = {}
    for name, (mu, sigma, _) in exact.items():
        paths = [np.array(fit["path"]) for fit in fits[name]]
        series[name] = [(p[:, 0], np.hypot(p[:, 1] - mu, p[:, 2] - sigma)) for p in paths]
    how = {"title": "from the exact optimum", "logy": True}
    plot_curves(where / "figures/curves.png", series, "step", "distance of (mu, sigma)", **how)
    print(text, *(where / "figures" / name for name in ("fits.png", "curves.png")), sep="\n")


if __name__ == "__main__":
    main(run, make_parser())
