"""Layers as trees of values that know their origin, and the law by which one lies over another."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, TypeAlias

from pydantic.fields import FieldInfo

from maestro_core_config._origin import Layer, Origin, Problem
from maestro_core_config._section import Section, is_section
from maestro_core_config._shape import Name, core_type, mapping_item, names_near, suggestion


@dataclass(frozen=True, slots=True)
class Value:
    """A value as its layer gave it, before validation."""

    value: object = field(repr=False)
    origin: Origin


Tree: TypeAlias = dict[str, "Tree | Value"]


@dataclass(slots=True)
class Reading:
    """What one layer gave: its values, what was wrong, and the names whose values could not be read.

    `lost` holds () when the whole layer could not be read.
    """

    tree: Tree = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    lost: set[Name] = field(default_factory=set)


def overlay(low: Tree, high: Tree) -> Tree:
    """Both trees in one: tables are joined key by key, and for everything else the higher tree wins."""
    joined = dict(low)
    for key, node in high.items():
        under = joined.get(key)
        joined[key] = overlay(under, node) if isinstance(under, dict) and isinstance(node, dict) else node
    return joined


def merge(layers: Iterable[Tree]) -> Tree:
    """All layers in one, given lowest first."""
    return reduce(overlay, layers, {})


def plain(tree: Tree) -> dict[str, Any]:
    """The values alone, nested as in the tree."""
    return {key: plain(node) if isinstance(node, dict) else node.value for key, node in tree.items()}


def flat(tree: Tree, above: Name = ()) -> Iterator[tuple[Name, Value]]:
    """Every value of the tree with its full name."""
    for key, node in tree.items():
        if isinstance(node, dict):
            yield from flat(node, (*above, key))
        else:
            yield (*above, key), node


def read_tree(cls: type[Section], data: Mapping[str, object], origin_of: Callable[[Name], Origin]) -> Reading:
    """A layer from nested data, cut along the shape of the class; unknown keys become problems."""
    reading = Reading()
    node = _node(cls, data, (), origin_of, reading, cls)
    reading.tree = node if isinstance(node, dict) else {}
    return reading


def with_defaults(cls: type[Section], tree: Tree) -> Tree:
    """The tree over those defaults of the class that are tables, so that a layer may change single keys of them."""
    low: Tree = {}
    for name, info in cls.model_fields.items():
        section, item = core_type(info.annotation), mapping_item(info.annotation)
        if not is_section(section) and item is None:
            continue
        given = tree.get(name)
        default = _table_default(info)
        joined = _over_default(cls, name, default, given)
        if joined is None:
            continue
        if is_section(section):
            low[name] = with_defaults(section, joined)
        else:
            low[name] = {
                key: with_defaults(item, node) if is_section(item) and isinstance(node, dict) else node
                for key, node in joined.items()
            }
    return {**tree, **low}


def _over_default(cls: type[Section], name: str, default: object, given: Tree | Value | None) -> Tree | None:
    """The table `name` given over its default; None when there is no table in the end."""
    if isinstance(given, Value) or (given is None and default is None):
        return None
    base = read_tree(cls, {name: default}, lambda _: Origin(Layer.DEFAULT)).tree[name] if default is not None else {}
    return overlay(base if isinstance(base, dict) else {}, given or {})


def _table_default(info: FieldInfo) -> object:
    if info.is_required():
        return {} if is_section(info.annotation) else None
    if info.default_factory_takes_validated_data:
        return None
    return info.get_default(call_default_factory=True)


def _node(
    cls: type[Section],
    value: object,
    name: Name,
    origin_of: Callable[[Name], Origin],
    reading: Reading,
    annotation: Any,
) -> Tree | Value:
    core = core_type(annotation)
    item = mapping_item(core)
    if isinstance(value, Section):
        value = {key: getattr(value, key) for key in type(value).model_fields}
    if not isinstance(value, Mapping) or not (is_section(core) or (item is not None and value)):
        return Value(value, origin_of(name))
    tree: Tree = {}
    for key, inner in ((str(key), inner) for key, inner in value.items()):
        below = (*name, key)
        if item is None and key not in core.model_fields:
            reading.problems.append(unknown_key(cls, below, origin_of(below)))
        else:
            inner_type = item if item is not None else core.model_fields[key].annotation
            tree[key] = _node(cls, inner, below, origin_of, reading, inner_type)
    return tree


def unknown_key(cls: type[Section], name: Name, origin: Origin | None) -> Problem:
    """The problem of a key that the class does not have."""
    dotted = ".".join(name)
    known = [".".join(known) for known in names_near(cls, name)]
    return Problem(dotted, f"there is no such setting{suggestion(dotted, known)}", origin)
