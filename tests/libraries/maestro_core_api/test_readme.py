import json
from importlib.resources import files

from kit.readme import run_readme
from maestro_core_api import ApiSettings


def test_readme_blocks_run() -> None:
    """Every Python block of the README runs as written."""
    run_readme("maestro_core_api")


def test_readme_blocks_of_the_extra_run() -> None:
    """So do those that serve."""
    run_readme("maestro_core_api", extra="serve")


def test_the_table_of_settings_is_that_of_the_code() -> None:
    """Each with its default and what it is, and no other."""
    readme = (files("maestro_core_api") / "README.md").read_text(encoding="utf-8")
    table = readme.partition("| setting | default | |\n|---|---|---|\n")[2].partition("\n\n")[0]
    assert table.splitlines() == [
        f"| `{name}` | {'required' if each.is_required() else f'`{json.dumps(each.default)}`'} | {each.description} |"
        for name, each in ApiSettings.model_fields.items()
    ]
