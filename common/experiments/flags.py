"""Flags as lists of words: those of the trainings that a comparison starts."""

from common.errors import UserError


def refuse_repeated(flags):
    """Raise `UserError` if a list of flags has one twice: `argparse` would take the last one without a word.

    Args:
        flags: list of words, those that a comparison sets itself and those that it was given to pass on.
    """
    names = [word.partition("=")[0] for word in map(str, flags) if word.startswith("--")]
    names = [f"--{name[2:].removeprefix('no-')}" for name in names]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(
            f"{twice} is given twice, or this comparison sets it itself: leave it out (--help lists its flags)"
        )


def has_flags(config, arguments):
    """Return whether a run's `config.json` has the values of all flags in a list of arguments."""
    saved, given = config.get("flags"), {}
    if not isinstance(saved, dict):
        return False
    for argument in arguments:
        if argument.startswith("--"):
            flag, _, value = argument[2:].partition("=")
            given[flag] = [value] if value else []
        elif given:
            given[flag].append(argument)

    def agrees(flag, values):
        key = flag.replace("-", "_")
        if not values and flag.startswith("no-"):
            return saved.get(key.removeprefix("no_"), False) is False
        if key not in saved:
            return True
        value = saved[key]
        if not values:
            return value is True
        return [str(v) for v in (value if isinstance(value, list) else [value])] in (values, _as_numbers(values))

    return all(agrees(*item) for item in given.items() if item[0] not in ("out", "resume", "new"))


def _as_numbers(words):
    """Return words with each number written as Python writes it, e.g. "0.001" for "1e-3"."""
    try:
        return [str(float(word)) for word in words]
    except ValueError:
        return words
