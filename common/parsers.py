"""The `argparse` parser of all scripts: one-line errors, "did you mean", presets in --help, and --resume RUN_DIR."""

import argparse
import functools
import os

from common.data.text import TEXTS
from common.data.toy_2d import TOYS
from common.errors import UserError, one_line
from common.files import read_json
from common.flag_types import OWN, data_folder, did_you_mean, nonnegative_int, text_dataset

# Flags that may change on resume: a resumed run may be longer, and its folders may have moved.
RESUMABLE_CHANGES = {"steps", "epochs", "resume", "new", "out", "data_dir", "distribute", "format", "export_samples"}


class Parser(argparse.ArgumentParser):
    """An `argparse` parser that answers a wrong flag with one line and exit code 2.

    With `--resume RUN_DIR` the flags that are left out are those of that run.
    """

    RAW = argparse.RawDescriptionHelpFormatter

    def __init__(self, **kwargs):
        # No abbreviations: `ablation.py --seed 5` must reach the training script, not be read as --seeds.
        super().__init__(allow_abbrev=False, **kwargs)
        self.advice = "--help lists all flags"

    def error(self, message):
        """Print the message as one line and exit with code 2."""
        self.exit(2, f"{self.prog}: error: {one_line(message)} ({self.advice})\n")

    def parse_known_args(self, args=None, namespace=None):
        """Parse flags as `argparse` does; with --resume RUN_DIR, take those that are left out from the run."""
        parsed, unknown = super().parse_known_args(args, namespace)
        if not isinstance(getattr(parsed, "resume", None), str):
            return parsed, unknown
        left_out = object()
        given, _ = super().parse_known_args(args, argparse.Namespace(**dict.fromkeys(vars(parsed), left_out)))
        given = {flag: value for flag, value in vars(given).items() if value is not left_out}
        return self._flags_of_run(parsed.resume, given), unknown

    def _flags_of_run(self, run_dir, given):
        """Return the flags of a run, with those that were given in place of its own if they may change."""
        path = os.path.join(run_dir, "config.json")
        try:
            flags = read_json(path)["flags"]
            variant, out = flags.pop("variant"), flags.pop("out")
        except UserError as error:
            self.error(error)
        except (TypeError, KeyError, AttributeError):
            self.error(f"{path} is damaged (it does not name the flags of a run): restore it")
        actions = {action.dest: action for action in self._actions}
        flags = {flag: value for flag, value in flags.items() if flag not in self._defaults.keys() - actions.keys()}
        for flag in flags.keys() - actions.keys():
            self.error(f"argument --resume: {run_dir} has the flag --{flag.replace('_', '-')}: use the script it names")
        if "out" in given:
            self.error("argument --out: leave it out, a run that goes on stays where it is")
        for flag, value in given.items():
            moved = all(str(name).startswith(OWN) for name in (value, flags.get(flag)))  # checked by its content
            if flag not in RESUMABLE_CHANGES and not moved and value != flags.get(flag):
                was = flags.get(flag)
                self.error(f"argument --{flag.replace('_', '-')}: {run_dir} was started with {was}, not {value}")
        skipped = {*given, "resume", "new"}
        if {"steps", "epochs"} & given.keys():
            skipped |= {"steps", "epochs"}
        elif flags.get("epochs"):  # its steps follow from them
            skipped.add("steps")
        if flags.get("dataset") in TOYS:  # their size 2 is no value of --size
            skipped.add("size")
        words = [word for flag in flags if flag not in skipped for word in _words(actions[flag], flags[flag])]
        advice, self.advice = self.advice, f"as {path} says"
        args, _ = super().parse_known_args(words)
        self.advice = advice
        return argparse.Namespace(**{**vars(args), **given, "variant": variant, "out": out})

    def _check_value(self, action, value):
        """Refuse a value that is not among the choices, and name a similar one."""
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            hint = did_you_mean(str(value), list(map(str, action.choices)))
            raise argparse.ArgumentError(action, error.message + hint) from None


def add_text_flags(p, drawn, what, known=tuple(TEXTS), files="a .txt or .csv file, or a folder or archive of them"):
    """Add --dataset and --data-dir of a script that trains on text to a parser.

    Args:
        p: `Parser`.
        drawn: str, the default, a text that the script itself has.
        what: str, says what the default is, for --help.
        known: names of the collections that the script takes.
        files: str, what PATH of text:PATH may be.
    """
    p.add_argument(
        "--dataset", type=functools.partial(text_dataset, drawn=(drawn,), known=known, what=files), default=drawn,
        help=f"text: {', '.join((drawn, *known))} or text:PATH, {files} (default {drawn}: {what})",
    )  # fmt: skip
    p.add_argument(
        "--data-dir", type=data_folder,
        help="folder of your downloads, searched first (default none); then $DATA_DIR and the Keras cache are searched",
    )  # fmt: skip


def refuse(args, flags, reason):
    """Refuse those of some flags that are not None, because a run would not use them.

    Call it before `apply_preset` fills what was left out, or with flags that are known to be given. With --resume
    RUN_DIR nothing is refused: all flags are those of the run.

    Args:
        args: parsed flags.
        flags: names of flags.
        reason: str, follows the flag in the error, such as "is for images".

    Raises:
        UserError: for the first of them that was given.
    """
    for flag in () if isinstance(args.resume, str) else flags:
        if getattr(args, flag) is not None:
            name = ("no-" if getattr(args, flag) is False else "") + flag.replace("_", "-")
            raise UserError(f"--{name} {reason}: omit it")


def add_batch_norm_flag(p):
    """Add --batch-norm, of the critic of images, to a parser."""
    p.add_argument(
        "--batch-norm", action=argparse.BooleanOptionalAction,
        help="batch norm in the critic; off with a gradient penalty, which is per sample",
    )  # fmt: skip


def add_export_flag(p):
    """Add --export-samples, of a generator of images, to a parser."""
    p.add_argument(
        "--export-samples", type=nonnegative_int, default=0, metavar="N",
        help="at the end, write N samples as PNGs into the folder export/ of the run, for other programs to measure "
        "(default 0); with --resume also those of a finished run",
    )  # fmt: skip


def preset_table(presets, title):
    """Return the values of some presets as lines of text: a flag per line, a preset per column.

    Args:
        presets: dict of preset name -> {flag: value}.
        title: str, line above the table.
    """
    names = sorted(presets, key=("smoke", "quick", "paper").index)
    flags = sorted({flag for name in names for flag in presets[name]})
    cell = lambda value: "" if value is None else str(value)
    rows = [["", *names]] + [[f"--{f.replace('_', '-')}", *(cell(presets[n].get(f)) for n in names)] for f in flags]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n  ".join([title, *lines])


def _words(action, value):
    """Return the command line of one flag with a value of `config.json`, [] if the flag was left out."""
    if value is None or (value is False and action.nargs == 0 and len(action.option_strings) == 1):
        return []
    if isinstance(value, bool):
        return [action.option_strings[0 if value else -1]]
    if isinstance(value, list):
        return [action.option_strings[0], *map(str, value)]
    return [f"{action.option_strings[0]}={value}"]
