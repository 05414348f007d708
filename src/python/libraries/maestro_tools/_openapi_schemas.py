"""Schemas of an OpenAPI document as JSON Schema 2020-12 that stands alone: references lead to its own `$defs`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from maestro_tools._openapi_document import BadDocument, Document

_MOST_NODES = 20_000
_DEEPEST = 64
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_MAPS = ("properties", "patternProperties", "dependentSchemas")
_SINGLE = (
    "items",
    "additionalProperties",
    "not",
    "if",
    "then",
    "else",
    "contains",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
)
# Not of JSON Schema, or of the kind that moves the ground under a reference.
_DROPPED = ("nullable", "discriminator", "xml", "externalDocs", "example", "examples")
_GROUND = ("$schema", "$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$defs", "$vocabulary")


class Schemas:
    """Converts the schemas of one operation, and gathers what they refer to."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._names: dict[str, str] = {}
        self._waiting: list[str] = []
        self._nodes = 0

    def convert(self, node: Any, depth: int = 0) -> Any:
        """One schema. Raises BadDocument when it is too large, too deep, or refers to what is not there."""
        self._nodes += 1
        if self._nodes > _MOST_NODES or depth > _DEEPEST:
            raise BadDocument(f"has schemas of more than {_MOST_NODES} parts, or nested deeper than {_DEEPEST}")
        if isinstance(node, bool):
            return node
        if not isinstance(node, Mapping):
            raise BadDocument("has a schema that is neither an object nor a boolean")
        made: dict[str, Any] = {}
        for key, value in node.items():
            if key in _MAPS and isinstance(value, Mapping):
                made[key] = {name: self.convert(item, depth + 1) for name, item in value.items()}
            elif key in _LISTS and isinstance(value, list):
                made[key] = [self.convert(item, depth + 1) for item in value]
            elif key in _SINGLE and isinstance(value, Mapping | bool):
                made[key] = self.convert(value, depth + 1)
            elif key == "$ref":
                made["$ref"] = f"#/$defs/{self._name(str(value))}"
            elif key not in _DROPPED and key not in _GROUND:
                made[key] = value
        return _modern(made, is_nullable=node.get("nullable") is True) if self._document.is_old else made

    def definitions(self) -> dict[str, Any]:
        """Everything that was referred to, by the names that the references use."""
        made = {}
        while self._waiting:
            ref = self._waiting.pop()
            made[self._names[ref]] = self.convert(self._document.find(ref))
        return dict(sorted(made.items()))

    def _name(self, ref: str) -> str:
        if ref not in self._names:
            self._document.find(ref)
            wanted = re.sub(r"[^A-Za-z0-9_.-]", "_", ref.rsplit("/", 1)[-1]) or "_"
            taken = set(self._names.values())
            number = 1
            name = wanted
            while name in taken:
                number += 1
                name = f"{wanted}_{number}"
            self._names[ref] = name
            self._waiting.append(ref)
        return self._names[ref]


def _modern(schema: dict[str, Any], *, is_nullable: bool) -> dict[str, Any]:
    """A schema of OpenAPI 3.0 in the words of 3.1."""
    if "$ref" in schema:
        # What stands beside a reference has no meaning in 3.0.
        schema = {"$ref": schema["$ref"]}
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(schema.get(exclusive), bool) and schema.pop(exclusive) and bound in schema:
            schema[exclusive] = schema.pop(bound)
    if not is_nullable:
        return schema
    if isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
        if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
            schema["enum"] = [*schema["enum"], None]
        return schema
    return {"anyOf": [schema, {"type": "null"}]}
