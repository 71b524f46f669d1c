"""The command `kexue`, which runs a script where this repository is installed as a package.

kexue --version
kexue ogan/train.py --dataset lfw
"""

import runpy
import sys
from importlib import metadata

from common.flag_types import did_you_mean, shown
from common.reproduce.plan import ROOT


def run_script():
    """Run the script that the command line names, with the flags that follow."""
    scripts = sorted(
        f"{path.parent.name}/{path.name}"
        for listed in ROOT.glob("*/reproduction.toml")
        for path in listed.parent.glob("*.py")
        if "\n    main(run" in path.read_text(encoding="utf-8")
    )
    words = sys.argv[1:]
    if words == ["--version"]:
        print(metadata.version("kexue-generative"))
    elif words and words[0] in scripts:
        sys.argv = [str(ROOT / words[0]), *words[1:]]
        runpy.run_path(sys.argv[0], run_name="__main__")
    elif words in ([], ["--help"]):
        print("usage: kexue SCRIPT [flags], where SCRIPT is one of:", *scripts, sep="\n  ")
    else:
        sys.exit(_fail(f"there is no script {shown(words[0])}{did_you_mean(words[0], scripts)} (--help lists them)"))


def _fail(message):
    print(f"kexue: error: {message}", file=sys.stderr)
    return 2
