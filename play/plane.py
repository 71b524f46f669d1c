"""A GAN in the plane (6110): choose data and a loss, and watch it train."""

import dataclasses

import numpy as np

from common.data import toy_2d
from common.errors import UserError
from common.plots.charts import blank_figure
from play.pictures import shown, to_array

STEPS = 20  # of a frame
MAX_FRAMES = 300  # of a training that nobody stops
WIDTH, BATCH, SHOWN, ARROWS = 64, 256, 500, 60
CELLS = 36
OWN = "as in the method"  # the penalty of the row


def penalties():
    """Return the names of the penalties on gradients that a row can be given."""
    from common.losses.gradient_penalties import PENALTIES

    return [name for name, penalty in PENALTIES.items() if penalty.evaluated_at and not penalty.score_factors]


class Game:
    """A GAN of the plane in training.

    Args:
        data: one of `common.data.toy_2d.TOYS`.
        loss: a row of `rsgan.methods.METHODS`.
        penalty: `OWN`, or a name of `penalties()` that takes its place.
        weight: float, weight of the penalty; 0 for its default.
        learning_rate: float.
        seed: int.

    Raises:
        UserError: if that loss cannot have that penalty.
    """

    def __init__(self, data, loss, penalty=OWN, weight=0.0, learning_rate=1e-3, seed=0):
        import keras

        from common.cli import apply_preset
        from common.losses.adversarial import get_loss
        from rsgan import train
        from rsgan.methods import METHODS

        method = METHODS[loss]
        if penalty != OWN:
            if get_loss(method.loss).pairwise_critic or method.consistency:
                raise UserError(f"{loss} cannot have another penalty: choose another loss, or the method's own penalty")
            method = dataclasses.replace(method, penalty=penalty)
        self.settings = (data, loss, penalty, weight, learning_rate, seed)
        parser = train.make_parser()
        args = parser.parse_args(["--dataset", data, "--preset", "quick", "--seed", str(seed)])
        apply_preset(args, parser, train.PLANE_PRESETS, spectral_norm=lambda args: method.spectral_norm)
        args.width, args.learning_rate = WIDTH, learning_rate
        args.penalty_weight = weight if weight and method.penalty else None
        keras.utils.set_random_seed(seed)
        self.trainer, self.critic, self.generator = train.build(args, (2,), method)
        self.pairwise = get_loss(method.loss).pairwise_critic
        self.rng = np.random.default_rng(seed)
        self.points = toy_2d.sample(data, 20_000, [seed, 0])
        self.z = self.rng.standard_normal((SHOWN, args.latent_dim), "float32")
        self.step, self.gaps, self.running = 0, [], False
        side = 1.25 * float(np.abs(self.points).max())
        self.extent = (-side, side, -side, side)

    def train(self, steps=STEPS):
        """Make steps of both players.

        Raises:
            UserError: if the scores are no longer finite.
        """
        from common import backend

        for _ in range(steps):
            batch = self.points[self.rng.integers(len(self.points), size=BATCH)]
            logs = backend.train_on_batch(self.trainer, batch)
        self.trainer.reset_metrics()
        self.step += steps
        self.gaps.append((self.step, float(logs["critic_gap"])))
        if not np.isfinite(self.gaps[-1][1]):
            raise UserError(f"after {self.step} steps the scores are not finite: lower the learning rate, start again")

    def field(self):
        """Return (scores on the cells, fakes (n, 2), gradients of the score at the first fakes), or no scores."""
        from keras import ops

        from common import backend
        from common.plots.planes import grid_points

        fakes = ops.convert_to_numpy(self.generator(self.z, training=False))
        if self.pairwise:  # it scores pairs of points only
            return None, fakes, None
        call = lambda x: self.critic(x, training=False)
        cells = ops.convert_to_numpy(call(grid_points(self.extent, CELLS)))[:, 0].reshape(CELLS, CELLS)
        slopes = ops.convert_to_numpy(backend.input_gradient(call, ops.convert_to_tensor(fakes[:ARROWS])))
        return cells, fakes, slopes


def draw(game):
    """Return a picture: data, fakes, the critic's score and its gradient at the fakes; and the gap of the scores."""
    cells, fakes, slopes = game.field()
    drawn = blank_figure(8, 4)
    plane, trace = drawn.subplots(1, 2, width_ratios=[1.15, 1])
    if cells is not None:
        plane.imshow(cells, cmap="RdBu_r", origin="lower", extent=game.extent, alpha=0.6, interpolation="bilinear")
        length = np.linalg.norm(slopes, axis=1).max() or 1.0
        arrows = slopes / length * 0.12 * (game.extent[1] - game.extent[0])
        style = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.004, "color": "#222222"}
        plane.quiver(*fakes[:ARROWS].T, *arrows.T, **style)
    plane.scatter(*game.points[:SHOWN].T, s=4, color="#4a4a55", alpha=0.5, linewidths=0)
    plane.scatter(*fakes.T, s=7, color="#d9643f", linewidths=0)
    plane.set(xlim=game.extent[:2], ylim=game.extent[2:], aspect="equal")
    trace.plot(*np.reshape(game.gaps, (-1, 2)).T, color="#2f6c8f")
    trace.set(xlabel="step", ylabel="D(x) - D(G(z))", xlim=(0, max(200, game.step)))
    for axes in (plane, trace):
        axes.tick_params(labelsize=8)
    return to_array(drawn)


def build(words, safe, opened):
    import gradio as gr

    from rsgan.methods import METHODS

    with gr.Row():
        data = gr.Dropdown([*toy_2d.TOYS], value="8gaussians", label=words["plane/data"])
        loss = gr.Dropdown([*METHODS], value="rsgan", label=words["plane/loss"])
        penalty = gr.Dropdown([(words["plane/own"], OWN), *penalties()], value="r1_r2", label=words["plane/penalty"])
    with gr.Row():
        weight = gr.Slider(0, 10, 0.1, step=0.05, label=words["plane/weight"])
        rate = gr.Slider(-4, -2, -3, step=0.25, label=words["plane/rate"])
        seed = gr.Slider(0, 20, 0, step=1, label=words["plane/seed"])
    with gr.Row():
        go, pause, one, again = (
            gr.Button(words[f"plane/{name}"], variant="primary" if name == "train" else "secondary",
                      elem_id=f"plane-{name}")
            for name in ("train", "pause", "step", "restart")
        )  # fmt: skip
    picture = shown(words["plane/picture"], "plane-picture")
    text = gr.Markdown(elem_id="plane-text")
    state = gr.State(lambda: None)
    settings = [data, loss, penalty, weight, rate, seed]

    def the_game(game, data, loss, penalty, weight, rate, seed):
        """Return the game of these settings: the one in progress, or a new one if they have changed."""
        chosen = (data, loss, penalty, weight, 10**rate, int(seed))
        return game if game is not None and game.settings == chosen else Game(*chosen)

    def show(game):
        return game, draw(game), words["plane/text"].format(step=game.step)

    def train(game, *chosen):
        game = the_game(game, *chosen)
        yield show(game)
        for _ in range(MAX_FRAMES):
            game.train()
            yield show(game)

    def step(game, *chosen):
        game = the_game(game, *chosen)
        game.train(1)
        return show(game)

    outputs = [state, picture, text]
    training = go.click(safe(train), [state, *settings], outputs, concurrency_id="plane", show_progress="hidden")
    pause.click(None, cancels=[training])
    one.click(safe(step), [state, *settings], outputs, cancels=[training], concurrency_id="plane")
    restart = safe(lambda *chosen: show(the_game(None, *chosen)))
    again.click(restart, settings, outputs, cancels=[training], concurrency_id="plane")
