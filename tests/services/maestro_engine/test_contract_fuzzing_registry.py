"""Templates and schedules against the running engine."""

from collections.abc import Iterator

import pytest
from services.maestro_engine.fuzzed import EngineFuzzing, Fuzzed, fuzzed_engine


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    """An engine to which everybody signs in."""
    with fuzzed_engine(tmp_path_factory.mktemp("fuzzed")) as engine:
        yield engine


class TestFuzzingRegistry(EngineFuzzing):
    """What is kept for later."""

    paths = r"^/api/(templates|schedules)"
