"""Run the notebooks of `notebooks/`, and write their outputs into them.

    python -m common.reproduce.notebooks --smoke                 # all, with a few steps; nothing is written
    python -m common.reproduce.notebooks --names one_loss        # one, in full; its outputs are written into the file

Each runs in a process of its own and in an empty folder, where its pictures are left behind. It sees the environment
variable SMOKE with --smoke. What changes from run to run without a reason, such as times, is not written.
"""

import os
import re
import tempfile
import time

from common.cli import Parser, main
from common.errors import UserError, one_line
from common.files import atomic_write
from common.reproduce.plan import ROOT

FOLDER = ROOT / "notebooks"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.ipynb")))
LONGEST = 1800  # seconds for one cell


def make_parser():
    """Return the parser of `python -m common.reproduce.notebooks`."""
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("--names", nargs="+", choices=NAMES, default=list(NAMES), help="notebooks (default: all)")
    p.add_argument("--smoke", action="store_true", help="take a few steps, and write nothing")
    return p


def tidy(notebook):
    """Return a notebook without what differs between two runs, and without the messages of the libraries.

    Args:
        notebook: dict, as `nbformat` reads it.
    """
    notebook["metadata"]["language_info"] = {"name": "python"}
    for i, cell in enumerate(notebook["cells"]):
        cell["id"], cell["metadata"] = f"cell-{i}", {}
        if cell["cell_type"] == "code":
            cell["outputs"] = [output for output in cell["outputs"] if output.get("name") != "stderr"]
    return notebook


def execute(path, smoke):
    """Run a notebook in an empty folder, and return it with its outputs.

    Args:
        path: of the notebook.
        smoke: bool, let it take a few steps only.

    Raises:
        UserError: if a cell fails, or a package is missing.
    """
    try:
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError, CellTimeoutError
    except ImportError as error:
        raise UserError(f"{error}: .venv/bin/pip install nbclient ipykernel") from None

    notebook = nbformat.read(path, as_version=4)
    searched = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {k: v for k, v in os.environ.items() if k != "SMOKE"} | {"PYTHONPATH": searched}
    environment |= {"SMOKE": "1"} if smoke else {}
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook, timeout=LONGEST, record_timing=False, resources={"metadata": {"path": folder}}
        )
        try:
            client.execute(env=environment)
        except (CellExecutionError, CellTimeoutError) as error:
            plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()  # without colours
            raise UserError(f"{path.name}: {one_line(plain.splitlines()[-1])}") from None
    return tidy(notebook)


def run(args):
    """Run the notebooks."""
    for name in args.names:
        path, start = FOLDER / f"{name}.ipynb", time.monotonic()
        notebook = execute(path, args.smoke)
        if not args.smoke:
            import nbformat

            text = nbformat.writes(notebook) + "\n"
            atomic_write(path, lambda part, text=text: part.write_text(text, encoding="utf-8"))
        print(f"{name}: {time.monotonic() - start:.0f} seconds", flush=True)


if __name__ == "__main__":
    main(run, make_parser(), backend_needed=False)
