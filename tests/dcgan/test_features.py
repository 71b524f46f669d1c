"""A critic as a feature extractor, and calculations with latents: the parts, and both scripts on small runs."""

import sys

import keras
import numpy as np
import pytest
from keras import layers
from sklearn.svm import LinearSVC

from common.data import toy_faces
from common.models.networks import build_critic
from dcgan import features, latent_space
from dcgan.networks import mlp_critic, with_minibatch_discrimination
from tests.helpers.arrays import assert_not_blank, numpy
from tests.helpers.datasets import digits, write_idx
from tests.helpers.scripts import error_line, metrics_of, run_here

RNG = np.random.default_rng(0)


def test_features_are_the_max_pooled_maps_of_all_layers():
    """The paper's: every activation, max-pooled to 4 x 4, flattened and joined."""
    critic = with_minibatch_discrimination(build_critic((16, 16, 1), 8, 4, batch_norm=True))
    x = RNG.normal(size=(3, 16, 16, 1)).astype("float32")
    y = numpy(features.feature_extractor(critic)(x))
    first, second = [layer for layer in critic.layers if isinstance(layer, layers.LeakyReLU)]
    maps = numpy(keras.Model(critic.input, first.output)(x))  # (3, 8, 8, 4)
    pooled = maps.reshape(3, 4, 2, 4, 2, 4).max((2, 4)).reshape(3, -1)
    np.testing.assert_allclose(y[:, : pooled.shape[1]], pooled, rtol=1e-5)
    last = numpy(keras.Model(critic.input, second.output)(x)).reshape(3, -1)
    np.testing.assert_allclose(y[:, pooled.shape[1] :], last, rtol=1e-5)
    assert numpy(features.feature_extractor(mlp_critic((16, 16, 1), 20))(x)).shape == (3, 8)


def test_the_svm_is_as_good_as_the_exact_one():
    """On overlapping clouds it errs about as often as scikit-learn's exact linear SVM, and more often on noise."""
    centres = RNG.normal(size=(4, 20))
    labels = RNG.integers(0, 4, 1500)
    x = (centres[labels] + 1.3 * RNG.normal(size=(1500, 20))).astype("float32")
    x, _ = features.scaled(x, x)
    split = lambda a, b: (x[a:b], labels[a:b])
    error = features.svm_error(split(0, 300), split(300, 700), split(700, 1500), 0)
    exact = min(1 - LinearSVC(C=c).fit(*split(0, 300)).score(*split(700, 1500)) for c in (0.1, 1, 10))
    assert 0.02 < exact < 0.4 and error == pytest.approx(exact, abs=0.03)
    shuffled = (x[:300], RNG.permutation(labels[:300]))
    assert features.svm_error(shuffled, shuffled, split(700, 1500), 0) > 0.6


def test_the_strength_of_the_svm_is_chosen_on_the_validation_images(monkeypatch):
    """A stub that scores best where the exponent of its strength is the first label that it is shown."""

    class Stub:
        def __init__(self, alpha, **_):
            self.alpha = alpha

        def fit(self, x, y):
            return self

        def score(self, x, y):
            return -abs(np.log10(self.alpha) - y[0])

        def predict(self, x):
            return np.full(len(x), round(np.log10(self.alpha)))

    monkeypatch.setattr(features, "linear_svm", lambda: Stub)
    error = lambda of_test: features.svm_error(([[0]], [0]), ([[0]], [-4]), ([[0]], np.array([of_test])), 0)
    assert error(-4) == 0 and error(-2) == 1


def test_without_scikit_learn_there_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    assert 'pip install -e ".[svm]"' in error_line("dcgan/features.py", tmp_path)


def test_a_walk_is_straight_and_its_steps_are_measured():
    left, right = RNG.normal(size=(2, 3, 5)).astype("float32")
    line = latent_space.walk(left, right, 5)
    np.testing.assert_allclose(line[:, 0], left)
    np.testing.assert_allclose(line[:, -1], right)
    np.testing.assert_allclose(np.diff(line, axis=1), np.repeat((right - left)[:, None] / 4, 4, 1), atol=1e-6)
    jump = np.concatenate([np.zeros((3, 2, 5)), np.ones((3, 3, 5))], 1)  # what a memory would do
    np.testing.assert_allclose(latent_space.largest_step(np.stack([line[0], jump[0]])), [1 / 4, 1])


def test_sums_of_latents_are_of_the_kinds_that_they_name():
    z = RNG.normal(size=(400, 3))
    factors = np.sign(RNG.normal(size=(400, 2))) * RNG.uniform(0.2, 1, (400, 2))
    z[:, :2] = factors  # latents that are the factors: the sum is exact
    rows_of = [np.flatnonzero(latent_space.is_of(kind, factors)) for kind in latent_space.TERMS]
    means = latent_space.means_of(z, rows_of, 3, 50, np.random.default_rng(0))
    assert means.shape == (50, 3, 3)
    for kind, mean in zip(latent_space.TERMS, means.swapaxes(0, 1), strict=True):
        assert (mean[:, 0] * kind[0] > 0.2).all() and (mean[:, 1] * kind[1] > latent_space.CLEAR_SMILE).all()
    total = np.einsum("s,tsd->td", latent_space.SIGNS, means)
    assert (total[:, 0] > 0).mean() > 0.95 and (total[:, 1] > 0).mean() > 0.8


def test_the_reader_learns_glasses_and_smile():
    reader, r2 = latent_space.factor_reader(32, 1500, 0)
    assert r2[0] > 0.8 and r2[1] > 0.3
    columns = [toy_faces.FACTORS.index(name) for name in latent_space.READ]
    images, factors = toy_faces.generate(200, 32, 99)
    read = reader.predict_on_batch(images.astype("float32") / 127.5 - 1)
    assert (np.sign(read[:, 0]) == factors[:, columns[0]]).mean() > 0.9


def striped(n, seed=0):
    """Return n images of noise with two white rows, at a height of its own for each class, and their labels."""
    images, labels = digits(n, seed)
    images //= 2
    images[np.arange(n)[:, None], 2 * labels[:, None] + [4, 5]] = 255
    return images, labels


@pytest.fixture(scope="module")
def runs(home, tmp_path_factory):
    """The run directories of two trainings of seconds: on stripes of the form of MNIST, and on drawn faces."""
    folder = tmp_path_factory.mktemp("runs")
    write_idx(folder / "data/mnist", striped(600), striped(100, 1))
    flags = ["--preset", "smoke", "--size", "32", "--features", "pixels", "--limit", "300", "--steps", "2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(home / "cache"))
        for dataset in ("mnist", "toy_faces"):
            command = ["dcgan/train.py", *flags, "--dataset", dataset, "--data-dir", folder / "data", "--out", folder]
            assert run_here(*command) == 0
    find = lambda dataset: next(folder.glob(f"dcgan/{dataset}-*/results.json")).parent
    return find("mnist"), find("toy_faces")


def test_features_of_a_run(home, runs, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_HOME", str(home / "cache"))
    monkeypatch.setattr(features, "UPDATES", 50)
    monkeypatch.setattr(features, "ALPHAS", (1e-3,))
    run_dir, faces = runs
    features.run(features.make_parser().parse_args([str(run_dir), "--limit", "300"]))
    metrics = metrics_of(run_dir / "features")
    assert {name.split("/")[1] for name in metrics} == {
        "discriminator", "untrained network", "128 principal components", "raw pixels",
    }  # fmt: skip
    assert {name.split("/")[2] for name in metrics} == {"100 labels", "all 240 labels"}
    assert all(error < 40 for error in metrics.values()), "nine in ten are wrong by chance"
    assert metrics["error/raw pixels/all 240 labels/0"] < 5
    assert_not_blank(run_dir / "features/figures/errors.png")
    assert (run_dir / "features/table.md").read_text() in capsys.readouterr().out
    assert "toy_faces has no classes" in error_line("dcgan/features.py", faces)
    assert "3 images are too few to learn classes from: raise --limit" in error_line(
        "dcgan/features.py", run_dir, "--limit", "3"
    )


def test_the_latent_space_of_a_run(home, runs, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_HOME", str(home / "cache"))
    mnist, faces = runs
    flags = ["--faces", "200", "--latents", "50", "--trials", "5"]
    assert run_here("dcgan/latent_space.py", mnist, *flags) == 0
    metrics = metrics_of(mnist / "latent_space")
    assert metrics["walk/even_step"] == 1 / 8 < metrics["walk/largest_step"] < 0.5
    assert_not_blank(mnist / "latent_space/figures/walks.png")
    assert not (mnist / "latent_space/figures/arithmetic.png").exists()
    capsys.readouterr()
    # an untrained generator draws no faces: each image counts as each kind
    monkeypatch.setattr(latent_space, "is_of", lambda kind, factors: np.ones(len(factors), bool))
    latent_space.run(latent_space.make_parser().parse_args([str(faces), *flags]))
    metrics = metrics_of(faces / "latent_space")
    assert 0 <= metrics["sum of means of 3/both"] <= 1 and "reader_r2/glasses" in metrics
    assert_not_blank(faces / "latent_space/figures/arithmetic.png")
    assert (faces / "latent_space/table.md").read_text() in capsys.readouterr().out
