"""Everything else that the engine answers to."""

from collections.abc import Iterator

import pytest
from services.maestro_engine.fuzzed import EngineFuzzing, Fuzzed, fuzzed_engine


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    """An engine to which everybody signs in."""
    with fuzzed_engine(tmp_path_factory.mktemp("fuzzed")) as engine:
        yield engine


class TestFuzzingHouse(EngineFuzzing):
    """Secrets, webhooks, users, the audit log, metrics, health."""

    paths = r"^/api/(secrets|webhooks|access|audit|health|problems)|^/(metrics|utcp)$"
