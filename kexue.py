"""The command `kexue`, also `python -m kexue`: look for files that hide this repository's packages, then run a script.

A file `common.py` in the current folder of `python -m`, beside a script or in PYTHONPATH is imported in place of the
package `common`. Nothing in `common` can notice that. This module has a name of its own, so it can.
"""

import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def hidden_packages():
    """Return {name of a package of this repository: path of what Python imports in its place}."""
    hidden = {}
    for name in ("common", *sorted(path.parent.name for path in HERE.glob("*/reproduction.toml"))):
        spec = importlib.util.find_spec(name)
        origin = spec and (spec.origin or next(iter(spec.submodule_search_locations), None))
        if origin and Path(origin).resolve() != HERE / name / "__init__.py":
            hidden[name] = origin
    return hidden


def main():
    """Run the command; with a package that is hidden, print a line and exit with code 2."""
    if hidden := hidden_packages():
        lines = "; ".join(f"{path} hides the package {name}" for name, path in hidden.items())
        print(f"kexue: error: {lines}: rename it, or start from another folder", file=sys.stderr)
        sys.exit(2)
    from common.reproduce.console import run_script

    run_script()


if __name__ == "__main__":
    main()
