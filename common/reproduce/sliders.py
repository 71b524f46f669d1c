"""The sliders of the page: pictures of one run that differ in one thing, such as the step of the training."""

import re
from pathlib import Path

from common.plots.animation import evenly_spaced, of_usual_size

MOST = 12  # pictures of a slider
# kind -> (folder inside the run, pattern of the names of its pictures, whose group is the number that the slider sets)
KINDS = {
    "training": ("samples", r"step-(\d+)\.png"),
    "temperature": ("figures/temperatures", r"(\d+(?:\.\d+)?)\.png"),
    "code_scale": ("figures/code-scales", r"(\d+(?:\.\d+)?)\.png"),
}


def sliders_of(folder):
    """Return the sliders of a run: {kind: {number as text: path of the picture}}, the numbers from low to high.

    A picture whose header is damaged, or whose size differs from that of most, is left out. So is a kind with fewer
    than two pictures.

    Args:
        folder: Path of the run.
    """
    sliders = {}
    for kind, (subfolder, pattern) in KINDS.items():
        values = {}
        for path in (Path(folder) / subfolder).glob("*.png"):
            if match := re.fullmatch(pattern, path.name):
                values[path] = match[1]
        chosen = evenly_spaced(of_usual_size(sorted(values, key=lambda path: float(values[path]))), MOST)
        if len(chosen) > 1:
            label = (lambda text: f"{int(text):,}") if kind == "training" else str
            sliders[kind] = {label(values[path]): path for path in chosen}
    return sliders
