"""The backend and Keras's file `keras.json`: what cannot be used is one line, what would change results is undone."""

import os

import keras
import pytest

from common import backend
from common.cli import Parser, main
from common.errors import UserError
from common.keras_settings import read_keras_json
from common.reproduce import __main__ as reproduce

GOOD = '{"floatx": "float16", "epsilon": 1e-3, "backend": "jax", "image_data_format": "channels_first"}'
DAMAGED = {
    "[]": "Received: []",
    "null": "Received: None",
    "3": "Received: 3",
    "": "cannot read",
    "{": "cannot read",
    "\udcff": "cannot read",
    '{"floatx": []}': "Received: floatx []",
    '{"floatx": "bfloat16"}': "Received: floatx 'bfloat16'",
    '{"epsilon": 1}': "Received: epsilon 1",
    '{"epsilon": null, "image_data_format": 0}': "Received: image_data_format 0, epsilon None",
}


@pytest.fixture
def path(tmp_path, monkeypatch):
    """The place of `keras.json`."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path / "keras.json"


def test_good_file_is_read(path):
    assert read_keras_json() == {}
    path.write_text(GOOD)
    assert read_keras_json()["backend"] == "jax"
    path.write_text("{}")
    assert read_keras_json() == {}


@pytest.mark.parametrize("content", DAMAGED)
def test_damaged_file_is_one_line(path, content, capsys, monkeypatch):
    path.write_bytes(os.fsencode(content))
    monkeypatch.setattr("sys.argv", ["script.py"])
    with pytest.raises(SystemExit) as stop:
        main(lambda args: pytest.fail("it began"), Parser(prog="script.py"))
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count("\n") == 1
    assert error.startswith("script.py: error: ") and str(path) in error and DAMAGED[content] in error


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("/dev/null", path)])
def test_something_else_in_its_place_is_one_line(path, make):
    make(path)
    with pytest.raises(UserError, match="is not a file"):
        read_keras_json()


@pytest.mark.parametrize("name", ["numpy", "openvino", "nonsense", "TensorFlow", " jax", "theano"])
@pytest.mark.parametrize("place", ["environment", "file"])
def test_other_backend_is_one_line_that_names_the_three(path, name, place, monkeypatch):
    if place == "environment":
        monkeypatch.setenv("KERAS_BACKEND", name)
    else:
        monkeypatch.setenv("KERAS_BACKEND", "")
        path.write_text(f'{{"backend": "{name}"}}')
    with pytest.raises(UserError, match=f"tensorflow, jax or torch.*Received: '{name}'$"):
        backend.import_backend()


def test_reproduction_does_not_begin_with_another_backend(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_BACKEND", "numpy")
    monkeypatch.setattr("sys.argv", ["reproduce", "--only", "ogan", "--out", str(tmp_path / "runs")])
    with pytest.raises(SystemExit) as stop:
        main(reproduce.run, reproduce.make_parser(), backend_needed=False)
    printed = capsys.readouterr()
    assert stop.value.code == 2 and not printed.out and not (tmp_path / "runs").exists()
    assert "Received: 'numpy'" in printed.err and printed.err.count("\n") == 1


def test_settings_that_change_results_are_undone(path):
    keras.config.set_floatx("float16")
    keras.config.set_epsilon(1e-3)
    keras.config.set_image_data_format("channels_first")
    keras.config.set_dtype_policy("float16")
    backend.import_backend()
    assert keras.config.floatx() == keras.config.dtype_policy().name == "float32"
    assert keras.config.epsilon() == 1e-7 and keras.config.image_data_format() == "channels_last"
    assert keras.layers.Conv2D(1, 1).data_format == "channels_last"


def test_broken_installation_is_one_line(path, monkeypatch):
    def fail(name):
        raise AttributeError("no such attribute\nin two lines")

    monkeypatch.setattr("importlib.util.find_spec", fail)
    with pytest.raises(UserError, match=r"Keras cannot start \(AttributeError: no such attribute"):
        backend.import_backend()
