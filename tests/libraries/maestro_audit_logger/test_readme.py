"""The README's blocks run."""

from kit.readme import run_readme


def test_readme_blocks_run() -> None:
    """Every Python block of the README runs as written."""
    run_readme("maestro_audit_logger")


def test_readme_blocks_of_the_extra_run() -> None:
    """So do those that need the extra."""
    run_readme("maestro_audit_logger", extra="signing")
