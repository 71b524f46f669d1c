"""The toy faces: reproducible, and each factor changes what its name says."""

import functools

import numpy as np
import pytest

from common.data import toy_faces
from common.data.toy_faces import FACTORS, SWITCHES, draw, generate, sample_factors
from common.errors import UserError

# Lower limit on the mean change of a pixel (0 to 255) when the factor goes from -1 to 1, at 32 pixels.
LEAST_CHANGE = dict.fromkeys(FACTORS, 2.0) | {"brow_angle": 0.5, "smile": 0.5, "mouth_open": 0.5, "blush": 0.25}


@functools.cache
def both_ends(name, size=32, n=60):
    """Return the same faces with one factor at -1 and at 1; heads upright, so that each part has a known place."""
    low = sample_factors(n, 3)
    low[:, FACTORS.index("tilt")] = 0
    high = low.copy()
    low[:, FACTORS.index(name)], high[:, FACTORS.index(name)] = -1, 1
    return draw(low, size).astype("int32"), draw(high, size).astype("int32")


@pytest.mark.parametrize("size", [32, 45, 64, 128])
def test_shape_and_type(size):
    images, factors = generate(3, size, seed=0)
    assert images.shape == (3, size, size, 3)
    assert images.dtype == np.uint8
    assert factors.shape == (3, len(FACTORS))
    assert factors.dtype == np.float32
    assert images.std() > 30


def test_at_least_twelve_distinct_factors():
    assert len(set(FACTORS)) == len(FACTORS) >= 12


def test_same_seed_same_bytes():
    first, second, other = (generate(40, 32, seed)[0].tobytes() for seed in (7, 7, 8))
    assert first == second
    assert first != other


@pytest.mark.parametrize("size", [32, 50, 128])
def test_an_image_depends_on_its_own_row_alone(size):
    images, factors = generate(37, size, seed=2)
    fewer = generate(5, size, seed=2)
    np.testing.assert_array_equal(fewer[0], images[:5])
    np.testing.assert_array_equal(fewer[1], factors[:5])
    np.testing.assert_array_equal(np.concatenate([draw(row[None], size) for row in factors]), images)
    np.testing.assert_array_equal(draw(factors[::-1], size)[::-1], images)


def test_zero_faces():
    images, factors = generate(0, 32, seed=0)
    assert images.shape == (0, 32, 32, 3)
    assert factors.shape == (0, len(FACTORS))


@pytest.mark.parametrize("size", [0, 31, 129, 32.5, "32", None, True])
def test_wrong_size(size):
    with pytest.raises(UserError, match=r"32 to 128 pixels\. Received: size="):
        generate(1, size, seed=0)


@pytest.mark.parametrize("factors", [np.zeros(18), np.zeros((2, 3)), np.full((1, 18), 1.5), np.full((1, 18), np.nan)])
def test_wrong_factors(factors):
    with pytest.raises(UserError, match="Received"):
        draw(factors, 32)


def test_negative_number():
    with pytest.raises(UserError, match="Received: -1"):
        sample_factors(-1, 0)


def test_factors_are_uniform_and_independent():
    n = 20000
    factors = sample_factors(n, seed=11).astype("float64")
    off_diagonal = np.corrcoef(factors.T) - np.eye(len(FACTORS))
    assert np.abs(off_diagonal).max() < 5 / np.sqrt(n)
    for name, column in zip(FACTORS, factors.T, strict=True):
        if name in SWITCHES:
            assert set(column) == {-1.0, 1.0}
            assert abs(column.mean()) < 5 / np.sqrt(n)
        else:
            quantiles = np.quantile(column, np.linspace(0, 1, 11))
            np.testing.assert_allclose(quantiles, np.linspace(-1, 1, 11), atol=0.04)


@pytest.mark.parametrize("name", FACTORS)
def test_every_factor_changes_the_picture(name):
    low, high = both_ends(name)
    change = np.abs(high - low)
    assert change.mean() > LEAST_CHANGE[name]
    assert (change.max((1, 2, 3)) > 8).mean() > 0.9  # in nearly every face


@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [
        ("gaze", (18, 42), (10, 54)),
        ("mouth_open", (36, 56), (18, 46)),
        ("smile", (36, 56), (18, 46)),
        ("shirt", (48, 64), (0, 64)),
        ("glasses", (18, 42), (4, 60)),
    ],
)
def test_local_factors_change_their_region_only(name, rows, columns):
    low, high = both_ends(name, size=64, n=30)
    change = np.abs(high - low).max((0, 3))
    assert change[slice(*rows), slice(*columns)].max() > 60
    change[slice(*rows), slice(*columns)] = 0
    assert change.max() == 0


def test_signs_of_skin_light_and_mouth():
    low, high = both_ends("skin")
    assert high.mean() > low.mean() + 5  # lighter
    low, high = both_ends("light")
    left, right = (slice(None), slice(None), slice(0, 16)), (slice(None), slice(None), slice(16, 32))
    assert high[right].mean() - high[left].mean() > 10 > -10 > low[right].mean() - low[left].mean()
    low, high = both_ends("mouth_open")
    assert high[:, 18:28, 10:22].mean() < low[:, 18:28, 10:22].mean()  # the open mouth is dark


def test_windows_hold_their_parts(monkeypatch):
    """Painting each part on the whole canvas gives the same bytes, at the extremes of all factors."""
    factors = np.sign(sample_factors(200, seed=3))
    expected = draw(factors, 32)
    monkeypatch.setattr(toy_faces, "_window", lambda fine, xs, ys: (slice(0, fine), slice(0, fine)))
    np.testing.assert_array_equal(draw(factors, 32), expected)


def test_small_picture_is_the_large_one_averaged():
    large, factors = generate(20, 128, seed=4)
    small = draw(factors, 32)
    shrunk = large.reshape(20, 32, 4, 32, 4, 3).mean((2, 4))
    assert np.abs(shrunk - small).mean() < 1.5


def test_factors_can_be_read_from_the_pixels():
    """Fit a ridge regression from every second value of a 32-pixel image, in closed form."""
    images, factors = generate(1000, 32, seed=5)
    pixels, n_train = images.reshape(1000, -1)[:, ::2].astype("float64") / 255, 800
    pixels -= pixels[:n_train].mean(0)
    train, test = pixels[:n_train], pixels[n_train:]
    mean, target = factors[:n_train].mean(0), factors[n_train:]
    gram = train @ train.T + 30 * np.eye(n_train)
    predicted = test @ (train.T @ np.linalg.solve(gram, factors[:n_train] - mean)) + mean
    r2 = 1 - ((predicted - target) ** 2).sum(0) / ((target - target.mean(0)) ** 2).sum(0)
    assert (r2 > 0.5).sum() >= 12, dict(zip(FACTORS, r2.round(2), strict=True))
    assert r2[FACTORS.index("tilt")] > 0.9
