"""Samples for other programs (`--export-samples`)."""

import imageio.v3 as iio
import numpy as np

from common.experiments import export
from common.experiments.export import export_samples
from tests.helpers.scripts import error_line


def draw(count, stream):
    return np.random.default_rng(stream).uniform(-1, 1, (count, 4, 4, 3)).astype("float32")


def test_the_folder_holds_exactly_n_samples_and_the_first_are_the_same_for_every_n(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(export, "BLOCK", 3)
    read = lambda: {path.name: iio.imread(path) for path in sorted((tmp_path / "export").iterdir())}
    export_samples(tmp_path, 8, draw)
    many = read()
    assert list(many) == [f"{i:06d}.png" for i in range(8)]
    first = np.concatenate([draw(3, export.STREAM + i) for i in range(3)])[:8]
    np.testing.assert_allclose(np.stack(list(many.values())), 127.5 * (first + 1), atol=0.51)
    (tmp_path / "export/000004.png").unlink()
    export_samples(tmp_path, 5, draw)
    few = read()
    assert list(few) == list(many)[:5]
    assert all(np.array_equal(few[name], many[name]) for name in few)
    export_samples(tmp_path, 0, draw)
    assert len(read()) == 5
    assert capsys.readouterr().out.splitlines() == [f"{n} samples: {tmp_path}/export" for n in (8, 5)]


def test_points_of_the_plane_are_not_exported():
    assert "--export-samples is for images" in error_line(
        "rsgan/train.py", "--dataset", "8gaussians", "--export-samples", "5"
    )
