"""Find the largest face of a photo, with the detector that comes inside OpenCV's package: nothing is downloaded."""

import importlib.util
import threading

import numpy as np
from PIL import Image

NO_FACE = "no face found"  # the reason why a photo is left out
SEARCHED_SIDE = 480  # pixels of the shorter side of the image in which a face is searched
SMALLEST = 1 / 12  # of the shorter side: a smaller face is a stranger in the background, or a mistake
MARGIN = 1.5  # the detector's square ends at the brows and the chin; the crop shows the hair, too
_detectors = threading.local()
_one_import = threading.Lock()  # OpenCV's import replaces its own module: a second thread would see half of it


def has_detector() -> bool:
    """Return whether the package that finds faces is installed."""
    return importlib.util.find_spec("cv2") is not None


def largest_face(image: Image.Image) -> tuple[int, int, int, int] | None:
    """Return the square (left, top, right, bottom) around the largest face, inside the image, or None without a face.

    The detector is OpenCV's Haar cascade for faces from the front (Viola and Jones 2001).

    Args:
        image: upright, RGB or grayscale.
    """
    scale = max(1, min(image.size) / SEARCHED_SIDE)
    small = image.convert("L").resize([max(1, round(side / scale)) for side in image.size], Image.Resampling.BOX)
    smallest = max(24, round(SMALLEST * min(small.size)))
    boxes = _detector().detectMultiScale(
        np.asarray(small), scaleFactor=1.1, minNeighbors=6, minSize=(smallest, smallest)
    )
    if not len(boxes):
        return None
    x, y, width, height = max(boxes.tolist(), key=lambda box: (box[2] * box[3], box))
    side = min(round(MARGIN * width * scale), *image.size)
    corner = [
        min(max(0, round((start + length / 2) * scale - side / 2)), limit - side)
        for start, length, limit in zip((x, y), (width, height), image.size, strict=True)
    ]
    return (*corner, corner[0] + side, corner[1] + side)


def _detector():
    """Return the detector of this thread: two threads cannot share one."""
    if not hasattr(_detectors, "frontal"):
        with _one_import:
            import cv2

        cv2.setNumThreads(1)  # images are searched in parallel already
        _detectors.frontal = cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_frontalface_default.xml")
    return _detectors.frontal
