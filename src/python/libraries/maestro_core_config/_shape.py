"""What a settings class looks like: its settings by name, and the type found at any name below it."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from maestro_core_config._section import Section, holds_secret, is_section

Name = tuple[str, ...]
"""A setting's name, one part for each level: ("database", "url")."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One setting of a class, at whatever depth."""

    name: Name
    field: FieldInfo

    @property
    def secret(self) -> bool:
        """Whether a secret may be found in its value."""
        return holds_secret(self.field.annotation)


@lru_cache
def leaves(cls: type[Section]) -> tuple[Leaf, ...]:
    """Every setting of the class in the order of definition; what a mapping may hold is not listed."""
    found: list[Leaf] = []
    for name, field in cls.model_fields.items():
        table = core_type(field.annotation)
        if is_section(table):
            found.extend(Leaf((name, *leaf.name), leaf.field) for leaf in leaves(table))
        else:
            found.append(Leaf((name,), field))
    return tuple(found)


def find(cls: type[Section], name: Iterable[str]) -> FieldInfo | None:
    """The field at a name, also below mappings; None when the class has no such setting."""
    annotation: Any = cls
    field: FieldInfo | None = None
    for part in name:
        field = _child(annotation, part)
        if field is None:
            return None
        annotation = field.annotation
    return field


def environment_name(cls: type[Section], name: Name) -> str:
    """The environment variable of a setting of this settings class."""
    return f"{cls.model_config.get('env_prefix', '')}{'__'.join(name).upper()}"


def core_type(annotation: Any) -> Any:
    """The type without Annotated and without `| None`."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return core_type(get_args(annotation)[0])
    if origin in (Union, UnionType):
        others = [argument for argument in get_args(annotation) if argument is not type(None)]
        return core_type(others[0]) if len(others) == 1 else annotation
    return annotation


def mapping_item(annotation: Any) -> Any:
    """The type of the values of a `Mapping[str, …]`; None for every other type."""
    core = core_type(annotation)
    return get_args(core)[1] if get_origin(core) is Mapping else None


def names_near(cls: type[Section], wrong: Name) -> list[Name]:
    """The names that someone may have meant who wrote a wrong one: its neighbours, then every setting and section."""
    field = find(cls, wrong[:-1])
    table: Any = core_type(field.annotation) if field is not None else None
    neighbours = [(*wrong[:-1], name) for name in table.model_fields] if is_section(table) else []
    every = [leaf.name[:depth] for leaf in leaves(cls) for depth in range(len(leaf.name), 0, -1)]
    return list(dict.fromkeys([*neighbours, *every]))


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """The words "; did you mean …?" when a known name is close to the wrong one, or ends like it, or else nothing."""
    names = list(known)
    last = wrong.rpartition(".")[2]
    close = difflib.get_close_matches(wrong, names, n=1, cutoff=0.7)
    close = close or [name for name in names if name.rpartition(".")[2] == last]
    return f"; did you mean {close[0]}?" if close else ""


def _child(annotation: Any, part: str) -> FieldInfo | None:
    core = core_type(annotation)
    if is_section(core):
        fields: Mapping[str, FieldInfo] = core.model_fields
        return fields.get(part)
    item = mapping_item(core)
    return FieldInfo.from_annotation(item) if item is not None else None
