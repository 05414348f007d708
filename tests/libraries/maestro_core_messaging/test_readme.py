"""The README says what is."""

from pathlib import Path

from kit.readme import run_readme
from kit.redis_server import redis_server


def test_readme_blocks_run() -> None:
    """Every Python block of the README runs as written."""
    run_readme("maestro_core_messaging")


def test_readme_blocks_of_redis_run(tmp_path: Path) -> None:
    """Those that need the extra run after the others."""
    with redis_server(tmp_path) as server:
        run_readme("maestro_core_messaging", extra="redis", given={"redis_url": server.url})
