"""The flow scripts as a user starts them, on the drawn faces and on 2-D points."""

import json
import sys

import imageio.v3 as iio
import keras
import numpy as np
import pytest

from common.cli import apply_preset, main
from common.data.images import load_images
from common.errors import UserError
from common.models.inference import load_model
from common.training.run_dir import open_run
from common.training.run_files import read_flags
from flow import glow, nice, realnvp
from flow.layers.likelihood import log_normal
from flow.training import run_images
from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import run_comparison, run_here, run_near

# few images, because the principal components of many take longer than the training
IMAGES = ["--preset", "smoke", "--dataset", "toy_faces", "--limit", "20", "--batch-size", "8"]
IMAGES += ["--export-samples", "2"]
# the exponential mixing and the author's options; no data-dependent initialisation, which JAX compiles for 20 seconds
GLOW_OF_THE_ARTICLE = ["--mixing", "exp", "--noise", "article", "--input", "scaled", "--start", "zero"]
PICTURES = ("samples.png", "temperatures.png", "interpolations.png", "curves.png")


# the flows that `make test` trains on each backend
FLOWS = {
    "tensorflow": {"nice": ["flow/nice.py", *IMAGES], "realnvp": ["flow/realnvp.py", *IMAGES]},
    "jax": {"glow": ["flow/glow.py", *IMAGES, *GLOW_OF_THE_ARTICLE]},
}[keras.backend.backend()]


@pytest.mark.parametrize("arguments", FLOWS.values(), ids=FLOWS)
def test_a_flow_on_images(home, tmp_path, small_faces, arguments):
    backend = keras.backend.backend()
    # the bits per dimension of few small images would depend on their noise
    faces = small_faces if backend == "jax" else []
    done = run_near(home, backend, *arguments, *faces, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert not done.stderr.strip(), "warnings"
    (results,) = tmp_path.rglob("results.json")
    for name in PICTURES:
        assert_not_blank(results.parent / "figures" / name)
    assert len(iio.imread(results.parent / "figures/training.gif")) == 3
    by_temperature = sorted((results.parent / "figures/temperatures").iterdir())
    rows = [iio.imread(path) for path in by_temperature]
    assert [path.name for path in by_temperature] == ["0.5.png", "0.75.png", "0.8.png", "0.9.png", "1.png"]
    assert len({row.shape for row in rows}) == 1 and not any(np.array_equal(rows[0], row) for row in rows[1:])
    samples = [iio.imread(path) for path in (results.parent / "export").iterdir()]
    assert len(samples) == 2 and not np.array_equal(*samples)
    metrics = json.loads(results.read_text())["metrics"]
    assert 1 < metrics["bits_per_dim"] < 20
    assert metrics["bits_per_dim"] != metrics["bits_per_dim/training_images"]
    assert metrics["pca_frechet"] == metrics[f"pca_frechet/std_{0.75 if 'nice' in arguments[0] else 0.8}"]
    assert metrics["rescues"] == 0
    assert (results.parent / "flow.keras").exists() and (results.parent / "best.npz").exists()
    if backend == "tensorflow":  # of the saved network, which is the averaged one
        args = read_flags(results.parent, "dataset", "size", "limit")
        bits = {
            split: bits_of_saved_flow(results.parent, load_images(args.dataset, args.size, split, limit=args.limit))
            for split in ("train", "test")
        }
        assert abs(metrics["bits_per_dim"] - bits["test"]) < abs(metrics["bits_per_dim"] - bits["train"]) / 5
        assert metrics["bits_per_dim"] == pytest.approx(bits["test"], abs=0.01)
        assert metrics["bits_per_dim/training_images"] == pytest.approx(bits["train"], abs=0.01)
        if "realnvp" in arguments[0]:  # NICE's own loss is no likelihood
            assert metrics["bits_per_dim/test_last_step"] < bits["test"] - 0.015, "the average is behind"


def bits_of_saved_flow(run_dir, images):
    """Return the bits per dimension that the saved flow gives to images, with a noise of our own."""
    flow = load_model(run_dir / "flow.keras")
    noise = np.random.default_rng(7).random(images.array.shape)
    z, log_det = flow.predict((np.asarray(images.array) + noise).astype("float32") / 256, verbose=0)
    log_prob = np.asarray(log_normal(z)) + log_det
    return float(np.mean(8 - log_prob / np.log(2) / z.shape[1]))


def test_nice_goes_on_with_the_run_that_resume_names(tmp_path):
    """Its config.json has settings that NICE has no flags for."""
    args = nice.make_parser().parse_args(["--out", str(tmp_path), *IMAGES])
    apply_preset(args, nice.make_parser(), nice.PRESETS)
    run_dir = open_run(args, nice.ARTICLE, 20)
    again = nice.make_parser().parse_args(["--resume", str(run_dir), "--steps", "9"])
    assert (again.steps, again.dataset, again.limit) == (9, "toy_faces", 20)
    for name in ("ema", "levels", "variant", "out", "batch_size"):
        assert getattr(again, name) == getattr(args, name), name


@pytest.mark.parametrize("every", [1, 50, 500])
def test_pictures_do_not_decide_when_a_training_has_collapsed(tmp_path, monkeypatch, every):
    guards = []
    monkeypatch.setattr(run_images, "CollapseGuard", lambda *args, **kwargs: guards.append(kwargs) or pytest.skip)
    monkeypatch.setattr(run_images, "train", lambda *args, **kwargs: (_ for _ in ()).throw(UserError("enough")))
    flags = [*IMAGES, "--every", str(every), "--steps", "1000", "--out", tmp_path]
    assert run_here("flow/glow.py", *flags) != 0
    assert guards[0]["limit"] == 0 and guards[0]["patience"] * every == run_images.PATIENCE


@pytest.mark.parametrize(("schedule", "fixed"), [("cosine", ("steps",)), ("constant", ())])
def test_a_run_whose_rate_falls_to_0_goes_on_to_its_own_end_alone(tmp_path, monkeypatch, schedule, fixed):
    seen = []

    def begin(args, article, images, fixed_flags):
        seen.append(fixed_flags)
        raise UserError("enough")

    monkeypatch.setattr(run_images, "begin_run", begin)
    assert run_here("flow/glow.py", *IMAGES, "--schedule", schedule, "--out", tmp_path) != 0
    assert seen == [fixed]


def test_a_flow_in_the_plane(home, tmp_path):
    done = run_near(
        home, "tensorflow", "flow/realnvp.py", "--preset", "smoke", "--coupling", "affine", "--out", tmp_path
    )
    assert done.returncode == 0, done.stderr
    run_dir = tmp_path / "flow/realnvp/two_moons-2-smoke-coupling-affine-s0"
    metrics = json.loads((run_dir / "results.json").read_text())["metrics"]
    assert metrics["kl"] > 0.2, "six steps do not learn two moons"
    assert metrics["nats/fresh"] == pytest.approx(metrics["entropy"] + metrics["kl"], abs=0.02)
    assert_not_blank(run_dir / "figures/density.png")


def test_couplings_are_compared_under_equal_conditions(home, tmp_path, small_faces, monkeypatch):
    kinds = ["additive", "affine"]
    flags = ["--vary", "coupling", "--levels", "1", "--seeds", "1"]
    run_comparison(monkeypatch, home, "flow/compare.py", *IMAGES, *small_faces, *flags, "--out", tmp_path)
    (comparison_dir,) = (tmp_path / "flow").glob("coupling-folder*")
    rows = (comparison_dir / "table.md").read_text().splitlines()
    assert [row.split("|")[1].strip() for row in rows[2:]] == kinds
    metrics = json.loads((comparison_dir / "results.json").read_text())["metrics"]
    bits = {kind: metrics[f"test bits/dim/{kind}/0"] for kind in kinds}
    assert len(set(bits.values())) == 2
    assert metrics["minus additive, same seed/additive/0"] == 0
    for kind in kinds:
        assert metrics[f"minus additive, same seed/{kind}/0"] == bits[kind] - bits["additive"]
        flags = [json.loads(path.read_text())["flags"] for path in comparison_dir.glob(f"{kind}-0/**/config.json")]
        assert [(f["coupling"], f["seed"], f["dataset"], f["limit"]) for f in flags] == [(kind, 0, small_faces[1], 20)]
    assert_not_blank(comparison_dir / "figures/coupling.png")


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        (glow, [*IMAGES, "--levels", "6"], "cannot be halved 6 times"),
        (glow, [*IMAGES, "--noise", "article"], "add --noise uniform"),
        (glow, [*IMAGES, "--noise", "article", "--input", "gaussianized"], "add --noise uniform"),
        (glow, [*IMAGES, "--input", "gaussianized", "--start", "zero"], "add --start data"),
        (nice, [*IMAGES, "--batch-size", "4000"], "lower --batch-size"),
        (realnvp, ["--preset", "smoke", "--points", "20"], "lower --batch-size"),
        (glow, ["--dataset", "two_moons"], "is not one of celeba"),
    ],
    ids=["levels", "noise", "gaussianized", "start", "batch-size", "points", "dataset"],
)
def test_an_error_of_the_user_is_reported_in_one_line(home, tmp_path, monkeypatch, capsys, script, arguments, message):
    monkeypatch.setenv("KERAS_HOME", str(home / "cache"))
    monkeypatch.setattr(sys, "argv", ["script.py", *arguments, "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as exit_info:
        main(script.run, script.make_parser())
    assert exit_info.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not list(tmp_path.rglob("config.json")), "no run directory"
