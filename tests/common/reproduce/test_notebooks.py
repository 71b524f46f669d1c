"""The notebooks hold their outputs, and nothing that changes from run to run. `make notebooks-check` runs them."""

import json

import pytest

from common.errors import UserError
from common.reproduce import notebooks

LARGEST = 450_000  # bytes of a notebook with its pictures


def read(name):
    return json.loads((notebooks.FOLDER / f"{name}.ipynb").read_text("utf-8"))


def source(cell):
    return "".join(cell["source"])


@pytest.mark.parametrize("name", notebooks.NAMES)
def test_a_notebook_is_executed_and_tidy(name):
    notebook = read(name)
    assert notebooks.tidy(read(name)) == notebook
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1)), "run it with make notebooks-run"
    outputs = [output for cell in code for output in cell["outputs"]]
    assert {"stream", "execute_result"} <= {output["output_type"] for output in outputs}
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert (notebooks.FOLDER / f"{name}.ipynb").stat().st_size < LARGEST


@pytest.mark.parametrize("name", notebooks.NAMES)
def test_a_notebook_can_be_short_and_ends_with_exercises(name):
    cells = read(name)["cells"]
    assert source(cells[0]).startswith("# ") and "https://kexue.fm/archives/" in source(cells[0])
    assert source(cells[-1]).startswith("## Exercises\n") and source(cells[-1]).count("\n1. ") == 1
    assert any('SMOKE = "SMOKE" in os.environ' in source(cell) for cell in cells)


def test_times_and_messages_are_not_kept():
    cell = {"cell_type": "code", "id": "3f", "metadata": {"execution": {"iopub.status.busy": "2026"}}, "source": "1"}
    cell["outputs"] = [{"output_type": "stream", "name": name, "text": "x"} for name in ("stdout", "stderr")]
    tidy = notebooks.tidy({"metadata": {"language_info": {"version": "3.11.7"}}, "cells": [cell]})
    assert tidy["metadata"] == {"language_info": {"name": "python"}}
    assert (tidy["cells"][0]["id"], tidy["cells"][0]["metadata"]) == ("cell-0", {})
    assert [output["name"] for output in tidy["cells"][0]["outputs"]] == ["stdout"]


def test_a_cell_that_fails_is_one_line(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("nbclient")
    v4 = nbformat.v4
    cells = [v4.new_code_cell("import os\nprint(os.environ.get('SMOKE'), os.listdir())"), v4.new_code_cell("1 / 0")]
    path = tmp_path / "own.ipynb"
    nbformat.write(v4.new_notebook(cells=cells[:1]), path)
    for smoke, printed in ((True, "1 []\n"), (False, "None []\n")):
        assert notebooks.execute(path, smoke)["cells"][0]["outputs"][0]["text"] == printed
    nbformat.write(v4.new_notebook(cells=cells), path)
    with pytest.raises(UserError, match=r"own\.ipynb: .*ZeroDivisionError.*: division by zero"):
        notebooks.execute(path, True)
