"""Commands to running workflows, limits and the inbox against the running engine."""

from collections.abc import Iterator

import pytest
from services.maestro_engine.fuzzed import EngineFuzzing, Fuzzed, fuzzed_engine


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    """An engine to which everybody signs in."""
    with fuzzed_engine(tmp_path_factory.mktemp("fuzzed")) as engine:
        yield engine


class TestFuzzingControl(EngineFuzzing):
    """Pausing, signalling, answering, skipping, migrating."""

    paths = (
        r"^/api/(workflows$|limits|waiting|events)"
        r"|^/api/workflows/\{workflow_id\}/(pause|resume|signals|steps|budget|priority|migrate)"
    )
