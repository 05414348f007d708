from kit.readme import run_readme


def test_readme_blocks_run() -> None:
    """Every Python block of the README runs as written."""
    run_readme("maestro_core_api")


def test_readme_blocks_of_the_extra_run() -> None:
    """So do those that serve."""
    run_readme("maestro_core_api", extra="serve")
