"""The standard library's `@dataclass`, in a fifth of the time that its definition takes.

The library has dozens of such classes, and making them was half of what importing it took: the standard library
compiles six methods for a frozen one. Here only `__init__` is compiled, and everything else is shared.
"""

import dataclasses
from collections.abc import Callable
from operator import attrgetter
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen: bool = False, slots: bool = False) -> Callable[[type], type]:
        """Make a class a dataclass."""
        return lambda plain: _made(plain, frozen, slots)


__all__ = ["dataclass"]


def _made(plain: type, frozen: bool, slots: bool) -> type:
    cls: type[Any] = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots)(plain)
    fields = dataclasses.fields(cls)
    compared = [field.name for field in fields if field.compare]
    values: Callable[[Any], Any] = attrgetter(*compared) if compared else lambda _: ()

    has_more_to_do = hasattr(cls, "__post_init__")

    def is_equal(self: object, other: object) -> object:
        return values(self) == values(other) if type(other) is type(self) else NotImplemented

    methods: dict[str, Any] = {
        "__init__": _init(cls, fields, frozen, has_more_to_do),
        "__repr__": _shown,
        "__eq__": is_equal,
        "__hash__": (lambda self: hash(values(self))) if frozen else None,
    }
    if not frozen and fields and not has_more_to_do:
        everything: Callable[[Any], Any] = attrgetter(*(field.name for field in fields), "__class__")
        methods["__copy__"] = lambda self: type(self)(*everything(self)[:-1])
    if frozen:
        methods |= {"__setattr__": _refuse_set, "__delattr__": _refuse_delete}
    if frozen and slots:
        methods |= {"__getstate__": _as_state, "__setstate__": _from_state}
    for name, method in methods.items():
        if name not in plain.__dict__:
            setattr(cls, name, method)
    return cls


def _init(
    cls: type, fields: tuple[dataclasses.Field[Any], ...], frozen: bool, has_more_to_do: bool
) -> Callable[..., None]:
    """A constructor with these fields, in their order."""
    names: dict[str, Any] = {"_set": object.__setattr__, "_MISSING": dataclasses.MISSING}
    given, lines = ["self"], []
    for field in fields:
        name = value = field.name
        if field.default is not dataclasses.MISSING:
            names[f"_{name}"] = field.default
            given.append(f"{name}=_{name}")
        elif field.default_factory is not dataclasses.MISSING:
            names[f"_{name}"] = field.default_factory
            given.append(f"{name}=_MISSING")
            value = f"_{name}() if {name} is _MISSING else {name}"
        else:
            given.append(name)
        slot = getattr(cls, name, None)
        if not frozen:
            lines.append(f" self.{name} = {value}")
        elif isinstance(slot, MemberDescriptorType):
            names[f"_set_{name}"] = slot.__set__
            lines.append(f" _set_{name}(self, {value})")
        else:
            lines.append(f" _set(self, {name!r}, {value})")
    if has_more_to_do:
        lines.append(" self.__post_init__()")
    exec("\n".join([f"def __init__({', '.join(given)}):", *(lines or [" pass"])]), names)
    init: Callable[..., None] = names["__init__"]
    return init


def _refuse_set(self: object, name: str, value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_delete(self: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _shown(self: Any) -> str:
    shown = (f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _as_state(self: Any) -> list[object]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _from_state(self: Any, state: list[object]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)
