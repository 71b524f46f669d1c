"""O-GAN (6409): a photo, its code and its reconstruction; morphs, and directions of the code."""

import functools

import numpy as np

from common.data.decoding import LARGE_PIXELS, SQUARE, BadImage, decode, quiet_pillow, upright_size
from common.data.images import to_float
from common.errors import UserError
from common.plots.charts import blank_figure
from play.pictures import shown, strip, to_array

NETWORK = "ogan-lfw-32"
STEPS = 7  # pictures of a morph, and along a direction
SAMPLES = 600  # drawn to find the directions
PRINCIPAL = 5
# what is measured on the network's own samples, (n, size, size, 3) in [-1, 1] -> (n,)
LABELLED = {
    "brightness": lambda x: x.mean((1, 2, 3)),
    "warmth": lambda x: (x[..., 0] - x[..., 2]).mean((1, 2)),
    "light from the left": lambda x: (x[:, :, : x.shape[2] // 2] - x[:, :, x.shape[2] // 2 :]).mean((1, 2, 3)),
    "contrast": lambda x: x.std((1, 2, 3)),
    "background": lambda x: (x[:, :8, :4] + x[:, :8, -4:]).mean((1, 2, 3)),
}
DIRECTIONS = (*(f"PC {i + 1}" for i in range(PRINCIPAL)), *LABELLED)


@functools.cache
def networks():
    """Return (encoder, generator)."""
    import common.models

    return common.models.load(f"{NETWORK}/encoder"), common.models.load(f"{NETWORK}/generator")


def read_photo(path, size):
    """Return a photo's largest centre square, uint8 (1, size, size, 3).

    Args:
        path: path of the file.
        size: int, pixels.

    Raises:
        UserError: if it is no photo, or has more than 50 megapixels and is no JPEG, which is read at a smaller scale.
    """
    with open(path, "rb") as file:
        data = file.read()
    try:
        with quiet_pillow():
            width, height = upright_size(data)
            if width * height > LARGE_PIXELS and not data.startswith(b"\xff\xd8"):
                at_most = f"at most {LARGE_PIXELS // 1_000_000} megapixels are read here, of a JPEG more"
                raise BadImage(f"{width} x {height} pixels; {at_most}")
            return decode(data, size, crop=SQUARE)[None]
    except BadImage as error:
        raise UserError(f"this file cannot be used as a photo: {error}") from None


@functools.lru_cache(maxsize=4)  # one change of the page asks three times; each upload has a path of its own
def code_of(path, seed):
    """Return (picture (1, size, size, 3), standardised code (1, d)) of a photo, or of a sample without one.

    Args:
        path: path of the photo, or None.
        seed: int, of the sample.
    """
    from common.models.inference import predict
    from ogan import evaluate

    encoder, generator = networks()
    if path:
        image = to_float(read_photo(path, encoder.input_shape[1]))
    else:
        image = predict(generator, evaluate.sample_latents(1, generator.input_shape[1], seed), 1)
    return image, evaluate.encode(encoder, image)


@functools.cache
def directions():
    """Return {name: unit vector (d,)}: directions of the code along which G's own samples change.

    The first are those of the principal components of the samples' pixels, the others those of measured properties.
    Each is the least-squares slope of such a number on z, which for z ~ N(0, I) is the mean of number times z.
    """
    from common.models.inference import predict
    from ogan import evaluate

    generator = networks()[1]
    z = evaluate.sample_latents(SAMPLES, generator.input_shape[1], 0)
    images = predict(generator, z, 100)
    pixels = images.reshape(SAMPLES, -1)
    left, _, _ = np.linalg.svd(pixels - pixels.mean(0), full_matrices=False)
    numbers = dict(zip(DIRECTIONS, [*left[:, :PRINCIPAL].T, *(f(images) for f in LABELLED.values())], strict=True))
    slopes = {name: z.T @ (value - value.mean()) for name, value in numbers.items()}
    return {name: slope / np.linalg.norm(slope) for name, slope in slopes.items()}


def reconstruct(path, seed, scale):
    """Return (picture of the photo beside its reconstruction, picture of its code).

    Args:
        path: path of a photo, or None for a sample of the network.
        seed: int, of the sample.
        scale: float, factor of the code before it is decoded.
    """
    image, code = code_of(path, seed)
    return strip(np.concatenate([image, image_of(code, scale)]), side=224), picture_of(code)


def morph(path, other, seed, scale):
    """Return the pictures on the line between the codes of two photos, the photos at both ends."""
    (a, code_a), (b, code_b) = code_of(path, seed), code_of(other, seed + 1)
    t = np.linspace(0, 1, STEPS)[:, None]
    codes = (1 - t) * code_a + t * code_b
    codes /= codes.std(-1, keepdims=True)
    return strip(np.concatenate([a, image_of(codes, scale), b]))


def move(path, seed, scale, direction, amount):
    """Return the pictures of a photo's code moved by up to `amount` against and along a direction."""
    _, code = code_of(path, seed)
    codes = code + np.linspace(-amount, amount, STEPS)[:, None] * directions()[direction] * np.sqrt(code.shape[1]) / 4
    return strip(image_of(codes, scale))


def image_of(codes, scale):
    """Return G(scale * codes)."""
    from ogan import evaluate

    return evaluate.decode(networks()[1], codes, scale)


def picture_of(code):
    """Return the numbers of a code as bars."""
    drawn = blank_figure(6, 1.3)
    axes = drawn.subplots()
    axes.bar(np.arange(code.size), code[0], color=np.where(code[0] > 0, "#2f6c8f", "#d9643f"), width=1)
    axes.set(xlim=(-1, code.size), ylim=(-3.5, 3.5))
    axes.tick_params(labelsize=7)
    return to_array(drawn)


def build(words, safe, opened):
    import gradio as gr

    with gr.Row():
        photo, other = (
            gr.File(label=words[f"ogan/{name}"], file_count="single", height=110, elem_id=f"ogan-{name}")
            for name in ("photo", "other")
        )
    with gr.Row():
        seed = gr.Slider(0, 50, 3, step=1, label=words["ogan/seed"])
        scale = gr.Slider(0, 1.5, 0.9, step=0.05, label=words["ogan/scale"])
    picture = shown(words["ogan/pair"], "ogan-pair", elem_classes="pixels")
    code = shown(words["ogan/code"], "ogan-code")
    line = shown(words["ogan/morph"], "ogan-morph", elem_classes="pixels")
    with gr.Row():
        names = [(words.get(f"ogan/{name}", name), name) for name in DIRECTIONS]
        direction = gr.Dropdown(names, value=DIRECTIONS[0], label=words["ogan/direction"])
        amount = gr.Slider(0, 6, 3, step=0.5, label=words["ogan/amount"])
    moved = shown(words["ogan/moved"], "ogan-moved", elem_classes="pixels")

    def everything(photo, other, seed, scale, direction, amount):
        pair, bars = reconstruct(photo, int(seed), scale)
        return pair, bars, morph(photo, other, int(seed), scale), move(photo, int(seed), scale, direction, amount)

    inputs = [photo, other, seed, scale, direction, amount]
    outputs = [picture, code, line, moved]
    show = safe(everything)
    gr.on(
        [opened, photo.change, other.change, seed.release, scale.release, direction.change, amount.release],
        show, inputs, outputs, trigger_mode="always_last", concurrency_id="network",
    )  # fmt: skip
