"""Whether every value that one JSON Schema allows is allowed by another, as far as their keywords can tell."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]
_Pair = tuple[str, str]

_TYPES = ("null", "boolean", "object", "array", "number", "string")  # an integer is a number
_MAX_REASONS = 20  # of one pair of schemas; one that is reached on many ways would else be told on all of them
_MAX_NESTING = 16  # of alternatives in alternatives; beyond it any value is taken to fit
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_SAME = (
    *("pattern", "format", "multipleOf", "uniqueItems", "not", "if", "then", "else", "prefixItems"),
    *("contains", "minContains", "maxContains", "patternProperties", "propertyNames"),
    *("dependentRequired", "dependentSchemas", "unevaluatedProperties", "unevaluatedItems"),
)
"""Keywords whose effect is not compared: what they allow counts as kept only when they stay as they are."""
_APPLIES_TO = {
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), "number"),
    **dict.fromkeys(("minLength", "maxLength", "pattern"), "string"),
    **dict.fromkeys(("minItems", "maxItems", "uniqueItems", "prefixItems", "contains"), "array"),
    **dict.fromkeys(("minProperties", "maxProperties", "patternProperties", "propertyNames"), "object"),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a value may be refused: where in it (JSON Pointer), and what stands against it."""

    pointer: str
    text: str


class Comparison:
    """Finds why a value of `narrow` may be refused by `wide`; each reads its references in a document of its own.

    What a schema does not name, it is taken not to be used for: a property that is new in `wide` refuses nobody.
    """

    def __init__(self, wide_document: Schema, narrow_document: Schema) -> None:
        self._wide_document = wide_document
        self._narrow_document = narrow_document
        self._known: dict[_Pair, list[Reason]] = {}
        self._open: set[_Pair] = set()
        self._leaned_on: set[_Pair] = set()

    def reasons(self, wide: object, narrow: object, pointer: str = "") -> list[Reason]:
        """Every reason found. Where schemas hold themselves, the inner ones are taken to fit as the outer ones do."""
        pair = (_text(wide), _text(narrow))
        if pair in self._open:
            self._leaned_on.add(pair)
            return []
        if pair not in self._known:
            before = len(self._known)
            self._open.add(pair)
            found = self._compared(wide, narrow)
            self._open.remove(pair)
            if found and pair in self._leaned_on:  # what leaned on it was found to fit too early, and is compared again
                for other in [each for each in list(self._known)[before:] if not self._known[each]]:
                    del self._known[other]
            self._leaned_on.discard(pair)
            self._known[pair] = found
        return _below(pointer, self._known[pair])

    def _compared(self, wide: object, narrow: object) -> list[Reason]:
        wide_kinds = _alternatives(wide, self._wide_document)
        kinds = [each for kind in _alternatives(narrow, self._narrow_document) for each in _one_by_one(kind)]
        found = [reason for kind in kinds for reason in self._nearest(wide_kinds, kind, "")]
        return found[:_MAX_REASONS]

    def _nearest(self, wide_kinds: Sequence[Schema], narrow: Schema, pointer: str) -> list[Reason]:
        """The reasons of the alternative of `wide` that refuses least; none if one takes all."""
        of_type = [wide for wide in wide_kinds if not _type_reason(wide, narrow, pointer)]
        if not of_type:
            return [Reason(pointer, f"type {_type_of(narrow)}")]
        return min((list(self._against(wide, narrow, pointer)) for wide in of_type), key=len)

    def _against(self, wide: Schema, narrow: Schema, pointer: str) -> Iterator[Reason]:
        if "enum" in narrow:
            (value,) = narrow["enum"]
            among = "enum" not in wide or _text(value) in {_text(each) for each in wide["enum"]}
            if not among or self.reasons({key: wide[key] for key in wide if key != "enum"}, _exactly(value)):
                yield Reason(pointer, f"the value {json.dumps(value, ensure_ascii=False)}")
            return
        if "enum" in wide:
            yield Reason(pointer, f"values besides {_type_of(wide).removeprefix('of ')}")
        yield from _bound_reasons(wide, narrow, pointer)
        if narrow.get("type") in (None, "object"):
            yield from self._object_reasons(wide, narrow, pointer)
        if "items" in wide and narrow.get("type") in (None, "array"):
            yield from self.reasons(wide["items"], narrow.get("items", True), f"{pointer}/*")

    def _object_reasons(self, wide: Schema, narrow: Schema, pointer: str) -> Iterator[Reason]:
        for name in wide.get("required", ()):
            if name not in narrow.get("required", ()):
                yield Reason(f"{pointer}/{name}", "absence")
        named, others = wide.get("properties", {}), wide.get("additionalProperties", True)
        for name, schema in narrow.get("properties", {}).items():
            if name in named:
                yield from self.reasons(named[name], schema, f"{pointer}/{name}")
            elif others is False:
                yield Reason(f"{pointer}/{name}", "presence")
            else:
                yield from self.reasons(others, schema, f"{pointer}/{name}")
        if others is False and narrow.get("additionalProperties", True) is not False and narrow.get("type") == "object":
            yield Reason(pointer, "fields that are not named")
        elif isinstance(others, Mapping) and isinstance(narrow.get("additionalProperties"), Mapping):
            yield from self.reasons(others, narrow["additionalProperties"], f"{pointer}/*")


def _below(pointer: str, reasons: list[Reason]) -> list[Reason]:
    return [Reason(pointer + reason.pointer, reason.text) for reason in reasons] if pointer else reasons


def _one_by_one(kind: Schema) -> list[Schema]:
    """A schema that lists its values as one schema for each, since each may be allowed by another alternative."""
    return [{**kind, "enum": [value]} for value in kind["enum"]] if "enum" in kind else [kind]


def _exactly(value: object) -> Schema:
    """A schema without `enum` that allows this value and as little else as can be said."""
    match value:
        case None:
            return {"type": "null"}
        case bool():
            return {"type": "boolean"}
        case int() | float():
            kind = "integer" if float(value).is_integer() else "number"
            above, below = math.nextafter(value, math.inf), math.nextafter(value, -math.inf)
            bounds = {"minimum": value, "maximum": value, "exclusiveMinimum": below, "exclusiveMaximum": above}
            return {"type": kind, **bounds}
        case str():
            return {"type": "string", "minLength": len(value), "maxLength": len(value)}
        case list():
            items = {"anyOf": [_exactly(item) for item in value]} if value else {}
            return {"type": "array", "minItems": len(value), "maxItems": len(value), "items": items}
        case dict():
            held = {name: _exactly(item) for name, item in value.items()}
            size = {"minProperties": len(held), "maxProperties": len(held), "additionalProperties": False}
            return {"type": "object", "properties": held, "required": list(held), **size}
    raise TypeError(f"{type(value).__name__} is nothing that JSON has")


def properties(schema: object, document: Schema) -> dict[str, object]:
    """Every property that some alternative of a schema names, with its schema; `*` is what a list or table holds."""
    found: dict[str, object] = {}
    for kind in _alternatives(schema, document):
        held = [kind[word] for word in ("items", "additionalProperties") if isinstance(kind.get(word), Mapping)]
        found |= {**kind.get("properties", {}), **({"*": held[0]} if held else {})}
    return found


def _alternatives(schema: object, document: Schema, depth: int = 0) -> list[Schema]:
    """The schema as a list of plain ones with one type each, of which a value fits at least one."""
    if schema is False:
        return []
    if schema is True or schema == {} or depth > _MAX_NESTING:
        return [{}]
    assert isinstance(schema, Mapping)
    plain = resolved(schema, document)
    for word in ("anyOf", "oneOf"):
        if word in plain:
            rest = {key: value for key, value in plain.items() if key not in (word, "discriminator")}
            return [merged for each in plain[word] for merged in _both(rest, each, document, depth + 1)]
    if "allOf" in plain:
        rest = {key: value for key, value in plain.items() if key != "allOf"}
        kinds: list[Schema] = [rest]
        for each in plain["allOf"]:
            kinds = [merged for kind in kinds for merged in _both(kind, each, document, depth + 1)]
        return kinds
    if "const" in plain:
        return [{"enum": [plain["const"]]}]
    if isinstance(plain.get("type"), list):
        return [{**plain, "type": each} for each in plain["type"]]
    return [plain]


def _both(rest: Schema, each: object, document: Schema, depth: int) -> list[Schema]:
    """The alternatives of two schemas that hold at once."""
    found: list[Schema] = []
    for kind in _alternatives(each, document, depth):
        if _types_meet(rest, kind):
            merged = {**rest, **kind, **{word: _joined(word, rest[word], kind[word]) for word in rest if word in kind}}
            found += _alternatives(merged, document, depth) if merged.keys() & {"allOf", "anyOf", "oneOf"} else [merged]
    return found


def _types_meet(one: Schema, other: Schema) -> bool:
    types = {one.get("type"), other.get("type")} - {None}
    return len(types) < 2 or types == {"integer", "number"}


def _joined(word: str, one: Any, other: Any) -> Any:
    """A keyword of two schemas that hold at once."""
    if word in _LOWER or word in _UPPER:
        return max(one, other) if word in _LOWER else min(one, other)
    if one == other:
        return one
    match word:
        case "type":
            return "integer"
        case "required":
            return sorted({*one, *other})
        case "enum":
            return [value for value in one if _text(value) in {_text(each) for each in other}]
        case "properties":
            return {**one, **other, **{name: {"allOf": [one[name], other[name]]} for name in one if name in other}}
        case "items":
            return {"allOf": [one, other]}
        case "additionalProperties":
            return False if False in (one, other) else other if one is True else one
    return sorted([one, other], key=_text) if word in _SAME else other


def resolved(schema: Schema, document: Schema) -> Schema:
    """The schema that a reference leads to; what stands beside the reference is kept."""
    seen: set[str] = set()
    while isinstance(reference := schema.get("$ref"), str) and reference not in seen:
        seen.add(reference)
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**_at(document, reference), **beside}
    return schema


def _at(document: Schema, reference: str) -> Schema:
    found: Any = document
    for step in reference.removeprefix("#/").split("/"):
        found = found.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, Mapping) else {}
    return found if isinstance(found, Mapping) else {}


def _type_of(schema: Schema) -> str:
    if "enum" in schema:
        return "of " + ", ".join(json.dumps(value, ensure_ascii=False) for value in schema["enum"][:5])
    return str(schema.get("type", "any"))


def _type_reason(wide: Schema, narrow: Schema, pointer: str) -> Reason | None:
    allowed, used = wide.get("type"), narrow.get("type")
    if allowed is None or allowed == used or (allowed == "number" and used == "integer") or "enum" in narrow:
        return None
    return Reason(pointer, f"type {used or 'any'}")


def _bound_reasons(wide: Schema, narrow: Schema, pointer: str) -> Iterator[Reason]:
    kind = "number" if narrow.get("type") == "integer" else narrow.get("type")
    for word in (*_LOWER, *_UPPER, *_SAME):
        if word not in wide or (kind in _TYPES and _APPLIES_TO.get(word, kind) != kind):
            continue
        bound, used = wide[word], narrow.get(word)
        if word in _LOWER:
            kept = used is not None and used >= bound
        elif word in _UPPER:
            kept = used is not None and used <= bound
        else:
            kept = used == bound
        if not kept and not (word in ("minLength", "minItems", "minProperties") and bound == 0):
            yield Reason(pointer, f"what {word} {json.dumps(bound, ensure_ascii=False)} does not allow")


def _text(schema: object) -> str:
    return json.dumps(schema, sort_keys=True)
