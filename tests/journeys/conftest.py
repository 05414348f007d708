"""What the journeys share."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from journeys.nested import Repository, copy_repository


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty folder for one test file, removed at its end: caches and indexes are too big to be kept."""
    folder = tmp_path_factory.mktemp("journey")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def repository(room: Path) -> Repository:
    """A copy of the repository, one for each test file."""
    return copy_repository(room / "repository")
