"""The stub project, for the tests of this folder."""

import pytest

from common.reproduce import plan
from tests.helpers.finished_runs import write_finished_runs
from tests.helpers.stub_project import StubProject


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of stub runs; `common.reproduce` takes it for the repository."""
    monkeypatch.setattr(plan, "ROOT", tmp_path)
    return StubProject(tmp_path)


@pytest.fixture
def out(project):
    """The folder of the runs of a project with three finished runs."""
    return write_finished_runs(project)
