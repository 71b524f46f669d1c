"""Cartoon faces drawn by code: a data set that needs no download and whose true factors are known.

Every picture is a pure function of 18 independent factors in [-1, 1], so that an encoder can be asked which of
them it found. Shapes are signed distances on the pixel grid (negative inside); an edge is a linear ramp of one pixel.

Units: x runs to the right and y downwards, each from -VIEW to VIEW; a head is about one unit wide. Inside this
module a chunk of n images is (n, h, w) and a factor (n, 1, 1), so that numpy works on whole images.
"""

import numpy as np

from common.errors import UserError

# fmt: off
FACTORS: tuple[str, ...] = (
    "skin", "hair_colour", "hair_length", "parting", "face_width", "tilt", "turn", "eye_spacing", "eye_size", "gaze",
    "brow_angle", "smile", "mouth_open", "blush", "glasses", "shirt", "background", "light",
)
# fmt: on
SWITCHES = ("glasses",)  # -1 is off, 1 is on; every other factor is continuous
SIZES = (32, 128)
VIEW = 0.93  # half the side of the picture

# A factor walks along a list of colours that go well together, rather than around the colour wheel: the two ends
# differ, and every stop was chosen by eye.
SKIN = "6f4632 96633f c08a60 e0ae86 f3ccab fbe0cb"
HAIR = "25232f 4a302b 7c4a30 b5683a d9a04e efd8a2"
SHIRT = "37456b 2f7c8c 5c9c76 e3b34c dc6f4b a8405c"
BACKGROUND = "7cc3b5 8cc2e2 a8aae0 d6a6d3 f2a9a6 f6cb92"

INK, IRIS, WHITE = (0.15, 0.13, 0.19), (0.30, 0.22, 0.22), (1.0, 0.99, 0.97)
LIP, MOUTH, TONGUE, ROSE = (0.62, 0.23, 0.25), (0.38, 0.11, 0.16), (0.87, 0.42, 0.44), (0.95, 0.36, 0.38)
SHADE = np.float32([0.80, 0.65, 0.63])  # what shadow does to skin: darker, and warmer
NECK = 0.62  # the head leans about this height


def sample_factors(n, seed):
    """Draw independent factors, float32 of shape (n, len(FACTORS)).

    Columns follow `FACTORS`: uniform on [-1, 1], and -1 or 1 with equal chance for those in `SWITCHES`. Row i depends
    on `seed` and i alone, so a larger sample begins with the smaller one.
    """
    if n < 0:
        raise UserError(f"The number of faces cannot be negative. Received: {n}")
    factors = 2.0 * np.random.default_rng(seed).random((n, len(FACTORS))) - 1.0
    for name in SWITCHES:
        column = FACTORS.index(name)
        factors[:, column] = np.where(factors[:, column] < 0, -1.0, 1.0)
    return factors.astype("float32")


def generate(n, size, seed):
    """Draw n faces: images uint8 (n, size, size, 3) and their factors float32 (n, len(FACTORS))."""
    factors = sample_factors(n, seed)
    return draw(factors, size), factors


def draw(factors, size):
    """Paint the faces of `factors`, (n, len(FACTORS)) in [-1, 1], as uint8 images (n, size, size, 3).

    Deterministic, and each image depends on its own row alone. Raises `UserError` for a size outside 32..128 and for
    factors of the wrong shape or range.
    """
    factors = np.asarray(factors, "float32")
    if not isinstance(size, int | np.integer) or not SIZES[0] <= size <= SIZES[1]:
        raise UserError(f"The toy faces are drawn at {SIZES[0]} to {SIZES[1]} pixels. Received: size={size!r}")
    if factors.ndim != 2 or factors.shape[1] != len(FACTORS):
        raise UserError(f"Factors must have the shape (n, {len(FACTORS)}). Received: {factors.shape}")
    if not np.all(np.abs(factors) <= 1):  # also refuses NaN
        raise UserError(f"Factors must lie in [-1, 1]. Received: from {factors.min()} to {factors.max()}")
    images = np.empty((len(factors), size, size, 3), "uint8")
    chunk = max(1, 2**14 // size**2)  # keeps the working arrays in the processor's cache
    for start in range(0, len(factors), chunk):
        images[start : start + chunk] = _draw_chunk(factors[start : start + chunk], size)
    return images


def _draw_chunk(factors, size):
    over = 2 if size <= 64 else 1  # small pictures are painted twice as large and averaged
    fine = over * size
    f = {name: factors[:, i, None, None] for i, name in enumerate(FACTORS)}
    f |= {"pixel": np.float32(2 * VIEW / fine), "wide": _span(f["face_width"], 0.41, 0.55)}
    f |= {"skin_rgb": _palette(SKIN, f["skin"]), "hair_rgb": _palette(HAIR, f["hair_colour"])}
    axis = ((np.arange(fine) + 0.5) * (2 * VIEW / fine) - VIEW).astype("float32")
    upright = np.broadcast_arrays(axis, axis[:, None], f["light"])[:2]
    # The head leans about the neck: its parts are placed in coordinates that lean with it.
    cos, sin = np.cos(0.22 * f["tilt"]), np.sin(0.22 * f["tilt"])
    x, y = axis, axis[:, None] - NECK
    leaning = cos * x + sin * y, cos * y - sin * x + NECK
    canvas = np.empty((len(factors), 3, fine, fine), "float32")
    for paint, leans, xs, ys in PARTS:
        view = _window(fine, xs, ys)
        x, y = (np.ascontiguousarray(grid[:, *view]) for grid in (leaning if leans else upright))
        paint(canvas[:, :, *view], x, y, f)
    canvas *= (1.0 + 0.10 * f["light"] * axis)[:, None]
    canvas = sum(canvas[:, :, i::over, j::over] for i in range(over) for j in range(over)) / over**2
    return np.rint(255 * np.clip(canvas, 0, 1)).astype("uint8").transpose(0, 2, 3, 1)


# Drawing tools.

_length = lambda u, v: np.sqrt(u * u + v * v)


def _palette(stops, t):
    """The colour (n, 3) at t (n, 1, 1) in [-1, 1] on the broken line through the hexadecimal stops."""
    rgb = np.array([[int(stop[i : i + 2], 16) for i in (0, 2, 4)] for stop in stops.split()]) / 255
    place = (t.reshape(-1) + 1) / 2 * (len(rgb) - 1)
    return np.stack([np.interp(place, np.arange(len(rgb)), c) for c in rgb.T], 1).astype("float32")


def _mix(a, b, share):
    """`share` of colour b in colour a; colours are (n, 3) or (3,)."""
    return ((1 - share) * np.asarray(a) + share * np.asarray(b)).astype("float32")


def _span(factor, low, high):
    """Map a factor from [-1, 1] to [low, high]."""
    return np.float32((low + high) / 2) + np.float32((high - low) / 2) * factor


def _window(fine, xs, ys):
    """Slices (rows, columns) of the fine grid that cover the given ranges."""
    ends = [[(1 + np.clip(end / VIEW, -1, 1)) / 2 * fine for end in pair] for pair in (ys, xs)]
    return tuple(slice(int(low), int(np.ceil(high))) for low, high in ends)


def _inside(distance, f):
    """Coverage of a pixel by the shape, from its signed distance."""
    return np.clip(0.5 - distance / f["pixel"], 0, 1)


def _soft(value):
    """Smoothstep of [0, 1]."""
    value = np.clip(value, 0, 1)
    return value * value * (3 - 2 * value)


def _shadow(middle, across, depth, f):
    """Opacity of the shadow on the side away from the light."""
    return _soft(middle - across * np.sign(f["light"])) * (depth * np.abs(f["light"]))


def _paint(canvas, alpha, colour):
    """Lay a colour, (n, 3) or (3,), over the canvas (n, 3, h, w) with opacity alpha (n, h, w)."""
    colour = np.asarray(colour, "float32").reshape(-1, 3, 1, 1)
    canvas += alpha[:, None] * (colour - canvas)


def _ellipse(x, y, a, b):
    """Distance to an ellipse about the origin, to first order at the edge."""
    u, v = x / a, y / b
    k = _length(u, v)
    return k * (k - 1) / (_length(u / a, v / b) + np.float32(1e-6))


def _box(x, y, a, b, corner):
    """Distance to a box about the origin with half sides a and b and round corners."""
    u, v = np.abs(x) - (a - corner), np.abs(y) - (b - corner)
    return _length(np.maximum(u, 0), np.maximum(v, 0)) + np.minimum(np.maximum(u, v), 0) - corner


# The parts, from back to front.


def _background(canvas, x, y, f):
    colour = _palette(BACKGROUND, f["background"])
    canvas[:] = colour[:, :, None, None]
    _paint(canvas, 0.45 * _soft(1.15 - np.sqrt(x * x + (y + 0.1) ** 2)), _mix(colour, WHITE, 0.6))


def _body(canvas, x, y, f):
    colour = _palette(SHIRT, f["shirt"])
    cover = _inside(_box(x, y - 1.25, 0.78, 0.55, 0.42), f)
    _paint(canvas, cover, colour)
    _paint(canvas, cover * _shadow(0.5, 0.75 * x, 0.45, f), _mix(colour, INK, 0.5))


def _cap(x, y, f):
    """Distance to the hair as it stands around the skull."""
    return _ellipse(x, y + 0.15, f["wide"] + 0.11, 0.69)


def _back_hair(canvas, x, y, f):
    end = _span(f["hair_length"], -0.02, 0.92)
    half = (end + 0.3) / 2
    width = f["wide"] + _span(f["hair_length"], 0.06, 0.14) - 0.07 * np.clip(0.35 - y, 0, 1)
    fall = _box(x, y + 0.3 - half, width, half, _span(f["hair_length"], 0.13, 0.26))
    skull = np.maximum(_cap(x, y, f), y + 0.02)
    _paint(canvas, _inside(np.minimum(fall, skull), f), _mix(f["hair_rgb"], INK, 0.25))


def _neck(canvas, x, y, f):
    skin = f["skin_rgb"]
    cover = _inside(_box(x, y - 0.56, 0.19, 0.3, 0.17), f)
    _paint(canvas, cover, _mix(skin, skin * SHADE, 0.45))
    _paint(canvas, cover * _soft(3.2 - 4.2 * y), skin * SHADE)  # the chin's shadow


def _head(canvas, x, y, f):
    skin, shade, width = f["skin_rgb"], f["skin_rgb"] * SHADE, f["wide"]
    ears = _ellipse(np.abs(x + 0.05 * f["turn"]) - width - 0.01, y - 0.08, 0.1, 0.13)
    _paint(canvas, _inside(ears, f), _mix(skin, shade, 0.4))
    # An egg: the ellipse narrows towards the chin.
    narrow = width * (1 - 0.16 * np.clip(y + 0.1, -1, 1))
    cover = _inside(_ellipse(x, y + 0.05, narrow, 0.58), f)
    _paint(canvas, cover, skin)
    # Light from one side leaves the other cheek in a soft shadow.
    _paint(canvas, cover * _shadow(0.42 + 0.25 * y, 1.25 * x / width, 0.75, f), shade)
    u, v = np.abs(x - 0.08 * f["turn"]) - 0.27, y - 0.17
    spot = _soft(1.1 - np.sqrt(u * u + 1.6 * v * v) / 0.17)
    _paint(canvas, cover * spot * _span(f["blush"], 0, 0.68), ROSE)


def _nose_and_mouth(canvas, x, y, f):
    skin = f["skin_rgb"]
    nose = _ellipse(x - 0.13 * f["turn"], y - 0.125, 0.055, 0.04)
    _paint(canvas, 0.9 * _inside(nose, f), _mix(skin, skin * SHADE, 0.95))
    x, half = x - 0.10 * f["turn"], _span(f["smile"], 0.16, 0.21)
    along = np.clip(x / half, -1, 1)
    arch = 1 - along * along
    bend, gape = _span(f["smile"], -0.09, 0.13), _span(f["mouth_open"], 0, 0.095) * arch
    middle = 0.285 + bend * (arch - 0.55) + gape  # corners stay, the lower lip falls
    slope = np.sqrt(1 + (2 * bend / half * along) ** 2)
    beyond = np.maximum(np.abs(x) - half, 0)
    off = np.abs(y - middle) - gape
    _paint(canvas, _inside(_length(beyond, np.maximum(off, 0) / slope) - 0.028, f), _mix(skin, LIP, 0.7))
    hole = _inside(off / slope + 0.004, f) * (beyond == 0) * np.clip(gape / 0.03, 0, 1)
    _paint(canvas, hole, MOUTH)
    teeth = _inside(y - middle + gape - 0.05, f) * _soft(0.5 + f["smile"])  # a frown hides them
    _paint(canvas, hole * teeth, WHITE)
    _paint(canvas, hole * _inside(middle + 0.35 * gape - y, f), TONGUE)


def _eye_centres(f):
    """x of the two eyes; when the head turns, the far eye comes nearer to the nose."""
    spacing, turn = _span(f["eye_spacing"], 0.175, 0.275), f["turn"]
    return [(side, side * spacing * (1 - 0.12 * side * turn) + 0.09 * turn) for side in (-1, 1)]


def _eyes(canvas, x, y, f):
    s = _span(f["eye_size"], 0.095, 0.16)
    for _, centre in _eye_centres(f):
        u, v = x - centre, y + 0.02
        # A slightly larger dark ellipse, raised a little, leaves a lash line above the white.
        _paint(canvas, _inside(_ellipse(u, v + 0.025, 1.1 * s, 1.2 * s), f), INK)
        white = _inside(_ellipse(u, v, s, 1.15 * s), f)
        _paint(canvas, white, WHITE)
        u = u - 0.36 * s * f["gaze"]
        r = _length(u, v)
        _paint(canvas, white * _inside(r - 0.74 * s, f), IRIS)
        _paint(canvas, white * _inside(r - 0.44 * s, f), INK)
        _paint(canvas, white * _inside(_length(u + 0.25 * s, v + 0.32 * s) - 0.22 * s, f), WHITE)


def _front_hair(canvas, x, y, f):
    skin, hair, width, cap = f["skin_rgb"], f["hair_rgb"], f["wide"], _cap(x, y, f)
    # The hairline is an arch whose top, the parting, wanders from side to side.
    along = x - 0.21 * f["parting"] - 0.05 * f["turn"]
    q = (along / width) ** 2
    line = (y + 0.43 - 0.46 * q / (1 + 0.5 * q)) / 1.15
    face = _ellipse(x, y + 0.05, width, 0.58)
    _paint(canvas, 0.5 * _soft(1 - line / 0.11) * _inside(face, f), skin * SHADE)  # the fringe's shadow
    cover = _inside(np.maximum(cap, line), f)
    _paint(canvas, cover, hair)
    crease = np.abs(along + 0.35 * (y + 0.43) * f["parting"]) - 0.012
    _paint(canvas, 0.6 * cover * _inside(crease, f) * _soft((y + 0.72) / 0.3), _mix(hair, INK, 0.4))
    _paint(canvas, cover * _shadow(0.5, 1.1 * x, 0.45, f), _mix(hair, INK, 0.55))
    # A band of gloss follows the skull.
    band = _soft(1 - np.abs(cap + 0.15) / 0.06) * _soft(1.1 - 2.2 * np.abs(x - 0.25 * f["light"]))
    _paint(canvas, 0.5 * cover * band, _mix(hair, WHITE, 0.45))


def _brows_and_glasses(canvas, x, y, f):
    cos, sin = np.cos(0.5 * f["brow_angle"]), np.sin(0.5 * f["brow_angle"])
    for side, centre in _eye_centres(f):
        out, v = side * (x - centre), y + 0.285
        u, v = cos * out - sin * v, sin * out + cos * v
        brow = _length(np.maximum(np.abs(u) - 0.1, 0), v + 0.9 * u * u) - 0.033
        _paint(canvas, _inside(brow, f), _mix(f["hair_rgb"] * (0.8, 0.66, 0.6), INK, 0.35))
    worn, lens, frame = f["glasses"] > 0, _span(f["eye_spacing"], 0.165, 0.235), np.full_like(x, 9)
    for side, centre in _eye_centres(f):
        rim = _box(x - centre, y + 0.01, lens, 0.19, 0.15)
        _paint(canvas, worn * 0.09 * _inside(rim, f), WHITE)
        temple = np.maximum(np.abs(y + 0.05) - 0.018, np.maximum(lens - side * (x - centre), side * x - f["wide"]))
        frame = np.minimum(frame, np.minimum(np.abs(rim) - 0.018, temple))
    _paint(canvas, worn * _inside(frame, f), INK)


PARTS = (  # what draws it, whether it leans with the head, and a window (x, y) that holds it at every lean
    (_background, False, (-1, 1), (-1, 1)),
    (_body, False, (-1, 1), (0.65, 1)),
    (_back_hair, True, (-1, 1), (-1, 1)),
    (_neck, False, (-0.25, 0.25), (0.2, 0.9)),
    (_head, True, (-1, 1), (-0.75, 0.68)),
    (_nose_and_mouth, True, (-0.5, 0.5), (-0.05, 0.62)),
    (_eyes, True, (-0.8, 0.8), (-0.36, 0.4)),
    (_front_hair, True, (-1, 1), (-1, 0.5)),
    (_brows_and_glasses, True, (-0.8, 0.8), (-0.6, 0.4)),
)
