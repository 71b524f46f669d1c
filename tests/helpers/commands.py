"""Check the commands of the lists and READMEs against the flags that the scripts know."""

import importlib
import stat
from pathlib import Path
from unittest import mock

from common.reproduce import plan

LISTS = plan.read_lists()

# scripts that forward unknown flags to another script than their article's train.py
FORWARDS_TO = {"flow/compare.py": "flow/glow.py"}


def parser_of(script):
    """Return (a function that makes the script's parser, whether the script forwards unknown flags)."""
    module = importlib.import_module(script.removesuffix(".py").replace("/", "."))
    return module.make_parser, "forward_unknown=True" in Path(module.__file__).read_text()


def unknown_flags(command):
    """Return the arguments that neither the script nor the script that it forwards flags to knows.

    Paths need not exist: they stand for those of a reader.

    Args:
        command: list, the path of the script and its arguments.
    """
    script, *arguments = command
    make_parser, forwards = parser_of(script)
    exists = mock.patch("common.flag_types._mode", return_value=stat.S_IFDIR)
    with exists, mock.patch("common.flag_types.os.path.isfile", return_value=True):
        _, unknown = make_parser().parse_known_args(arguments)
        if forwards:
            make_train_parser, _ = parser_of(FORWARDS_TO.get(script, f"{script.split('/')[0]}/train.py"))
            _, unknown = make_train_parser().parse_known_args(unknown)
    return unknown
