"""The house rules that a reader relies on: imports run one way, one package names a backend, files stay short."""

import ast
import subprocess
import sys

import pytest

from tests.helpers.scripts import ROOT

# from the ground up: a module imports from its own row or from earlier ones
ROOMS = (
    "common.errors", "common.files", "common.streams", "common.cores", "common.locks", "common.keras_settings",
    "common.backend", "common.ode", "common.data", "common.flag_types", "common.parsers", "common.cli",
    "common.models", "common.losses", "common.training", "common.plots", "common.metrics", "common.experiments",
    "common.reproduce",
)  # fmt: skip
ARTICLES = sorted(path.parent.name for path in ROOT.glob("*/reproduction.toml"))
SOURCES = [path for folder in ("common", *ARTICLES) for path in sorted((ROOT / folder).rglob("*.py"))]
BACKENDS = {"tensorflow", "jax", "torch"}


def name_of(path):
    """Return the dotted name of a module."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imports_of(path, skip=lambda node: False):
    """Return the dotted names that a file imports, those inside functions too, but not in the parts to skip."""
    names, nodes = set(), [ast.parse(path.read_text(encoding="utf-8"))]
    while nodes:
        node = nodes.pop()
        nodes += [child for child in ast.iter_child_nodes(node) if not skip(child)]
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room_of(name):
    """Return the row of `ROOMS` that a dotted name belongs to, or None outside `common`.

    A `__main__` stands on all rows: it is a command, and no module imports it.
    """
    if name.startswith("common.") and name.endswith(".__main__"):
        return len(ROOMS)
    return next((i for i, room in enumerate(ROOMS) if f"{name}.".startswith(f"{room}.")), None)


def upward_imports(module, imported):
    """Return the imports that a module must not have."""
    top = module.split(".")[0]
    if top != "common":
        return {name for name in imported if name.split(".")[0] in set(ARTICLES) - {top}}
    return {
        name
        for name in imported
        if name.split(".")[0] in ARTICLES or (room_of(name) is not None and room_of(name) > room_of(module))
    }


def test_the_rule_finds_what_it_forbids():
    assert upward_imports("common.data.images", {"common.models.layers.Latent"})
    assert upward_imports("common.cli", {"common.training.loop"}) and upward_imports("common.backend", {"ogan.train"})
    assert upward_imports("ogan.train", {"flow.glow"})
    assert not upward_imports("common.training.loop", {"common.data.batches", "common.backend", "keras"})
    assert not upward_imports("ogan.train", {"ogan.evaluate", "common.cli.main"})


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_run_one_way(path):
    module = name_of(path)
    if module != "common.__init__":
        assert module.split(".")[0] != "common" or room_of(module) is not None, "a room that the map does not have"
        assert not upward_imports(module, imports_of(path))


def test_no_two_modules_import_each_other_in_a_circle():
    names = {name_of(path): path for path in SOURCES}
    known = lambda name: next((n for n in (name, name.rpartition(".")[0]) if n in names), None)
    graph = {name: {known(i) for i in imports_of(path)} - {None, name} for name, path in names.items()}
    while leaves := [name for name, needs in graph.items() if not needs & graph.keys()]:
        for name in leaves:
            del graph[name]
    assert not graph, "these import each other"


def test_only_the_backend_package_names_a_backend():
    named = {name_of(path) for path in SOURCES if BACKENDS & {name.split(".")[0] for name in imports_of(path)}}
    assert {name.rpartition(".")[0] for name in named} == {"common.backend"}


def test_no_file_is_longer_than_300_lines():
    files = [*SOURCES, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "play").glob("*.py"))]
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert not {name: length for name, length in lengths.items() if length > 300}


def test_no_two_classes_are_registered_under_one_name():
    """Keras finds the class of a saved layer by its name: of two that are imported it would take the last."""
    names = [
        node.name
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        and any("register_keras_serializable" in ast.unparse(decorator) for decorator in node.decorator_list)
    ]
    assert len(names) > 20 and sorted(names) == sorted(set(names))


def test_a_script_that_starts_without_keras_imports_none():
    """Its start takes a second then, and not ten. Only a function that starts Keras itself may import what needs it."""
    starts_keras = lambda node: isinstance(node, ast.FunctionDef) and "import_backend()" in ast.unparse(node)
    scripts = [path for path in SOURCES if "backend_needed=False)" in path.read_text(encoding="utf-8")]
    assert ROOT / "dynamics/games.py" in scripts and ROOT / "rsgan/compare.py" in scripts
    lines = ["import sys, importlib", "sys.modules |= {'keras': None, 'tensorflow': None, 'jax': None}"]
    for name in sorted({name for path in scripts for name in imports_of(path, starts_keras)}):
        module, _, attribute = name.rpartition(".")
        lines.append(f"importlib.import_module({module or attribute!r})")
        if (ROOT / f"{name.replace('.', '/')}.py").exists():
            lines.append(f"importlib.import_module({name!r})")
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=ROOT, capture_output=True, text=True)
    assert not done.returncode, done.stderr
