"""The relativistic GANs' scripts end to end, as a user starts them, on small drawn faces."""

import json

import imageio.v3 as iio
import keras
import pytest

from rsgan import train
from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import error_line, run_comparison, run_here, run_near


@pytest.fixture(scope="module")
def smoke(small_faces):
    """The flags of a training of seconds."""
    return ["--preset", "smoke", *small_faces]


def test_a_gan_trains_and_goes_on(home, tmp_path, smoke, monkeypatch, capsys):
    backend = keras.backend.backend()
    losses = {"tensorflow": ["--loss", "rasgan", "--trainer", "alternating"], "jax": ["--loss", "r3gan"]}
    flags = losses[backend]
    command = ["rsgan/train.py", *smoke, *flags, "--out", tmp_path]
    done = run_near(home, backend, *command)
    assert done.returncode == 0, done.stderr
    assert not done.stderr.strip(), "the script prints no warnings"
    (results,) = tmp_path.rglob("results.json")
    run_dir = results.parent
    for name in ("samples.png", "distance.png", "curves.png"):
        assert_not_blank(run_dir / "figures" / name, least=3)
    assert len(iio.imread(run_dir / "figures/training.gif")) == 3
    metrics = json.loads(results.read_text())["metrics"]
    assert metrics["fid"] > 2 * metrics["fid_floor"] > 0, "six steps do not make faces"
    assert 0 <= metrics["recall"] <= 1
    assert (run_dir / "generator.keras").exists() and (run_dir / "critic.keras").exists()
    distances = json.loads((run_dir / "distances.json").read_text())
    assert list(distances) == ["0", "3", "6"] and len(set(distances.values())) == 3
    if backend == "jax":
        return
    # a longer run continues from the checkpoint and keeps what was measured
    monkeypatch.setenv("KERAS_HOME", str(home / "cache"))
    assert run_here(*command, "--resume", "--steps", "9") == 0
    assert "from step 6" in capsys.readouterr().out
    more_distances = json.loads((run_dir / "distances.json").read_text())
    assert list(more_distances) == ["0", "3", "6", "9"]
    assert {step: more_distances[step] for step in distances} == distances


def test_a_gan_of_points_in_the_plane(home, tmp_path):
    flags = ["--preset", "smoke", "--dataset", "8gaussians", "--loss", "wgan_gp_linear"]
    done = run_near(home, "tensorflow", "rsgan/train.py", *flags, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    (results,) = tmp_path.rglob("results.json")
    assert results.parent.name == "8gaussians-2-smoke-loss-wgan_gp_linear-s0"
    metrics = json.loads(results.read_text())["metrics"]
    assert metrics["swd"] > 5 * metrics["swd_floor"] > 0 and 0 <= metrics["near"] < 0.9
    for name in ("samples.png", "distance.png", "curves.png"):
        assert_not_blank(results.parent / "figures" / name)


def test_methods_are_compared_from_the_same_start(home, tmp_path, smoke, monkeypatch):
    flags = ["--methods", "sgan", "--once", "wgan", "--seeds", "1", "--out", tmp_path]
    run_comparison(monkeypatch, home, "rsgan/compare.py", *smoke, *flags)
    (output_dir,) = tmp_path.glob("rsgan/compare-folder*")
    rows = (output_dir / "table.md").read_text().splitlines()
    assert [row.split("|")[1].strip() for row in rows[2:4]] == ["sgan", "wgan"]
    metrics = json.loads((output_dir / "results.json").read_text())["metrics"]
    assert metrics["FID/sgan/0"] != metrics["FID/wgan/0"]
    untrained = [json.loads(path.read_text())["0"] for path in output_dir.rglob("distances.json")]
    assert len(untrained) == 2 and untrained[0] == untrained[1], "both begin with the same networks"
    for name in ("samples.png", "samples-all.png", "convergence.png"):
        assert_not_blank(output_dir / "figures" / name)


def test_the_weight_of_a_penalty_alone_is_varied(home, tmp_path, monkeypatch):
    flags = ["--preset", "smoke", "--methods", "rsgan_r1", "--weights", "10", "0.1", "--seeds", "1", "--out", tmp_path]
    run_comparison(monkeypatch, home, "rsgan/penalty.py", *flags)
    for name in ("distance.png", "near.png"):
        assert_not_blank(tmp_path / "rsgan/penalty-25gaussians/figures" / name, least=10)
    table = (tmp_path / "rsgan/penalty-rsgan_r1-25gaussians/table.md").read_text().splitlines()
    assert [row.split("|")[1].strip() for row in table[2:4]] == ["0.1", "10"]
    configs = [json.loads(path.read_text())["flags"] for path in tmp_path.rglob("config.json")]
    assert sorted(config.pop("penalty_weight") for config in configs) == [0.1, 10.0]
    first, second = ({k: v for k, v in config.items() if k not in ("out", "variant")} for config in configs)
    assert first == second, "nothing else differs"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--loss", "rsgam"], "rsgan_gp"),
        (["--loss", "sgan", "--penalty-weight", "3"], "sgan has no penalty"),
        (["--n-d", "3"], "--trainer alternating"),
        (["--width", "3"], "--width must be a multiple of"),
        (["--dataset", "toy_faces", "--size", "32", "--features", "classifier"], "toy_faces has no classes"),
    ],
)
def test_a_wrong_flag_gets_one_line_and_no_run_directory(tmp_path, monkeypatch, smoke, flags, message):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    line = error_line("rsgan/train.py", *smoke, "--limit", "200", *flags, "--out", tmp_path / "runs")
    assert message in line
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("flags", "rate", "initializer"),
    [
        (["--loss", "sgan"], 4e-3, "dcgan"),
        (["--loss", "sgan_lecam"], 4e-3, "dcgan"),  # its penalty is one of scores
        (["--loss", "r3gan"], 1e-3, "glorot_uniform"),
        (["--loss", "ct_gan"], 1e-3, "glorot_uniform"),
        (["--loss", "sgan", "--no-batch-norm"], 1e-3, "glorot_uniform"),
        (["--loss", "sgan", "--no-batch-norm", "--learning-rate", "0.5"], 0.5, "glorot_uniform"),
        (["--loss", "r3gan", "--preset", "paper"], 2e-4, "glorot_uniform"),
        (["--loss", "sgan", "--dataset", "8gaussians"], 1e-3, None),
    ],
)
def test_a_critic_without_batch_norm_has_settings_of_its_own(monkeypatch, flags, rate, initializer):
    seen = []
    monkeypatch.setattr("common.experiments.gan.run_gan", lambda args, *others: seen.append(args))
    train.run(train.make_parser().parse_args(["--preset", "quick", *flags]))
    assert (seen[0].learning_rate, seen[0].initializer) == (rate, initializer)
