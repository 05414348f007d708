"""What a settings class exports about itself."""

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest
from pydantic import Field

from maestro_core_config import SecretText, Section, Settings, json_schema, markdown_table


class Mode(Enum):
    FAST = "fast"
    SAFE = "safe"


class Store(Section):
    url: str
    size_bytes: int = 10


class Documented(Settings, env_prefix="MAESTRO_DOC_"):
    name: str
    mode: Mode = Mode.SAFE
    level: Literal["info", "debug"] = "info"
    ratio: Annotated[float, Field(ge=0)] = 0.5
    folder: Path | None = None
    tags: tuple[str, ...] = ("a", "b|c")
    ids: frozenset[int] = frozenset()
    limits: Mapping[str, int] = Field(default_factory=dict, description="Limits | by\nname")
    anything: Any = None
    store: Store = Store(url="here")
    api_token: SecretText = SecretText("s3cret")


def test_the_table_lists_every_setting() -> None:
    """One row for each setting, with the variable, the type in words, the default and the description."""
    assert markdown_table(Documented).splitlines() == [
        "| Setting | Environment variable | Type | Default | Description |",
        "|---|---|---|---|---|",
        "| `name` | `MAESTRO_DOC_NAME` | text | required |  |",
        '| `mode` | `MAESTRO_DOC_MODE` | "fast" or "safe" | `"safe"` |  |',
        '| `level` | `MAESTRO_DOC_LEVEL` | "info" or "debug" | `"info"` |  |',
        "| `ratio` | `MAESTRO_DOC_RATIO` | number | `0.5` |  |",
        "| `folder` | `MAESTRO_DOC_FOLDER` | path or null | `null` |  |",
        '| `tags` | `MAESTRO_DOC_TAGS` | list of text | `["a", "b\\|c"]` |  |',
        "| `ids` | `MAESTRO_DOC_IDS` | set of integer | `[]` |  |",
        "| `limits` | `MAESTRO_DOC_LIMITS` | table of integer | computed | Limits \\| by name |",
        "| `anything` | `MAESTRO_DOC_ANYTHING` | anything | `null` |  |",
        '| `store.url` | `MAESTRO_DOC_STORE__URL` | text | `"here"` |  |',
        "| `store.size_bytes` | `MAESTRO_DOC_STORE__SIZE_BYTES` | integer | `10` |  |",
        '| `api_token` | `MAESTRO_DOC_API_TOKEN` | secret | `"**********"` |  |',
    ]


def test_the_schema_accepts_what_loads_and_refuses_what_does_not() -> None:
    """The JSON Schema is valid, closed to unknown keys, and marks secrets as such."""
    schema = json_schema(Documented)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)

    validator.validate({"name": "x", "store": {"url": "y"}, "limits": {"a": 1}})
    for wrong in ({}, {"name": 1}, {"name": "x", "nam": 1}, {"name": "x", "store": {"ur": "y"}}):
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(wrong)
    assert schema["properties"]["api_token"]["format"] == "password"
    assert schema["properties"]["api_token"]["writeOnly"] is True
