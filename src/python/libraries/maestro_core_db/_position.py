"""Positions in an order: plain values that survive JSON, read back as strictly as any input from outside."""

import math
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, SmallInteger
from sqlalchemy.types import TypeDecorator

from maestro_core_db._errors import InvalidPage, InvalidPosition
from maestro_core_db._types import ExactDecimal, UtcDateTime

Position = tuple[str | int | float | bool | None, ...]

MAX_TEXT = 10_000
_PLAIN = (str, bool, int, float)
_AS_TEXT = (datetime, date, Decimal, UUID)


def check_column(column: ColumnElement[Any]) -> None:
    """Raise InvalidPage unless values of this column can be written into a position."""
    if _python_type(column) not in (*_PLAIN, *_AS_TEXT):
        raise InvalidPage(f"order_by: a {column.type!r} has no place in a position; order by another column")


def to_position(columns: Sequence[ColumnElement[Any]], values: Sequence[Any]) -> Position:
    """The position of a row."""
    return tuple(_encoded(column, value) for column, value in zip(columns, values, strict=True))


def from_position(columns: Sequence[tuple[ColumnElement[Any], object]], position: Sequence[Any]) -> list[Any]:
    """The values of a position; with each column goes what it says about nulls, None for a column that has none."""
    if not isinstance(position, list | tuple) or len(position) != len(columns):
        raise InvalidPosition(f"a position in this order has {len(columns)} values")
    values = []
    for n, ((column, nulls), value) in enumerate(zip(columns, position, strict=True)):
        if value is None and nulls is None:
            raise InvalidPosition(f"value {n} of the position is null, and its column never is")
        values.append(None if value is None else _decoded(column, value, n))
    return values


def _python_type(column: ColumnElement[Any]) -> type | None:
    kind: Any = column.type
    while isinstance(kind, TypeDecorator):
        kind = kind.impl
    try:
        return kind.python_type  # type: ignore[no-any-return] # a type, by its documentation
    except NotImplementedError:
        return None


def _encoded(column: ColumnElement[Any], value: Any) -> str | int | float | bool | None:
    if value is None:
        return None
    plain = value.isoformat() if isinstance(value, date) else str(value) if isinstance(value, _AS_TEXT) else value
    if not _fits(column, value):
        raise InvalidPage(f"order_by: a row holds {type(value).__name__} that its column's type does not allow")
    return plain


def _decoded(column: ColumnElement[Any], value: Any, n: int) -> Any:
    kind: Any = _python_type(column)
    read = value
    if kind in _AS_TEXT and isinstance(value, str) and len(value) <= MAX_TEXT:
        read_text = getattr(kind, "fromisoformat", kind)
        try:
            read = read_text(value)
        except (ValueError, InvalidOperation):
            read = None
    elif kind is float and type(value) is int and abs(value) < 2**53:
        read = float(value)
    if type(read) is not kind or not _fits(column, read):
        raise InvalidPosition(f"value {n} of the position is none of its column")
    return read


def _fits(column: ColumnElement[Any], value: Any) -> bool:
    """Whether the databases take the value for this column."""
    kind: Any = column.type
    match value:
        case bool() | UUID():
            return True
        case int():
            bits = 64 if isinstance(kind, BigInteger) else 16 if isinstance(kind, SmallInteger) else 32
            return -(1 << (bits - 1)) <= value < 1 << (bits - 1)
        case float():
            return math.isfinite(value)
        case str():
            return len(value) <= MAX_TEXT and not any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value)
        case datetime():
            wants_zone = isinstance(kind, UtcDateTime) or bool(kind.timezone)
            return wants_zone == (value.utcoffset() is not None)
        case Decimal() if value.is_finite():
            return not isinstance(kind, ExactDecimal) or kind.fits(value)
    return type(value) is date
