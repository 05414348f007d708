"""The README keeps its word."""

from kit.readme import run_readme


def test_readme_blocks_run() -> None:
    """Every Python block of the README runs as written."""
    run_readme("maestro_core_db")


def test_readme_blocks_for_postgres_run(postgres_url: str) -> None:
    """Those of the extra as well, on a real server."""
    run_readme("maestro_core_db", extra="postgres", given={"postgres_url": postgres_url})
