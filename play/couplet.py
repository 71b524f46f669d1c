"""Couplets (6270): type an upper line, read lower lines."""

import functools

NETWORK = "couplet-verse"
MAX_ANSWERS = 5


@functools.cache
def tagger():
    """Return (network, alphabet)."""
    import common.models
    from common.files import read_json
    from common.flag_types import PRETRAINED

    return common.models.load(NETWORK), read_json(PRETRAINED / NETWORK / "alphabet.json")


def answer(line, temperature=0.0, answers=1, seed=0):
    """Return (lower lines, characters of the upper line that the network does not know).

    Args:
        line: str, upper line; blanks are left out.
        temperature: float, 0 for the most probable characters.
        answers: int, number of lower lines. Without a temperature there is one.
        seed: int, of the draws.

    Raises:
        UserError: if the line is empty or too long.
    """
    import numpy as np

    from couplet import decoding

    line = decoding.checked(line or "")
    network, alphabet = tagger()
    rng = np.random.default_rng(seed)
    lines = decoding.answers(network, alphabet, line, temperature, count=answers if temperature else 1, rng=rng)
    return lines, decoding.unknown(line, alphabet)


def build(words, safe, opened):
    import gradio as gr

    with gr.Row():
        line = gr.Textbox("海上生明月", label=words["couplet/line"], max_length=200, elem_id="couplet-line", scale=2)
        temperature = gr.Slider(0, 2, 0.7, step=0.1, label=words["couplet/temperature"])
    go = gr.Button(words["couplet/go"], variant="primary", elem_id="couplet-go")
    lines = gr.Markdown(elem_id="couplet-answers")
    seed = gr.State(0)

    def answers(line, temperature, seed):
        below, unknown = answer(line, temperature, MAX_ANSWERS, seed)
        note = [words["couplet/unknown"].format(characters=unknown)] if unknown else []
        return "\n\n".join([*(f"### {text}" for text in dict.fromkeys(below)), *note]), seed + 1

    gr.on([go.click, line.submit], safe(answers), [line, temperature, seed], [lines, seed], concurrency_id="network")
