"""A new article: it is well formed and styled, it trains, and names that would hide something are refused."""

import importlib.util
import shutil
import subprocess
import sys

import pytest

from common import streams
from common.reproduce import lists, new_article, plan
from tests.helpers import scripts
from tests.helpers.scripts import ROOT
from tests.helpers.stub_project import call_main

NAMES = ["a_gan", "x2"]  # one before and one after `tests`, because the lines of imports are sorted


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository of one article."""
    for name in ("rsgan", "tests"):
        (tmp_path / name).mkdir()
    for name in ("common", "tests/helpers"):  # what the new files import
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "rsgan/reproduction.toml", tmp_path / "rsgan")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    monkeypatch.setattr(plan, "ROOT", tmp_path)
    return tmp_path


def test_new_articles_are_styled_listed_and_comparable(repository, capsys):
    for name in NAMES:
        assert call_main(new_article, name) == (0, "")
        assert f"common.experiments.compare {name}/train.py --vary loss" in capsys.readouterr().out
    assert list(lists.read_lists(repository)) == ["rsgan", *NAMES], "each comes after those before it"
    for command in ("check", "format --check"):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command.split(), repository], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout
    run = plan.make_plan("smoke", "runs")["x2/train"]
    assert run.command[0] == "x2/train.py" and (repository / "x2/__init__.py").exists()
    code, error = call_main(new_article, "x2")
    assert code == 2 and "there is a folder 'x2' already" in error and error.count("\n") == 1


class Stages(list):
    """Stages in progress that remembers the titles of all."""

    def __init__(self):
        super().__init__()
        self.titles = []

    def append(self, entry):
        self.titles.append(entry[0])
        super().append(entry)


def test_the_test_of_a_new_article_passes(repository, home, monkeypatch, tmp_path_factory):
    """It holds the loss against its formula and trains it for seconds. What takes long in earnest is a stage."""
    monkeypatch.setattr(streams, "_stages", Stages())
    (path,) = [path for path in new_article.write_article(repository, "own_gan") if path.name == "test_own_gan.py"]
    monkeypatch.syspath_prepend(repository)
    monkeypatch.setattr(scripts, "ROOT", repository)
    spec = importlib.util.spec_from_file_location("test_own_gan", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.test_own_loss_by_hand()
    module.test_it_trains(home, tmp_path_factory.mktemp("out"), monkeypatch)
    assert not streams._stages
    (training,) = [title for title in streams._stages.titles if callable(title)]
    assert training().startswith("step 6 of 6")
    assert {
        "starting Keras",
        "reading the images",
        "building the networks",
        "drawing and measuring samples of step 3",
        "measuring the sliced Wasserstein distance",
        "measuring FID and KID of 100 samples",
        "measuring precision, recall, density and coverage of 100 samples",
        "drawing the animation of the training",
    } <= set(streams._stages.titles)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("My-GAN", "is not a name of at most 30 small letters"),
        ("class", "is a word of Python"),
        ("rsgan", "there is a folder 'rsgan' already"),
        ("keras", "a module of Python or of a package"),
        ("random", "a module of Python or of a package"),
        ("runs", "git ignores"),
    ],
)
def test_a_name_that_cannot_be_used_is_one_line(repository, name, reason):
    code, error = call_main(new_article, name)
    assert code == 2 and reason in error and error.count("\n") == 1
    assert not (repository / "tests" / name).exists()


def test_an_installed_package_is_left_alone(repository):
    (repository / "pyproject.toml").unlink()
    code, error = call_main(new_article, "lone_gan")
    assert code == 2 and "clone the repository" in error and not (repository / "lone_gan").exists()
