"""Begin an article of your own: a folder with a GAN whose loss is yours to edit.

    python -m common.reproduce.new_article my_gan          (or `make article NAME=my_gan`)

Writes `my_gan/` with the training script, the README and the list of runs, and a test to `tests/my_gan/`. All of it
works as it is: `make test` passes, `make reproduce-all ONLY=my_gan` trains, and `make compare` shows the result.
"""

import importlib.util
import keyword
import os
import re
import shlex
import sys
from argparse import ArgumentTypeError
from pathlib import Path

import jinja2

from common.cli import Parser, main
from common.errors import UserError
from common.files import atomic_write
from common.flag_types import shown
from common.reproduce import lists, plan

TEMPLATES = Path(__file__).with_name("article")
MAX_NAME = 30  # letters, so that no line of the new files is too long
NOT_IN_GIT = ("runs", "build", "dist")


def make_parser():
    """Return the parser of `python -m common.reproduce.new_article`."""
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("name", metavar="NAME", type=article_name, help="name of the new folder, such as my_gan")
    return p


def article_name(text):
    """Return a text that can be the name of an article's folder: it can be imported, and hides no other module."""
    if not re.fullmatch(rf"[a-z][a-z0-9_]{{0,{MAX_NAME - 1}}}", text):
        raise ArgumentTypeError(
            f"{shown(text)} is not a name of at most {MAX_NAME} small letters, digits and _ that begins with a letter"
        )
    if keyword.iskeyword(text):
        raise ArgumentTypeError(f"{shown(text)} is a word of Python; choose another name")
    if (plan.ROOT / text).exists() or (plan.ROOT / "tests" / text).exists():
        raise ArgumentTypeError(f"there is a folder {shown(text)} already; choose another name")
    if text in NOT_IN_GIT:
        raise ArgumentTypeError(f"{shown(text)} is a folder of results, which git ignores; choose another name")
    if text in sys.stdlib_module_names or importlib.util.find_spec(text):
        raise ArgumentTypeError(f"a module of Python or of a package is called {shown(text)}; choose another name")
    return text


def write_article(root, name):
    """Write the files of a new article and return their paths.

    Args:
        root: Path of the repository.
        name: str, value of `article_name`.

    Raises:
        UserError: if a file cannot be written, or if another article's list is damaged.
    """
    place = 1 + max(content["article"]["place"] for content in lists.read_lists(root).values())
    values = {"name": name, "title": name.replace("_", " ").capitalize(), "place": f"{place:g}"}
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    written = []
    for template in sorted(TEMPLATES.glob("*.jinja")):
        file_name = template.stem
        path = root / "tests" / name / f"test_{name}.py" if file_name == "test.py" else root / name / file_name
        text = environment.from_string(template.read_text(encoding="utf-8")).render(values)
        atomic_write(path, lambda path, text=text: path.write_text(text, encoding="utf-8"))
        written.append(path)
    return written


def run(args):
    """Write the new article and print what to do next."""
    if not (plan.ROOT / "pyproject.toml").is_file():
        raise UserError("this is an installed package: clone the repository and run `make article` there")
    name = args.name
    print(*(path.relative_to(plan.ROOT) for path in write_article(plan.ROOT, name)), sep="\n")
    python = shlex.quote(os.path.relpath(sys.executable, plan.ROOT))
    compare = f"-m common.experiments.compare {name}/train.py --vary loss --values own hinge --dataset mnist"
    print(
        f"\n1. edit the loss: own_loss in {name}/train.py, and its formula in tests/{name}/test_{name}.py"
        f"\n2. train it:      {python} {name}/train.py --dataset mnist --preset quick"
        f"\n3. compare it:    {python} {compare} --preset quick"
    )


if __name__ == "__main__":
    main(run, make_parser(), backend_needed=False)
