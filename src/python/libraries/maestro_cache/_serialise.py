"""Values as bytes. There is no pickle here: bytes in a shared store must not be able to run code."""

import json
import math
from collections.abc import Callable
from typing import Protocol

from maestro_cache._errors import NotStorable


class Serialiser(Protocol):
    """Makes bytes of values, and values of bytes; what it gives back has to equal what it was given.

    `dumps` raises NotStorable for what it cannot give back as it was; any error of `loads` means that the bytes are
    foreign.
    """

    name: str
    """Kept with every value: bytes of a serialiser of another name are foreign."""

    def dumps(self, value: object) -> bytes: ...

    def loads(self, data: bytes) -> object: ...


class JsonSerialiser:
    """JSON, and only what comes back from JSON as it was: no tuples, no keys that are not str, no NaN.

    With `to_data` and `from_data` other types travel as data: `JsonSerialiser("user.1", to_data=as_dict,
    from_data=User.from_dict)`; give each pair a name of its own.
    """

    def __init__(
        self,
        name: str = "json",
        *,
        to_data: Callable[[object], object] | None = None,
        from_data: Callable[[object], object] | None = None,
    ) -> None:
        self.name = name
        self._to_data = to_data
        self._from_data = from_data

    def dumps(self, value: object) -> bytes:
        data = value if self._to_data is None else self._to_data(value)
        try:
            _require_exact(data)
            return json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8")
        except RecursionError as error:
            raise NotStorable("the value is nested too deeply, or holds itself") from error
        except ValueError as error:
            raise NotStorable("the value holds a lone surrogate, or a number that is too long") from error

    def loads(self, data: bytes) -> object:
        value = json.loads(data)
        return value if self._from_data is None else self._from_data(value)


def _require_exact(value: object) -> None:
    kind = type(value)
    if value is None or kind in (str, int, bool) or (kind is float and math.isfinite(value)):  # type: ignore[arg-type]  # a float by `kind`
        return
    if isinstance(value, list) and kind is list:
        for item in value:
            _require_exact(item)
    elif isinstance(value, dict) and kind is dict and all(type(key) is str for key in value):
        for item in value.values():
            _require_exact(item)
    else:
        raise NotStorable(
            f"{kind.__name__} would not come back from JSON as it was; "
            "return dict, list, str, int, finite float, bool or None, or give the store a Serialiser for it"
        )
