"""A dict that stays as it is."""

from typing import Any, NoReturn, TypeVar

from maestro_core_config._errors import SettingsAreFrozen

K = TypeVar("K")
V = TypeVar("V")


class FrozenDict(dict[K, V]):
    """What a `Mapping[…]` setting holds: reads like a dict, refuses every change."""

    def _refuse(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise SettingsAreFrozen("settings do not change after they were loaded: load them again with overrides")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]  # dict has none since it can change; this one cannot
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[type["FrozenDict[K, V]"], tuple[dict[K, V]]]:
        return FrozenDict, (dict(self),)


def freeze(value: object) -> object:
    """The value with every dict and list in it, at any depth, made immutable."""
    if isinstance(value, dict):
        return FrozenDict({key: freeze(item) for key, item in value.items()})
    if type(value) in (tuple, list):
        return tuple(freeze(item) for item in value)  # type: ignore[attr-defined]  # mypy does not narrow on type()
    return value
