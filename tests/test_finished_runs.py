"""Scripts that read a finished run: what is damaged in it gets one line that names the file, and nothing is lost."""

import json
import os
import shutil

import imageio.v3 as iio
import keras
import numpy as np
import pytest
from keras import layers

from common.errors import UserError
from common.files import write_json
from fgan import gaussian
from flow import compare
from ogan import ablation
from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import ROOT, error_line, write_pngs

SIDE, LATENT = 16, 3
IMAGE = (SIDE, SIDE, 3)


def network(input_shape, *output_shapes):
    """Return a small model from inputs of a shape to outputs of the other shapes."""
    x = keras.Input(input_shape)
    flat = layers.Flatten()(x)
    return keras.Model(x, [layers.Reshape(s)(layers.Dense(int(np.prod(s)))(flat)) for s in output_shapes])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folder with the runs "sample" and "reconstruct" for the scripts of these names, and the folder "photos"."""
    folder = tmp_path_factory.mktemp("runs")
    photos = write_pngs(folder / "photos", np.random.default_rng(0).integers(0, 256, (4, *IMAGE), np.uint8))
    flags = {"seed": 0, "limit": None, "data_dir": None, "features": None}
    for name, shape, file, code in (("sample", (2,), "critic", (1,)), ("reconstruct", IMAGE, "encoder", (LATENT,))):
        run_flags = flags | {"dataset": "8gaussians" if name == "sample" else f"folder:{photos}", "size": shape[0]}
        write_json(folder / name / "config.json", {"flags": run_flags})
        network(shape, code).save(folder / name / f"{file}.keras")
        network((LATENT,), shape).save(folder / name / "generator.keras")
    np.save(folder / "reconstruct/mean_image.npy", np.zeros(IMAGE, "float32"))
    return folder


def text(content):
    return lambda path: path.write_text(content)


def flag(name, value):
    def damage(path):
        config = json.loads(path.read_text())
        config["flags"][name] = value
        path.write_text(json.dumps(config))

    return damage


def folder(path):
    path.unlink()
    path.mkdir()


def fifo(path):
    path.unlink()
    os.mkfifo(path)


def truncated(path):
    path.write_bytes(path.read_bytes()[:3000])


def with_network(*shapes):
    return lambda path: network(*shapes).save(path)


def another_file(name):
    return lambda path: shutil.copy(path.with_name(name), path)


def array(*args):
    return lambda path: np.save(path, np.full(*args))


def archive(path):
    np.savez(path.with_suffix(""), np.zeros(3))
    path.with_name(f"{path.stem}.npz").rename(path)


MISSING = [os.remove, folder, fifo, text(""), text("{")]
CONFIG = [
    *MISSING, text("{}"), text("[]"), text("null"), text('{"flags": []}'), text('{"flags": {}}'), flag("dataset", 5),
    flag("dataset", ["mnist"]), flag("dataset", "mnits"), flag("data_dir", 5), flag("size", "2"), flag("size", 2.5),
    flag("size", True), flag("size", None),
]  # fmt: skip
SAMPLE_CONFIG = [
    *CONFIG, flag("seed", -1), flag("seed", "0"), flag("limit", 0), flag("limit", [5]), flag("features", "eyes"),
    flag("features", {}),
]  # fmt: skip
NETWORK = [*MISSING, truncated, with_network((5,), (7,))]
CASES = {
    "sample": {
        "config.json": SAMPLE_CONFIG,
        "critic.keras": [
            *NETWORK, with_network((2,), (3,)), with_network((2,), (1,), (1,)), with_network((3,), (1,)),
            with_network((2,), (1, 1)), another_file("generator.keras"),
            lambda path: shutil.copy(ROOT / "tests/saved/flow.keras", path),
        ],
        "generator.keras": [
            *NETWORK, with_network((LATENT,), (4,)), with_network((LATENT, 1), (2,)), with_network((LATENT,), IMAGE),
            with_network((LATENT,), (2,), (2,)), another_file("critic.keras"),
        ],
    },
    "reconstruct": {
        "config.json": CONFIG,
        "encoder.keras": [
            *NETWORK, with_network(IMAGE, (4,)), with_network((8, 8, 3), (LATENT,)), with_network(IMAGE, (3, 1)),
            another_file("generator.keras"),
        ],
        "generator.keras": [
            *NETWORK, with_network((LATENT,), (8, 8, 3)), with_network((4,), IMAGE),
            with_network((LATENT,), IMAGE, IMAGE), another_file("encoder.keras"),
        ],
        "mean_image.npy": [
            *MISSING, truncated, archive, array((8, 8, 3), 0.0), array(IMAGE, np.nan), array(IMAGE, "x"),
            array(IMAGE, None), array((), 0.0), another_file("encoder.keras"),
        ],
    },
}  # fmt: skip


@pytest.mark.parametrize(("name", "file"), [(name, file) for name, files in CASES.items() for file in files])
def test_damaged_file_of_a_run_is_one_line_that_names_it(runs, tmp_path, name, file):
    script = {"sample": ["energy_gan/sample.py"], "reconstruct": ["ogan/reconstruct.py", "--images", runs / "photos"]}
    for i, damage in enumerate(CASES[name][file]):
        run = tmp_path / str(i) / name
        shutil.copytree(runs / name, run)
        damage(run / file)
        before = sorted(run.rglob("*"))
        line = error_line(*script[name], *(["--run"] if name == "reconstruct" else []), run)
        fits_the_other = i >= len(NETWORK) and file.endswith(".keras")  # two networks that do not fit: either is wrong
        assert str(run / file) in line or (fits_the_other and f"{run}/" in line and ".keras is another" in line), line
        assert any(advice in line for advice in ("restore it", "name the folder of a run", "finish the training")), line
        assert sorted(run.rglob("*")) == before, "nothing is written"


def finish(monkeypatch, script, out, metrics, names):
    """Write the `results.json` of runs that a comparing script is then given as its finished trainings."""
    for name in names:
        write_json(out / name / "results.json", {"metrics": metrics})
    monkeypatch.setattr(script, "run_variants", lambda *args: {name: out / name for name in names})


def compare_flows(out):
    args = compare.make_parser().parse_args(["--vary", "coupling", "--seeds", "2", "--out", str(out)])
    args.forwarded = []
    compare.run(args)
    return (out / "flow/coupling-mnist/table.md").read_text()


def test_comparison_of_flows_without_a_log_leaves_out_what_it_held(tmp_path, monkeypatch, capsys):
    metrics = {"bits_per_dim/test_last_step": 2.5, "bits_per_dim/last_stretch": 2.25, "parameters": 7}
    names = [f"{kind}-{seed}" for kind in compare.OPTIONS["coupling"] for seed in range(2)]
    finish(monkeypatch, compare, tmp_path, metrics, names)
    for name in names:
        (tmp_path / name / "log.csv").write_text("step,seconds,bits_per_dim\n4,1,3\n8,2,2\n")
    assert "| additive | 2.500 | 2.250 | 7 |" in compare_flows(tmp_path)
    figure = tmp_path / "flow/coupling-mnist/figures/coupling.png"
    assert_not_blank(figure)
    del metrics["bits_per_dim/last_stretch"]
    for name in names[:2]:
        (tmp_path / name / "log.csv").unlink()
        write_json(tmp_path / name / "results.json", {"metrics": metrics})
        drawn = name == names[1]  # the seeds of a kind have a curve each, or none has
        figure.unlink(missing_ok=True)
        assert "| affine | 2.500 | 2.250 | 7 |" in compare_flows(tmp_path)
        assert figure.exists() == drawn and ("not drawn" in capsys.readouterr().out) == (not drawn)
    (tmp_path / names[0] / "results.json").write_text("[]")
    with pytest.raises(UserError, match=f"{names[0]}/results.json is damaged"):
        compare_flows(tmp_path)


def test_ablation_of_grey_images(tmp_path, monkeypatch):
    metrics = {"z_corr": 0.5, "reconstruction_mse": 1.0, "mean_image_mse": 0.0}
    names = [f"{loss}-0" for loss in ablation.LATENT_LOSSES]
    finish(monkeypatch, ablation, tmp_path, metrics, names)
    for name in names:
        for file in ("samples", "reconstructions"):
            (tmp_path / name / file).mkdir()
            iio.imwrite(tmp_path / name / file / "step-0000003.png", np.arange(6400, dtype="uint8").reshape(80, 80))
    args = ablation.make_parser().parse_args(["--dataset", "mnist", "--seeds", "1", "--out", str(tmp_path)])
    args.forwarded = []
    ablation.run(args)
    rows = (tmp_path / "ogan/ablation-mnist/table.md").read_text().splitlines()
    assert rows[0] == "| latent loss | z_corr |", "no ratio to the error 0 of the mean image"
    assert_not_blank(tmp_path / "ogan/ablation-mnist/figures/pictures.png")


@pytest.mark.parametrize("content", ["[]", "{}", '{"settings": 0}', "{", ""])
def test_damaged_fit_of_a_gaussian_is_named(tmp_path, content):
    path = tmp_path / "fits/kl-s0.json"
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(UserError, match=r"fits/kl-s0\.json"):
        gaussian.load_fit(tmp_path, "kl", 0, {"steps": 1, "every": 1, "batch_size": 1})
