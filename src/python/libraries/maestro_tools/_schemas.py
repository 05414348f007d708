"""Arguments and results held against the JSON Schemas that a tool declares."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from maestro_tools._errors import InvalidArguments, ServerMisbehaved
from maestro_tools._tools import Tool, canonical_json

if TYPE_CHECKING:
    from jsonschema.protocols import Validator  # type: ignore[import-untyped]  # it comes without types

_LARGEST_SCHEMA_BYTES = 512 * 1024
_LARGEST_ARGUMENTS_BYTES = 4 * 1024 * 1024
_DEEPEST = 100
_PROBLEMS_SHOWN = 10


class Contract:
    """One tool with its schemas compiled, on first use and once."""

    def __init__(self, tool: Tool) -> None:
        self.tool = tool
        self._label = f"{tool.source}.{tool.name}"

    def check_arguments(self, arguments: Mapping[str, Any]) -> None:
        """Raises InvalidArguments, naming every place, when the arguments do not fit the input schema."""
        label = f"arguments of {self._label}"
        if not isinstance(arguments, Mapping):
            raise InvalidArguments(f"{label} must be a mapping, not {type(arguments).__name__}")
        if _deeper_than(arguments, _DEEPEST):
            raise InvalidArguments(f"{label} are nested deeper than {_DEEPEST}")
        try:
            size_bytes = len(canonical_json(arguments).encode())
        except (TypeError, ValueError) as error:
            raise InvalidArguments(f"{label} are not JSON: {error}") from error
        if size_bytes > _LARGEST_ARGUMENTS_BYTES:
            raise InvalidArguments(f"{label} are {size_bytes} bytes, more than {_LARGEST_ARGUMENTS_BYTES}")
        if problems := self._problems(self._input, dict(arguments)):
            raise InvalidArguments(f"{label} do not fit its input schema: {problems}")

    def check_output(self, value: Any) -> None:
        """Raises ServerMisbehaved when a result does not fit the output schema that its own server declared."""
        if self._output is not None and (problems := self._problems(self._output, value)):
            raise ServerMisbehaved(f"the result of {self._label} does not fit its output schema: {problems}")

    @cached_property
    def _input(self) -> Validator:
        return self._compile(self.tool.input_schema)

    @cached_property
    def _output(self) -> Validator | None:
        return self._compile(self.tool.output_schema) if self.tool.output_schema else None

    def _compile(self, schema: Mapping[str, Any]) -> Validator:
        from jsonschema import Draft202012Validator, SchemaError  # type: ignore[import-untyped]  # without types
        from jsonschema.validators import validator_for  # type: ignore[import-untyped]  # without types
        from referencing import Registry

        if len(json.dumps(schema)) > _LARGEST_SCHEMA_BYTES:
            raise ServerMisbehaved(f"a schema of {self._label} is larger than {_LARGEST_SCHEMA_BYTES} bytes")
        kind = validator_for(schema, default=Draft202012Validator)
        try:
            kind.check_schema(schema)
        except SchemaError as error:
            place = _pointer(error.absolute_path)
            raise ServerMisbehaved(f"a schema of {self._label} is invalid at {place}: {error.message}") from error
        # The empty registry is the bound: a `$ref` reaches what the schema itself holds, never the network.
        return kind(schema, registry=Registry())

    def _problems(self, validator: Validator, value: Any) -> str:
        """What does not fit, as `/path: message; …`; empty when all fits."""
        from referencing.exceptions import Unresolvable

        found: list[str] = []
        try:
            for error in validator.iter_errors(value):
                found.append(f"{_pointer(error.absolute_path)}: {_short(error.message)}")
                if len(found) == _PROBLEMS_SHOWN:
                    break
        except Unresolvable as error:
            raise ServerMisbehaved(f"a schema of {self._label} refers to {error.ref!r}, which it lacks") from error
        except RecursionError as error:
            raise ServerMisbehaved(f"a schema of {self._label} recurses without end") from error
        return "; ".join(sorted(found))


def _deeper_than(value: Any, limit: int) -> bool:
    """Whether nested lists and mappings go deeper than `limit`; does not recurse itself."""
    level = [value]
    for _ in range(limit):
        level = [child for item in level for child in _children(item) if isinstance(child, Mapping | list | tuple)]
        if not level:
            return False
    return True


def _children(item: Any) -> Iterable[Any]:
    return item.values() if isinstance(item, Mapping) else item


def _pointer(path: Iterable[object]) -> str:
    return "/" + "/".join(str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _short(message: str) -> str:
    return message if len(message) <= 200 else f"{message[:200]}…"
