"""The energy view of GANs in pictures, and what momentum costs (article 6316, https://kexue.fm/archives/6316).

    python energy_gan/landscape.py                              # seconds on one CPU core

Five landscapes U(x) in one dimension with real dynamics on them: the D step digs pits under the reals x_1, x_2, ...,
the G step lets the fakes roll down. Then a count of how many different pits the fakes reach with and without momentum,
and the Dirac GANs of article 6583 (https://kexue.fm/archives/6583), which show why a gradient penalty should be
centred at zero. Writes a table of both, pictures and films to `<out>/energy_gan/landscape/`.

With momentum the trail of a fake is drawn at the height of its whole energy, U(x) + v^2 / (2 rate), which friction
lowers: the fake can cross every barrier below its trail, and lies in a pit for good once the trail is below the rim.
"""

from pathlib import Path

import numpy as np

from common.cli import Parser, main
from energy_gan.toy_dynamics import DIRAC, START, assign_to_pit, critic_step, energy, heavy_ball, late_radii, slope

VIEW, HEIGHTS = (-4.0, 4.0), (-1.6, 0.45)  # of every landscape that is drawn
FRAMES = 40  # of a film

# the landscape of the count: eight reals, some close together and some far apart
PLACES = [-4.1, -3.1, -1.6, -0.6, 0.4, 1.9, 2.8, 4.3]
DEPTHS = [0.8, 0.6, 1.0, 0.7, 0.9, 0.6, 1.0, 0.8]
EIGHT_PITS = np.stack([PLACES, DEPTHS, np.full(8, 0.3)], 1)
MOMENTA, RATES = (0.0, 0.5, 0.9), (0.01, 0.03, 0.1, 0.3, 0.5)  # plain steps settle below 2 / max U'' = 0.18
DRAWS, STEPS = 100, 1000


def make_parser():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("--out", default="runs", help="folder that holds the run directories (default runs)")
    return p


# the five landscapes: each is a list of panels to draw, and a list of such lists, the frames of its film


def roll(pits, start, rate=0.02, momentum=0.0, steps=130):
    """Path of fakes, (steps + 1, n)."""
    return heavy_ball(lambda x: slope(x, pits), start, rate, momentum, steps)


def frames_of(path, n=FRAMES):
    """What of the path has been gone at n moments."""
    return [path[: last + 1] for last in np.linspace(0, len(path) - 1, n).astype(int)]


def digging():
    pits, fakes = three_pits()
    panel = {"title": "D step: dig a pit under every real; the fakes are left on the slopes", "pits": pits}
    return [panel | {"reals": pits[:, 0], "path": [fakes], "before": [pits * (1, t, 1) for t in (0, 0.5)]}], []


def rolling():
    pits, fakes = three_pits()
    panel = {"title": "G step: U is fixed, the fakes roll down", "pits": pits, "reals": pits[:, 0]}
    path = roll(pits, fakes)
    return [panel | {"path": path}], [[panel | {"path": part}] for part in frames_of(path)]


def three_pits():
    """The landscape of the two steps, and three fakes on its slopes."""
    return np.array([(-2.6, 0.85, 0.55), (0.1, 1.1, 0.55), (2.5, 0.95, 0.5)]), [-3.35, 0.85, 1.65]


def spurious_pit():
    reals, deepen, width = [-2.3, 2.3], 0.5, 0.5
    pits = np.array([(-2.3, 0.8, 0.6), (2.3, 0.8, 0.6), (0.7, 0.35, 0.4)])
    first = roll(pits, [-1.5, 0.1])
    dug = lambda rate: critic_step(pits, reals, first[-1], rate, width)
    second = roll(dug(deepen), first[-1], steps=250)
    base = {"reals": reals}
    stops = base | {"title": "G step: a fake stops in a pit without a real", "pits": pits}
    digs = base | {"title": "D step: the pit is filled up", "path": first[-1:], "before": [pits]}
    goes = base | {"title": "D step fills that pit up, G step: the fake rolls on", "pits": dug(deepen)}
    frames = [[stops | {"path": part}] for part in frames_of(first, 20)]
    frames += [[digs | {"pits": dug(rate)}] for rate in np.linspace(0, deepen, 10)]
    frames += [[goes | {"path": part}] for part in frames_of(second, 25)]
    return [stops | {"path": first}, goes | {"path": second, "before": [pits]}], frames


def momentum():
    pits = np.array([(-1.6, 1.2, 0.6), (0.2, 0.6, 0.5), (2.6, 0.9, 0.5)])
    still, frames = [], []
    titles = {
        0.0: "without momentum: into the nearest pit",
        0.9: r"momentum 0.9: $\hat x_2$ skips $x_2$, ends at $x_1$",
    }
    for beta, title in titles.items():
        path = roll(pits, [-2.9, 1.05, 3.4], 0.1, beta, steps=65)
        panel = {"title": title, "pits": pits, "reals": pits[:, 0], "rate": 0.1 if beta else None}
        still.append(panel | {"path": path})
        frames.append([panel | {"path": part} for part in frames_of(path)])
    return still, list(zip(*frames, strict=True))


def collapse():
    pits = np.array([(-2.7, 0.8, 0.45), (-0.6, 0.9, 0.5), (2.1, 1.2, 0.6)])
    panel = {"title": "collapse: all fakes began near one pit, and end in it", "pits": pits, "reals": pits[:, 0]}
    path = roll(pits, [0.95, 1.35, 2.9, 3.3])
    return [panel | {"path": path}], [[panel | {"path": part}] for part in frames_of(path)]


# what is drawn


def draw(axes, title, pits, reals, path, before=(), rate=None):
    """A landscape with its reals and its fakes: hollow where they began, full where they are, with their trails.

    Args:
        reals: places (m,) of x_1 to x_m.
        path: fakes (steps + 1, n).
        before: landscapes drawn as dashed lines, those from before a D step.
        rate: of a descent with momentum; lifts its trails by the energy of motion.
    """
    from common.plots.charts import COLOURS

    real, fake, ground = COLOURS[0], COLOURS[1], COLOURS[6]
    x, path = np.linspace(*VIEW, 400), np.asarray(path)
    axes.fill_between(x, energy(x, pits), HEIGHTS[0], color="#ededf1")
    axes.plot(x, energy(x, pits), color=ground, linewidth=1.6)
    for pits_before in before:
        axes.plot(x, energy(x, pits_before), color=ground, linewidth=0.8, linestyle="--", alpha=0.6)
    for k, place in enumerate(reals, 1):
        bottom = energy(place, pits)
        axes.plot(place, bottom, "o", color=real, markersize=11)
        axes.annotate(f"$x_{k}$", (place, bottom), (0, -18), textcoords="offset points", ha="center", color=real)
    now, trail = energy(path[-1], pits), energy(path, pits)
    if rate and len(path) > 2:
        trail[1:] += np.gradient(path, axis=0)[1:] ** 2 / (2 * rate)
    axes.plot(path, trail, color=fake, linewidth=1.6)
    axes.vlines(path[-1], now, trail[-1], color=fake, linewidth=1, linestyle=":")
    axes.plot(path[0], trail[0], "o", color=fake, markerfacecolor="white", markersize=7)
    axes.plot(path[-1], now, "o", color=fake, markersize=7)
    for k, (place, height) in enumerate(zip(path[0], trail[0], strict=True), 1):
        beside = (-11 * np.tanh(5 * slope(place, pits)), 8)  # on the open side of the slope
        how = {"textcoords": "offset points", "ha": "center", "color": fake}
        axes.annotate(rf"$\hat x_{k}$", (place, height), beside, **how)
    axes.set(xlim=VIEW, ylim=HEIGHTS, xticks=[], yticks=[], xlabel="x", ylabel="U(x)")
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)


def save_panels(path, panels):
    """Panels side by side into a PNG."""
    from common.plots.charts import blank_figure, write_figure

    figure = blank_figure(5.2 * len(panels), 3.0)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        draw(axes, **panel)
    write_figure(path, figure)


def save_animation(path, shown):
    """Lists of panels, one list per frame, into a GIF."""
    from common.plots.charts import blank_figure
    from common.plots.images import save_gif

    figure, shots = blank_figure(3.7 * len(shown[0]), 2.3), []
    row = figure.subplots(1, len(shown[0]), squeeze=False)[0]
    for panels in shown:
        for axes, panel in zip(row, panels, strict=True):
            axes.clear()
            draw(axes, **panel)
        figure.canvas.draw()
        figure.set_layout_engine("none")  # found once: the axes stay where they are, and drawing is faster
        shots.append(np.asarray(figure.canvas.buffer_rgba())[..., :3].copy())
    save_gif(path, shots, seconds_per_frame=0.08)


def portraits(path, games):
    """The way of theta in every game, {name: ((lowest, highest) late |theta|, path (n, 2))}; its last quarter ochre."""
    from common.plots.charts import COLOURS, blank_figure, write_figure

    figure = blank_figure(7.2, 5.2)
    for axes, (name, ((lowest, highest), theta)) in zip(figure.subplots(2, 3).flat, games.items(), strict=True):
        axes.plot(*theta.T, color=COLOURS[0], linewidth=0.8)
        axes.plot(*theta[3 * len(theta) // 4 :].T, color=COLOURS[4], linewidth=1.4)
        axes.plot(*START[1], "o", color=COLOURS[6], markerfacecolor="white", markersize=6)
        axes.plot(0, 0, "o", color="red", markersize=6)
        axes.set(aspect="equal", adjustable="datalim")
        axes.set_title(f"{name}\n" + rf"late $|\theta|$: {lowest:.3f} to {highest:.3f}", fontsize=9)
        axes.tick_params(labelsize=7)
    write_figure(path, figure)


# what is counted


def barriers(pits):
    """Where the basins of a landscape end: the maxima of U, and a step from the outermost reals, (n + 1,)."""
    x = np.linspace(pits[0, 0], pits[-1, 0], 10001)
    u = energy(x, pits)
    inner = x[1:-1][(u[1:-1] > u[:-2]) & (u[1:-1] > u[2:])]
    return np.array([x[0] - 0.6, *inner, x[-1] + 0.6])


def distinct_pits(momentum, rate, draws=DRAWS):
    """How many of the eight pits eight fakes end in, (draws,): one begins in every basin, anywhere in it.

    To end in a pit is to end within its width; who was thrown out of all of them does not count.
    """
    ends = barriers(EIGHT_PITS)
    along = np.random.default_rng(0).uniform(0.02, 0.98, (draws, len(EIGHT_PITS)))  # not on a barrier itself
    start = ends[:-1] + along * np.diff(ends)
    last = heavy_ball(lambda x: slope(x, EIGHT_PITS), start, rate, momentum, STEPS)[-1]
    pits = assign_to_pit(last, EIGHT_PITS[:, 0], EIGHT_PITS[:, 2])
    return np.array([len(set(row) - {-1}) for row in pits])


def run(args):
    from common.experiments.sweep import table
    from common.files import atomic_write, write_json
    from common.training.run_dir import provenance, write_results

    where = Path(args.out) / "energy_gan/landscape"
    write_json(where / "config.json", provenance(args))

    # the pictures
    for scene in (digging, rolling, spurious_pit, momentum, collapse):
        still, frames = scene()
        name = where / "figures" / scene.__name__.replace("_", "-")
        save_panels(name.with_suffix(".png"), still)
        if frames:
            save_animation(name.with_suffix(".gif"), frames)
        print(name.with_suffix(".png"))
    games = {name: late_radii(name) for name in DIRAC}
    portraits(where / "figures/dirac.png", games)
    print(where / "figures/dirac.png")

    # the tables
    counts = {f"{beta:g}": {f"rate {rate:g}": distinct_pits(beta, rate) for rate in RATES} for beta in MOMENTA}
    late = {name: {"from": [lowest], "to": [highest]} for name, ((lowest, highest), _) in games.items()}
    text = f"Different pits that {len(EIGHT_PITS)} fakes reach, mean and range of {DRAWS} draws:\n\n"
    text += table("momentum", counts) + "\n|theta| in the last quarter of the time, from 0.224:\n\n"
    text += table("game", late)
    atomic_write(where / "table.md", lambda path: path.write_text(text))
    metrics = {f"pits/{beta}/{rate}": np.mean(n) for beta, row in counts.items() for rate, n in row.items()}
    metrics |= {f"theta/{name}/{end}": v[0] for name, row in late.items() for end, v in row.items()}
    write_results(where, metrics)
    print("\n" + text)


if __name__ == "__main__":
    main(run, make_parser())
