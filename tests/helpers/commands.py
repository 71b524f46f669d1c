"""The commands of the lists and READMEs, held against the flags that the scripts know."""

import importlib

from common.reproduce import plan
from tests.helpers.scripts import ROOT

LISTS = plan.read_lists()


TRAINS = {"flow/compare.py": "flow/glow.py"}  # else a comparison hands its flags to train.py


def parser_of(script):
    module = importlib.import_module(script.removesuffix(".py").replace("/", "."))
    return module.make_parser, "forward_unknown=True" in (ROOT / script).read_text()


def rest_of(command):
    """The words of a command, a script and its flags, that neither the script nor what it hands them on to knows."""
    script, *words = command
    make_parser, hands_on = parser_of(script)
    _, rest = make_parser().parse_known_args(words)
    if hands_on:
        train, _ = parser_of(TRAINS.get(script, f"{script.split('/')[0]}/train.py"))
        _, rest = train().parse_known_args(rest)
    return rest
