"""GANs as energies (6316, 6331): Langevin steps with MALA's acceptance on the latents, forward and back."""

import functools

import numpy as np

from common.plots.charts import blank_figure
from play.pictures import shown, to_array

NETWORK = "energy-25gaussians"
CHAINS, STEPS = 400, 10  # chains, and steps of a click
EXTENT = (-2.2, 2.2, -2.2, 2.2)
CELLS = 80


@functools.cache
def networks():
    """Return (critic, generator, energy U over the cells of the plane)."""
    import common.models
    from energy_gan.energy_maps import maps

    critic, generator = (common.models.load(f"{NETWORK}/{name}") for name in ("critic", "generator"))
    return critic, generator, maps(critic, EXTENT, CELLS)[0]


def start(seed=0):
    """Return the history of chains that have not moved: a dict of `z` [(chains, d)] and `energies` [(chains,)].

    Their first positions are draws of the prior. `index` is the position that is shown.
    """
    _, generator, _ = networks()
    z = np.random.default_rng([seed, 4]).standard_normal((CHAINS, *generator.input_shape[1:]), "float32")
    return {"z": [z], "u": [energy_of(z)], "acceptance": [], "index": 0}


def energy_of(z):
    """Return U(G(z)) of latents, (n,)."""
    from common.models.inference import predict

    critic, generator, _ = networks()
    return -predict(critic, predict(generator, z, CHAINS), CHAINS)[:, 0]


@functools.lru_cache(maxsize=4)
def energy_model(beta):
    """Return the energy beta U(G(z)) + ||z||^2/2 as a model."""
    from energy_gan.sample import energy_of

    critic, generator, _ = networks()
    return energy_of(critic, generator, beta, prior=True)


def forward(history, beta, step_size, rule="mala"):
    """Return the history after `STEPS` more steps from the position that is shown; what came after it is forgotten."""
    from energy_gan.langevin import sample_chain

    i = history["index"]
    chain = sample_chain(energy_model(beta), history["z"][i], STEPS, step_size, rule, seed=i)
    new = list(chain["trajectory"][1:])
    z = [*history["z"][: i + 1], *new]
    u = [*history["u"][: i + 1], *np.split(energy_of(np.concatenate(new)), len(new))]
    return {"z": z, "u": u, "acceptance": [*history["acceptance"][:i], *chain["acceptance"]], "index": i + STEPS}


def back(history, steps=STEPS):
    """Return the history with an earlier position shown."""
    return history | {"index": max(0, history["index"] - steps)}


def draw(history):
    """Return a picture: the samples on the energy, and the mean energy of all steps so far."""
    from common.models.inference import predict

    _, generator, energy = networks()
    i = history["index"]
    drawn = blank_figure(8, 3.8)
    plane, trace = drawn.subplots(1, 2, width_ratios=[1, 1])
    plane.imshow(energy, cmap="magma", origin="lower", extent=EXTENT)
    plane.scatter(*predict(generator, history["z"][i], CHAINS).T, s=5, color="#7fd0ff", linewidths=0)
    plane.set(xlim=EXTENT[:2], ylim=EXTENT[2:])
    means = np.array([u.mean() for u in history["u"]])
    low, high = (np.array([np.quantile(u, q) for u in history["u"]]) for q in (0.1, 0.9))
    trace.fill_between(np.arange(len(means)), low, high, color="#2f6c8f", alpha=0.2, linewidth=0)
    trace.plot(means, color="#2f6c8f", marker="." if len(means) == 1 else None)
    trace.axvline(i, color="#d9643f", linewidth=1)
    trace.set(xlim=(-1, max(50, len(means))), xlabel="step", ylabel="U")
    for axes in (plane, trace):
        axes.tick_params(labelsize=8)
    return to_array(drawn)


def build(words, safe, opened):
    import gradio as gr

    with gr.Row():
        beta = gr.Slider(0.5, 30, 3, step=0.5, label=words["energy/beta"])
        step_size = gr.Slider(0.005, 0.5, 0.02, step=0.005, label=words["energy/step size"])
        rule = gr.Dropdown(["mala", "langevin", "article"], value="mala", label=words["energy/rule"])
    with gr.Row():
        buttons = [
            gr.Button(words[f"energy/{name}"], variant="primary" if name == "forward" else "secondary",
                      elem_id=f"energy-{name}")
            for name in ("back", "forward", "restart")
        ]  # fmt: skip
    picture = shown(words["energy/picture"], "energy-picture")
    text = gr.Markdown()
    history = gr.State(None)

    def show(history):
        last = history["acceptance"][max(0, history["index"] - STEPS) : history["index"]]
        rate = f"{np.mean(last):.2f}" if last else "–"
        mean = history["u"][history["index"]].mean()
        return history, draw(history), words["energy/text"].format(step=history["index"], acceptance=rate, energy=mean)

    def on_forward(history, beta, step_size, rule):
        return show(forward(history or start(), beta, step_size, rule))

    outputs = [history, picture, text]
    common = {"outputs": outputs, "concurrency_id": "network"}
    opened(safe(lambda: show(start())), None, **common)
    buttons[0].click(safe(lambda history: show(back(history or start()))), history, **common)
    buttons[1].click(safe(on_forward), [history, beta, step_size, rule], **common)
    buttons[2].click(safe(lambda: show(start())), None, **common)
