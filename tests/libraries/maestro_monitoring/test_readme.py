"""The README runs."""

from libraries.maestro_monitoring.collector import collecting

from kit.readme import run_readme


def test_readme_blocks_run() -> None:
    """Every Python block of the README runs as written."""
    run_readme("maestro_monitoring")


def test_readme_blocks_of_the_extra_run() -> None:
    """With a collector on loopback."""
    with collecting() as collector:
        run_readme("maestro_monitoring", extra="otlp", given={"collector_url": collector.url})
        assert [span.name for span in collector.spans] == ["packing"]
