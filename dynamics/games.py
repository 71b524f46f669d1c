"""Run the smallest GANs under simultaneous and alternating steps, with and without a penalty (article 6261).

    python dynamics/games.py                        # seconds on one CPU core, nothing is trained

The article (https://kexue.fm/archives/6261) says that the view of training as a flow pays off for GANs. Here are two
games with one real sample at 0, one fake at theta and the critic phi x: the bilinear one, in which the critic maximises
-phi theta, and the Dirac GAN, whose critic ends in a sigmoid. A gradient penalty takes w phi^2 from the critic's gain.
The flow is solved by Runge-Kutta; training takes Euler steps, of both players at once or one after the other.

The picture shows the paths of (phi, theta). A table shows by which factor a step changes the distance from the
equilibrium (0, 0) near it: above 1 the game spirals out. All goes to `<out>/dynamics/games/`.
"""

from pathlib import Path

import numpy as np

from common.cli import figure_parser, main
from common.losses.dirac import vanilla
from common.ode import alternating_euler, euler, rk4, solve

WEIGHT = 0.25  # w of the penalty
START = ((0.6,), (0.8,))  # phi, theta: at the distance 1
T, H = 20.0, 0.2  # of the picture
LATE = 20.0, 40.0  # times of the table of distances; the Dirac GAN goes round in 4 pi
STEP_SIZES = (0.02, 0.1, 0.2, 0.5, 1.0)
SCHEMES = {"the flow": rk4, "simultaneous": euler, "alternating": alternating_euler}


def bilinear(state):
    """Return the velocity (2, d) of phi and theta: the critic maximises -phi theta, the generator phi theta."""
    phi, theta = state
    return np.stack([-theta, phi])


def penalised(field, weight=WEIGHT):
    """Return the field of a game whose critic is charged weight phi^2, the squared slope of phi x."""
    return lambda state: field(state) - np.stack([2 * weight * state[0], np.zeros_like(state[1])])


GAMES = {
    "bilinear": bilinear,
    "bilinear, penalty": penalised(bilinear),
    "Dirac GAN": vanilla,
    "Dirac GAN, penalty": penalised(vanilla),
}


def make_parser():
    return figure_parser(__doc__)


def factor(field, h, scheme):
    """Return the factor by which a step changes the distance from (0, 0) near it, on average over many steps.

    It is the largest absolute eigenvalue of the Jacobian of a step at (0, 0), by central differences.
    """
    step = lambda y: scheme(field, np.reshape(y, (2, 1)), h)[:, 0]
    jacobian = np.stack([step(d) - step(-d) for d in 1e-4 * np.eye(2)], 1) / 2e-4
    return abs(np.linalg.eigvals(jacobian)).max()


def late_distance(field, h, scheme):
    """Return the greatest distance from (0, 0) at the times `LATE` of a game that starts at `START`."""
    path = solve(field, START, LATE[1], h, scheme)[round(LATE[0] / h) :, :, 0]
    return np.linalg.norm(path, axis=1).max()


def draw_games(path):
    """Draw the paths of all games into a PNG: a row per scheme, a column per game, the flow in grey."""
    from common.plots.charts import COLOURS, blank_figure, write_figure

    figure = blank_figure(9.6, 5.2)
    figure.suptitle(
        f"Players that step at once (above) or in turn (below), h = {H:g}, distance from the real; grey: the flow",
        fontsize=11,
    )
    grid = figure.subplots(2, len(GAMES))
    for row, name_of_scheme in zip(grid, ("simultaneous", "alternating"), strict=True):
        for axes, (name, field) in zip(row, GAMES.items(), strict=True):
            axes.plot(*solve(field, START, T, H / 10)[..., 0].T, color="#b9b9c2", linewidth=2.5)
            steps = solve(field, START, T, H, SCHEMES[name_of_scheme])[..., 0]
            axes.plot(*steps.T, color=COLOURS[0], linewidth=0.9, marker="o", markersize=1.8)
            axes.plot(*START[0], *START[1], "o", color=COLOURS[6], markerfacecolor="white", markersize=6)
            axes.plot(0, 0, "o", color="red", markersize=5)
            axes.set(aspect="equal", adjustable="datalim", xlabel=r"critic $\phi$", ylabel=r"fake $\theta$")
            end = np.linalg.norm(steps[-1])
            axes.set_title(f"{name}\n{name_of_scheme}: 1 to {end:.2g}", fontsize=9)
            axes.tick_params(labelsize=7)
    write_figure(path, figure)


def run(args):
    from common.experiments.tables import table
    from common.files import atomic_write, write_json
    from common.training.run_dir import provenance, write_results

    output_dir = Path(args.out) / "dynamics/games"
    write_json(output_dir / "config.json", provenance(args))
    draw_games(output_dir / "figures/games.png")

    factors, ends = {}, {}
    for game, field in GAMES.items():
        for name, scheme in SCHEMES.items():
            factors[f"{game}, {name}"] = {f"h = {h:g}": [factor(field, h, scheme)] for h in STEP_SIZES}
            ends[f"{game}, {name}"] = {f"h = {h:g}": [late_distance(field, h, scheme)] for h in STEP_SIZES}
    text = "The factor of the distance per step, near the equilibrium:\n\n" + table("game", factors)
    text += "\nThe greatest distance from time {:g} to {:g}, from 1:\n\n".format(*LATE) + table("game", ends)
    atomic_write(output_dir / "table.md", lambda path: path.write_text(text, encoding="utf-8"))
    blocks = {"factor": factors, "distance": ends}
    write_results(
        output_dir,
        {f"{kind}/{name}/{key}": float(v) for kind, block in blocks.items() for name, row in block.items()
         for key, (v,) in row.items()},
    )  # fmt: skip
    print(text, output_dir / "figures/games.png", sep="\n")


if __name__ == "__main__":
    main(run, make_parser(), backend_needed=False)
