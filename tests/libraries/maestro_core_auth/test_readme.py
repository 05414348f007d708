"""The README is true."""

from kit.readme import run_readme


def test_readme_blocks_run() -> None:
    """Every Python block of the README runs as written."""
    run_readme("maestro_core_auth")


def test_the_block_for_fastapi_runs() -> None:
    """After the plain ones, as those of the other extras."""
    run_readme("maestro_core_auth", extra="fastapi")


def test_the_block_for_tokens_runs() -> None:
    run_readme("maestro_core_auth", extra="tokens")


def test_the_block_for_passwords_runs() -> None:
    run_readme("maestro_core_auth", extra="passwords")


def test_the_block_for_oidc_runs() -> None:
    run_readme("maestro_core_auth", extra="oidc")
