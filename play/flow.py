"""Flows (5807): temperature, the line between two digits, and the bits/dim of a drawing."""

import functools

import numpy as np

from common.errors import UserError
from common.plots.images import image_grid
from play.pictures import as_rgb, shown, strip

DIGITS = "gan-mnist/generator"
SIDE = 28
FLOWS = {"digits": ("glow-mnist", (SIDE, SIDE, 1)), "faces": ("glow-lfw-32", (32, 32, 3))}  # entry, an image
BOX = 20  # MNIST: a digit's longer side, in pixels; its centre of mass is the centre of the picture
COLUMNS = 8
STEPS = 7


@functools.cache
def views(what="digits"):
    """Return the `FlowViews` of a pretrained Glow, of digits or of faces."""
    import common.models
    from flow.training.evaluate import inference_models

    name, shape = FLOWS[what]
    return inference_models(common.models.load(name).get_layer("flow"), shape)


@functools.cache
def digits(n=24):
    """Return n digits that the pretrained GAN makes, uint8 (n, 28, 28, 1): nothing has to be downloaded for them."""
    import common.models
    from common.data.images import to_uint8
    from common.models.inference import predict

    generator = common.models.load(DIGITS)
    z = np.random.default_rng(0).standard_normal((n, *generator.input_shape[1:]), "float32")
    return to_uint8(predict(generator, z, n))[:, 2:-2, 2:-2]  # these were padded to 32 pixels


def samples(temperature, seed, what="digits"):
    """Return a picture of samples at a temperature. The same seed has the same noise at every temperature."""
    from flow.training import evaluate

    z = evaluate.noise(4 * COLUMNS, int(np.prod(FLOWS[what][1])), seed)
    images = evaluate.predict(views(what).sampler, np.float32(temperature) * z)
    return as_rgb(image_grid(images, COLUMNS, scale=3))


def interpolate(left, right):
    """Return a row: a digit, the decoded points between the z of both, the other digit.

    Args:
        left: uint8 image (28, 28, 1).
        right: uint8 image (28, 28, 1).
    """
    from flow.training import evaluate

    return as_rgb(evaluate.interpolations(views().encoder, views().sampler, left[None], right[None], 3, STEPS))


def from_drawing(drawing):
    """Return a drawing in the form of MNIST, uint8 (28, 28, 1): white on black, in a box of 20 pixels, centred.

    Args:
        drawing: dict of gradio's sketchpad, whose "composite" is uint8 (h, w, 4): dark ink on transparent or white
            paper.

    Raises:
        UserError: if nothing is drawn.
    """
    from PIL import Image

    picture = None if drawing is None else drawing.get("composite")
    ink = np.zeros((1, 1))
    if picture is not None:
        colour, opacity = np.split(np.asarray(picture, "float64"), [3], -1)
        ink = opacity[..., 0] * (1 - colour.mean(-1) / 255)
    rows, columns = np.flatnonzero(ink.max(1) > 32), np.flatnonzero(ink.max(0) > 32)
    if min(len(rows), len(columns)) < 3:
        raise UserError("the paper is empty: draw a digit first, as large as you like")
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    factor = BOX / max(ink.shape)
    size = [max(1, round(side * factor)) for side in ink.shape[::-1]]
    small = np.asarray(Image.fromarray(ink.astype("uint8")).resize(size, Image.Resampling.BOX), "float64")
    small *= 255 / small.max()
    y, x = (np.sum(small * index) / small.sum() for index in np.indices(small.shape))
    top, left = (int(np.clip(round(SIDE / 2 - c - 0.5), 0, SIDE - n)) for c, n in zip((y, x), small.shape, strict=True))
    image = np.zeros((SIDE, SIDE, 1), "uint8")
    image[top : top + small.shape[0], left : left + small.shape[1], 0] = small.round()
    return image


def bits(image):
    """Return the bits/dim of a uint8 image (28, 28, 1), averaged over 8 draws of the noise."""
    from flow.training.evaluate import likelihood

    return likelihood(views().density, np.repeat(image[None], 8, 0))["bits_per_dim"]


@functools.cache
def bits_beside():
    """Return what a drawing is compared with: {"digits": bits/dim of digits of the GAN, "noise": of noise}."""
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 1), dtype=np.uint8)
    return {"digits": np.mean([bits(x) for x in digits()[:4]]), "noise": bits(noise)}


def build(words, safe, opened):
    import gradio as gr

    with gr.Row():
        kinds = [(words[f"flow/{what}"], what) for what in FLOWS]
        what = gr.Radio(kinds, value="digits", label=words["flow/what"], elem_id="flow-what")
        temperature = gr.Slider(0, 1.3, 1.0, step=0.05, label=words["flow/temperature"], elem_id="flow-temperature")
        seed = gr.Slider(0, 50, 0, step=1, label=words["flow/seed"])
    grid = shown(words["flow/samples"], "flow-samples", elem_classes="pixels")
    show = safe(lambda temperature, seed, what: samples(temperature, int(seed), what))
    events = [opened, temperature.release, seed.release, what.change]
    gr.on(events, show, [temperature, seed, what], grid, trigger_mode="always_last", concurrency_id="network")

    with gr.Row():
        left, right = (gr.Slider(0, 23, i, step=1, label=words[f"flow/digit {i}"]) for i in (3, 7))
    line = shown(words["flow/line"], "flow-line", elem_classes="pixels")
    between = safe(lambda i, j: interpolate(digits()[int(i)], digits()[int(j)]))
    events = [opened, left.release, right.release]
    gr.on(events, between, [left, right], line, trigger_mode="always_last", concurrency_id="network")

    gr.Markdown(words["flow/draw"])
    with gr.Row(elem_id="flow-drawing"):
        paper = gr.Sketchpad(
            label=words["flow/paper"], elem_id="flow-paper", canvas_size=(280, 280), height=420, layers=False,
            brush=gr.Brush(default_size=22, colors=["#000000"], color_mode="fixed"), transforms=(), format="png",
        )  # fmt: skip
        with gr.Column():
            go = gr.Button(words["flow/go"], variant="primary", elem_id="flow-go")
            seen = shown(words["flow/seen"], "flow-seen", elem_classes="pixels", height=240)
            verdict = gr.Markdown(elem_id="flow-bits")

    def measure(drawing):
        image = from_drawing(drawing)
        return strip(image[None], side=224), words["flow/bits"].format(drawing=bits(image), **bits_beside())

    go.click(safe(measure), paper, [seen, verdict], concurrency_id="network")
