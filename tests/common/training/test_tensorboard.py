"""What TensorBoard shows of a run, read back from its event files by TensorFlow."""

import importlib.util
import json

import imageio.v3 as iio
import numpy as np
import pytest

from common.training.tensorboard import tensorboard_writer

pytestmark = pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="it needs TensorFlow")

ROWS = [
    {"step": 0},
    {"step": 250, "seconds": 1.5, "critic_gap": 0.5},
    {"step": 300, "seconds": 2.0, "generator_loss": -0.25},
]


def events(folder):
    """Return {(tag, step): value} of all event files: a float, a text or the pixels of a picture."""
    import tensorflow as tf

    values = {}
    for path in sorted(folder.glob("events.out.*")):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            for value in event.summary.value:
                content = tf.make_ndarray(value.tensor)
                if value.metadata.plugin_data.plugin_name == "images":
                    content = tf.io.decode_png(content[2]).numpy()
                values[value.tag, event.step] = content
    return values


def test_the_numbers_and_pictures_stand_at_their_steps(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"flags": {"learning_rate": 2e-4, "limit": None}}))
    pictures = {}
    for folder, step, shape in (
        ("samples", 0, (4, 6, 3)),
        ("samples", 250, (4, 6)),
        ("reconstructions", 250, (2, 2, 3)),
    ):
        pictures[folder, step] = np.random.default_rng(step).integers(0, 256, shape).astype("uint8")
        (tmp_path / folder).mkdir(exist_ok=True)
        iio.imwrite(tmp_path / folder / f"step-{step:07d}.png", pictures[folder, step])
    write = tensorboard_writer(tmp_path)
    for row in ROWS:
        write(row)
    found = events(tmp_path / "tensorboard")
    assert found.pop(("flags", 0)).item().decode() == "| flag | value |\n|---|---|\n| learning_rate | 0.0002 |"
    for key, picture in pictures.items():
        np.testing.assert_array_equal(found.pop(key).squeeze(), picture)
    numbers = {(name, row["step"]): value for row in ROWS for name, value in row.items() if name != "step"}
    assert {key: value.item() for key, value in found.items()} == numbers


@pytest.mark.parametrize("config", [None, "[]", "{"])
def test_a_run_without_flags_has_its_numbers(tmp_path, config):
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    tensorboard_writer(tmp_path)(ROWS[1])
    assert events(tmp_path / "tensorboard")["critic_gap", 250] == 0.5
