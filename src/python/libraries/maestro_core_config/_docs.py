"""What a settings class says about itself: JSON Schema for tools, a Markdown table for people."""

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from maestro_core_config._explain import show
from maestro_core_config._layers import flat, with_defaults
from maestro_core_config._secret import SecretText
from maestro_core_config._settings import Settings
from maestro_core_config._shape import environment_name, leaves

_WORDS: dict[Any, str] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    Path: "path",
    SecretText: "secret",
    type(None): "null",
    Any: "anything",
}
_CONTAINERS: dict[Any, str] = {tuple: "list of", frozenset: "set of", Mapping: "table of"}


def json_schema(cls: type[Settings]) -> dict[str, Any]:
    """The JSON Schema of the settings as they are in the end: what it requires may come from any layer."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **cls.model_json_schema()}


def markdown_table(cls: type[Settings]) -> str:
    """A Markdown table of every setting: name, environment variable, type, default, description."""
    defaults = {name: value.value for name, value in flat(with_defaults(cls, {}))}
    lines = ["| Setting | Environment variable | Type | Default | Description |", "|---|---|---|---|---|"]
    for leaf in leaves(cls):
        default = show(defaults[leaf.name]) if leaf.name in defaults else _default(leaf.field)
        cells = (
            f"`{'.'.join(leaf.name)}`",
            f"`{environment_name(cls, leaf.name)}`",
            type_words(leaf.field.annotation),
            default if default in ("required", "computed") else f"`{default}`",
            leaf.field.description or "",
        )
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    return "\n".join(lines) + "\n"


def type_words(annotation: Any) -> str:
    """A type in words that need no Python: "list of text", "integer or null"."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_words(arguments[0])
    if origin in (Union, UnionType):
        return " or ".join(type_words(argument) for argument in arguments)
    if origin is Literal:
        return " or ".join(show(argument) for argument in arguments)
    if origin in _CONTAINERS:
        inner = arguments[1] if origin is Mapping else arguments[0]
        return f"{_CONTAINERS[origin]} {type_words(inner)}"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " or ".join(show(member.value) for member in annotation)
    return _WORDS.get(annotation) or str(getattr(annotation, "__name__", annotation))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return "computed" if field.default_factory is not None else show(field.default)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
