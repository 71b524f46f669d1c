"""Make an entry of `pretrained/` from a finished run: its networks in float16, its settings and its results.

    python -m common.models.export runs/ogan/lfw-32-quick-s0 --name ogan-lfw-32
    python -m common.models.export --check            # compare all entries with what they say

The weights are rounded to float16 in the file and computed with in float32. `config.json` of the entry also holds the
SHA-256 of the weights and some numbers that the networks return, so that a wrong file is noticed.
"""

import shlex
import shutil
from pathlib import Path

from common.cli import Parser, main
from common.errors import UserError
from common.flag_types import PRETRAINED, nonempty, run_folder

MAX_BYTES = 4_000_000  # of a network
BESIDE = ("mean_image.npy", "alphabet.json")  # what scripts read beside the networks
OF_THIS_MACHINE = ("--out", "--data-dir", "--resume", "--format")


def make_parser():
    """Return the parser of the flags."""
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("run", type=run_folder, nargs="?", metavar="RUN", help="directory of a finished run")
    p.add_argument("--name", type=nonempty, help="name of the entry")
    p.add_argument("--check", action="store_true", help="compare all entries with what they say")
    return p


def to_float16(source, target):
    """Write a `.keras` file anew with its weights in float16.

    Args:
        source: path of the file.
        target: path of the new file.

    Raises:
        UserError: if a weight is beyond the range of float16.
    """
    import tempfile
    import zipfile

    import h5py
    import numpy as np

    def copy(name, item, file):
        if isinstance(item, h5py.Group):
            group = file.require_group(name)
        else:
            array = item[()]
            if array.dtype == np.float32:
                with np.errstate(over="ignore"):
                    array = array.astype("float16")
                if not np.isfinite(array).all():
                    raise UserError(f"{source}: the weight {name} is beyond the range of float16")
            group = file.create_dataset(name, data=array)
        for key, value in item.attrs.items():
            group.attrs[key] = value

    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(source) as old:
        weights, new_weights = old.extract("model.weights.h5", folder), Path(folder) / "float16.h5"
        with h5py.File(weights) as from_file, h5py.File(new_weights, "w") as to_file:
            copy("/", from_file, to_file)
            from_file.visititems(lambda name, item: copy(name, item, to_file))
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
            for entry in old.infolist():
                if entry.filename == "model.weights.h5":
                    new.write(new_weights, entry.filename)
                else:
                    new.writestr(entry.filename, old.read(entry))


def without_paths(command):
    """Return the command line of a run without what names folders of one machine."""
    python, script, *words = shlex.split(command)
    script = "/".join(Path(script).parts[-2:])
    skip = {i for i, word in enumerate(words) if word in (*OF_THIS_MACHINE, "--new")}
    skip |= {i + 1 for i in skip if i + 1 < len(words) and not words[i + 1].startswith("-")}
    return shlex.join([python, script, *(word for i, word in enumerate(words) if i not in skip)])


def export(run, entry):
    """Write an entry and return {file name: bytes}.

    Args:
        run: path of a finished run.
        entry: path of the folder of the entry, made or replaced.

    Raises:
        UserError: if the run holds no network, or one that is larger than 4 MB in float16.
    """
    from common.files import read_json, write_json
    from common.models.inference import load_model
    from common.models.pretrained import fingerprint

    run, entry = Path(run), Path(entry)
    networks = sorted(run.glob("*.keras"))
    if not networks:
        raise UserError(f"{run} holds no network (*.keras): give a finished run")
    config, results = read_json(run / "config.json"), read_json(run / "results.json")
    entry.mkdir(parents=True, exist_ok=True)
    config["networks"] = {}
    for network in networks:
        to_float16(network, entry / network.name)
        if (size := (entry / network.name).stat().st_size) > MAX_BYTES:
            raise UserError(
                f"{entry / network.name} has {size} bytes, at most {MAX_BYTES} are allowed: train a smaller one"
            )
        config["networks"][network.name] = fingerprint(load_model(entry / network.name))
    flags = {"out": "runs", "data_dir": None, "resume": False, "new": False, "format": None}
    config["flags"] |= {name: value for name, value in flags.items() if name in config["flags"]}
    for content in (config, results):
        content["command"] = without_paths(content["command"])
    write_json(entry / "config.json", config)
    write_json(entry / "results.json", results)
    for name in BESIDE:
        if (run / name).exists():
            shutil.copy(run / name, entry / name)
    return {path.name: path.stat().st_size for path in sorted(entry.iterdir())}


def run(args):
    """Make an entry, or check all of them."""
    from common.models import pretrained

    if args.check:
        lines = {name: pretrained.differences(PRETRAINED / name) for name in pretrained.names()}
        print(*(f"{name}: {'; '.join(found) or 'as it says'}" for name, found in lines.items()), sep="\n")
        if any(lines.values()):
            raise UserError("an entry is not what it says: restore it, or export its run again")
    elif not (args.run and args.name):
        raise UserError("give RUN and --name, or --check")
    else:
        sizes = export(args.run, PRETRAINED / args.name)
        print(*(f"{size:10,}  {PRETRAINED / args.name / name}" for name, size in sizes.items()), sep="\n")


if __name__ == "__main__":
    main(run, make_parser())
