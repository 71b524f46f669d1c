"""The scripts that run Langevin chains: `sample.py` and `acceptance_rules.py` (article 6331)."""

import argparse
import json
import re

import imageio.v3 as iio
import keras
import numpy as np
import pytest
from keras import layers, ops

from common.data import toy_faces
from common.experiments.sample_space import ImageSpace, PlaneSpace
from common.files import write_json
from energy_gan import acceptance_rules, langevin, sample
from energy_gan.sample import energy_of
from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import error_line, write_pngs


def save_networks(folder, shape):
    """Save and return the critic -20 mean(x^2) and the generator x = tanh(A z + 1) with positive A."""
    z, x = keras.Input((3,)), keras.Input(shape)
    units = int(np.prod(shape))
    initializers = {"kernel_initializer": keras.initializers.RandomUniform(0, 1, seed=1), "bias_initializer": "ones"}
    generator = keras.Model(z, layers.Reshape(shape)(layers.Dense(units, "tanh", **initializers)(z)))
    flat = layers.Flatten()(x)
    critic = keras.Model(x, -20.0 * layers.Dot(1)([flat, flat]) / units)
    generator.save(folder / "generator.keras")
    critic.save(folder / "critic.keras")
    return critic, generator


def test_energy_of_a_latent(tmp_path):
    critic, generator = save_networks(tmp_path, (2,))
    z = np.random.default_rng(8).normal(size=(5, 3)).astype("float32")
    u = 20 * np.mean(ops.convert_to_numpy(generator(z)) ** 2, 1)
    without_prior, with_prior = (
        ops.convert_to_numpy(energy_of(critic, generator, 2.0, prior)(z))[:, 0] for prior in (False, True)
    )
    np.testing.assert_allclose(without_prior, 2 * u, rtol=1e-5)
    np.testing.assert_allclose(with_prior, 2 * u + np.sum(z**2, 1) / 2, rtol=1e-5)


@pytest.mark.parametrize(
    ("images", "flags"), [(False, ["--rule", "langevin"]), (True, ["--no-prior", "--beta", "3", "--seed", "1"])]
)
def test_sampling_from_a_run(tmp_path, monkeypatch, images, flags):
    seed, beta = (1, 3) if images else (0, 1)
    dataset, shape = "8gaussians", (2,)
    if images:
        faces = toy_faces.draw(toy_faces.sample_factors(240, seed=0), 32)
        dataset, shape = f"folder:{write_pngs(tmp_path / 'faces', faces)}", (16, 16, 3)
    keras.utils.set_random_seed(0)
    critic, generator = save_networks(tmp_path, shape)
    run_flags = {"dataset": dataset, "size": shape[0], "seed": 0, "limit": None, "data_dir": None}
    run_flags["crop"] = "square"
    run_flags["features"] = "pixels" if images else None
    write_json(tmp_path / "config.json", {"flags": run_flags})
    monkeypatch.setattr(sample, "FRAMES", 6)
    chains, chain = [], langevin.sample_chain
    record = lambda *args, **kwargs: chains.append(chain(*args, **kwargs)) or chains[-1]
    monkeypatch.setattr(langevin, "sample_chain", record)
    arguments = [str(tmp_path), "--steps", "20", "--step-size", "0.05", "--chains", "80", *flags]
    sample.run(sample.make_parser().parse_args(arguments))
    folder = tmp_path / ("mala-no-prior" if images else "langevin")
    metrics = json.loads((folder / "results.json").read_text())["metrics"]

    latents = lambda n, stream: np.random.default_rng([seed, stream]).standard_normal((n, 3), "float32")
    z = latents(80, 4)
    assert metrics["u/before"] == pytest.approx(-ops.convert_to_numpy(critic(generator(z))).mean(), rel=1e-4)
    assert metrics["u/after"] < 0.7 * metrics["u/before"], "the energy falls"
    assert 0.5 < metrics["acceptance"] < 1 if images else metrics["acceptance"] == 1
    assert 0.5 < metrics["ess"] <= 11 and metrics["r_hat"] > 1.01 and metrics["energy/standard_error"] > 0
    if images:  # the energy is U alone
        assert metrics["u/after"] < metrics["energy"] / beta < metrics["u/before"]
        assert metrics["energy"] == pytest.approx(chains[0]["energies"][10:].mean(), rel=1e-5), "of the second half"
        last = chains[0]["trajectory"][-1]
        u = -ops.convert_to_numpy(critic(generator(last))).mean()
        assert metrics["u/after"] == pytest.approx(u, rel=1e-4)
    assert metrics["z/before"] == pytest.approx(np.sqrt(np.mean(z**2)), rel=1e-5)

    # before the first step the chains are the generator's own samples, measured as in its training
    space = (ImageSpace if images else PlaneSpace)(argparse.Namespace(**run_flags | {"limit": 80 if images else None}))
    generator_samples = lambda n, stream: space.postprocess(ops.convert_to_numpy(generator(latents(n, stream))))
    for name, value in space.evaluate(generator_samples).items():
        assert metrics[f"{name}/before"] == pytest.approx(value, rel=1e-3, abs=1e-6), name
    key = "fid" if images else "swd"
    assert metrics[f"{key}/before"] > 0 and metrics[f"{key}/after"] != metrics[f"{key}/before"]
    for name in ("energy.png", "before-after.png", "timeline.png"):
        assert_not_blank(folder / "figures" / name)
    animation = iio.imread(folder / "figures/chain.gif")
    assert len(animation) == 6, "after 0, 4, ..., 20 steps"
    assert np.abs(animation[0].astype(int) - animation[-1]).max() > 50
    assert not (folder / "figures/frame.png").exists()


def test_data_of_other_channels_than_the_networks_is_one_line(tmp_path):
    save_networks(tmp_path, (16, 16, 3))
    grey = write_pngs(tmp_path / "grey", np.random.default_rng(0).integers(0, 256, (8, 16, 16), np.uint8))
    write_json(
        tmp_path / "config.json", {"flags": {"dataset": f"folder:{grey}", "size": 16, "seed": 0, "features": "pixels"}}
    )
    line = error_line("energy_gan/sample.py", tmp_path)
    assert f"folder:{grey} is not the data of" in line and "(16, 16, 3), not (16, 16, 1)" in line


def test_energy_that_is_no_number_names_the_step_size_or_the_weight(tmp_path):
    save_networks(tmp_path, (2,))
    write_json(tmp_path / "config.json", {"flags": {"dataset": "8gaussians", "size": 2, "seed": 0, "features": None}})
    chains = ["--steps", "40", "--chains", "5"]
    line = error_line("energy_gan/sample.py", tmp_path, *chains, "--step-size", "100", "--rule", "langevin")
    assert re.search(r"the energy of chain \d is not finite after \d+ steps of size 100: .*\(--step-size\)", line)
    generator = keras.models.load_model(tmp_path / "generator.keras")
    generator.set_weights([np.nan * w for w in generator.get_weights()])
    generator.save(tmp_path / "generator.keras")
    line = error_line("energy_gan/sample.py", tmp_path, *chains)
    assert re.search(r"the weight .*dense\S*/kernel of the energy is NaN .*lower learning rate \(more: docs", line)


def test_acceptance_rules_script(tmp_path):
    acceptance_rules.run(acceptance_rules.make_parser().parse_args(["--chains", "1000", "--out", str(tmp_path)]))
    folder = tmp_path / "energy_gan/rules"
    metrics = json.loads((folder / "results.json").read_text())["metrics"]
    assert metrics["variance/mala/1"] == pytest.approx(1, abs=0.13)
    assert metrics["variance/meg_plain/0.02"] == pytest.approx(0.501, abs=0.07)
    assert metrics["variance/article/0.02"] > 4
    assert "66.667" in (folder / "table.md").read_text()
    assert_not_blank(folder / "figures/rules.png")


@pytest.mark.parametrize(("flags", "message"), [(["--rule", "meg"], "langevin"), (["--beta", "0"], "1e-06")])
def test_wrong_flags_of_sample_get_one_line(tmp_path, flags, message):
    assert message in error_line("energy_gan/sample.py", tmp_path, *flags)


def test_a_folder_without_a_run_gets_one_line(tmp_path):
    assert "config.json" in error_line("energy_gan/sample.py", tmp_path)
