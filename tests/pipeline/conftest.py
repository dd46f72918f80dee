"""The tiny pipeline, run once, and copies of it to do things to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline_support import NOWHERE, Project, copy_project, create_project


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """A project after its first `dvc repro`, and what that printed; nobody may change it."""
    project = create_project(tmp_path_factory.mktemp("pipeline") / "first")
    return project, project.dvc("repro")


@pytest.fixture(scope="session")
def finished(first_run: tuple[Project, str]) -> Project:
    """A project after its first `dvc repro`; nobody may change it."""
    return first_run[0]


@pytest.fixture
def project(finished: Project, tmp_path) -> Iterator[Project]:
    """A copy of the finished project; its MLflow server is away, which saves time."""
    copy = copy_project(finished, tmp_path / "project", MLFLOW_TRACKING_URI=NOWHERE)
    yield copy
    copy.stop()


@pytest.fixture
def tracked_project(finished: Project, tmp_path) -> Iterator[Project]:
    """A copy of the finished project and of its MLflow store."""
    copy = copy_project(finished, tmp_path / "project")
    yield copy
    copy.stop()
