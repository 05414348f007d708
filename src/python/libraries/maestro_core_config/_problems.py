"""Validation errors in our words: which setting, what is wrong, and from where; never the value of a secret."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import core_schema

from maestro_core_config._layers import Tree, Value, flat, unknown_key
from maestro_core_config._origin import Layer, Problem
from maestro_core_config._section import Section, holds_secret, is_section
from maestro_core_config._shape import Name, core_type, environment_name, find

_SAFE_TYPES = frozenset(get_args(core_schema.ErrorType)) - {"value_error", "assertion_error"}
"""Errors whose text pydantic writes; the others are written by a validator, which may quote the value."""

_WITHHELD = "it is not valid (why is not said, since that would show a secret)"


def problems_of(cls: type[Section], tree: Tree, error: ValidationError, lost: set[Name]) -> Iterator[Problem]:
    """One problem for each error, except those that only follow from values that could not be read."""
    secrets = list(_secret_texts(cls, tree))
    for detail in error.errors(include_url=False, include_input=False, include_context=False):
        name = tuple(str(part) for part in detail["loc"])
        if detail["type"] == "missing" and any(name[: len(gone)] == gone or gone[: len(name)] == name for gone in lost):
            continue
        value = _value_at(tree, name)
        origin = value.origin if value is not None else None
        if detail["type"] == "extra_forbidden":
            yield unknown_key(cls, name, origin)
        else:
            yield Problem(".".join(name), _message(cls, name, detail, secrets) + _kubernetes_hint(value), origin)


def _value_at(tree: Tree, name: Name) -> Value | None:
    """What stands at a name: the value there or above it, else the first one below it."""
    node: Tree | Value | None = tree
    for part in name:
        if not isinstance(node, dict):
            break
        node = node.get(part)
    return next((value for _, value in flat(node)), None) if isinstance(node, dict) else node


def _message(cls: type[Section], name: Name, detail: Any, secrets: list[str]) -> str:
    message: str = detail["msg"]
    if detail["type"] == "missing":
        return f"it is required; set {environment_name(cls, name)}, or {'.'.join(name)} in the file"
    if _at_secret(cls, name) and detail["type"] not in _SAFE_TYPES:
        return _WITHHELD
    if any(secret.casefold() in message.casefold() for secret in secrets):
        return _WITHHELD
    return message.removeprefix("Value error, ").removeprefix("Assertion failed, ")


def _kubernetes_hint(value: Value | None) -> str:
    """Words about a variable like MAESTRO_ENGINE_PORT=tcp://10.0.0.1:80, which no person has written."""
    if value is None or value.origin.layer is not Layer.ENVIRONMENT or not str(value.value).startswith("tcp://"):
        return ""
    return "; Kubernetes sets this variable for the Service of that name unless enableServiceLinks is false"


def _at_secret(cls: type[Section], name: Name) -> bool:
    """Whether a secret itself stands at this name, or at a name above it (as for an item of a tuple)."""
    for depth in range(len(name), 0, -1):
        field = find(cls, name[:depth])
        if field is not None:
            return holds_secret(field.annotation) and not is_section(core_type(field.annotation))
    return False


def _secret_texts(cls: type[Section], tree: Tree) -> Iterator[str]:
    for name, value in flat(tree):
        field = find(cls, name)
        if field is not None and holds_secret(field.annotation):
            yield from _texts_in(value.value)


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if value:
            yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts_in(inner)
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            yield from _texts_in(inner)
    elif hasattr(value, "get_secret_value"):
        yield from _texts_in(value.get_secret_value())
    elif value is not None and not isinstance(value, bool):
        yield str(value)
