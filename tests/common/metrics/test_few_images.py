"""Metrics of very few images: each is a right number, or left out with one line that says how many it needs."""

import numpy as np
import pytest

from common.errors import UserError
from common.metrics import distances
from common.metrics.features import extractor, sample_quality
from common.metrics.pca import pca_codes, pca_frechet
from common.metrics.sample_size import is_enough
from common.metrics.wasserstein import laplacian_wasserstein, sliced_wasserstein

FROM_2 = {"fid", "fid_floor", "kid", "kid_floor"}
FROM_6 = {"precision", "recall", "density", "coverage"}


def images(n, seed):
    return np.random.default_rng(seed).integers(0, 256, (n, 16, 16, 3), dtype=np.uint8)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 6, 10])
@pytest.mark.parametrize("few", ["samples", "training images", "held-out images"])
def test_quality_of_few_images(capsys, n, few):
    sets = [
        images(n if what == few else 20, i) for i, what in enumerate(("samples", "training images", "held-out images"))
    ]
    extract = lambda x: x.reshape(len(x), -1)[:, :7] / 255.0
    metrics = sample_quality(*sets, extract)
    assert set(metrics) == (FROM_2 if n >= 2 else set()) | (FROM_6 if n >= 6 else set())
    lines = capsys.readouterr().out.splitlines()
    expected = [] if n >= 2 else [f"not measured: fid, kid (at least 2 are needed; there are only {n} {few})"]
    if n < 6:
        names = "precision, recall, density, coverage"
        expected.append(f"not measured: {names} (at least 6 are needed; there are only {n} {few})")
    assert [line for line in lines if not line.startswith("recall 0")] == expected


@pytest.mark.parametrize("n", [2, 3, 5])
def test_few_images_give_the_numbers_of_the_definition(n):
    fakes, train, test = (images(n, seed).reshape(n, -1)[:, :3] / 255 for seed in (1, 2, 3))
    metrics = sample_quality(fakes, train, test, None)
    assert metrics["fid"] == distances.frechet_distance(fakes, test)
    cubes = lambda a, b: (a @ b.T / 3 + 1) ** 3
    within = sum((cubes(x, x).sum() - np.trace(cubes(x, x))) / (n * (n - 1)) for x in (fakes, test))
    assert metrics["kid"] == pytest.approx(within - 2 * cubes(fakes, test).mean())


def test_precision_without_recall_is_explained(capsys):
    """Fakes within a wide cloud, but so close to each other that no real point is near them."""
    real = np.random.default_rng(0).normal(size=(50, 2))
    collapsed = 1e-3 * np.random.default_rng(1).normal(size=(50, 2))
    metrics = sample_quality(collapsed, real, real + 1e-4, None)
    assert (metrics["precision"], metrics["recall"]) == (1, 0)
    assert capsys.readouterr().out == "recall 0: precision and density say nothing here\n"
    sample_quality(real, real, real, None)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(("index", "name"), [*enumerate(("samples", "training images", "held-out images"))])
def test_features_that_are_no_numbers_are_named(index, name, value):
    sets = [np.random.default_rng(seed).normal(size=(9, 2)) for seed in range(3)]
    sets[index][3, 1] = value
    with pytest.raises(UserError, match=f"the features of the {name} must be finite.* the first in row 3"):
        sample_quality(*sets, None)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 10])
@pytest.mark.parametrize("few", ["samples", "training images", "held-out images"])
def test_pca_frechet_of_few_images(capsys, n, few):
    sets = [
        images(n if what == few else 20, i) for i, what in enumerate(("samples", "training images", "held-out images"))
    ]
    metrics = pca_frechet(*sets)
    output = capsys.readouterr().out
    if n < 2:
        assert metrics == {}
        assert output == f"not measured: pca_frechet (at least 2 are needed; there are only {n} {few})\n"
    else:
        assert set(metrics) == {"pca_frechet", "pca_frechet_floor"} and min(metrics.values()) > 0 and output == ""


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_pixels_of_few_images_keep_their_distances(n):
    """n images span n - 1 directions: no less, and the distances between them are kept."""
    x = images(n, 4)
    features = extractor("pixels", "folder:x", 16, x)(x)
    assert features.shape == (n, n - 1)
    flat = x.reshape(n, -1) / 127.5
    between = lambda rows: np.linalg.norm(rows[:, None] - rows, axis=-1)
    np.testing.assert_allclose(between(features), between(flat), rtol=1e-3)


@pytest.mark.parametrize("n", [0, 1])
def test_pixels_of_a_single_image_are_refused(n):
    with pytest.raises(UserError, match=f"the features pixels need at least 2 training images. Received: {n}"):
        extractor("pixels", "folder:x", 16, images(n, 0))


@pytest.mark.parametrize("n", [2, 5])
def test_equal_images_have_distance_0(n):
    """A set without any variance: no component, no covariance, one point."""
    same = np.broadcast_to(images(1, 0), (n, 16, 16, 3))
    features = extractor("pixels", "folder:x", 16, same)
    assert sample_quality(same, same, same, features) == pytest.approx(dict.fromkeys(FROM_2, 0), abs=1e-9)
    assert pca_frechet(same, same, same) == pytest.approx({"pca_frechet": 0, "pca_frechet_floor": 0}, abs=1e-9)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_wasserstein_of_few_images(n):
    a, b = images(n, 1), images(n, 2)
    assert laplacian_wasserstein(a, a) == {16: 0} and laplacian_wasserstein(a, b)[16] > 0
    one = np.array([[3.0, 4.0]])
    assert sliced_wasserstein(one * 0, one, 20_000) == pytest.approx(5 * 2 / np.pi, rel=0.02)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_images_that_are_no_numbers_have_no_components(value):
    good = np.random.default_rng(0).normal(size=(9, 4, 4, 1))
    bad = good.copy()
    bad[2, 1, 1, 0] = value
    for name, pair in (("the images", (bad, good)), ("the test images", (good, bad))):
        with pytest.raises(UserError, match=f"{name} must be finite.* the first in row 2"):
            pca_codes(*pair, 3)


def test_is_enough_names_all_that_is_short(capsys):
    assert is_enough("a", 3, {"x": 3, "y": 4}) and capsys.readouterr().out == ""
    assert not is_enough("a, b", 3, {"x": 2, "y": 4, "z": 0})
    assert capsys.readouterr().out == "not measured: a, b (at least 3 are needed; there are only 2 x, 0 z)\n"
