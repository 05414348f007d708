"""The README keeps its word."""

import json
from importlib.resources import files

from kit.readme import run_readme
from maestro_core_db import DatabaseSettings


def test_readme_blocks_run() -> None:
    """Every Python block of the README runs as written."""
    run_readme("maestro_core_db")


def test_readme_blocks_for_postgres_run(postgres_url: str) -> None:
    """Those of the extra as well, on a real server."""
    run_readme("maestro_core_db", extra="postgres", given={"postgres_url": postgres_url})


def test_the_table_of_settings_is_that_of_the_code() -> None:
    """Each with its default and what it is, and no other."""
    readme = (files("maestro_core_db") / "README.md").read_text(encoding="utf-8")
    table = readme.partition("| setting | default | |\n|---|---|---|\n")[2].partition("\n\n")[0]
    assert table.splitlines() == [
        f"| `{name}` | {'required' if each.is_required() else f'`{json.dumps(each.default)}`'} | {each.description} |"
        for name, each in DatabaseSettings.model_fields.items()
    ]
