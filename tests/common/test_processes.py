"""Training in several processes: who takes which rows, who writes, when all stop. `tests/cluster.py` starts two."""

import json
from argparse import Namespace

import keras
import numpy as np
import pytest

from common import backend
from common.backend import processes
from common.data.batches import EndlessBatches
from common.errors import UserError
from common.experiments.setup import begin_run
from common.files import write_json
from common.training.loop import train
from tests.helpers.tiny_trainers import tiny

VARIABLES = ("SLURM_STEP_NUM_TASKS", "TF_CONFIG", "KERAS_DISTRIBUTION_NUM_PROCESSES")
WORKERS = json.dumps({"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}})
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 1), dtype=np.uint8)


@pytest.fixture
def second_of_two(monkeypatch):
    """Let this process be the second one of two, whose flags for all processes are those of the returned list."""
    flags = []
    monkeypatch.setattr("common.backend.process_index_and_count", lambda: (1, 2))
    monkeypatch.setattr("common.backend.any_process", lambda flag: flags.pop(0) if flags else flag)
    return flags


@pytest.mark.parametrize(
    ("name", "backend_name", "variables", "expected"),
    [
        ("alone", "tensorflow", {}, False),
        ("TensorFlow", "tensorflow", {"TF_CONFIG": WORKERS}, True),
        ("TensorFlow's variable on JAX", "jax", {"TF_CONFIG": WORKERS}, False),
        ("JAX", "jax", {"KERAS_DISTRIBUTION_NUM_PROCESSES": "2"}, True),
        ("Slurm", "jax", {"SLURM_STEP_NUM_TASKS": "2"}, True),
        ("a batch script of Slurm", "jax", {"SLURM_STEP_NUM_TASKS": "1", "SLURM_NTASKS": "2"}, False),
    ],
)
def test_the_variables_tell_whether_there_are_others(name, backend_name, variables, expected, monkeypatch):
    monkeypatch.setattr(processes, "backend_name", lambda: backend_name)
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert processes.is_one_of_many() == expected


@pytest.mark.parametrize("value", ["two", "{}", '{"cluster": 2}'])
def test_a_damaged_variable_gets_one_line(value, monkeypatch):
    monkeypatch.setattr(processes, "backend_name", lambda: "tensorflow")
    monkeypatch.delenv("SLURM_STEP_NUM_TASKS", raising=False)
    monkeypatch.setenv("TF_CONFIG", value)
    with pytest.raises(UserError, match=rf"^the variable TF_CONFIG does not .* Received: {value}$"):
        processes.is_one_of_many()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX reads Slurm's variables itself")
def test_the_tasks_of_slurm_on_two_machines(monkeypatch):
    variables = {"STEP_NODELIST": "n[1-2]", "STEP_TASKS_PER_NODE": "2(x2)", "STEP_NUM_TASKS": "4", "PROCID": "2"}
    for name, value in variables.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    config = json.loads(processes._tf_config_of_slurm())
    assert config["cluster"] == {"worker": ["n1:8888", "n1:8889", "n2:8888", "n2:8889"]}
    assert config["task"] == {"type": "worker", "index": 2}


def test_the_parts_of_a_batch_are_equal_and_together_the_batch():
    batch = {"x": IMAGES[:8], "rows": np.arange(8)}
    parts = [backend.part_of(batch, i, 4) for i in range(4)]
    assert {len(part[name]) for part in parts for name in part} == {2}
    for name, whole in batch.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), whole)


def test_a_process_is_fed_its_own_rows_of_a_model_that_all_train(second_of_two, monkeypatch):
    batches, model = EndlessBatches(IMAGES, 8, seed=3), keras.Sequential()
    first = lambda: next(iter(backend.to_fast_dataset(batches, model)))
    as_array = lambda batch: np.asarray(batch[0] if isinstance(batch, tuple) else batch)
    monkeypatch.setattr("common.backend.devices.process_index_and_count", lambda: (1, 2))
    if keras.backend.backend() != "jax":
        np.testing.assert_array_equal(as_array(first()), batches[0])
        return
    with backend.distribution(True).fitting():
        np.testing.assert_array_equal(as_array(first()), batches[0][4:])
    assert backend.to_fast_dataset(batches, model) is batches, "the model is not distributed"


def flags_of(tmp_path):
    """Return the flags of a run in `tmp_path`/article/a-s0."""
    fixed = {"batch_size": 4, "steps": 6, "distribute": False, "resume": True, "new": True, "variant": "a", "seed": 0}
    return Namespace(out=str(tmp_path), **fixed)


def test_the_second_process_writes_into_a_copy_of_the_run(tmp_path, second_of_two):
    run_dir = tmp_path / "article/a-s0"
    (run_dir / "samples").mkdir(parents=True)
    (run_dir / "samples/step-0000000.png").write_text("picture")
    copy, _ = begin_run(flags_of(tmp_path), "article", IMAGES)
    assert copy != run_dir and (copy / "samples/step-0000000.png").read_text() == "picture"
    write_json(copy / "results.json", {})
    assert [path.name for path in run_dir.rglob("*")] == ["samples", "step-0000000.png"]


def test_a_refusal_of_the_first_process_ends_the_second(tmp_path, second_of_two):
    second_of_two.append(True)
    with pytest.raises(UserError, match=r"^the first process cannot begin: see its error$"):
        begin_run(flags_of(tmp_path), "article", IMAGES)


def test_a_training_stops_at_the_step_at_which_another_process_is_asked_to(tmp_path, second_of_two, monkeypatch):
    monkeypatch.setattr("common.backend.tensorboard", lambda log_dir: None)
    monkeypatch.setattr("common.backend.process_index_and_count", lambda: (0, 1))
    case = tiny("realnvp-plane")
    second_of_two += [False, True, True]  # at the first step, at the second, after it
    with pytest.raises(KeyboardInterrupt, match=r"^stopped at step 2 of 9"):
        train(
            case.trainer, case.samples, tmp_path, batch_size=8, steps=9, save_every=5, seed=0,
            on_interval=lambda step: None,
        )  # fmt: skip
